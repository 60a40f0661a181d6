"""Under every attack `trust explain` gives the verdict of `trust verify`: status, digest and error, in both views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulator.attacks.catalogue import ATTACKS, Attack
from tests.simulator.attacks.documents import CASES, Corruption, case_id
from tests.simulator.client import Client
from tests.simulator.scene import APP_IMAGE, GOOD, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from tests.simulator.siblings import pinned, siblings
from trustdata.roles import RoleName
from trustdata.wire import WireFormat

CLIENTS: dict[str, Callable[[Scene], Client]] = {"regular": Scene.regular, "newcomer": Scene.newcomer}
ONE_OF_EACH_KIND = list(
    {(wire, role, corruption.whole_file): (wire, role, corruption) for wire, role, corruption in CASES}.values()
)
"""A corruption of what is signed and one of what stands around it, in each file of each format."""


def _verdicts(client: Client, *arguments: str) -> dict[str, Any]:
    """What both commands say on one machine, explain first: it must not lean on what verify left there."""
    said = SimulatedSession(client)
    status = said.run("explain", *arguments)
    explain = SimulatedSession(client, as_json=True, registry_digest=f"sha256:{GOOD}")
    verify = SimulatedSession(client, as_json=True)
    assert status == explain.run("explain", *arguments)
    assert status == verify.run("verify", *arguments)
    (row,) = verify.document()["images"]
    told: dict[str, Any] = explain.document()["explanation"]
    assert explain.document()["exit"] == verify.document()["exit"] == status
    assert told["trusted"] is row["trusted"] is (status == 0)
    assert told["digest"] == row.get("digest")
    assert told.get("error") == row.get("error")
    assert said.stdout.getvalue().partition("  ")[2].lstrip().startswith("trusted: " if status == 0 else "refused at ")
    assert said.stdout.getvalue().count("trusted: ") == (status == 0)
    assert said.stderr.getvalue() == verify.stderr.getvalue()
    assert explain.stderr.getvalue().endswith(verify.stderr.getvalue()), "after the alarm, if the registry diverges"
    if status:
        assert row["error"]["message"] in said.stdout.getvalue()
        assert told["broke_at"]
    else:
        assert told["broke_at"] is None
    return told


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
@pytest.mark.parametrize("who", CLIENTS)
def test_the_verdict_is_verify_s(attack: Attack, who: str) -> None:
    scene = good_collection(attack.wire)
    client = CLIENTS[who](scene) if who == "regular" else None
    attack.move(scene)
    told = _verdicts(client or CLIENTS[who](scene), APP_IMAGE)
    refusal = attack.regular if who == "regular" else attack.newcomer
    assert told["trusted"] is (refusal is None)
    if refusal is not None:
        assert told["error"]["code"] == refusal.code
    if attack.role and refusal is not None and told["error"]["details"].get("role"):
        assert told["broke_at"] == attack.role
        reached = [step for step in told["roles"] if step["role"] == attack.role]
        assert all(step["state"] == "refused" for step in reached)


@pytest.mark.parametrize(("wire", "role", "corruption"), ONE_OF_EACH_KIND, ids=map(case_id, ONE_OF_EACH_KIND))
def test_of_corrupted_documents_too(wire: WireFormat, role: RoleName, corruption: Corruption) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    scene.forger.alter_text(role, corruption.change, whole_file=corruption.whole_file)
    told = _verdicts(client, APP_IMAGE)
    assert told["broke_at"] == role


@pytest.mark.parametrize("signer", ["alice", "bob", "nobody", "..."])
def test_of_signers_who_are_asked_for(signer: str) -> None:
    _verdicts(good_collection().regular(), "--signer", signer, APP_IMAGE)


@pytest.mark.parametrize(
    "image", [f"{APP_IMAGE}@sha256:{OTHER}", f"{APP_IMAGE.rpartition(':')[0]}@sha256:{GOOD}", f"{APP_IMAGE}.9", "UPPER"]
)
def test_of_other_references(image: str) -> None:
    _verdicts(good_collection().regular(), image)


def test_offline_and_an_outage() -> None:
    scene = good_collection()
    client = scene.regular()
    assert _verdicts(client, "--offline", APP_IMAGE)["registry"] is None
    scene.server.down = True
    assert _verdicts(client, "--offline", APP_IMAGE)["trusted"]
    told = _verdicts(client, APP_IMAGE)
    assert (told["broke_at"], told["error"]["code"]) == ("the request to the trust server", "remote-unreachable")
    assert _verdicts(scene.newcomer(), APP_IMAGE)["broke_at"] == "the request to the trust server"
    old = _verdicts(scene.newcomer(), "--offline", APP_IMAGE)
    assert (old["broke_at"], old["error"]["code"]) == ("the data stored on this machine", "offline-too-old")


def test_a_pin_by_key_about_a_root_that_names_nobody(wire: WireFormat) -> None:
    pair = siblings(wire, named=False)
    told = _verdicts(pinned(pair.app, pair.key), APP_IMAGE)
    assert told["broke_at"] == "the pins"
    assert [root["named"] for root in told["roots"]] == [False]
    assert [change["what"].partition(":")[0] for change in told["changes"]] == ["a new root names the collection"]
    trusted = _verdicts(pinned(pair.app, pair.fingerprint), APP_IMAGE)
    assert [root["named"] for root in trusted["roots"]] == [False]
    assert [root["named"] for root in _verdicts(good_collection(wire).newcomer(), APP_IMAGE)["roots"]] == [True, True]


def test_the_root_of_another_collection(wire: WireFormat) -> None:
    pair = siblings(wire)
    told = _verdicts(pinned(pair.swapped, pair.key), APP_IMAGE)
    assert told["roots"] == []
    assert told["error"]["code"] in {"root-of-another-name", "certificate-of-another-name"}
