"""The reasons of a verdict: each step says on what it rests, and nothing that was not verified is told as verified."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from keys.record import replace
from tests.simulator import keyring
from tests.simulator.attacks import moves
from tests.simulator.certified import CertifiedCollection, key_below, pin_of
from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.scene import EVIL, GOOD, OTHER, good_collection
from tests.support.issuers import END, Issuer
from trustcli.client.collection import Collection
from trustcli.commands.explain import verification_state
from trustcli.commands.support.explanation_view import explanation_document, explanation_lines
from trustcli.errors import RemoteUnreachable
from trustdata.denied import DenyList
from trustdata.errors import (
    CollectionDeleted,
    MemoryDamaged,
    MemoryUnreadable,
    MetadataExpired,
    NoTrustData,
    PolicyMalformed,
    TooLarge,
    TrustDataWithheld,
    TrustError,
)
from trustdata.explaining import explain
from trustdata.explanation import Explanation, RegistryAnswer, ServerUsed
from trustdata.judgement import Judgement, Question, refused
from trustdata.policy import Requirement
from trustdata.roles import RELEASES, ROOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import SourcedLock
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

ALICE = RoleName("targets/alice")
SERVER = ServerUsed(url="https://trust.example.com", source="TRUST_SERVER")


def _explained(
    client: Client, question: Question | None = None, *, registry: RegistryAnswer | None = None
) -> Explanation:
    collection: Collection = client.collection()
    asked = question or Question(gun=client.server.gun, tag="1.0", digest=None)
    judgement: Judgement = collection.judge([asked])[0]
    state = verification_state(collection.last_updater) if collection.last_updater is not None else None
    unanswered = isinstance(judgement.refusal, RemoteUnreachable)
    return explain(judgement, state=state, at=client.at, server=SERVER, registry=registry, unanswered=unanswered)


def _text(explanation: Explanation) -> str:
    return "\n".join(explanation_lines(explanation))


def test_the_whole_chain_of_a_trusted_tag() -> None:
    scene = good_collection()
    client = scene.regular()
    told = _explained(client, registry=RegistryAnswer(registry="registry.example.com", digest=f"sha256:{GOOD}"))
    assert (told.trusted, told.digest, told.broke_at) == (True, f"sha256:{GOOD}", None)
    assert [(pin.source, pin.held_by) for pin in told.pins] == [
        ("pins.toml", 1),
        ("what this machine has verified before", 1),
    ]
    first, second = told.roots
    assert (first.version, first.vouched, first.current) == (1, (), False)
    assert (second.version, second.current) == (2, True)
    assert set(second.vouched) <= set(first.keys)
    assert second.vouched
    assert set(second.signed) == {keyring.keyid("root"), keyring.keyid("recovery")}
    assert [(step.role, step.state, step.delegator) for step in told.roles] == [
        ("timestamp", "verified", "root"),
        ("snapshot", "verified", "root"),
        ("targets", "verified", "root"),
        ("targets/releases", "verified", "targets"),
    ]
    timestamp = told.roles[0]
    assert timestamp.signed == timestamp.keys == (keyring.keyid("timestamp"),)
    assert (timestamp.at_least, timestamp.at_least_source) == (timestamp.version, "seen before")
    assert timestamp.issued_about == client.at
    assert told.release is not None
    assert (told.release.role, told.release.digest) == (RELEASES, f"sha256:{GOOD}")
    assert [(signer.name, signer.stand) for signer in told.signers] == [
        ("alice", "agrees"),
        ("bob", "has published nothing"),
    ]
    assert told.registry is not None
    assert told.registry.diverges is False
    assert timestamp.expires == told.changes[0].at
    text = _text(told)
    for part in ("TRUST_SERVER", "matches root version 1", "seen before", "alice agrees", "in 3 d 0 h", "as signed"):
        assert part in text, part


def test_what_would_change_the_answer_is_the_first_expiry() -> None:
    scene = good_collection()
    near = scene.server.at + timedelta(hours=5)
    scene.forger.alter(RELEASES, lambda d: d.update(version=d["version"] + 1, expires=f"{near:%Y-%m-%dT%H:%M:%SZ}"))
    told = _explained(scene.newcomer())
    assert told.changes[0].at == near
    assert f"1 of the keys {keyring.keyid('targets')[:12]}" in told.changes[0].what


def test_a_signer_who_lists_something_else_is_told_with_what() -> None:
    scene = good_collection()
    Owner(scene.server, "bob").sign("1.0", OTHER)
    asked = Question(
        gun=scene.server.gun,
        tag="1.0",
        digest=None,
        policy=(Requirement(signers=("alice", "bob"), threshold=2, source="policy.toml, rule *"),),
    )
    told = _explained(scene.newcomer(), asked)
    assert not told.trusted
    assert told.broke_at == "the signers asked for"
    assert [(s.name, s.required, s.stand, s.digest) for s in told.signers] == [
        ("alice", True, "lists another digest", f"sha256:{GOOD}"),
        ("bob", True, "agrees", f"sha256:{OTHER}"),
    ]
    assert [change.what for change in told.changes] == ["alice signs 1.0 with the released digest"]
    assert "2 of alice, bob (policy.toml, rule *)" in _text(told)


def test_a_platform_of_an_index() -> None:
    scene = good_collection()
    scene.owner.sign("3.0", GOOD, OTHER)
    told = _explained(scene.newcomer(), Question(gun=scene.server.gun, tag="3.0", digest=f"sha256:{OTHER}"))
    assert told.release is not None
    assert told.release.platform == f"sha256:{OTHER}"
    served = RegistryAnswer(registry="r", digest=f"sha256:{OTHER}")
    again = _explained(
        scene.newcomer(), Question(gun=scene.server.gun, tag="3.0", digest=f"sha256:{OTHER}"), registry=served
    )
    assert again.registry is not None
    assert again.registry.diverges is False


def test_the_registry_s_tag_points_elsewhere() -> None:
    scene = good_collection()
    moved = RegistryAnswer(registry="registry.example.com", digest=f"sha256:{EVIL}")
    told = _explained(scene.newcomer(), registry=moved)
    assert told.trusted, "the registry decides nothing"
    assert told.digest == f"sha256:{GOOD}"
    assert told.registry is not None
    assert told.registry.diverges is True
    assert f"DIVERGES: registry.example.com serves sha256:{EVIL}" in _text(told)
    away = _explained(scene.newcomer(), registry=RegistryAnswer(registry="r", reason="no answer\x1b[2J in time"))
    assert away.registry is not None
    assert away.registry.diverges is None
    assert "\x1b" not in _text(away)


def test_a_rollback_is_told_with_what_was_known_and_how() -> None:
    scene = good_collection()
    client = scene.regular()
    known = scene.server.versions()[TIMESTAMP]
    moves.replay(scene, TIMESTAMP)
    told = _explained(client)
    (timestamp, *others) = told.roles
    assert (timestamp.state, timestamp.version, timestamp.at_least) == ("refused", known, known)
    assert {step.state for step in others} == {"not reached"}
    assert told.release is None
    assert "refused: timestamp version" in _text(told)


def test_the_lock_s_minimum_counts_and_is_named() -> None:
    scene = good_collection()
    newcomer = scene.newcomer()
    newcomer.pins = []
    newcomer.lock = SourcedLock(entry=scene.regular().lock_entry(), source="trust.lock")
    told = _explained(newcomer)
    assert told.trusted
    assert told.lock is not None
    assert told.lock.pins
    assert told.roles[0].at_least_source == "locked in trust.lock"
    entry = newcomer.lock.entry
    minimum = {**entry.minimum, TARGETS: entry.minimum[TARGETS] + 1}
    fresh = scene.newcomer()
    fresh.lock = SourcedLock(entry=replace(entry, minimum=minimum), source="trust.lock")
    too_old = _explained(fresh)
    assert too_old.broke_at == "targets"
    assert too_old.lock is not None
    assert not too_old.lock.pins


def test_memory_that_a_newer_root_has_voided_is_said_to_be_void() -> None:
    scene = good_collection()
    client = scene.regular()
    scene.owner.replace_online_key(TIMESTAMP)
    told = _explained(client)
    assert told.trusted
    assert told.memory is not None
    assert set(told.memory.void) == {"timestamp", "snapshot"}
    assert told.roles[0].at_least is None
    assert "void by a newer root: timestamp, snapshot" in _text(told)


def test_an_unpinned_chain_is_told_and_vouched_for_by_nobody() -> None:
    scene = good_collection()
    told = _explained(Client(scene.server))
    assert (told.trusted, told.broke_at, told.pins) == (False, "the pins", ())
    assert len(told.roots) == 2
    assert "no pin is known for this chain" in _text(told)
    assert {step.state for step in told.roles} == {"not reached"}


def test_pins_of_another_root_are_held_by_none() -> None:
    scene = good_collection()
    client = scene.newcomer()
    client.pins = [replace(client.pins[0], pin=type(scene.pin)("sha256", "ab" * 32))]
    told = _explained(client)
    assert [pin.held_by for pin in told.pins] == [None]
    assert "matches no root of this chain" in _text(told)


def test_an_expired_role_is_told_with_who_can_renew_it() -> None:
    scene = good_collection()
    client = scene.regular()
    moves.expire(scene, TARGETS)
    told = _explained(client)
    assert told.broke_at == TARGETS
    assert told.changes[0].what.endswith(f"signed by 1 of the keys {keyring.keyid('targets')[:12]}")
    root = good_collection()
    moves.expire(root, ROOT)
    assert _explained(root.newcomer()).broke_at == ROOT


@pytest.mark.parametrize("role", [TIMESTAMP, RELEASES])
def test_an_expiry_at_the_beginning_of_the_calendar_is_refused_and_told(role: RoleName) -> None:
    scene = good_collection()
    scene.forger.alter(role, lambda d: d.update(version=d["version"] + 1, expires="0001-01-01T00:00:00Z"))
    told = _explained(scene.newcomer())
    assert isinstance(told.refusal, MetadataExpired)
    assert told.broke_at == role
    assert "expired" in _text(told)


def test_foreign_text_is_escaped_in_both_views() -> None:
    scene = good_collection()
    nasty = "1.0\x1b[31m"
    told = _explained(scene.newcomer(), Question(gun=scene.server.gun, tag=nasty, digest=None))
    assert "\x1b" not in _text(told)
    assert "\x1b" not in str(explanation_document(told))


def test_both_views_have_every_field() -> None:
    told = _explained(good_collection().regular())
    row = explanation_document(told)
    assert set(row) == {field for field in Explanation.__dataclass_fields__ if field != "refusal"}
    assert isinstance(row["roots"], list)
    text = _text(told)
    for root in row["roots"]:
        assert root["sha256"] in text


def test_memory_is_told_where_no_root_could_be_had() -> None:
    scene = good_collection()
    client = scene.regular()
    client.cache = Client(scene.server).cache
    scene.server.down = True
    told = _explained(client)
    assert told.broke_at == "the request to the trust server"
    assert (told.roots, told.roles[0].state) == ((), "not reached")
    assert told.memory is not None
    assert told.memory.void == ()
    assert "not compared: no root could be fetched" in _text(told)
    late = explain(
        refused(
            Question(gun=scene.server.gun, tag="1.0", digest=None),
            MetadataExpired(role="root", version=1, expires=client.at, at=client.at),
        ),
        state=None,
        at=client.at,
    )
    assert [change.what for change in late.changes] == ["root version 2, signed by the holders of its keys"]


@pytest.mark.parametrize(
    ("refusal", "place"),
    [
        (NoTrustData(gun="example.com/app"), "the request to the trust server"),
        (TrustDataWithheld(gun="example.com/app", known_by="pins.toml"), "the request to the trust server"),
        (
            CollectionDeleted(gun="example.com/app", pin="a", deleted_root="b", deleted_at="c", subject="d"),
            "the request to the trust server",
        ),
        (MemoryDamaged(path="seen.json", reason="it is cut off"), "the data stored on this machine"),
        (MemoryUnreadable(path="seen.json", reason="it is root's"), "the data stored on this machine"),
        (TooLarge(what="1.root.json", limit=1), ROOT),
        (PolicyMalformed(source="policy.toml", path="", reason="no TOML"), "the command line and settings"),
    ],
    ids=lambda value: value.code if isinstance(value, TrustError) else "",
)
def test_where_it_broke_before_there_was_a_root(refusal: TrustError, place: str) -> None:
    scene = good_collection()
    asked = refused(Question(gun=scene.server.gun, tag="1.0", digest=None), refusal)
    assert explain(asked, state=None, at=scene.server.at).broke_at == place


@pytest.mark.parametrize(
    ("role", "change", "words"),
    [
        (ALICE, lambda d: d["targets"]["1.0"].update(hashes={"sha512": EVIL * 2}), "hash of 1.0"),
        (TARGETS, lambda d: d["delegations"]["roles"][1].update(paths=["v*"]), "outside the paths delegated to alice"),
    ],
    ids=["no-sha256", "out-of-scope"],
)
def test_what_a_signer_may_not_say_is_no_agreement(role: RoleName, change: Callable[[Any], None], words: str) -> None:
    scene = good_collection()
    moves.set_member(scene, role, change)
    alice = _explained(scene.newcomer()).signers[0]
    assert (alice.name, alice.stand) == ("alice", "unreadable")
    assert words in alice.reason


def test_a_signer_who_is_asked_for_and_does_not_verify() -> None:
    scene = good_collection()
    moves.sign_with(scene, ALICE, "mallory")
    asked = Question(gun=scene.server.gun, tag="1.0", digest=None, required_signers=("alice",))
    told = _explained(scene.newcomer(), asked)
    assert told.broke_at == ALICE
    assert (told.signers[0].stand, told.signers[0].required) == ("unreadable", True)
    assert [step.state for step in told.roles if step.role == ALICE] == ["refused"]
    unasked = _explained(scene.newcomer())
    assert unasked.trusted, "nobody asked for alice"
    assert unasked.signers[0].stand == "unreadable"


def test_delegations_that_cannot_be_read_are_told_as_none() -> None:
    scene = good_collection()
    succinct = {"bit_length": 15, "keyids": [keyring.keyid("alice")], "name_prefix": "bin", "threshold": 1}
    keys = {keyring.keyid("alice"): keyring.key("alice").to_dict()}
    moves.set_member(scene, TARGETS, lambda d: d.update(delegations={"keys": keys, "succinct_roles": succinct}))
    told = _explained(scene.newcomer())
    assert not told.trusted
    assert (told.broke_at, told.signers) == ("targets", ())


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_a_denied_digest_is_the_step_that_refused_and_every_list_is_told(wire: WireFormat) -> None:
    scene = good_collection(wire)
    assert _explained(scene.newcomer()).denied == ()
    scene.owner.deny(GOOD, EVIL, reason="a stolen key")
    gun = scene.server.gun
    elsewhere = DenyList("registry.example.com/denied", {f"sha256:{OTHER}": {}})
    told = _explained(scene.newcomer(), Question(gun=gun, tag="1.0", digest=None, denied=(elsewhere,)))
    assert told.broke_at == "the denied digests"
    assert [(each.denied_by, each.digests) for each in told.denied] == [(gun, 2), ("registry.example.com/denied", 1)]
    assert [change.what for change in told.changes] == [f"{gun} denies sha256:{GOOD} no longer"]
    text = _text(told)
    assert f"{gun} denies 2 digests, this one too" in text
    assert "registry.example.com/denied denies 1 digest\n" in text
    assert "a stolen key" in text


def test_a_pin_by_ca_is_held_by_the_newest_root_until_a_certificate_ends() -> None:
    top, other = Issuer.root(), Issuer.root("Another CA")
    collection = CertifiedCollection(root=key_below(top))
    told = _explained(Client(collection.scene.server, pins=[pin_of(top), collection.scene.pin]))
    assert [(pin.pin, pin.held_by) for pin in told.pins] == [("ca:corp", 3), (str(collection.scene.pin), 1)]
    ends = [change.at for change in told.changes if "a pinned CA vouches" in change.what]
    assert ends == [END]
    assert "matches root version 3" in _text(told)
    refused = _explained(Client(collection.scene.server, pins=[pin_of(other)]))
    assert (refused.trusted, refused.broke_at) == (False, "the pins")
    assert [pin.held_by for pin in refused.pins] == [None]
    assert not any("a pinned CA vouches" in change.what for change in refused.changes)
