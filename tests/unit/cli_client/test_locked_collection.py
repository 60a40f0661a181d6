"""A collection beside a lock file: on a machine that knows nothing, and on one that knows the name already."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keys.record import replace
from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD, Scene, good_collection
from trustcli.errors import OfflineTooOld
from trustdata.errors import (
    CollectionDeleted,
    LockDisagrees,
    MetadataExpired,
    PinsDisagree,
    RootNotPinned,
    TrustDataWithheld,
    TrustError,
    VersionRollback,
)
from trustdata.judgement import Judgement
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import LockEntry, SourcedLock
from trustdata.verification.trust_pinning import Pin, SourcedPin

HERE = "trust.lock"
DAY = timedelta(days=1)
STRANGER = Pin("sha256", "ab" * 32)


def _refusal(answer: Judgement, kind: type[TrustError]) -> TrustError:
    assert type(answer.refusal) is kind, answer.refusal
    assert answer.digest is None
    return answer.refusal


def fresh(server: RepositorySimulator, entry: LockEntry) -> Client:
    """A machine that has a lock file and nothing else."""
    client = Client(server)
    client.lock = SourcedLock(entry=entry, source=HERE)
    return client


def locked(scene: Scene) -> LockEntry:
    return scene.newcomer().lock_entry()


def _another() -> RepositorySimulator:
    other = RepositorySimulator(online_keys=" of another")
    owner = Owner(other, "another root", "targets")
    owner.initialise("another root")
    owner.sign("1.0", GOOD)
    return other


# --- with nothing but the lock


def test_a_fresh_machine_verifies_again_and_again_and_records_no_pin() -> None:
    scene = good_collection()
    client = fresh(scene.server, locked(scene))
    for _ in range(2):
        assert client.digest("1.0") == f"sha256:{GOOD}"
    assert client.recorded == []
    assert client.memory.known[scene.server.gun].roles[TARGETS].version == 4


def test_a_fresh_machine_refuses_an_older_state_and_names_the_lock() -> None:
    scene = good_collection()
    client = fresh(scene.past, locked(scene))
    refusal = _refusal(client.judge("1.0"), VersionRollback)
    assert str(refusal) == "timestamp version 5 is older than version 7, locked in trust.lock"
    assert client.memory.known == {}
    client.server = scene.server
    assert client.judge("1.0").allowed


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT, TARGETS, RELEASES, RoleName("targets/alice")])
def test_every_minimum_counts(role: RoleName) -> None:
    scene = good_collection()
    entry = locked(scene)
    above = entry.minimum[role] + 1
    refusal = _refusal(
        fresh(scene.server, replace(entry, minimum={**entry.minimum, role: above})).judge("1.0"), VersionRollback
    )
    assert (getattr(refusal, "role", ""), getattr(refusal, "source", "")) == (role, f"locked in {HERE}")


def test_a_role_that_was_dropped() -> None:
    scene = good_collection()
    entry = locked(scene)
    gone = replace(entry, minimum={**entry.minimum, RoleName("targets/carol"): 3})
    refusal = _refusal(fresh(scene.server, gone).judge("1.0"), VersionRollback)
    assert str(refusal) == "targets/carol was dropped, but version 3 was locked in trust.lock"


def test_another_collection_under_the_locked_name_is_refused_also_with_trust_on_first_use() -> None:
    scene, other = good_collection(), _another()
    client = fresh(other, locked(scene))
    client.tofu = True
    entry = client.lock.entry if client.lock else None
    assert entry is not None
    assert entry.root_version == 2
    _refusal(client.judge("1.0"), VersionRollback)  # it has no second root
    client.lock = SourcedLock(entry=replace(entry, root_version=1, root=scene.pin), source=HERE)
    _refusal(client.judge("1.0"), LockDisagrees)
    assert (client.recorded, client.cache.roots(), client.memory.known) == ([], [], {})


def test_a_server_that_hides_the_newest_root() -> None:
    scene = good_collection()
    scene.owner.renew(ROOT)
    client = fresh(scene.server, locked(scene))
    hidden = scene.server.files.pop("3.root.json")
    refusal = _refusal(client.judge("1.0"), VersionRollback)
    assert str(refusal) == "root version 2 is older than version 3, locked in trust.lock"
    assert client.cache.roots() == []
    scene.server.files["3.root.json"] = hidden
    assert client.judge("1.0").allowed


def test_the_collection_may_go_on() -> None:
    scene = good_collection()
    client = fresh(scene.server, locked(scene))
    scene.owner.renew(ROOT)
    scene.owner.sign("3.0", GOOD)
    assert client.judge("3.0").allowed


def test_a_locked_name_without_data_is_withheld() -> None:
    scene, empty = good_collection(), RepositorySimulator()
    client = fresh(empty, locked(scene))
    assert client.collection().known_by() == HERE
    assert "trust.lock knows this name" in str(_refusal(client.judge("1.0"), TrustDataWithheld))
    client.tofu = True
    _refusal(client.judge("1.0"), TrustDataWithheld)


def test_a_deleted_collection_shows_the_locked_root() -> None:
    scene = good_collection()
    client = fresh(scene.server, locked(scene))
    scene.server.delete(scene.server.gun)
    refusal = _refusal(client.judge("1.0"), CollectionDeleted)
    assert client.lock is not None
    assert refusal.details()["pin"] == str(client.lock.entry.root)


def test_another_chain_in_the_cache_is_begun_anew() -> None:
    scene = good_collection()
    client = fresh(scene.server, locked(scene))
    client.cache.store_root(1, _another().files["1.root.json"])
    assert client.judge("1.0").allowed


# --- the way back after a fast-forward attack


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT])
def test_new_online_keys_void_the_versions_that_a_thief_made(role: RoleName) -> None:
    scene = good_collection()
    entry = locked(scene)
    far = replace(entry, minimum={**entry.minimum, TIMESTAMP: 2**40, SNAPSHOT: 2**40})
    client = fresh(scene.server, far)
    _refusal(client.judge("1.0"), VersionRollback)
    scene.owner.replace_online_key(role)
    assert client.judge("1.0").allowed
    renewed = client.lock_entry()
    assert renewed.minimum[TIMESTAMP] < 2**40
    client.lock = SourcedLock(entry=renewed, source=HERE)
    assert client.judge("1.0").allowed


def test_a_new_timestamp_key_does_not_void_the_versions_of_targets() -> None:
    scene = good_collection()
    entry = locked(scene)
    old = scene.past.stored[RELEASES]
    scene.owner.replace_online_key(TIMESTAMP)
    scene.forger.put(RELEASES, old.raw, version=old.version)
    refusal = _refusal(fresh(scene.server, entry).judge("1.0"), VersionRollback)
    assert getattr(refusal, "role", "") == RELEASES


# --- where the name is known


def test_known_names_take_nothing_but_minimum_versions_from_a_lock() -> None:
    scene = good_collection()
    for client in (scene.newcomer(), scene.regular()):
        client.lock = SourcedLock(entry=locked(scene), source=HERE)
        assert client.collection().known_by() == "pins.toml"
        assert client.judge("1.0").allowed
        client.server = scene.past
        client.cache, client.memory = Client(scene.server).cache, Client(scene.server).memory
        assert "locked in trust.lock" in str(_refusal(client.judge("1.0"), VersionRollback))


def test_a_lower_lock_lowers_nothing_that_was_seen() -> None:
    scene = good_collection()
    client = scene.regular()
    client.lock = SourcedLock(entry=fresh_past(scene), source=HERE)
    client.server, client.cache = scene.past, Client(scene.server).cache
    assert "seen before" in str(_refusal(client.judge("1.0"), VersionRollback))


def fresh_past(scene: Scene) -> LockEntry:
    return Client(scene.past, pins=[scene.pin]).lock_entry()


@pytest.mark.parametrize("source", ["pins.toml", "--pin", "team.toml rule 1"])
def test_a_stranger_s_lock_disagrees_with_pins_of_every_kind(source: str) -> None:
    scene, other = good_collection(), _another()
    stranger = Client(other, pins=[_first(other)]).lock_entry()
    client = Client(scene.server)
    client.pins = [SourcedPin(pin=scene.pin, source=source)]
    client.lock = SourcedLock(entry=stranger, source=HERE)
    refusal = _refusal(client.judge("1.0"), LockDisagrees)
    first = scene.server.wire.parse(ROOT, scene.server.files["1.root.json"])
    assert refusal.details() == {
        "gun": scene.server.gun,
        "lock": HERE,
        "root_version": 1,
        "locked": str(stranger.root),
        "known": f"sha256:{first.sha256}",
        "known_by": source,
    }
    client.server = other  # and if the server is the stranger's, too
    _refusal(client.judge("1.0"), LockDisagrees)
    client.lock = None
    _refusal(client.judge("1.0"), RootNotPinned)


def test_a_stranger_s_lock_pins_nothing_that_was_verified_here() -> None:
    scene, other = good_collection(), _another()
    stranger = Client(other, pins=[_first(other)]).lock_entry()
    client = scene.regular()
    client.pins = []
    client.lock = SourcedLock(entry=stranger, source=HERE)
    client.server = other
    assert client.collection().known_by() == "what this machine has verified before"
    refusal = _refusal(client.judge("1.0"), LockDisagrees)
    assert getattr(refusal, "known_by", "") == "what this machine has verified before"
    client.server = scene.server
    _refusal(client.judge("1.0"), LockDisagrees)


def test_what_was_verified_here_by_a_lock_is_verified_again_by_it() -> None:
    scene = good_collection()
    client = fresh(scene.server, locked(scene))
    assert client.judge("1.0").allowed
    client.server = scene.past
    client.cache = Client(scene.server).cache
    assert not client.judge("1.0").allowed


def test_pins_that_disagree_without_the_lock_s_doing() -> None:
    scene = good_collection()
    client = Client(scene.server, pins=[scene.pin, STRANGER])
    client.lock = SourcedLock(entry=locked(scene), source=HERE)
    _refusal(client.judge("1.0"), PinsDisagree)


# --- offline


def _offline(client: Client, hours: float) -> Judgement:
    client.at = client.server.at + timedelta(hours=hours)
    client.server.down = True
    return client.judge("1.0", max_age=DAY)


def test_offline_the_lock_counts() -> None:
    scene = good_collection()
    client = fresh(scene.server, locked(scene))
    _refusal(_offline(client, 0), OfflineTooOld)
    client.server.down, client.at = False, client.server.at
    assert client.judge("1.0").allowed
    assert _offline(client, 20).allowed
    assert client.lock is not None
    entry = client.lock.entry
    client.lock = SourcedLock(entry=replace(entry, minimum={**entry.minimum, TARGETS: 5}), source=HERE)
    assert "locked in trust.lock" in str(_refusal(_offline(client, 20), VersionRollback))
    client.lock = SourcedLock(entry=replace(entry, root=STRANGER), source=HERE)
    _refusal(_offline(client, 20), LockDisagrees)


# --- what is locked


def test_nothing_expired_is_locked() -> None:
    scene = good_collection()
    client = scene.newcomer()
    client.at += timedelta(days=4)
    with pytest.raises(MetadataExpired):
        client.lock_entry()


def _first(server: RepositorySimulator) -> Pin:
    return Pin("sha256", server.wire.parse(ROOT, server.files["1.root.json"]).sha256)
