"""What is read of another Notary server before it is taken over, and what our server then lacks."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import pytest

from keys.errors import KeyNotAccepted
from keys.key_info import KeyInfo
from keys.passphrase import EnvironmentPassphrases
from tests.simulator import keyring
from tests.simulator.client import Client, MemoryStore
from tests.simulator.memory_keystore import MemoryKeyStore
from tests.simulator.owner import Owner
from tests.simulator.owner_commands import orphaned
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import GOOD, Scene, good_collection
from trustcli.client.collection_names import CollectionNames
from trustcli.client.notary_remote import FeedEntry, NotaryRemote
from trustcli.client.server_link import ServerLink
from trustcli.commands.migrate.command import MigrationResult, _Run, _ServerKeys
from trustcli.commands.migrate.destination import Destination, rotation_need
from trustcli.commands.migrate.source import Source, SourceCollection
from trustcli.errors import (
    RemoteMisbehaved,
    RemoteRefused,
)
from trustcli.http.messages import Response
from trustcli.publish.store_keys import StoreKeys
from trustcli.session import Session
from trustcli.state.pins import PinsFile
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions
from trustdata.editing.signing import sign
from trustdata.errors import (
    ContentMismatch,
    ExpiredUnknown,
    MetadataMissing,
    NoTrustData,
    RootNotPinned,
    ThresholdNotMet,
    TooLarge,
    TrustDataWithheld,
    VersionRollback,
)
from trustdata.gun import GUN
from trustdata.model import Key, Role
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.target_lookup import unusable_targets
from trustdata.verification.trust_pinning import Pin, SourcedPin, fingerprint
from trustdata.wire.notary import NOTARY

ALICE = RoleName("targets/alice")
_NONE: Final[Mapping[str, bytes]] = MappingProxyType({})


class _Old:
    """The old server: a simulated one, with a change feed."""

    def __init__(self, server: RepositorySimulator) -> None:
        self.server = server
        self.name = server.name
        self.feed: list[FeedEntry] = []
        self.refuses: Exception | None = None
        self.doubtful_absence: RemoteRefused | None = None

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        return self.server.fetch(gun, filename, limit=limit)

    def online_key(self, gun: GUN, role: RoleName) -> Key:
        if self.refuses is not None:
            raise self.refuses
        return self.server.online_key(gun, role)

    def changes(self) -> Iterator[FeedEntry]:
        return iter(self.feed)


def _source(old: _Old) -> Source:
    return Source(cast("NotaryRemote", old), at=old.server.at)


def _found(scene: Scene, *pins: Pin) -> SourceCollection:
    return _source(_Old(scene.server)).read(APP, [SourcedPin(pin=pin, source="pins.toml") for pin in pins])


def test_every_root_and_every_current_file_verbatim() -> None:
    scene = good_collection(NOTARY)
    found = _found(scene, scene.pin)
    assert [root.version for root in found.roots] == [1, 2]
    assert found.root.raw == scene.server.stored[ROOT].raw
    assert set(found.files) == {TIMESTAMP, SNAPSHOT, TARGETS, RELEASES, ALICE}
    assert all(raw == scene.server.stored[role].raw for role, raw in found.files.items())
    assert found.broken == {}
    assert found.snapshot_is_the_servers is True


@pytest.mark.parametrize("pinned", [None, 2, 3])
def test_it_may_begin_with_a_later_root(pinned: int | None) -> None:
    """All roots come along, whichever of them is pinned here: others have pinned the first one."""
    scene = good_collection(NOTARY)
    scene.owner.renew(ROOT)
    files = scene.server.files
    roots = {version: NOTARY.parse(ROOT, files[f"{version}.root.json"]) for version in (1, 2, 3)}
    del files["1.root.json"], files[f"root.{roots[1].sha256}.json"]
    found = _found(scene, *([] if pinned is None else [fingerprint(roots[pinned])]))
    assert [root.version for root in found.roots] == [2, 3]
    assert found.doubtful is None
    with pytest.raises(TrustDataWithheld):
        _found(scene, scene.pin)


def test_a_target_that_cannot_be_used_comes_along() -> None:
    scene = good_collection(NOTARY)
    scene.forger.alter(RELEASES, lambda d: d["targets"]["1.0"].update(length=-1))
    found = _found(scene)
    assert found.broken == {}
    assert [error.target for error in unusable_targets(found.verified)] == ["1.0"]
    assert found.files[RELEASES] == scene.server.stored[RELEASES].raw


def test_what_is_known_of_its_root_counts() -> None:
    with pytest.raises(RootNotPinned):
        _found(good_collection(NOTARY), Pin("sha256", "ab" * 32))
    assert _found(good_collection(NOTARY)).roots


def test_a_role_that_nobody_vouches_for_comes_along_and_is_named() -> None:
    """As an old client's removal leaves it behind; a role that verifies for nobody is trusted by nobody here either."""
    scene = good_collection(NOTARY)
    scene.forger.alter(ALICE, lambda d: d.update(version=2), signers=scene.forger.signers(ALICE, "mallory"))
    found = _found(scene)
    assert isinstance(found.broken[ALICE], ThresholdNotMet)
    assert found.files[ALICE] == scene.server.stored[ALICE].raw
    assert ALICE not in found.verified


def test_a_role_that_is_no_longer_delegated_comes_along() -> None:
    scene = good_collection(NOTARY)
    scene.owner.remove_signer("alice")
    found = _found(scene)
    assert found.files[ALICE] == scene.server.stored[ALICE].raw
    assert found.broken == {}


def test_a_file_that_is_listed_but_not_had_or_another() -> None:
    scene = good_collection(NOTARY)
    scene.owner.remove_signer("alice")
    name = scene.server.current(ALICE)
    raw = scene.server.files.pop(name)
    with pytest.raises(MetadataMissing, match="lists it but has no file"):
        _found(scene)
    scene.server.files[name] = raw[:-2] + b"!!"
    with pytest.raises(ContentMismatch):
        _found(scene)


def test_a_beginning_that_a_stranger_can_have_made_is_named_unless_a_pin_vouches_for_it() -> None:
    """He names the owner's public key beside his own, and so the owner's next root follows his."""
    scene = good_collection(NOTARY)
    files, keys = scene.server.files, scene.keys
    first = NOTARY.parse(ROOT, files["1.root.json"]).root
    stranger = keys.root_key("mallory")
    first.keys[stranger.keyid] = stranger
    first.roles[ROOT] = Role([*first.roles[ROOT].keyids, stranger.keyid], 1)
    forged = sign(first, [NOTARY.signer(keyring.private("mallory"), stranger)], role=ROOT, wire=NOTARY)
    assert _found(scene).doubtful is None
    files["1.root.json"] = forged.raw
    doubtful = _found(scene).doubtful
    assert doubtful is not None
    assert doubtful.raw == forged.raw
    assert _found(scene, fingerprint(forged)).doubtful is None


def test_more_than_can_be_handed_over_is_not_read() -> None:
    scene = good_collection(NOTARY)
    few = {"hashes": {"sha256": base64.b64encode(bytes(32)).decode()}, "length": 60 * 1024 * 1024}
    scene.forger.alter(SNAPSHOT, lambda d: d["meta"].update({"targets/x": few, "targets/y": few}))
    with pytest.raises(TooLarge, match="everything that the snapshot of"):
        _found(scene)


def test_expired_offline_roles_are_taken_all_the_same() -> None:
    scene = good_collection(NOTARY)
    scene.forger.alter(TARGETS, lambda d: d.update(version=5, expires="2026-10-01T00:00:00Z"))
    assert _found(scene).verified[TARGETS].version == 5


def test_a_name_without_trust_data() -> None:
    old = _Old(RepositorySimulator(wire=NOTARY))
    with pytest.raises(NoTrustData):
        _source(old).read(APP, [])
    old.doubtful_absence = RemoteRefused(remote=old.name, status=404, reason="404 page not found", page=True)
    with pytest.raises(RemoteRefused, match="page not found"):
        _source(old).read(APP, [])


@pytest.mark.parametrize(
    "refusal",
    [
        RemoteRefused(remote="r", status=401, reason="no", server_code="", server_details={}),
        KeyNotAccepted(key="k", reason="odd"),
    ],
)
def test_a_server_that_does_not_say_whose_the_snapshot_key_is(refusal: Exception) -> None:
    old = _Old(good_collection(NOTARY).server)
    old.refuses = refusal
    assert _source(old).read(APP, []).snapshot_is_the_servers is None


def test_the_feed_says_what_there_is() -> None:
    old = _Old(good_collection(NOTARY).server)
    feed = [("a", False), ("b", False), ("A/Odd", False), ("a", True), ("c", True), ("c", False), ("d e", False)]
    old.feed = [FeedEntry(id=str(n), gun=name, deleted=gone) for n, (name, gone) in enumerate(feed)]
    assert _source(old).collections() == (["b", "c"], ["A/Odd", "d e"])


# --- what our server lacks


def _keys(*names: str) -> StoreKeys:
    store = MemoryKeyStore()
    for name in names:
        private = keyring.private(name)
        store.add(private, KeyInfo.of(private, purpose="signer", name=name), "secret")
    return StoreKeys(store, EnvironmentPassphrases({"TRUST_REPOSITORY_PASSPHRASE": "secret"}, None))


def test_without_the_old_server_s_keys_both_are_rotated() -> None:
    found = _found(good_collection(NOTARY))
    lacking = rotation_need(found, {}, _keys("alice"))
    assert (set(lacking.roles), lacking.root_key_here) == ({TIMESTAMP, SNAPSHOT}, False)
    assert rotation_need(found, {}, _keys("recovery")).root_key_here


def test_with_them_nothing_is() -> None:
    found = _found(good_collection(NOTARY))
    brought = {role: keyring.private(role) for role in (TIMESTAMP, SNAPSHOT)}
    assert rotation_need(found, brought, _keys()).roles == ()
    assert rotation_need(found, {TIMESTAMP: brought[TIMESTAMP]}, _keys()).roles == (SNAPSHOT,)


def test_an_owner_s_snapshot_stays_his() -> None:
    scene = good_collection(NOTARY)
    assert rotation_need(_found(scene), {}, _keys("snapshot")).roles == (TIMESTAMP,)
    old = _Old(scene.server)
    scene.server.online[SNAPSHOT] = scene.keys.signer("another")
    assert rotation_need(_source(old).read(APP, []), {}, _keys()).roles == (TIMESTAMP,)


# --- what our server has


class _Link(ServerLink):
    """The way to our server, which has these files; a session, too, that leads there."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    @property
    def name(self) -> str:
        return "https://ours.example.com"

    def link(self, gun: GUN) -> _Link:
        assert gun == APP
        return self

    def take_over(self, gun: GUN, parts: Mapping[RoleName, bytes]) -> None:
        """Says yes to everything."""
        assert (gun, "1.root" in parts) == (APP, True)

    def ask(self, method: str, target: str, **_: Any) -> Response:
        assert method == "GET"
        raw = self._files.get(target.removeprefix(f"/v2/{APP}/_trust/tuf/"))
        return Response(status=404 if raw is None else 200, headers=[], body=raw or b"")


def test_what_the_server_says_that_it_took_over_is_asked_for() -> None:
    found = _found(good_collection(NOTARY))
    same = {"1.root.json": found.roots[0].raw, "timestamp.json": found.files[TIMESTAMP]}
    Destination(cast("Session", _Link(same))).take_over(found, {})
    with pytest.raises(RemoteMisbehaved, match="does not serve it"):
        Destination(cast("Session", _Link({}))).take_over(found, {})


def test_another_first_root_is_another_collection_even_where_all_else_is_the_same() -> None:
    """Two chains may lead to one root, and clients pin the first."""
    found = _found(good_collection(NOTARY))
    same = {"1.root.json": found.roots[0].raw, "timestamp.json": found.files[TIMESTAMP]}
    other = {**same, "1.root.json": found.roots[1].raw}
    states = [Destination(cast("Session", _Link(files))).state(found) for files in ({}, same, other)]
    assert states == ["absent", "same", "other"]


# --- keys of the store, known by what they are


def test_a_key_of_the_store_is_known_under_every_id_that_it_has() -> None:
    scene = good_collection(NOTARY)
    keys = _keys("root", "alice")
    root, bare, foreign = scene.keys.root_key("root"), scene.keys.key("root"), scene.keys.key("bob")
    named = {key.keyid: key for key in (root, bare, keyring.key("root"), foreign)}
    assert keys.held(named) == {root.keyid, bare.keyid, keyring.keyid("root")}
    assert keys.opened(named) == frozenset()
    for key in (root, bare, keyring.key("root")):
        signature = keys.signer(key).sign(b"payload")
        assert signature.keyid == key.keyid
        key.verify_signature(signature, b"payload")
    assert keys.opened(named) == {root.keyid, bare.keyid, keyring.keyid("root")}


def test_a_key_that_cannot_be_read_is_nobody_s() -> None:
    from keys.notary import NotaryKey

    broken = NotaryKey.of("ecdsa", "AAAA")
    assert _keys("root").held({broken.keyid: broken}) == frozenset()


# --- the root that the next one is made from


class _Machine:
    """What a session knows of a collection."""

    def __init__(self, scene: Scene) -> None:
        self.at = scene.server.at
        self.memory = MemoryStore()
        self.locks: dict[GUN, SourcedLock] = {}


def test_an_expired_root_is_refused_before_anything_is_handed_over() -> None:
    """Unless this machine has verified it in time, or its owner accepts exactly this file."""
    scene = good_collection(NOTARY)
    regular = scene.regular()
    expired, machine = expired_root(scene), _Machine(scene)
    destination = Destination(cast("Session", machine))
    with pytest.raises(ExpiredUnknown) as caught:
        destination.check_rotation(expired, NOTHING_DECIDED)
    assert caught.value.sha256 == expired.root.sha256
    accepted = OwnerDecisions(accept_expired=frozenset({f"root@sha256:{expired.root.sha256}"}))
    destination.check_rotation(expired, accepted)
    machine.memory = regular.memory
    with pytest.raises(ExpiredUnknown):
        destination.check_rotation(expired, NOTHING_DECIDED)  # memory knows the root before it
    machine.at = scene.server.at + timedelta(days=4000)
    destination.check_rotation(_found(good_collection(NOTARY)), NOTHING_DECIDED)
    assert machine.memory.load(APP) is not None


def expired_root(scene: Scene) -> SourceCollection:
    scene.forger.next_root(lambda d: d.update(expires="2026-10-01T00:00:00Z"))
    return _found(scene)


class _Ours(_Link):
    """Our server, which is asked for and must not be given anything; and the session of an owner with the root key."""

    def __init__(self, scene: Scene, files: Mapping[str, bytes] = _NONE) -> None:
        super().__init__(files)
        self.at = scene.server.at
        self.memory = MemoryStore()
        self.locks: dict[GUN, SourcedLock] = {}
        self.names = CollectionNames(PinsFile(Path("/nowhere/pins.toml")), None)

    def known_pins(self, gun: GUN) -> list[SourcedPin]:
        assert gun == APP
        return []

    def held_keys(self) -> StoreKeys:
        return _keys("root", "recovery")

    def server_keys(self, gun: GUN) -> frozenset[str]:
        assert gun == APP
        return frozenset()

    def take_over(self, gun: GUN, parts: Mapping[RoleName, bytes]) -> None:
        pytest.fail(f"{gun}: {len(parts)} files were handed over")


@pytest.mark.parametrize("plan", [True, False], ids=["planned", "done"])
def test_a_collection_whose_root_nobody_vouches_for_is_left_alone(*, plan: bool) -> None:
    """The plan refuses already, and nothing is half done."""
    scene = good_collection(NOTARY)
    expired = expired_root(scene)
    session = cast("Session", _Ours(scene))
    source, keys = _source(_Old(scene.server)), _ServerKeys(session, None)
    for decisions in (NOTHING_DECIDED, OwnerDecisions(accept_expired=frozenset({f"root@sha256:{'ab' * 32}"}))):
        outcome = _Run(session, source, keys, rotates=True, plan=plan, decisions=decisions).one(APP)
        assert isinstance(outcome.failure, ExpiredUnknown)
        assert outcome.done is None
    if plan:
        accepted = OwnerDecisions(accept_expired=frozenset({f"root@sha256:{expired.root.sha256}"}))
        outcome = _Run(session, source, keys, rotates=True, plan=True, decisions=accepted).one(APP)
        assert (outcome.failure, outcome.done) == (None, "would be taken over")


# --- what this machine knows to be newer


def _migration(
    scene: Scene, source: RepositorySimulator, memory: MemoryStore, *, plan: bool, files: Mapping[str, bytes] = _NONE
) -> MigrationResult:
    """What comes of the migration by an owner whose machine has this memory. `files`: what our server has already."""
    ours = _Ours(scene, files)
    ours.memory = memory
    session = cast("Session", ours)
    run = _Run(
        session,
        _source(_Old(source)),
        _ServerKeys(session, None),
        rotates=True,
        plan=plan,
        decisions=NOTHING_DECIDED,
    )
    return run.one(APP)


@pytest.mark.parametrize("plan", [True, False], ids=["planned", "done"])
@pytest.mark.parametrize("shows", ["an older state", "older releases", "no releases"])
def test_a_source_that_shows_something_older_hands_nothing_over(shows: str, *, plan: bool) -> None:
    """Whoever runs the source has its online keys; the root with ours would make every client forget what is newer."""
    scene = good_collection(NOTARY)
    older = scene.server.stored[RELEASES].raw
    scene.owner.sign("3.0", GOOD)
    client = scene.regular()
    source = scene.past if shows == "an older state" else scene.server
    if shows == "older releases":
        scene.forger.put(RELEASES, older, version=2)
    elif shows == "no releases":
        scene.forger.list_in_snapshot(RELEASES, None)
    outcome = _migration(scene, source, client.memory, plan=plan)
    assert isinstance(outcome.failure, VersionRollback)
    assert outcome.done is None
    if plan:  # a machine without memory cannot know
        assert _migration(scene, source, MemoryStore(), plan=True).done == "would be taken over"


def test_a_role_that_verifies_for_nobody_any_more_is_no_matter_of_memory() -> None:
    scene = good_collection(NOTARY)
    client = scene.regular()
    orphaned(scene)
    assert _migration(scene, scene.server, client.memory, plan=True).done == "would be taken over"


def test_a_collection_that_goes_on_here_is_newer_than_its_source() -> None:
    scene = good_collection(NOTARY)
    ours = scene.server.copy()
    for role in (SNAPSHOT, TIMESTAMP):
        Owner(ours).replace_online_key(role)
    client = Client(ours, pins=[scene.pin])
    assert client.judge("1.0").allowed
    files = {"1.root.json": ours.files["1.root.json"], "timestamp.json": ours.stored[TIMESTAMP].raw}
    outcome = _migration(scene, scene.server, client.memory, plan=False, files=files)
    assert (outcome.failure, outcome.done) == (None, "goes on here")


def test_a_plan_knows_what_is_here_already() -> None:
    scene = good_collection(NOTARY)
    session = cast("Session", _Ours(scene, scene.server.files))
    run = _Run(
        session,
        _source(_Old(scene.server)),
        _ServerKeys(session, None),
        rotates=False,
        plan=True,
        decisions=NOTHING_DECIDED,
    )
    assert run.one(APP).done == "here"
