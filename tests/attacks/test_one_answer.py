"""Two answers for one tag (Notary v1): `targets/releases` lists one digest, `targets` still an older one (ADR 0042)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keys.key_info import KeyInfo
from keys.material import write_public_pem
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.keyring import private
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD, NEWER, OLD, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.doctor.collection import check_collection
from trustcli.doctor.look import look_at
from trustdata.errors import NotSigned, VersionRollback
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.verification.lock_entry import SourcedLock
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")
APP = "registry.example.com/team/app"


def session(scene: Scene, *keys: str, as_json: bool = False) -> SimulatedSession:
    """One invocation on a machine that has these keys; the registry has NEWER under every tag."""
    return SimulatedSession(
        scene.newcomer(), keys=keys or EVERY_KEY, as_json=as_json, registry_digest=f"sha256:{NEWER}"
    )


def without_releases(scene: Scene) -> Client:
    """A newcomer whom the server shows no `targets/releases`."""
    scene.forger.list_in_snapshot(RELEASES, None)
    return scene.newcomer()


# --- commands leave no second answer


@pytest.mark.parametrize("keys", [("targets",), ("targets", "alice"), EVERY_KEY], ids=len)
def test_signing_takes_the_old_digest_out_of_targets(keys: tuple[str, ...]) -> None:
    scene = good_collection(NOTARY)
    assert without_releases(good_collection(NOTARY)).digest("1.0") == f"sha256:{OLD}", "the attack"
    assert session(scene, *keys).ends("sign", f"{APP}:1.0") == 0
    assert scene.newcomer().digest("1.0") == f"sha256:{NEWER}"
    assert isinstance(without_releases(scene).judge("1.0").refusal, NotSigned)


def test_signing_again_what_is_signed_takes_it_out_too() -> None:
    """What `trust doctor` names as the remedy."""
    scene = good_collection(NOTARY)
    signs = SimulatedSession(scene.newcomer(), keys=("targets",), registry_digest=f"sha256:{GOOD}")
    assert signs.ends("sign", f"{APP}:1.0") == 0
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
    assert isinstance(without_releases(scene).judge("1.0").refusal, NotSigned)


def test_a_signer_without_the_repository_key_is_told() -> None:
    scene = good_collection(NOTARY)
    signs = session(scene, "alice")
    assert signs.ends("sign", f"{APP}:1.0") == 0
    said = signs.stderr.getvalue()
    assert f"targets lists {APP}:1.0 as sha256:{OLD} still" in said
    assert scene.server.stored[TARGETS].version == 4
    silent = session(scene, "alice")
    assert silent.ends("sign", f"{APP}:3.0") == 0
    assert "targets lists" not in silent.stderr.getvalue()


def test_in_tuf_there_is_nothing_to_take_out() -> None:
    scene = good_collection(TUF)
    signs = session(scene)
    assert signs.ends("sign", f"{APP}:1.0") == 0
    assert "targets lists" not in signs.stderr.getvalue()
    assert scene.server.stored[TARGETS].version == 4


def test_without_signers_targets_is_the_only_answer(wire: WireFormat) -> None:
    server = RepositorySimulator(wire=wire)
    pin = Owner(server).initialise()
    Owner(server).sign("1.0", OLD)
    client = Client(server, pins=[pin])
    signs = SimulatedSession(client, keys=EVERY_KEY, registry_digest=f"sha256:{NEWER}")
    assert signs.ends("sign", f"{APP}:1.0") == 0
    assert client.digest("1.0") == f"sha256:{NEWER}"


# --- effects are judged before anything is sent


@pytest.mark.parametrize("plan", [(), ("--plan",)], ids=["done", "planned"])
def test_a_revocation_that_would_show_an_old_digest_is_not_sent(plan: tuple[str, ...]) -> None:
    scene = good_collection(NOTARY)
    before = scene.server.revision
    revokes = session(scene, "alice")
    assert revokes.ends("revoke", f"{APP}:1.0", "--yes", *plan) == 7
    said = revokes.stderr.getvalue()
    assert f"1.0 would still be released, as sha256:{OLD}" in said
    assert "the holder of the repository key" in said
    assert scene.server.revision == before
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_a_signer_revokes_what_targets_does_not_list(wire: WireFormat) -> None:
    scene = good_collection(wire)
    assert session(scene, "alice").ends("revoke", f"{APP}:2.0", "--yes") == 0
    assert isinstance(scene.newcomer().judge("2.0").refusal, NotSigned)


def test_the_repository_key_revokes_in_both_places(wire: WireFormat) -> None:
    scene = good_collection(wire)
    assert session(scene, "targets").ends("revoke", f"{APP}:1.0", "--yes") == 0
    assert isinstance(scene.newcomer().judge("1.0").refusal, NotSigned)
    if wire is NOTARY:
        assert isinstance(without_releases(scene).judge("1.0").refusal, NotSigned)


def test_a_revocation_is_judged_as_a_client_that_passes_over_broken_releases() -> None:
    """Docker's clients do: what `targets` lists is released for them."""
    scene = good_collection(NOTARY)
    stored = scene.server.stored[RELEASES]
    scene.forger.alter(RELEASES, lambda d: d.update(version=9), signers=scene.forger.signers(RELEASES, "mallory"))
    scene.server.stored[RELEASES] = stored
    before = scene.server.revision
    revokes = session(scene, "alice")
    assert revokes.ends("revoke", f"{APP}:1.0", "--yes") == 7
    assert f"as sha256:{OLD}" in revokes.stderr.getvalue()
    assert scene.server.revision == before
    assert session(scene, "targets", "alice").ends("revoke", f"{APP}:1.0", "--yes") == 0
    assert "1.0" not in scene.server.stored[TARGETS].targets.targets


# --- who finds them


def test_doctor_and_inspect_name_tags_with_two_digests() -> None:
    scene = good_collection(NOTARY)
    shows = session(scene, as_json=True)
    assert shows.ends("inspect", APP) == 0
    assert shows.document()[0]["TwoDigests"] == [{"SignedTag": "1.0", "Digest": GOOD, "TargetsDigest": OLD}]
    other = session(scene, as_json=True)
    assert other.ends("inspect", f"{APP}:2.0") == 0
    assert "TwoDigests" not in other.document()[0]
    plain = session(scene)
    assert plain.ends("inspect", APP) == 0
    assert "TwoDigests" not in plain.stdout.getvalue(), "docker's output"
    assert session(scene).ends("sign", f"{APP}:1.0") == 0
    after = session(scene, as_json=True)
    assert after.ends("inspect", APP) == 0
    assert "TwoDigests" not in after.document()[0]


@pytest.mark.parametrize("number", [1, 12])
def test_doctor_names_them_and_the_remedy(number: int) -> None:
    scene = good_collection(NOTARY)
    tags = [f"old-{n}" for n in range(number - 1)]

    def more(document: dict[str, Any]) -> None:
        document["version"] += 1
        document["targets"] |= {tag: scene.forger.target(GOOD) for tag in tags}

    def older(document: dict[str, Any]) -> None:
        document["version"] += 1
        document["targets"] |= {tag: scene.forger.target(OLD) for tag in tags}

    scene.forger.alter(RELEASES, more)
    scene.forger.alter(TARGETS, older)
    look = look_at(session(scene), scene.server.gun)
    found = [finding for finding in check_collection(look) if finding.check == "two-digests"]
    assert len(found) == min(number, 11)
    assert {finding.severity for finding in found} == {"wrong"}
    assert found[0].remedy == f"where the repository key is: trust sign {APP}:1.0@sha256:{GOOD}"
    assert f"targets lists it as sha256:{OLD}" in found[0].text
    if number > 11:
        assert found[-1].text.startswith("2 more tags have two digests")


def test_doctor_names_releases_that_nobody_entitled_has_signed(wire: WireFormat) -> None:
    """And where the ways out are; of two digests it says nothing then, since no tag is released."""
    scene = good_collection(wire)
    scene.forger.alter(
        RELEASES, lambda d: d.update(version=d["version"] + 1), signers=scene.forger.signers(RELEASES, "mallory")
    )
    found = list(check_collection(look_at(session(scene), scene.server.gun)))
    (finding,) = [finding for finding in found if finding.check == "delegation" and finding.severity == "wrong"]
    assert finding.place == RELEASES
    assert finding.remedy == f"where its keys are: trust renew {APP} --plan, which names the ways out"
    assert "two-digests" not in {finding.check for finding in found}


# --- releases that are gone


@pytest.mark.parametrize("known_by", ["memory", "lock"])
def test_releases_that_are_known_do_not_vanish(wire: WireFormat, known_by: str) -> None:
    scene = good_collection(wire)
    client = scene.regular()
    if known_by == "lock":
        entry = client.lock_entry()
        client = scene.newcomer()
        client.lock = SourcedLock(entry=entry, source="trust.lock")
    scene.forger.list_in_snapshot(RELEASES, None)
    for tag, digest in (("1.0", None), (None, f"sha256:{OLD}"), ("1.0", f"sha256:{OLD}")):
        refusal = client.judge(tag, digest).refusal
        assert isinstance(refusal, VersionRollback)
        assert refusal.role == RELEASES


def test_targets_that_no_longer_delegate_to_the_releases_say_so_themselves() -> None:
    """Signed with the repository key: memory of a role that nobody delegates to says nothing (ADR 0042)."""
    scene = good_collection(NOTARY)
    client = scene.regular()

    def no_signers(document: dict[str, object]) -> None:
        document.update(version=5, delegations={"keys": {}, "roles": []})

    scene.forger.alter(TARGETS, no_signers)
    assert client.digest("1.0") == f"sha256:{OLD}"
    assert isinstance(client.judge("2.0").refusal, NotSigned)


def without_delegations(document: dict[str, Any]) -> None:
    """What `notary delegation remove` leaves: the file of the releases stays, and nobody delegates to it."""
    document.update(version=document["version"] + 1, delegations={"keys": {}, "roles": []})


@pytest.mark.parametrize("signer", ["targets", "mallory"])
@pytest.mark.parametrize("plan", [(), ("--plan",)], ids=["done", "planned"])
def test_the_first_signer_does_not_bring_back_releases_of_the_past(
    signer: str, plan: tuple[str, ...], tmp_path: Path
) -> None:
    """They say another digest, or verify for nobody, so that clients would refuse every tag."""
    scene = good_collection(NOTARY)
    scene.forger.alter(
        RELEASES, lambda d: d.update(version=d["version"] + 1), signers=scene.forger.signers(RELEASES, signer)
    )
    scene.forger.alter(TARGETS, without_delegations)
    assert scene.newcomer().digest("1.0") == f"sha256:{OLD}"
    file = tmp_path / "carol.pub"
    file.write_bytes(write_public_pem(KeyInfo.of(private("carol"), purpose="signer").public))
    adds = ("signer", "add", "--key", str(file), "carol", APP, *plan)
    before = scene.server.revision
    refused = session(scene)
    assert refused.ends(*adds) == 7
    said = refused.stderr.getvalue()
    assert f"is released as sha256:{OLD}" in said
    assert f"--start-empty {RELEASES}" in said
    assert scene.server.revision == before
    begins = session(scene)
    assert begins.ends(*adds, "--start-empty", RELEASES) == 0, begins.stderr.getvalue()
    assert scene.newcomer().digest("1.0") == f"sha256:{OLD}"
    assert (scene.server.revision > before) == (not plan)


def test_a_decision_about_another_role_brings_them_back_as_little(tmp_path: Path) -> None:
    """The owner begins a signer's role anew, and has said nothing about releases."""
    scene = good_collection(NOTARY)
    dave = scene.keys.key("dave")

    def only_alice_with_another_key(document: Document) -> None:
        document["version"] += 1
        document["delegations"]["keys"][dave.keyid] = dave.to_dict()
        roles = [role for role in document["delegations"]["roles"] if role["name"] == ALICE]
        document["delegations"]["roles"] = [{**role, "keyids": [dave.keyid]} for role in roles]

    scene.forger.alter(TARGETS, only_alice_with_another_key)
    assert scene.newcomer().digest("1.0") == f"sha256:{OLD}"
    file = tmp_path / "carol.pub"
    file.write_bytes(write_public_pem(KeyInfo.of(private("carol"), purpose="signer").public))
    refused = session(scene)
    assert refused.ends("signer", "add", "--key", str(file), "carol", APP, "--start-empty", ALICE) == 7
    assert f"is released as sha256:{OLD}" in refused.stderr.getvalue()
    assert scene.newcomer().digest("1.0") == f"sha256:{OLD}"


def test_what_remains_a_signer_s_own_file_shown_as_the_releases(wire: WireFormat) -> None:
    """Named in the threat model: her key signs both roles, and no file says which role it is of."""
    scene = good_collection(wire)
    Owner(scene.server, "alice").sign("3.0", GOOD)
    client = scene.newcomer()
    assert client.digest("3.0") == f"sha256:{GOOD}"
    assert session(scene, "targets").ends("revoke", f"{APP}:3.0", "--yes") == 0
    own = scene.server.stored[ALICE]
    scene.forger.put(RELEASES, own.raw, version=own.version)
    assert scene.newcomer().digest("3.0") == f"sha256:{GOOD}"
    assert isinstance(client.judge("3.0").refusal, VersionRollback)


def test_what_the_signer_revokes_is_in_neither_of_her_files(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "alice").sign("3.0", GOOD)
    assert session(scene, "alice").ends("revoke", f"{APP}:3.0", "--yes") == 0
    own = scene.server.stored[ALICE]
    scene.forger.put(RELEASES, own.raw, version=own.version)
    assert isinstance(scene.newcomer().judge("3.0").refusal, NotSigned)


# --- edits that are not about tags


@pytest.mark.parametrize(
    "command",
    [
        ("renew", APP, "--all"),
        ("key", "rotate", "targets", APP),
        ("key", "rotate", "timestamp", APP),
        ("signer", "remove", "alice", APP),
    ],
    ids=" ".join,
)
def test_what_is_not_about_tags_changes_no_digest(wire: WireFormat, command: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    assert session(scene).ends(*command) == 0
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
    assert scene.newcomer().digest("2.0") == f"sha256:{OTHER}"
