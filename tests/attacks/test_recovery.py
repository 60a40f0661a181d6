"""The way back: fast-forward, replaced online keys, and what memory makes of both (ADR 0032)."""

from __future__ import annotations

from keys.record import replace
from tests.simulator.attacks.moves import set_member
from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.scene import GOOD, NEWER, Scene, good_collection
from trustdata.errors import RootNotPinned, VersionRollback
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire import WireFormat

FAR = 2**40


def _fast_forward(scene: Scene, role: RoleName) -> None:
    """Stolen online keys sign a version that no honest server will ever reach."""
    if role == TARGETS:
        scene.forger.alter(SNAPSHOT, lambda d: d.update(version=d["version"] + 1))
    set_member(scene, role, lambda d: d.update(version=FAR))


def _recovered(scene: Scene, honest: Scene, *rotated: RoleName) -> Client:
    """A regular client after the attack and after the owner replaced these keys on the honest server."""
    client = scene.regular()
    _fast_forward(scene, TIMESTAMP)
    _fast_forward(scene, SNAPSHOT)
    assert client.judge("1.0").allowed  # validly signed: nothing to notice yet
    client.server = honest.server
    honest.owner.sign("1.0", NEWER)
    assert isinstance(client.judge("1.0").refusal, VersionRollback)
    for role in rotated:
        Owner(honest.server).replace_online_key(role)
    return client


def test_fast_forward_is_healed_by_replacing_timestamp_and_snapshot_keys(wire: WireFormat) -> None:
    scene, honest = good_collection(wire), good_collection(wire)
    client = _recovered(scene, honest, TIMESTAMP, SNAPSHOT)
    assert client.digest("1.0") == f"sha256:{NEWER}"
    seen = client.memory.known[client.server.gun].roles
    assert seen[TIMESTAMP].version < FAR
    assert seen[SNAPSHOT].version < FAR
    honest.owner.sign("1.0", GOOD)
    assert client.digest("1.0") == f"sha256:{GOOD}"


def test_without_a_cache_memory_is_healed_by_the_same_root(wire: WireFormat) -> None:
    scene, honest = good_collection(wire), good_collection(wire)
    client = _recovered(scene, honest, TIMESTAMP, SNAPSHOT)
    client.cache = Client(scene.server).cache
    assert client.digest("1.0") == f"sha256:{NEWER}"


def test_replacing_one_of_the_keys_voids_the_memory_of_both(wire: WireFormat) -> None:
    for role in (TIMESTAMP, SNAPSHOT):
        scene, honest = good_collection(wire), good_collection(wire)
        assert _recovered(scene, honest, role).digest("1.0") == f"sha256:{NEWER}"


def test_a_new_timestamp_key_does_not_void_the_memory_of_targets(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    old = scene.past.stored[RELEASES]
    Owner(scene.server).replace_online_key(TIMESTAMP)
    scene.forger.put(RELEASES, old.raw, version=old.version)
    refusal = client.judge("1.0").refusal
    assert isinstance(refusal, VersionRollback)
    assert (refusal.role, refusal.source) == (RELEASES, "seen before")


def test_a_new_snapshot_key_voids_the_memory_of_targets(wire: WireFormat) -> None:
    """Specification 5.3.11: the only legal rollback of targets, together with a root that says so."""
    scene = good_collection(wire)
    client = scene.regular()
    old = scene.past.stored[RELEASES]
    Owner(scene.server).replace_online_key(SNAPSHOT)
    scene.forger.put(RELEASES, old.raw, version=old.version)
    assert client.judge("1.0").allowed


def test_a_root_that_keeps_the_keys_voids_nothing(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    scene.owner.renew(ROOT)
    scene.forger.put(TIMESTAMP, scene.past.stored[TIMESTAMP].raw, version=scene.past.stored[TIMESTAMP].version)
    assert isinstance(client.judge("1.0").refusal, VersionRollback)


def test_a_hidden_newest_root_is_known_from_memory(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    scene.owner.renew(ROOT)
    assert client.judge("1.0").allowed
    client.cache = Client(scene.server).cache
    del scene.server.files["3.root.json"]
    refusal = client.judge("1.0").refusal
    assert isinstance(refusal, VersionRollback)
    assert (refusal.role, refusal.offered, refusal.known) == (ROOT, 2, 3)


def test_a_poisoned_cache_is_no_way_around_memory(wire: WireFormat) -> None:
    """Stolen online keys and a writable cache: the snapshot that the timestamp names lies in the cache already."""
    scene = good_collection(wire)
    client = scene.regular()
    old = scene.past.stored[RELEASES]
    scene.forger.put(RELEASES, old.raw, version=old.version)
    client.cache.store(SNAPSHOT, scene.server.stored[SNAPSHOT].raw)
    client.cache.drop(TIMESTAMP)
    refusal = client.judge("1.0").refusal
    assert isinstance(refusal, VersionRollback)
    assert refusal.role == RELEASES


def test_memory_of_another_root_of_trust_is_a_pin(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    memory = client.memory.known[scene.server.gun]
    client.memory.known[scene.server.gun] = replace(memory, root_of_trust="ab" * 32)
    assert client.judge("1.0").refusal is not None
    client.pins = []
    client.tofu = True
    assert not client.judge("1.0").allowed
    assert not isinstance(client.judge("1.0").refusal, RootNotPinned)


def test_more_than_256_roots_are_followed_in_two_updates(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    for _ in range(260):
        scene.forger.next_root(lambda _: None)
    scene.server.requests.clear()
    assert client.judge("1.0").allowed  # nothing else changed: root 258 is as good
    asked = [name for name in scene.server.requests if name.endswith("root.json")]
    # In Notary v1 the snapshot lists the newest root, so that the client goes on at once.
    assert asked[-1] == ("263.root.json" if wire.snapshot_lists_root else "258.root.json")
    assert client.judge("1.0").allowed
    assert max(int(name.split(".")[0]) for name in scene.server.requests if "root" in name) == 263


def test_memory_lost_the_cached_timestamp_knows_the_snapshot() -> None:
    """Stolen timestamp key: a newer timestamp names an older snapshot, which lies in the cache of nobody.

    Notary v1's timestamps name no version: there it is memory, or the cached snapshot, that knows.
    """
    scene = good_collection()
    client = scene.regular()
    client.cache.drop(SNAPSHOT)
    client.memory.forget(scene.server.gun)
    old = scene.past.stored[SNAPSHOT]
    scene.forger.name_snapshot(scene.server.meta(old.version, old.raw))
    refusal = client.judge("1.0").refusal
    assert isinstance(refusal, VersionRollback)
    assert (refusal.role, refusal.source) == (SNAPSHOT, "named by the timestamp before")
