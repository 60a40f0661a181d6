"""A key that is rotated out goes in every encoding that it has: who has stolen it signs nothing more."""

from __future__ import annotations

import pytest

from tests.simulator.encodings import ENCODINGS, signer_of
from tests.simulator.forgery import Document
from tests.simulator.owner_commands import does, owner
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, NEWER, Scene, good_collection
from trustdata.errors import ThresholdNotMet
from trustdata.model import Key
from trustdata.roles import RELEASES, ROOT, TARGETS

ROOT_ENCODINGS = [name for name in ENCODINGS if name not in ("certificate", "compressed-point")]
"""Other encodings of a root key: in Notary v1 it is a certificate in any case."""


@pytest.fixture(params=ENCODINGS)
def encoding(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def with_root_key_twice(encoding: str, *, threshold: int = 1) -> tuple[Scene, Key]:
    """The root names one root key in two encodings, and the recovery key."""
    scene = good_collection(ENCODINGS[encoding][0])
    again = ENCODINGS[encoding][1]("root")

    def change(document: Document) -> None:
        document["keys"][again.keyid] = again.to_dict()
        keyids = [scene.keys.root_keyid("root"), again.keyid, scene.keys.root_keyid("recovery")]
        document["roles"]["root"] |= {"keyids": keyids, "threshold": threshold}

    scene.forger.next_root(change, "root", "recovery")
    return scene, again


@pytest.mark.parametrize("encoding", ROOT_ENCODINGS)
def test_a_root_key_that_the_root_names_twice(encoding: str) -> None:
    """There is one root key here to replace, and it is gone afterwards, not only retired in the store."""
    scene, again = with_root_key_twice(encoding)
    session = owner(scene.newcomer(), keys=("root",))
    assert session.ends("key", "rotate", "root", APP) == 0, session.stderr.getvalue()
    named = scene.server.stored[ROOT].root.roles[ROOT].keyids
    assert {again.keyid, scene.keys.root_keyid("root")}.isdisjoint(named)
    assert scene.keys.root_keyid("recovery") in named


@pytest.mark.parametrize("encoding", ROOT_ENCODINGS)
def test_a_key_in_two_encodings_is_not_chosen_for_two_signatures(encoding: str) -> None:
    """Both keys are here: the one that the root names twice does not stand in the way of the other."""
    scene, _ = with_root_key_twice(encoding, threshold=2)
    does(scene.newcomer(), "renew", APP, "--all")


def test_a_repository_key_that_the_releases_name_in_another_encoding(encoding: str) -> None:
    wire, encoded = ENCODINGS[encoding]
    scene, again = good_collection(wire), encoded("targets")

    def change(document: Document) -> None:
        document["version"] += 1
        document["delegations"]["keys"][again.keyid] = again.to_dict()
        document["delegations"]["roles"][0]["keyids"].append(again.keyid)

    scene.forger.alter(TARGETS, change)
    does(scene.newcomer(), "key", "rotate", "targets", APP)
    assert again.keyid not in scene.server.stored[TARGETS].targets.get_delegated_role(RELEASES).keyids

    def forge(document: Document) -> None:
        document["version"] += 1
        document["targets"]["1.0"] = scene.forger.target(EVIL)

    scene.forger.alter(RELEASES, forge, signers=[signer_of("targets", again)])
    assert isinstance(scene.newcomer().judge("1.0").refusal, ThresholdNotMet)


def test_a_signer_who_has_the_repository_key_in_another_encoding_stays(encoding: str) -> None:
    """Whoever signs with that key as a signer was made one, and goes with: trust signer remove."""
    wire, encoded = ENCODINGS[encoding]
    scene, again = good_collection(wire), encoded("targets")

    def change(document: Document) -> None:
        document["version"] += 1
        document["delegations"]["keys"][again.keyid] = again.to_dict()
        for role in document["delegations"]["roles"]:
            role["keyids"].append(again.keyid)

    scene.forger.alter(TARGETS, change)
    does(scene.newcomer(), "key", "rotate", "targets", APP)
    assert again.keyid in scene.server.stored[TARGETS].targets.get_delegated_role(RELEASES).keyids
    does(scene.newcomer(), "sign", f"{APP}:1.0")
    assert scene.newcomer().digest("1.0") == f"sha256:{NEWER}"
