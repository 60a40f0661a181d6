"""A collection as one machine knows it: pins, trust on first use, memory, offline, withheld, deleted, owners."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.simulator.attacks.moves import expire
from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD, Scene, good_collection
from trustcli.errors import (
    MemoryUnwritable,
    OfflineTooOld,
    RemoteUnreachable,
)
from trustdata.editing.owner_roles import OwnerDecisions
from trustdata.errors import (
    CollectionDeleted,
    ExpiredUnknown,
    MetadataExpired,
    NoTrustData,
    NotSigned,
    PinsDisagree,
    RootNotPinned,
    TrustDataWithheld,
    TrustError,
    Unpinned,
    VersionRollback,
)
from trustdata.gun import parse_gun
from trustdata.judgement import Judgement
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.trust_pinning import Pin, SourcedPin, parse_pin

DAY = timedelta(days=1)


def _refusal(answer: Judgement, kind: type[TrustError]) -> TrustError:
    assert type(answer.refusal) is kind, answer.refusal
    assert answer.digest is None
    return answer.refusal


# --- where trust begins


def test_without_a_pin_nothing_is_trusted_and_nothing_kept() -> None:
    scene = good_collection()
    client = Client(scene.server)
    refusal = _refusal(client.judge("1.0"), Unpinned)
    assert refusal.details()["found"] == str(scene.pin)
    assert client.cache.roots() == []
    assert client.memory.known == {}
    assert client.recorded == []


def test_trust_on_first_use_records_says_so_and_is_a_pin_from_then_on() -> None:
    scene = good_collection()
    client = Client(scene.server, tofu=True)
    assert client.digest("1.0") == f"sha256:{GOOD}"
    assert client.recorded == [(scene.pin, "tofu")]
    assert str(scene.pin) in client.warnings[0]
    client.server = _another()
    assert not client.judge("1.0").allowed
    client.cache = Client(scene.server).cache
    _refusal(client.judge("1.0"), RootNotPinned)
    assert len(client.recorded) == 1


def test_trust_on_first_use_of_bad_data_records_nothing() -> None:
    scene = good_collection()
    scene.server.files["timestamp.json"] = b"{}"
    client = Client(scene.server, tofu=True)
    assert not client.judge("1.0").allowed
    assert client.recorded == []


def _another() -> RepositorySimulator:
    other = RepositorySimulator(online_keys=" of another")
    owner = Owner(other, "another root", "targets")
    owner.initialise("another root")
    owner.sign("1.0", GOOD)
    return other


def test_pins_of_one_chain_agree_whatever_they_name() -> None:
    scene = good_collection()
    second = scene.server.wire.parse(ROOT, scene.server.files["2.root.json"])
    first = scene.server.stored[ROOT].root.roles[ROOT].keyids[0]
    pins = [scene.pin, Pin("sha256", second.sha256), parse_pin(f"key:{first}")]
    assert Client(scene.server, pins=pins).judge("1.0").allowed


def test_pins_that_disagree_are_named() -> None:
    scene = good_collection()
    client = Client(scene.server, pins=[scene.pin])
    client.pins.append(SourcedPin(pin=Pin("sha256", "ab" * 32), source="trust.lock"))
    refusal = _refusal(client.judge("1.0"), PinsDisagree)
    assert "trust.lock" in str(refusal)
    assert "pins.toml" in str(refusal)


def test_a_pin_of_a_key_that_did_not_sign_version_one() -> None:
    scene = good_collection()
    targets_key = scene.server.stored[ROOT].root.roles[TARGETS].keyids[0]
    refusal = _refusal(Client(scene.server, pins=[parse_pin(f"key:{targets_key}")]).judge(), RootNotPinned)
    assert str(scene.pin) in str(refusal)


# --- what is known


def test_who_knows_the_name() -> None:
    scene = good_collection()
    assert Client(scene.server).collection().known_by() is None
    client = scene.regular()
    assert client.collection().known_by() == "pins.toml"
    client.pins = []
    assert client.collection().known_by() == "what this machine has verified before"


def test_a_name_that_nobody_knows_is_not_signed() -> None:
    server = RepositorySimulator()
    _refusal(Client(server).judge("1.0"), NoTrustData)
    assert Client(server).collection().on_server() is None


def test_a_known_name_without_data_is_withheld() -> None:
    scene = good_collection()
    client = scene.regular()
    empty = RepositorySimulator()
    for pins, known_by in ((client.pins, "pins.toml"), ([], "what this machine has verified before")):
        client.pins = pins
        client.server = empty
        client.cache = Client(empty).cache
        assert known_by in str(_refusal(client.judge("1.0"), TrustDataWithheld))


def test_a_path_in_the_address_may_be_why_there_is_no_data() -> None:
    client = good_collection().regular()
    client.server = RepositorySimulator()
    client.cache = Client(client.server).cache
    assert "has a path" not in str(_refusal(client.judge("1.0"), TrustDataWithheld))
    client.server.name += "/tuf"
    told = (
        "https://trust.example.com/tuf has a path, which may be too much: without it, it is https://trust.example.com"
    )
    assert str(_refusal(client.judge("1.0"), TrustDataWithheld)).endswith(f"; {told}")


def test_a_deleted_collection_shows_both_fingerprints() -> None:
    scene = good_collection()
    client = scene.regular()
    scene.server.delete(scene.server.gun)
    refusal = _refusal(client.judge("1.0"), CollectionDeleted)
    assert refusal.details() | {"gun": ""} == {
        "gun": "",
        "pin": str(scene.pin),
        "deleted_root": str(scene.pin),
        "deleted_at": "2026-11-01T12:00:00Z",
        "subject": "mallory",
    }
    client.pins = []
    client.cache = Client(scene.server).cache
    assert "the pin here is none" in str(_refusal(client.judge("1.0"), CollectionDeleted))


def test_a_server_that_does_not_explain_is_withholding() -> None:
    scene = good_collection()
    client = scene.regular()
    scene.server.files.clear()

    class Silent(RepositorySimulator):
        def collection(self, gun: object) -> None:
            raise RemoteUnreachable(remote=self.name, reason="500")

    scene.server.__class__ = Silent
    _refusal(client.judge("1.0"), TrustDataWithheld)


def test_an_outage_is_neither_absence_nor_attack() -> None:
    scene = good_collection()
    client = scene.regular()
    scene.server.down = True
    _refusal(client.judge("1.0"), RemoteUnreachable)


# --- memory


def test_memory_that_cannot_be_written_warns_or_refuses() -> None:
    scene = good_collection()
    client = scene.regular()
    client.memory.broken = True
    assert client.judge("1.0").allowed
    assert "rollback protection is weaker" in client.warnings[0]
    client.memory_required = True
    _refusal(client.judge("1.0"), MemoryUnwritable)


def test_memory_outlives_the_cache() -> None:
    scene = good_collection()
    client = scene.regular()
    client.cache = Client(scene.server).cache
    scene.server.files = dict(scene.past.files)
    _refusal(client.judge("1.0"), VersionRollback)


# --- offline


def _offline(client: Client, hours: float, max_age: timedelta = DAY) -> Judgement:
    client.at = client.server.at + timedelta(hours=hours)
    client.server.down = True
    return client.judge("1.0", max_age=max_age)


def test_offline_within_its_bound() -> None:
    assert _offline(good_collection().regular(), 24).digest == f"sha256:{GOOD}"


def test_offline_beyond_its_bound() -> None:
    refusal = _refusal(_offline(good_collection().regular(), 24.001), OfflineTooOld)
    assert "the last refresh was on 2026-11-01 12:00 UTC" in str(refusal)


def test_offline_after_the_clock_went_back() -> None:
    assert "clock has gone back" in str(_refusal(_offline(good_collection().regular(), -0.001), OfflineTooOld))


def test_offline_without_a_refresh_before() -> None:
    assert "never refreshed" in str(_refusal(_offline(good_collection().newcomer(), 0), OfflineTooOld))


def test_offline_does_not_ignore_expiry() -> None:
    client = good_collection().regular()
    refusal = _refusal(_offline(client, 73, timedelta(days=30)), MetadataExpired)
    assert getattr(refusal, "role", "") == TIMESTAMP


def test_offline_is_no_refresh() -> None:
    client = good_collection().regular()
    _offline(client, 20)
    assert not _offline(client, 40).allowed


@pytest.mark.parametrize("lost", [TIMESTAMP, SNAPSHOT, TARGETS, RELEASES])
def test_offline_with_a_hole_in_the_cache(lost: RoleName) -> None:
    client = good_collection().regular()
    client.cache.drop(lost)
    assert "is not in the cache" in str(_refusal(_offline(client, 1), OfflineTooOld))


def test_offline_without_roots_in_the_cache() -> None:
    client = good_collection().regular()
    client.cache = Client(client.server).cache
    assert "not in the cache" in str(_refusal(_offline(client, 1), OfflineTooOld))


def test_offline_still_asks_for_the_pin() -> None:
    client = good_collection().regular()
    client.pins = [SourcedPin(pin=Pin("sha256", "ab" * 32), source="--pin")]
    assert not _offline(client, 1).allowed


# --- owners


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES])
def test_an_expired_role_is_shown_to_owners_only(role: RoleName) -> None:
    scene = good_collection()
    expire(scene, role)
    client = scene.newcomer()
    _refusal(client.judge("1.0"), MetadataExpired)
    roles = client.collection().owner_roles()
    assert roles[RELEASES].targets.targets["1.0"].hashes == {"sha256": GOOD}
    assert isinstance(roles.unvouched[role], ExpiredUnknown)
    accepted = OwnerDecisions(accept_expired=frozenset({f"{role}@sha256:{roles[role].sha256}"}))
    assert client.collection().owner_roles(accepted).unvouched == {}


def test_an_expired_timestamp_is_for_nobody() -> None:
    scene = good_collection()
    expire(scene, TIMESTAMP)
    with pytest.raises(MetadataExpired):
        scene.newcomer().collection().owner_roles()


def test_every_role_that_is_published() -> None:
    roles = good_collection().newcomer().collection().owner_roles()
    assert set(roles) == {ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES, "targets/alice"}


def test_a_newcomer_s_view_and_a_new_pin() -> None:
    scene = good_collection()
    client = scene.regular()
    seen = Client(scene.server).cache
    seen.store_root(1, scene.server.files["1.root.json"])
    assert client.collection().refresh_from_first_root(seen).roles()[TARGETS].version == 4
    first = scene.server.wire.parse(ROOT, scene.server.files["1.root.json"])
    client.collection().adopt(first)
    assert client.recorded == [(scene.pin, "init")]


# --- the cache


def test_a_damaged_cache_costs_a_fetch_and_nothing_else() -> None:
    for role in (TIMESTAMP, SNAPSHOT, TARGETS, RELEASES):
        scene: Scene = good_collection()
        client = scene.regular()
        client.cache.store(role, b"{")
        assert client.judge("1.0").allowed
    client = good_collection().regular()
    client.cache.store_root(1, b"{")
    assert client.judge("1.0").allowed


def test_what_is_current_is_not_fetched_again() -> None:
    scene = good_collection()
    client = scene.regular()
    scene.server.requests.clear()
    client.judge("1.0")
    assert scene.server.requests == ["3.root.json", "timestamp.json"]
    scene.server.issue()
    scene.server.requests.clear()
    client.judge("1.0")
    assert scene.server.requests == ["3.root.json", "timestamp.json", "8.snapshot.json"]


def test_answers_to_several_questions() -> None:
    scene = good_collection()
    client = scene.newcomer()
    assert client.judge(None, f"sha256:{GOOD}").allowed
    _refusal(client.judge("9.9"), NotSigned)
    _refusal(client.judge(None, "sha256:" + "ab" * 32), NotSigned)
    assert scene.server.fetch(parse_gun("a/b"), "timestamp.json", limit=10) is None
