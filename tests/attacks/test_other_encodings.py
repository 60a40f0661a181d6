"""One key in another encoding is the same key: for thresholds, for rollback memory, for a rotation."""

from __future__ import annotations

import json

import pytest

from keys.record import replace
from tests.simulator import keyring
from tests.simulator.encodings import ENCODINGS, signer_of
from tests.simulator.forgery import Document, file_of, text_of
from tests.simulator.scene import GOOD, Scene, good_collection
from trustdata.errors import MalformedMetadata, ThresholdNotMet, VersionRollback
from trustdata.model import Key
from trustdata.roles import ONLINE, ROOT, TIMESTAMP, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.rollback_memory import Memory, OnlineKeys, from_document, merge, to_document


@pytest.fixture(params=ENCODINGS)
def encoding(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def written_again(scene: Scene, encoding: str) -> dict[RoleName, Key]:
    """The owner's next root, with the online keys in another encoding and nothing else new."""
    again = {role: ENCODINGS[encoding][1](role) for role in ONLINE}

    def change(document: Document) -> None:
        for role, key in again.items():
            document["keys"][key.keyid] = key.to_dict()
            document["roles"][role]["keyids"] = [key.keyid]

    scene.forger.next_root(change)
    for role, key in again.items():
        scene.server.online[role] = signer_of(role, key)
    return again


def rolled_back(encoding: str) -> Scene:
    """A server that signs an old state, after a root that replaces no key but writes the online keys anew."""
    scene = good_collection(ENCODINGS[encoding][0])
    past = scene.past.copy()
    moved = Scene(server=past, past=scene.past, pin=scene.pin)
    written_again(moved, encoding)
    for role in ONLINE:
        past.stored[role] = scene.past.stored[role]
    past.issue([past.stored[ROOT]] if past.wire.snapshot_lists_root else [])
    assert past.versions()[TIMESTAMP] <= scene.server.versions()[TIMESTAMP]
    return moved


def test_it_does_not_void_rollback_memory(encoding: str) -> None:
    client = good_collection(ENCODINGS[encoding][0]).regular()
    client.server = rolled_back(encoding).server
    refusal = client.judge("1.0").refusal
    assert isinstance(refusal, VersionRollback), refusal


def test_nor_memory_that_an_older_version_has_stored(encoding: str) -> None:
    """It has key ids and no fingerprints; the root chain tells whose they are."""
    client = good_collection(ENCODINGS[encoding][0]).regular()
    gun = client.server.gun
    client.memory.known[gun] = as_stored_before(client.memory.known[gun])
    client.server = rolled_back(encoding).server
    client.cache.drop(TIMESTAMP)
    assert isinstance(client.judge("1.0").refusal, VersionRollback)


def as_stored_before(memory: Memory) -> Memory:
    """The same memory as read from a file of an older version."""
    document = json.loads(json.dumps(to_document(memory)))
    for keys in document["keys"].values():
        del keys["fingerprints"]
    return from_document(document, place="seen.json")


def test_nor_a_lock_entry(encoding: str) -> None:
    scene = good_collection(ENCODINGS[encoding][0])
    entry = scene.newcomer().lock_entry()
    moved = rolled_back(encoding)
    client = moved.newcomer()
    client.lock = SourcedLock(entry=entry, source="trust.lock")
    assert isinstance(client.judge("1.0").refusal, VersionRollback)


def test_clients_follow_such_a_root(encoding: str) -> None:
    scene = good_collection(ENCODINGS[encoding][0])
    client = scene.regular()
    written_again(scene, encoding)
    scene.server.issue([scene.server.stored[ROOT]] if scene.server.wire.snapshot_lists_root else [])
    assert client.digest("1.0") == f"sha256:{GOOD}"


def test_two_machines_that_merge_lose_nothing(encoding: str) -> None:
    wire, encoded = ENCODINGS[encoding]
    scene = good_collection(wire)
    client = scene.regular()
    (memory,) = client.memory.known.values()
    root = wire.parse(ROOT, scene.server.stored[ROOT].raw).root  # not the cached scene's
    again = {role: encoded(role) for role in ONLINE}
    for role, key in again.items():
        root.roles[role].keyids[:] = [key.keyid]
        root.keys[key.keyid] = key
    later = {
        role: replace(seen, root_version=seen.root_version + 1, version=1, keys=OnlineKeys.of(root))
        for role, seen in memory.roles.items()
    }
    merged = merge(memory, replace(memory, roles=later))
    assert {role: seen.version for role, seen in merged.roles.items()} == {
        role: seen.version for role, seen in memory.roles.items()
    }


def test_another_key_still_voids_it() -> None:
    """The way back after a fast-forward attack stays open."""
    scene = good_collection()
    (memory,) = scene.regular().memory.known.values()
    root = scene.server.wire.parse(ROOT, scene.server.stored[ROOT].raw).root  # not the cached scene's
    for role in ONLINE:
        key = keyring.key(f"another {role}")
        root.roles[role].keyids[:] = [key.keyid]
        root.keys[key.keyid] = key
    assert set(memory.minimum_versions(OnlineKeys.of(root))) == {ROOT}


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "compressed-point"])
def test_it_is_no_second_signature(encoding: str) -> None:
    """A root that wants two keys, signed by one in two encodings; in Notary v1 they are certificates."""
    wire, encoded = ENCODINGS[encoding]
    scene = good_collection(wire)
    key = encoded("root")

    def twice(document: Document) -> None:
        document["keys"][key.keyid] = key.to_dict()
        document["roles"]["root"] |= {
            "keyids": [scene.keys.root_keyid("root"), key.keyid],
            "threshold": 2,
        }

    if key.keyid == scene.keys.root_keyid("root"):
        key = ENCODINGS["another-certificate"][1]("root")
    document = scene.forger.document(ROOT)
    document["version"] += 1
    twice(document)
    raw = file_of(text_of(document), [scene.keys.root_signer("root"), signer_of("root", key)])
    scene.server.files[f"{document['version']}.root.json"] = raw
    with pytest.raises(ThresholdNotMet):
        scene.newcomer().digest()
    with pytest.raises((ThresholdNotMet, MalformedMetadata)):
        judge_upload(
            gun=scene.server.gun,
            stored=scene.server.stored,
            uploads={ROOT: wire.parse(ROOT, raw)},
            at=scene.server.at,
            wire=wire,
        )
