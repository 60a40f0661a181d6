"""What an owner is made to sign: content that only the server vouches for never gets an owner's signature (ADR 0041).

The attacker has the server's keys of snapshot and timestamp. Each attack ends with the question that matters: does a
client say yes to the attacker's digest afterwards?
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keys.key_info import KeyInfo
from keys.material import write_public_pem
from tests.simulator.forgery import Document
from tests.simulator.keyring import private
from tests.simulator.owner import Owner
from tests.simulator.owner_commands import (
    ALICE,
    does,
    expire_role,
    forge,
    listed_releases,
    nobody_runs_evil,
    owner,
    refuses,
)
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, NEWER, OLD, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.errors import UsageError
from trustdata.errors import NotSigned, ThresholdNotMet
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY

# --- what needs the forged role


@pytest.mark.parametrize("command", [("renew", APP), ("sign", f"{APP}:3.0")])
def test_forged_releases_are_not_signed_again(wire: WireFormat, command: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    file = forge(scene, "mallory")
    for client in (scene.newcomer(), scene.newcomer()):
        said = refuses(scene, client, *command).stderr.getvalue()
        assert f"--accept-unsigned {file}" in said
        assert f"--start-empty {RELEASES}" in said
        assert f"1.0 as sha256:{EVIL}" in said
        assert f"2.0 as sha256:{OTHER}" in said
    nobody_runs_evil(scene)


def test_a_file_signed_by_a_removed_key_after_the_removal_is_no_history(wire: WireFormat) -> None:
    """Metadata carries no time of signing: the removed signer and the server can make any past."""
    scene = good_collection(wire)
    client = scene.regular()
    scene.owner.remove_signer("alice")
    forge(scene, "alice")
    refuses(scene, client, "renew", APP)
    refuses(scene, scene.newcomer(), "renew", APP)
    nobody_runs_evil(scene)


def test_a_plan_shows_the_same(wire: WireFormat) -> None:
    scene = good_collection(wire)
    file = forge(scene, "mallory")
    for command in (("renew", APP), ("sign", f"{APP}:3.0")):
        session = owner(scene.newcomer(), as_json=True)
        assert session.ends(*command, "--plan") == 4
        error = session.document()["plans"][0]["error"]
        assert error["code"] == "not-vouched-for"
        assert error["details"]["tags"] == {"1.0": f"sha256:{EVIL}", "2.0": f"sha256:{OTHER}"}
        assert error["details"]["exposed"] == ({"1.0": f"sha256:{OLD}"} if wire is NOTARY else {})
        assert f"--accept-unsigned {file}" in error["next"]


def test_the_rest_is_renewed_without_the_forged_role(wire: WireFormat) -> None:
    scene = good_collection(wire)
    forge(scene, "mallory")
    session = owner(scene.newcomer(), as_json=True)
    assert session.ends("renew", APP, "--all") == 4
    (row,) = session.document()["collections"]
    assert {renewed["role"] for renewed in row["renewed"]} == {ROOT, TARGETS, ALICE}
    assert [error["code"] for error in row["errors"]] == ["not-vouched-for"]
    nobody_runs_evil(scene)


# --- what does not need it


CHANGES = [
    ("key", "rotate", "root", APP, "--replace", "ROOT"),
    ("key", "rotate", "targets", APP),
    ("key", "rotate", "snapshot", APP),
    ("key", "rotate", "timestamp", APP),
    ("signer", "remove", "bob", APP),
    ("revoke", f"{APP}:1.0", "--yes"),
]
LOOKS = [("signer", "list", APP), ("expiring", APP, "--within", "1d"), ("inspect", APP)]


@pytest.mark.parametrize("command", [*CHANGES, *((*change, "--plan") for change in CHANGES), *LOOKS], ids=" ".join)
def test_the_forged_role_blocks_nothing_else(wire: WireFormat, command: tuple[str, ...]) -> None:
    scene = good_collection(wire)
    file = forge(scene, "mallory")
    session = does(scene.newcomer(), *(scene.keys.root_keyid("root") if word == "ROOT" else word for word in command))
    said = session.stderr.getvalue() + session.stdout.getvalue()
    assert str(RELEASES) in said
    if command[0] != "inspect":
        assert file.partition("@")[2] in said
    nobody_runs_evil(scene)
    verify = SimulatedSession(scene.newcomer())
    assert verify.ends("verify", f"{APP}:1.0") == 4
    assert str(RELEASES) in verify.stderr.getvalue()


def test_a_signer_is_added_beside_the_forged_role(wire: WireFormat, tmp_path: Path) -> None:
    scene = good_collection(wire)
    forge(scene, "mallory")
    file = tmp_path / "carol.pub"
    file.write_bytes(write_public_pem(KeyInfo.of(private("carol"), purpose="signer").public))
    said = does(scene.newcomer(), "signer", "add", "--key", str(file), "carol", APP).stderr.getvalue()
    assert f"{RELEASES}, which is left as it is" in said
    nobody_runs_evil(scene)


def test_nobody_is_shown_what_targets_lists_instead() -> None:
    """Neither `inspect` nor an edit takes the old digest of `targets` for what is released."""
    scene = good_collection(NOTARY)
    forge(scene, "mallory")
    session = does(scene.newcomer(), "inspect", APP)
    assert OLD not in session.stdout.getvalue()


def test_a_signer_s_role_whose_key_was_changed_blocks_only_itself() -> None:
    """An old client changes the key of a delegation and leaves its file (Notary v1)."""
    scene = good_collection(NOTARY)
    carol = scene.keys.key("carol")

    def rekeyed(document: Document) -> None:
        document["version"] += 1
        document["delegations"]["keys"][carol.keyid] = carol.to_dict()
        for role in document["delegations"]["roles"]:
            role["keyids"] = [carol.keyid] if role["name"] == ALICE else role["keyids"]

    scene.forger.alter(TARGETS, rekeyed)
    by_bob = owner(scene.newcomer(), keys=("bob",))
    assert by_bob.ends("sign", f"{APP}:3.0") == 0, by_bob.stderr.getvalue()
    assert scene.newcomer().digest("3.0") == f"sha256:{NEWER}"
    for command in (("key", "rotate", "snapshot", APP), ("revoke", f"{APP}:2.0", "--yes"), ("signer", "list", APP)):
        does(scene.newcomer(), *command)
    refusal = scene.newcomer().judge("1.0", None, "alice").refusal
    assert isinstance(refusal, ThresholdNotMet)
    assert refusal.role == ALICE
    for options, status in (((), 4), (("--start-empty", ALICE), 0)):
        by_alice = owner(scene.newcomer(), keys=("carol", "targets"))
        assert by_alice.ends("sign", f"{APP}:4.0", *options) == status, by_alice.stderr.getvalue()
    assert scene.newcomer().judge("4.0", None, "alice").allowed


@pytest.mark.parametrize("tag", [":1.0", ""])
@pytest.mark.parametrize("lost_replies", [0, 1])
def test_a_revocation_does_not_wait_for_a_signer_s_role_that_has_expired(
    wire: WireFormat, tag: str, lost_replies: int
) -> None:
    """The role releases nothing, and says who had signed; its key is here, too."""
    scene = good_collection(wire)
    file = expire_role(scene, ALICE)
    scene.server.lose_replies = lost_replies
    said = does(scene.newcomer(), "revoke", f"{APP}{tag}", "--yes").stderr.getvalue()
    assert f"{ALICE}, which clients refuse, is left as it is" in said
    assert isinstance(scene.newcomer().judge("1.0").refusal, NotSigned)
    assert scene.server.stored[ALICE].sha256 == file.rpartition(":")[2]


def test_a_tag_that_only_such_a_role_lists_is_not_called_revoked(wire: WireFormat) -> None:
    scene = good_collection(wire)
    does(scene.newcomer(), "revoke", f"{APP}:1.0", "--yes")
    Owner(scene.server, "alice").sign("4.0", GOOD)
    scene.forger.alter(RELEASES, lambda d: (d.update(version=d["version"] + 1), d["targets"].pop("4.0")))
    file = expire_role(scene, ALICE)
    refused = refuses(scene, scene.newcomer(), "revoke", f"{APP}:4.0", "--yes")
    assert f"--accept-expired {file}" in refused.stderr.getvalue()


def test_who_removes_a_signer_is_shown_what_only_this_signer_had_signed(wire: WireFormat) -> None:
    """A thief of alice's key has released tags: her removal keeps them, now under the owner's signature."""
    scene = good_collection(wire)
    assert "nobody who stays" not in does(scene.newcomer(), "signer", "remove", "bob", APP).stderr.getvalue()
    Owner(scene.server, "alice").sign("3.0", EVIL)
    planned = does(scene.newcomer(), "signer", "remove", "alice", APP, "--plan").stderr.getvalue()
    assert f"nobody who stays had signed {RELEASES}" in planned
    assert f"3.0 as sha256:{EVIL}" in planned
    said = does(scene.newcomer(), "signer", "remove", "alice", APP).stderr.getvalue()
    assert f"nobody who stays had signed {RELEASES}" in said
    assert f"3.0 as sha256:{EVIL}" in said


# --- the ways out


def test_content_that_is_accepted_by_its_hash(wire: WireFormat) -> None:
    scene = good_collection(wire)
    file = forge(scene, "mallory")
    other = file[:-1] + ("0" if file[-1] != "0" else "1")
    refuses(scene, scene.newcomer(), "renew", APP, "--accept-unsigned", other)
    refuses(scene, scene.newcomer(), "renew", APP, "--accept-expired", file)
    planned = owner(scene.newcomer(), as_json=True)
    assert planned.ends("renew", APP, "--accept-unsigned", file, "--plan") == 0
    (plan,) = planned.document()["plans"]
    assert {(row["tag"], row["before"], row["after"]) for row in plan["released"]} == {
        ("1.0", None, f"sha256:{EVIL}"),
        ("2.0", None, f"sha256:{OTHER}"),
    }
    scene.server.stored[RELEASES] = scene.server.wire.parse(RELEASES, listed_releases(scene))
    said = does(scene.newcomer(), "renew", APP, "--accept-unsigned", file).stderr.getvalue()
    assert f"1.0 as sha256:{EVIL}" in said
    assert scene.newcomer().digest("1.0") == f"sha256:{EVIL}"


def test_a_role_that_begins_empty(wire: WireFormat) -> None:
    """The attacker's tags are gone; in Notary v1 the old digests of `targets` show, and are listed before."""
    scene = good_collection(wire)
    forge(scene, "mallory")
    scene.server.stored[RELEASES] = scene.server.wire.parse(RELEASES, listed_releases(scene))
    planned = owner(scene.newcomer(), as_json=True)
    assert planned.ends("renew", APP, "--start-empty", RELEASES, "--plan") == 0
    (plan,) = planned.document()["plans"]
    removed = {(row["tag"], row["before"]) for row in plan["tags"] if row["change"] == "removed"}
    assert removed == {("1.0", f"sha256:{EVIL}"), ("2.0", f"sha256:{OTHER}")}
    shows = {(row["tag"], row["before"], row["after"]) for row in plan["released"]}
    assert shows == ({("1.0", None, f"sha256:{OLD}")} if wire is NOTARY else set())
    does(scene.newcomer(), "renew", APP, "--start-empty", RELEASES)
    nobody_runs_evil(scene)
    does(scene.newcomer(), "sign", f"{APP}:1.0")
    assert scene.newcomer().digest("1.0") == f"sha256:{NEWER}"


def test_a_revocation_with_releases_that_begin_empty(wire: WireFormat) -> None:
    """Every tag of the forged releases goes with the one that was meant."""
    scene = good_collection(wire)
    forge(scene, "mallory")
    scene.server.stored[RELEASES] = scene.server.wire.parse(RELEASES, listed_releases(scene))
    does(scene.newcomer(), "revoke", f"{APP}:1.0", "--yes", "--start-empty", RELEASES)
    for tag in ("1.0", "2.0"):
        assert isinstance(scene.newcomer().judge(tag).refusal, NotSigned)


def test_an_expired_role_of_somebody_else_s_is_theirs_to_renew(wire: WireFormat) -> None:
    scene = good_collection(wire)
    expire_role(scene, ALICE)
    session = owner(scene.newcomer(), keys=("targets",))
    assert session.ends("renew", APP) == 8
    assert "who can renew it: alice" in session.stderr.getvalue()
    assert "--accept-expired" not in session.stderr.getvalue()


def test_a_decision_that_a_command_does_not_carry_out_is_said(wire: WireFormat) -> None:
    scene = good_collection(wire)
    expire_role(scene, ALICE)
    said = does(scene.newcomer(), "key", "rotate", "timestamp", APP, "--start-empty", ALICE).stderr.getvalue()
    assert "targets/alice is left as it is: this command does not sign it" in said
    assert scene.server.stored[ALICE].targets.targets


def test_a_role_that_verifies_is_not_emptied(wire: WireFormat) -> None:
    scene = good_collection(wire)
    does(scene.newcomer(), "renew", APP, "--all", "--start-empty", RELEASES)
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


@pytest.mark.parametrize(
    "options",
    [
        ("--start-empty", "targets"),
        ("--start-empty", "root"),
        ("--accept-unsigned", "targets/releases"),
        ("--accept-unsigned", f"targets/releases@sha256:{'AB' * 32}"),
        ("--accept-expired", f"@sha256:{'ab' * 32}"),
    ],
)
def test_decisions_that_are_none(options: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        owner(good_collection().newcomer()).run("renew", APP, *options)


# --- files that cannot be had


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scene: scene.server.files.pop(scene.server.current(RELEASES)),
        lambda scene: scene.forger.alter_text(RELEASES, lambda _: b"[]"),
    ],
    ids=["withheld", "malformed"],
)
def test_a_role_without_a_file_blocks_only_who_needs_it(wire: WireFormat, spoil: Callable[[Scene], object]) -> None:
    scene = good_collection(wire)
    stored = scene.server.stored[RELEASES]
    spoil(scene)
    scene.server.stored[RELEASES] = stored
    refuses(scene, scene.newcomer(), "sign", f"{APP}:3.0")
    refuses(scene, scene.newcomer(), "renew", APP)
    for role in (TIMESTAMP, SNAPSHOT):
        does(scene.newcomer(), "key", "rotate", role, APP)


def test_releases_that_were_dropped_are_not_begun_again(wire: WireFormat) -> None:
    """Remembered here, and gone from the snapshot (Notary v1; in TUF 1.0 the snapshot is refused)."""
    scene = good_collection(wire)
    client = scene.regular()
    scene.forger.list_in_snapshot(RELEASES, None)
    refuses(scene, client, "sign", f"{APP}:3.0")
    assert client.judge("1.0").digest is None


@pytest.mark.parametrize("plan", [(), ("--plan",)], ids=["done", "planned"])
@pytest.mark.parametrize("shows", ["older", "none"])
def test_a_new_snapshot_key_makes_nobody_forget_releases_that_are_known(
    wire: WireFormat, shows: str, plan: tuple[str, ...]
) -> None:
    """Whoever rotates it makes memory void everywhere, so older releases would be the newest from then on."""
    scene = good_collection(wire)
    older = scene.server.stored[RELEASES]
    scene.owner.sign("3.0", NEWER)
    client = scene.regular()
    if shows == "older":
        scene.forger.put(RELEASES, older.raw, version=older.version)
    else:
        scene.forger.list_in_snapshot(RELEASES, None)
    refuses(scene, client, "key", "rotate", "snapshot", APP, *plan)
    if wire is NOTARY:
        does(client, "key", "rotate", "timestamp", APP, *plan)
