"""A collection's bounds: signers find them, the owner is never stopped by them, and renewal reads little."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from threading import Event
from typing import Any

import pytest

from tests.support.server_owner import Owner
from tests.support.server_site import GUN_A, Site
from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata
from trustdata.gun import GUN
from trustdata.limits import MAX_SNAPSHOT
from trustdata.model import DelegatedRole, Delegations, Targets
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.tuf import TUF, TufFormat
from trustserver.api import publish_requests
from trustserver.repository import judging
from trustserver.repository import quotas as growth
from trustserver.repository.publish import PublishedVersions, Publishing

ALICE = RoleName("targets/alice")
BOB = RoleName("targets/bob")


def tags(count: int) -> dict[str, str]:
    return {f"v{number}": "cd" * 32 for number in range(count)}


def filled(monkeypatch: pytest.MonkeyPatch) -> tuple[Site, Owner]:
    """A collection that is exactly at its bound, most of it alice's."""
    site = Site()
    owner = site.begin()
    owner.tags = {}
    for name in ("releases", "alice", "bob"):
        owner.add_signer(name)
    keys = {role: owner.signers[role].public_key for role in owner.signers}
    roles = {
        str(role): DelegatedRole(role, [key.keyid], 1, terminating=role == RELEASES, paths=["*"])
        for role, key in keys.items()
    }
    targets = owner.targets(delegations=Delegations({key.keyid: key for key in keys.values()}, roles))
    site.publish({TARGETS: targets, ALICE: owner.delegation(ALICE, tags(200))}).raise_for_status()
    files = site.store.load(GUN_A).files
    size = sum(len(file.raw) for role, file in files.items() if role not in {SNAPSHOT, TIMESTAMP})
    monkeypatch.setattr(growth, "MAX_COLLECTION", size)
    return site, owner


def test_signers_do_not_grow_a_collection_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    site, owner = filled(monkeypatch)
    before = site.store.load(GUN_A)
    for role, count in ((ALICE, 201), (BOB, 0)):
        answer = site.publish({role: owner.delegation(role, tags(count))})
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
        assert (answer.json()["what"], answer.json()["limit"]) == ("the whole collection", growth.MAX_COLLECTION)
    assert site.store.load(GUN_A) == before


def test_what_mends_or_shrinks_a_full_collection_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    site, owner = filled(monkeypatch)
    delegations = TUF.parse(TARGETS, site.file("2.targets.json").content).targets.delegations
    assert site.publish({TARGETS: owner.targets(delegations=delegations)}).status_code == 200, "the same again"
    assert site.publish({ROOT: owner.root(), RELEASES: owner.delegation(RELEASES, tags(50))}).status_code == 200
    assert site.publish({ALICE: owner.delegation(ALICE, tags(190))}).status_code == 200, "less, though still too much"
    assert site.publish({TARGETS: owner.targets(delegations=None)}).status_code == 200, "every signer removed"


def test_a_full_snapshot_takes_no_new_roles_but_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    site, owner = filled(monkeypatch)
    monkeypatch.setattr(growth, "MAX_COLLECTION", 10**9)
    monkeypatch.setattr(growth, "SNAPSHOT_RESERVE", MAX_SNAPSHOT - len(site.file("2.snapshot.json").content))
    before = site.store.load(GUN_A)
    answer = site.publish({BOB: owner.delegation(BOB, {})})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert "snapshot" in answer.json()["what"]
    assert site.store.load(GUN_A) == before
    assert site.publish({ALICE: owner.delegation(ALICE, tags(2000))}).status_code == 200, "more digits in the snapshot"
    assert site.publish({ROOT: owner.root(), TARGETS: owner.targets(delegations=None)}).status_code == 200


def test_the_reserve_of_a_snapshot_holds_what_its_roles_may_still_take() -> None:
    """An entry of the shortest form: how many fit, and what they take with the longest length and many versions."""
    smallest = len('"targets/a.json":{"hashes":{"sha256":""},"length":400,"version":1},') + 64
    entries = (MAX_SNAPSHOT - growth.SNAPSHOT_RESERVE) // smallest
    more_digits = len("5000000") - len("400") + len("1000000") - len("1")
    assert entries * more_digits < growth.SNAPSHOT_RESERVE


def test_large_uploads_are_judged_one_at_a_time_and_small_ones_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_requests, "LARGE_JUDGEMENT", 1000)
    site = Site()
    seen: list[str] = []
    small_came = Event()

    def publish(
        self: Publishing,
        gun: GUN,
        files: Mapping[RoleName, bytes],
        *,
        at: datetime,
        served_format: object,
        subject: str,
        permit: object,
    ) -> PublishedVersions:
        if len(files[TARGETS]) < 1000:
            small_came.set()
        else:
            seen.append("begins")
            assert small_came.wait(timeout=30), "the small one waits for this one"
            seen.append("ends")
        return PublishedVersions(gun=gun, format="tuf-1.0", revision=1, versions={})

    monkeypatch.setattr(Publishing, "publish", publish)

    def upload(name: str, size: int) -> dict[str, Any]:
        url = f"/api/v1/collections/example.com/{name}/publish"
        return {"method": "POST", "url": url, "files": [("files", ("targets", b"x" * size))]}

    answers = site.together(upload("a", 5000), upload("b", 5000), upload("c", 10))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert seen == ["begins", "ends", "begins", "ends"]


def test_an_upload_that_is_judged_apart_goes_alone_without_a_closer_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values are counted where it is judged: counting holds the interpreter, too."""
    monkeypatch.setattr(publish_requests, "LARGE_UPLOAD", 1000)
    monkeypatch.setattr(publish_requests, "LARGE_JUDGEMENT", 1_000_000)
    site = Site()
    looked: list[int] = []

    def size(_: GUN, files: Mapping[RoleName, bytes]) -> int:
        looked.append(len(files[TARGETS]))
        return 0

    monkeypatch.setattr(site.app.publishing, "size", size)
    at_one_time, most = 0, 0
    large_came, small_came = Event(), Event()

    def publish(gun: GUN, files: Mapping[RoleName, bytes], **_: object) -> PublishedVersions:
        nonlocal at_one_time, most
        at_one_time += 1
        most = max(most, at_one_time)
        mine, other = (large_came, small_came) if len(files[TARGETS]) >= 1000 else (small_came, large_came)
        mine.set()
        assert other.wait(timeout=30)
        at_one_time -= 1
        return PublishedVersions(gun=gun, format="tuf-1.0", revision=1, versions={})

    monkeypatch.setattr(site.app.publishing, "publish", publish)
    url = "/api/v1/collections/example.com/a/publish"
    sizes = (1000, 5000, 1000, 999)
    uploads = [{"method": "POST", "url": url, "files": [("files", ("targets", b"x" * size))]} for size in sizes]
    assert [answer.status_code for answer in site.together(*uploads)] == [200] * 4
    assert (looked, most) == ([999], 2)


def test_what_is_stored_and_not_in_memory_counts_for_the_size_of_a_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    site, _ = filled(monkeypatch)
    files = site.store.load(GUN_A).files
    whole = sum(len(file.raw) for file in files.values())
    for beside, stored in ((site, 0), (Site(site.store), whole)):
        assert beside.app.publishing.size(GUN_A, {ALICE: b"12345"}) == stored + 5
        assert beside.app.publishing.size(GUN_A, {ALICE: b"[[],{}]"}) == stored + 8 * (3 + 3 - 1 + 1), "by its values"


def test_renewal_parses_neither_targets_nor_delegations(monkeypatch: pytest.MonkeyPatch) -> None:
    site, owner = filled(monkeypatch)
    parsed: list[str] = []
    parse = TufFormat.parse

    def watched(self: TufFormat, role: RoleName, raw: bytes) -> Envelope:
        parsed.append(role)
        return parse(self, role, raw)

    monkeypatch.setattr(TufFormat, "parse", watched)
    fresh = Site(site.store)
    fresh.at = site.later(days=8)
    assert fresh.app.renewal.round(at=fresh.at).renewed == 1
    assert set(parsed) == {ROOT, SNAPSHOT, TIMESTAMP}
    assert set(fresh.get(f"/api/v1/collections/{GUN_A}").json()["versions"]) >= {ALICE, TARGETS}
    owner.at = fresh.at
    assert fresh.publish({ALICE: owner.delegation(ALICE, {})}).status_code == 200, "a publish then reads all of it"
    assert site.publish({ALICE: owner.delegation(ALICE, {})}).status_code == 200, (
        "so does one that remembers too little"
    )
    snapshot = TUF.parse(SNAPSHOT, site.file("5.snapshot.json").content).snapshot
    assert snapshot.meta[f"{ALICE}.json"].version == 3
    assert isinstance(TUF.parse(TARGETS, site.file("2.targets.json").content).content, Targets)


def test_the_values_of_all_files_of_an_upload_are_counted_before_one_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    parsed: list[RoleName] = []

    def parse(_: TufFormat, role: RoleName, raw: bytes) -> Envelope:
        del raw
        parsed.append(role)
        raise MalformedMetadata(role=role, path="", reason="parsed")

    monkeypatch.setattr(TufFormat, "parse", parse)
    monkeypatch.setattr(judging, "MAX_UPLOAD_VALUES", 10)
    five = b'["[[[[[[[[[[",1,1,1,1]'
    assert site.publish({TARGETS: five, ROOT: five}).json()["reason"] == "parsed"
    parsed.clear()
    answer = site.publish({TARGETS: five, ROOT: five[:-1] + b",1]"})
    assert answer.status_code == 413
    assert (answer.json()["what"], answer.json()["limit"], answer.json()["unit"]) == ("the upload", 10, "values")
    assert parsed == []
    assert site.publish({TARGETS: b"[" * 50}).json()["reason"] == "parsed", "its parser names the place"
