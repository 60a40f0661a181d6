from __future__ import annotations

from tests.simulator import keyring
from tests.simulator.attacks.moves import set_member
from tests.simulator.forgery import Document
from tests.simulator.scene import GOOD, OTHER, Scene, good_collection
from trustdata.inspection import Inspection, inspect
from trustdata.roles import RELEASES, TARGETS


def _inspected(scene: Scene, tag: str | None = None) -> Inspection:
    return inspect(scene.newcomer().collection().owner_roles(), tag=tag)


def test_tags_signers_and_administrative_keys() -> None:
    inspection = _inspected(good_collection())
    assert [(t.tag, t.digest, t.signers) for t in inspection.tags] == [("1.0", GOOD, ("alice",)), ("2.0", OTHER, ())]
    assert [(s.name, s.keyids) for s in inspection.signers] == [
        ("alice", (keyring.keyid("alice"),)),
        ("bob", (keyring.keyid("bob"),)),
    ]
    assert inspection.root.keyids == (keyring.keyid("root"), keyring.keyid("recovery"))
    assert inspection.repository.keyids == (keyring.keyid("targets"),)


def test_one_tag_alone() -> None:
    assert [t.tag for t in _inspected(good_collection(), "2.0").tags] == ["2.0"]
    assert _inspected(good_collection(), "nope").tags == ()


def test_a_key_id_without_a_signature_that_holds_released_nothing() -> None:
    scene = good_collection()
    scene.owner.renew(RELEASES)

    def blame(text: bytes) -> bytes:
        forged = f'{{"keyid":"{keyring.keyid("alice")}","sig":"00"}},'.encode()
        return text.replace(b'{"signatures":[', b'{"signatures":[' + forged)

    scene.forger.alter_text(RELEASES, blame, whole_file=True)
    assert {t.releasers for t in _inspected(scene).tags} == {(keyring.keyid("targets"),)}


def test_releases_of_a_collection_without_signers_are_signed_by_the_repository_key() -> None:
    scene = good_collection()
    scene.server.files = {}
    scene.server.stored = {}
    scene.owner.initialise()
    scene.owner.sign("1.0", GOOD)
    roles = scene.owner.read()
    assert inspect(roles).tags[0].releasers == (keyring.keyid("targets"),)


def test_a_signer_stands_behind_nothing_beyond_his_paths() -> None:
    scene = good_collection()

    def restrict(document: Document) -> None:
        alice = document["delegations"]["roles"][1]
        assert alice["name"] == "targets/alice"
        alice["paths"] = ["v*"]

    set_member(scene, TARGETS, restrict)
    assert _inspected(scene, "1.0").tags[0].signers == ()
    answer = scene.newcomer().judge("1.0", None, "alice")
    assert not answer.allowed
    assert scene.newcomer().judge("1.0").allowed
