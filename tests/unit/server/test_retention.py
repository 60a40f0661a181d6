"""What stays on the disk: who publishes often, or sends empty uploads, does not fill it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.notary_owner import NotaryOwner, content_of
from tests.support.notary_site import EMPTY, GUN_N, NotarySite, form
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A, Site
from tests.unit.server.guarded_site import Guarded, bearer
from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustserver.repository import quotas, retention
from trustserver.repository.parsed_cache import ParsedCache
from trustserver.repository.retention import AFTER_BYTES, KEPT_BYTES, LAST_OFFLINE, LAST_ONLINE, Retention, superseded
from trustserver.storage import sql, stored_rows
from trustserver.storage.database import migrate, open_engine
from trustserver.storage.ports import MetadataStore, StoredFile, StoredVersion
from trustserver.storage.sql import SqlStore

HOUR = timedelta(hours=1)
EARLIER = NOW - timedelta(days=1)


@pytest.fixture
def sql_store(tmp_path: Path) -> Iterator[SqlStore]:
    engine = open_engine(f"sqlite:///{tmp_path / 'trust.db'}")
    migrate(engine)
    yield SqlStore(engine)
    engine.dispose()


@pytest.fixture(params=["memory", "sql"])
def site(request: pytest.FixtureRequest, sql_store: SqlStore) -> NotarySite:
    return NotarySite(sql_store if request.param == "sql" else None)


def counts(store: MetadataStore, gun: str) -> dict[str, int]:
    """How many versions of each role are stored."""
    found: dict[str, int] = {}
    for version in store.versions(GUN(gun)):
        found[version.role] = found.get(version.role, 0) + 1
    return found


# --- empty uploads


def test_empty_uploads_within_the_interval_change_nothing(site: NotarySite) -> None:
    site.begin_notary()
    before = site.store.versions(GUN(GUN_N))
    names = ("root.json", "snapshot.json", "timestamp.json")
    served = [site.tuf(name).content for name in names]
    for second in range(59):
        site.at = NOW + timedelta(seconds=second)
        answer = site.post(EMPTY)
        assert (answer.status_code, answer.content) == (200, b"")
    assert site.store.versions(GUN(GUN_N)) == before
    assert [site.tuf(name).content for name in names] == served
    assert len(site.store.changes(None, after=0, limit=99)) == 1
    site.at = NOW + timedelta(seconds=60)
    assert site.post(EMPTY).status_code == 200
    assert content_of(site.tuf("timestamp.json").content)["version"] == 2


def test_a_timestamp_alone_is_an_empty_upload(site: NotarySite) -> None:
    site.begin_notary()
    for _ in range(3):
        assert site.post(form([("timestamp", b"{}")])).status_code == 200
    assert site.versions()["timestamp"] == 1


def test_an_empty_upload_in_the_interval_reads_no_file_and_parses_none(
    sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = NotarySite(sql_store)
    site.begin_notary()

    def refuse(*_: object) -> None:
        raise AssertionError("the collection is loaded")

    monkeypatch.setattr(SqlStore, "load", refuse)
    monkeypatch.setattr(ParsedCache, "remembered", refuse)
    assert site.post(EMPTY).status_code == 200


def test_an_upload_with_files_is_signed_at_once(site: NotarySite) -> None:
    owner = site.begin_notary()
    for version in (2, 3):
        assert site.upload({TARGETS: owner.targets()}).status_code == 200
        assert site.versions()["timestamp"] == version


def test_a_timestamp_of_a_clock_that_was_ahead_is_signed_again_at_once() -> None:
    site = NotarySite()
    site.jump(minutes=30)
    site.begin_notary()
    site.jump(minutes=-30)
    assert site.post(EMPTY).status_code == 200
    assert site.versions()["timestamp"] == 2


def test_an_owner_who_holds_the_snapshot_key_is_told_so_at_once() -> None:
    site = NotarySite()
    site.begin_notary(holds_snapshot=True)
    assert site.post(EMPTY).status_code == 400


# --- superseded versions


def test_what_was_superseded_is_dropped_after_an_hour_but_for_the_last(site: NotarySite) -> None:
    owner: NotaryOwner = site.begin_notary()
    for _ in range(10):
        site.later(minutes=1)
        owner.at = site.at
        assert site.upload({TARGETS: owner.targets()}).status_code == 200
    assert counts(site.store, GUN_N) == {ROOT: 1, TARGETS: 11, SNAPSHOT: 11, TIMESTAMP: 11}
    current = {name: site.tuf(name).content for name in ("root.json", "snapshot.json", "timestamp.json")}
    site.later(minutes=55)
    site.upkeep()
    assert counts(site.store, GUN_N) == {ROOT: 1, TARGETS: 6, SNAPSHOT: 6, TIMESTAMP: 6}, "the last six minutes count"
    site.later(hours=2)
    site.upkeep()
    expected = {ROOT: 1, TARGETS: 1 + LAST_OFFLINE, SNAPSHOT: 1 + LAST_ONLINE, TIMESTAMP: 1 + LAST_ONLINE}
    assert counts(site.store, GUN_N) == expected
    assert {name: site.tuf(name).content for name in current} == current
    assert site.upload({TARGETS: owner.targets()}).status_code == 200


def test_a_client_in_the_middle_of_an_update_gets_all_of_it(site: NotarySite) -> None:
    """It has read a timestamp; then others publish."""
    owner = site.begin_notary()
    snapshot = content_of(site.tuf("timestamp.json").content)["meta"]["snapshot"]["hashes"]["sha256"]
    for _ in range(40):
        assert site.upload({TARGETS: owner.targets()}).status_code == 200
    site.later(minutes=59)
    site.upkeep()
    fresh = NotarySite(site.store, sealer=site.sealer)
    fresh.at = site.at
    raw = fresh.tuf(f"snapshot.{_hex(snapshot)}.json")
    assert raw.status_code == 200
    targets = content_of(raw.content)["meta"]["targets"]["hashes"]["sha256"]
    assert fresh.tuf(f"targets.{_hex(targets)}.json").status_code == 200


def _hex(base64_text: str) -> str:
    return base64.b64decode(base64_text).hex()


@pytest.mark.parametrize("tuf", [True, False], ids=["tuf-1.0", "notary-v1"])
def test_ten_thousand_bytes_again_and_again_take_a_bounded_room(
    site: NotarySite, monkeypatch: pytest.MonkeyPatch, *, tuf: bool
) -> None:
    monkeypatch.setattr(retention, "KEPT_BYTES", 5_000)
    monkeypatch.setattr(retention, "AFTER_BYTES", 3_000)
    gun = GUN_A if tuf else GUN_N
    owner: Owner | NotaryOwner = site.begin() if tuf else site.begin_notary()
    for _ in range(40):
        files = {TARGETS: owner.targets()}
        assert (site.publish(files) if tuf else site.upload(files)).status_code == 200
    stored = sum(version.size for version in site.store.versions(GUN(gun)))
    current = site.store.size(GUN(gun))
    assert stored < 5_000 + 3_000 + (2 + LAST_ONLINE) * current


def test_the_change_feed_of_a_collection_is_bounded(site: NotarySite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEPT_CHANGES", 3)
    for gun in ("a", "b"):
        owner = site.begin_notary(gun)
        for _ in range(5):
            assert site.upload({TARGETS: owner.targets()}, gun).status_code == 200
    site.upkeep()
    assert [change.version for change in site.store.changes(GUN("a"), after=0, limit=99)] == [4, 5, 6]
    assert len(site.store.changes(None, after=0, limit=99)) == 6
    before = site.store.changes(None, after=0, limit=99)[-1].id
    assert site.upload({TARGETS: owner.targets()}, "b").status_code == 200
    assert site.store.changes(None, after=0, limit=99)[-1].id > before


def test_a_publish_costs_the_same_however_many_were_published_in_the_last_hour() -> None:
    class Busy(MemoryStore):
        """Has 5 000 versions of this hour, and counts how many were looked at."""

        looked_at = 0

        def versions(self, gun: GUN) -> tuple[StoredVersion, ...]:
            self.looked_at += 5000
            return tuple(version("snapshot", number, days=0) for number in range(5000))

    store = Busy()
    kept = Retention(store, keep=HOUR)
    for _ in range(2000):
        kept.published(GUN(GUN_A), 1000, NOW)
    assert 0 < store.looked_at <= 2000 * 10
    looked_at = store.looked_at
    kept.published(GUN(GUN_A), AFTER_BYTES, NOW)
    assert store.looked_at > looked_at, "bytes count as before"


def test_rounds_come_to_every_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SWEEP", 2)
    site = NotarySite()
    looked_at: list[str] = []

    def prune(_: Retention, gun: GUN, at: datetime) -> int:
        del at
        looked_at.append(gun)
        return 0

    monkeypatch.setattr(Retention, "prune", prune)
    for name in "abcde":
        site.begin_notary(name)
    for _ in range(4):
        site.app.retention.round(site.at)
    assert looked_at == ["a", "b", "c", "d", "e", "a", "b"]


def version(role: str, number: int, *, size: int = 10, current: bool = False, days: float = 1) -> StoredVersion:
    return StoredVersion(
        role=RoleName(role), version=number, size=size, stored_at=NOW - timedelta(days=days), is_current=current
    )


def test_roots_are_never_dropped_nor_what_is_current() -> None:
    old = [version(role, number, days=9) for role in ("root", "targets") for number in range(1, 9)]
    dropped = superseded([*old, version("root", 9, current=True), version("targets", 9, current=True)], NOW, keep=HOUR)
    assert dropped == [(RoleName("targets"), number) for number in range(1, 8)]


def test_the_oldest_of_what_takes_too_much_is_dropped_first() -> None:
    large = [version("targets", number, size=KEPT_BYTES // 2, days=(9 - number) / 1e6) for number in range(1, 9)]
    dropped = superseded([*large, version("targets", 9, current=True, days=0)], NOW, keep=HOUR)
    assert sorted(number for _, number in dropped) == [1, 2, 3, 4, 5]


def test_a_file_of_an_early_version_of_the_server_counts_as_old() -> None:
    undated = StoredVersion(role=TARGETS, version=2, size=1, stored_at=None, is_current=False)
    versions = [version("targets", 1), undated, version("targets", 3, current=True)]
    assert superseded(versions, NOW, keep=timedelta(days=99)) == [(TARGETS, 1)]


# --- numbers of things


def test_versions_of_root_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "MAX_ROOT_VERSIONS", 3)
    site = Site()
    owner = site.begin()
    for _ in range(2):
        assert site.publish({ROOT: owner.root()}).status_code == 200
    before = site.store.load(GUN_A)
    refused = site.publish({ROOT: owner.root()})
    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (507, "too-many", 3)
    assert site.store.load(GUN_A) == before
    assert site.publish({TARGETS: owner.targets()}).status_code == 200


def test_bytes_of_root_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    owner = site.begin()
    size = len(site.file("1.root.json").content)
    monkeypatch.setattr(quotas, "MAX_ROOT_BYTES", 2 * size + 40)
    assert site.publish({ROOT: owner.root()}).status_code == 200
    assert site.publish({ROOT: owner.root()}).json()["code"] == "too-many"


def test_names_are_bounded_in_all_and_a_deleted_one_counts() -> None:
    site = Site(max_collections=2)
    owner = site.begin("example.com/a")
    site.begin("example.com/b")
    site.request("DELETE", "/api/v1/collections/example.com/b")
    new = Owner(site.at)
    site.learn_keys(new, "example.com/c")
    refused = site.publish(new.first_upload(), "example.com/c")
    assert (refused.status_code, refused.json()["code"]) == (507, "too-many")
    assert site.publish({TARGETS: owner.targets()}, "example.com/a").status_code == 200


def test_what_fills_the_disk_is_seen_in_the_metrics(site: NotarySite) -> None:
    site.begin_notary()
    metrics = site.get("/metrics").text
    assert "trust_server_collections 1.0" in metrics
    assert f"trust_server_database_bytes {float(site.store.room_taken()[1])}" in metrics


def test_names_of_one_user_are_bounded_and_those_of_others_are_not() -> None:
    site = Guarded(subject_collections=1)

    def begin(gun: str, user: str) -> int:
        rights = bearer("*", name=gun, sub=user)
        owner = Owner(site.at)
        for role in (SNAPSHOT, TIMESTAMP):
            owner.learn(role, site.get(f"/api/v1/collections/{gun}/keys/{role}", headers=rights).json())
        files = [("files", (role, raw)) for role, raw in owner.first_upload().items()]
        path = f"/api/v1/collections/{gun}/publish"
        return site.request("POST", path, files=files, headers=rights).status_code

    assert begin("example.com/a", "mallory") == 200
    assert begin("example.com/b", "mallory") == 507
    assert begin("example.com/b", "alice") == 200
    assert site.store.count_names(subject="mallory") == (2, 1)


LARGE = frozenset({TARGETS, SNAPSHOT})
"""The roles that may be large."""


def test_what_anybody_may_ask_reads_no_large_file(sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there, a server's key, the state: a stranger asks for them as often as they like."""
    site = NotarySite(sql_store)
    site.begin()
    site.begin_notary()
    read: list[str] = []
    as_stored = stored_rows.stored_file

    def noted(row: Any) -> StoredFile:
        read.append(row.role)
        return as_stored(row)

    for module in (sql, stored_rows):
        monkeypatch.setattr(module, "stored_file", noted)
    assert site.file("99.nothing.json").status_code == 404
    assert site.get(f"/api/v1/collections/{GUN_A}/keys/snapshot").status_code == 200
    assert site.tuf("timestamp.key").status_code == 200
    assert site.request("POST", f"/api/v1/collections/{GUN_A}/keys/snapshot").status_code == 200
    state = site.get(f"/api/v1/collections/{GUN_A}").json()
    assert state["versions"] == {"root": 1, "snapshot": 1, "targets": 1, "timestamp": 1}
    assert state["server_keys"] == ["snapshot", "timestamp"]
    assert not LARGE & set(read)
    gone = site.request("DELETE", f"/api/v1/collections/{GUN_A}")
    assert gone.status_code == 200
    assert not LARGE & set(read)
    assert site.get(f"/api/v1/collections/{GUN_A}").json()["versions"] == state["versions"]
