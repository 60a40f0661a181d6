"""`--plan`: what it says comes true, and it does nothing itself."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.images import BuiltImage
from tests.support.server_process import ServerProcess
from tests.support.stage import People, Put
from tests.support.trust_program import SECRETS, Ran, TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NO_PASSPHRASES = dict.fromkeys(SECRETS, "")
"""An empty variable counts as not set: whoever is asked, nobody answers."""


def files_of(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def database(server: ServerProcess) -> list[str]:
    """All that the server keeps of collections: their files, keys in use and on offer. The clock is its own affair."""
    with contextlib.closing(sqlite3.connect(server.data / "trust.db")) as connection:
        return [line for line in connection.iterdump() if not line.startswith('INSERT INTO "clock"')]


class Stage:
    """One server, one owner; plans are looked at from all sides."""

    def __init__(self, server: ServerProcess, gun: str) -> None:
        self.server = server
        self.gun = gun

    def plan(self, user: TrustUser, *command: str, expect: int = 0) -> Any:
        """`--json COMMAND --plan`, without a passphrase; nothing anywhere is touched by it."""
        before = files_of(user.folder), database(self.server)
        ran = user.run("--json", *command, "--plan", expect=expect, **NO_PASSPHRASES)
        assert (files_of(user.folder), database(self.server)) == before
        shown = user.run(*command, "--plan", expect=expect, **NO_PASSPHRASES)
        assert (files_of(user.folder), database(self.server)) == before
        assert f"plan for {self.gun}" in shown.stdout
        document = ran.document()
        assert document["exit"] == expect
        assert document["feasible"] == (expect == 0)
        return document

    def one(self, user: TrustUser, *command: str, expect: int = 0) -> Any:
        """The same, of a command that makes one publish."""
        (row,) = self.plan(user, *command, expect=expect)["plans"]
        assert row["gun"] == self.gun
        assert (row["error"] is None) == (expect == 0)
        return row

    def versions(self) -> dict[str, int]:
        status, body = self.server.get(f"/api/v1/collections/{self.gun}")
        return dict(json.loads(body)["versions"]) if status == 200 else {}

    def signed(self, role: str) -> Any:
        """What the current file of a role says."""
        name = role if role == "timestamp" else f"{self.versions()[role]}.{quote(role, safe='')}"
        status, body = self.server.get(f"/tuf/{self.gun}/metadata/{name}.json")
        assert status == 200
        return json.loads(body)["signed"]

    def tags(self) -> dict[tuple[str, str], str]:
        """(role, tag) -> digest, over every role that is delegated."""
        if not self.versions():
            return {}
        roles = ["targets", *self.delegated()]
        return {
            (role, tag): f"sha256:{target['hashes']['sha256']}"
            for role in roles
            if role in self.versions()
            for tag, target in self.signed(role)["targets"].items()
        }

    def delegated(self) -> dict[str, Any]:
        return {role["name"]: role for role in self.signed("targets").get("delegations", {}).get("roles", [])}

    def keys(self) -> dict[str, tuple[int, list[str]]]:
        """Threshold and key ids of every role."""
        if not self.versions():
            return {}
        found = {**self.signed("root")["roles"], **self.delegated()}
        return {role: (terms["threshold"], terms["keyids"]) for role, terms in found.items()}


@pytest.fixture
def stage(trust_server: ServerProcess, gun: str) -> Stage:
    return Stage(trust_server, gun)


def check_true(stage: Stage, plan: Any, carry_out: Callable[[], Ran]) -> None:
    """Carry the command out, and compare with what the server then has."""
    versions, tags, keys = stage.versions(), stage.tags(), stage.keys()
    for role in plan["roles"]:
        assert role["version_before"] == versions.get(role["role"])
        versions[role["role"]] = role["version_after"]
    for tag in plan["tags"]:
        place = (tag["role"], tag["tag"])
        assert tag["before"] == tags.pop(place, None)
        if tag["after"] is not None:
            tags[place] = tag["after"]
    gone = {change["role"] for change in plan["delegations"] if change["change"] == "removed"}
    tags = {place: digest for place, digest in tags.items() if place[0] not in gone}
    carry_out()
    assert stage.versions() == versions
    assert stage.tags() == tags
    check_keys(plan, keys, stage.keys())
    for role in plan["roles"]:
        if role["issued_by"] == "publisher":
            planned, real = (
                datetime.fromisoformat(t) for t in (role["expires_after"], stage.signed(role["role"])["expires"])
            )
            assert timedelta() <= real - planned < timedelta(minutes=5)
    for walk in plan["clients"]:
        assert walk["follows"]
        assert {role: walk["versions"][role] for role in stage.versions()} == stage.versions()
        assert walk["root_to"] == stage.versions()["root"]


def check_keys(plan: Any, before: dict[str, tuple[int, list[str]]], after: dict[str, tuple[int, list[str]]]) -> None:
    changed = {row["role"]: row for row in plan["keys"]}
    assert {role for role in {*before, *after} if before.get(role) != after.get(role)} == set(changed)
    for role, row in changed.items():
        threshold, keyids = after.get(role, (None, []))
        assert row["threshold_before"] == before.get(role, (None, []))[0]
        assert row["threshold_after"] == threshold
        planned = [key["keyid"] for key in (*row["added"], *row["kept"])]
        assert len(planned) == len(keyids)
        assert {keyid for keyid in planned if keyid} <= set(keyids)
        assert not {key["keyid"] for key in row["removed"]} & set(keyids)
        made = set(keyids) - {keyid for keyid in planned if keyid}
        assert all(key["new"] == (key["keyid"] is None) for key in row["added"])
        assert made.isdisjoint(before.get(role, (None, []))[1])


def test_what_is_planned_comes_true(*, stage: Stage, owner: TrustUser, gun: str, put: Put) -> None:
    """Every command that changes a collection, one after the other."""
    first, second = put("1.0"), put("2.0", text="second")
    owner.run("key", "generate", "alice")
    owner.run("key", "generate", "alice-too")
    commands = [
        ("init", gun, "--recovery-key", "recovery.key"),
        ("sign", f"{gun}:1.0", f"{gun}:2.0"),
        ("sign", f"{gun}:2.0@{first.digest}"),
        ("signer", "add", "alice", gun, "--key", "alice.pub"),
        ("signer", "add", "alice", gun, "--key", "alice-too.pub"),
        ("sign", f"{gun}:2.0@{second.digest}", "--signer", "alice"),
        ("key", "rotate", "root", gun),
        ("key", "rotate", "root", gun, "--recovery-key", "recovery.key"),
        ("key", "rotate", "targets", gun),
        ("key", "rotate", "snapshot", gun),
        ("key", "rotate", "timestamp", gun),
        ("signer", "remove", "alice", gun),
        ("revoke", f"{gun}:2.0"),
        ("revoke", gun),
    ]
    for command in commands:
        plan = stage.one(owner, *command)
        assert all(need["met"] for need in plan["signatures"]), command
        agreed = ["--yes"] if command[0] == "revoke" else []
        check_true(stage, plan, lambda line=(*command, *agreed): owner.run(*line))  # type: ignore[misc]


def test_init_and_sign_in_one(*, stage: Stage, owner: TrustUser, gun: str, put: Put) -> None:
    image = put("1.0")
    command = ("sign", f"{gun}:1.0", "--init", "--no-recovery-key")
    founded, signed = stage.plan(owner, *command)["plans"]
    assert [(r["role"], r["version_after"]) for r in founded["roles"]] == [
        ("root", 1),
        ("targets", 1),
        ("snapshot", 1),
        ("timestamp", 1),
    ]
    assert signed["released"] == [
        {"tag": "1.0", "before": None, "after": image.digest, "signers_before": [], "signers_after": []}
    ]
    owner.run(*command)
    assert stage.versions() == {"root": 1, "targets": 2, "snapshot": 2, "timestamp": 2}


def test_nothing_to_do(*, stage: Stage, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    plan = stage.one(owner, "sign", f"{gun}:1.0")
    assert (plan["note"], plan["roles"], plan["clients"]) == ("nothing has to change", [], [])


# --- keys: which, where, who


def test_a_key_that_is_elsewhere(
    *, stage: Stage, owner: TrustUser, people: People, gun: str, begun: BuiltImage
) -> None:
    """Alice sees whom she has to ask; what she asked for is shown all the same."""
    alice = people("alice")
    alice.knows(gun, owner.pin_of(gun))
    for name in ("alice", "bob"):
        alice.run("key", "generate", name)
    (owner.folder / "alice.pub").write_bytes((alice.folder / "alice.pub").read_bytes())
    owner.run("signer", "add", "alice", gun, "--key", "alice.pub")
    command = ("signer", "add", "bob", gun, "--key", "bob.pub")
    plan = stage.one(alice, *command, expect=8)
    assert plan["error"]["code"] == "key-not-found"
    (need,) = [need for need in plan["signatures"] if need["role"] == "targets"]
    assert not need["met"]
    assert [(key["place"], key["holders"]) for key in need["keys"]] == [("elsewhere", ["repository"])]
    (releases,) = [need for need in plan["signatures"] if need["role"] == "targets/releases"] or [None]
    assert releases is None, "the second signer changes targets alone"
    assert [walk["follows"] for walk in plan["clients"]] == [True, True, True]
    alice.run(*command, expect=8)

    root = stage.one(alice, "key", "rotate", "targets", gun, expect=8)
    (old, _, targets, release) = root["signatures"]
    assert (old["asked_by"], old["threshold"], old["met"]) == ("root version 1", 1, False)
    assert [key["holders"] for key in old["keys"]] == [["root"], ["root"]]
    assert [key["place"] for key in targets["keys"]] == ["store"]
    assert targets["keys"][0]["new"]
    assert {key["name"]: key["place"] for key in release["keys"]}["signer key alice"] == "store"
    text = alice.run("key", "rotate", "targets", gun, "--plan", expect=8).said("no private key for root of").stdout
    assert "not here; it is a key of: root" in text
    assert "root 2, for root version 1: 1 of - not to be had from here" in text


def test_alternatives_and_places(*, stage: Stage, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    plan = stage.one(owner, "key", "rotate", "snapshot", gun, "--recovery-key", "recovery.key")
    (before, _) = plan["signatures"]
    assert sorted((key["place"], key["name"], key["signs"]) for key in before["keys"]) == [
        ("recovery-file", "recovery.key", True),
        ("store", "root key", False),
    ]
    (change,) = plan["keys"]
    assert [(key["place"], key["new"], key["keyid"]) for key in change["added"]] == [("server", True, None)]
    assert [(key["place"], key["new"]) for key in change["removed"]] == [("server", False)]
    text = owner.run("key", "rotate", "snapshot", gun, "--recovery-key", "recovery.key", "--plan").stdout
    assert ", in the recovery file recovery.key" in text
    assert "+ key of snapshot: new snapshot key, made by the server when this is done" in text


def test_init_with_keys_that_there_are(*, stage: Stage, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    """Root key and recovery file of another collection: named by their ids, and not opened."""
    following = Stage(stage.server, f"{gun}-next")
    command = ("init", following.gun, "--recovery-key", "recovery.key", "--threshold", "2")
    plan = following.one(owner, *command)
    (root,) = [change for change in plan["keys"] if change["role"] == "root"]
    assert root["threshold_after"] == 2
    assert sorted((key["place"], key["name"], key["new"]) for key in root["added"]) == [
        ("recovery-file", "recovery.key", False),
        ("store", "root key", False),
    ]
    check_true(following, plan, lambda: owner.run(*command))


def test_an_encrypted_recovery_file_needs_its_passphrase(
    *, stage: Stage, owner: TrustUser, gun: str, begun: BuiltImage
) -> None:
    """From the environment; nobody is asked. A plan that cannot tell which key it has says so."""
    owner.run("key", "generate", "spare", "--purpose", "root")
    owner.run("key", "rotate", "root", gun, "--key", "spare")
    owner.run("key", "export", "spare", "--output", "spare.pem")
    command = ("key", "rotate", "timestamp", gun, "--recovery-key", "spare.pem")
    plan = stage.one(owner, *command, expect=8)
    assert plan["error"]["code"] == "passphrase-missing"
    told = {"TRUST_RECOVERY_PASSPHRASE": SECRETS["TRUST_ROOT_PASSPHRASE"]}
    (row,) = owner.run("--json", *command, "--plan", expect=0, **told).document()["plans"]
    assert "spare.pem" in {key["name"] for need in row["signatures"] for key in need["keys"] if key["signs"]}


# --- what cannot be carried out


def test_refusals_are_those_of_the_command(
    *, stage: Stage, owner: TrustUser, people: People, gun: str, begun: BuiltImage
) -> None:
    """The same code and the same status, planned and in earnest."""
    for name in ("alice", "other"):
        owner.run("key", "generate", name)
    owner.run("signer", "add", "alice", gun, "--key", "alice.pub")
    owner.run("sign", f"{gun}:1.0", "--signer", "alice")
    owner.run("signer", "remove", "alice", gun)
    stranger = people("stranger")
    stranger.knows(gun, owner.pin_of(gun))
    for user, status, code, command in (
        (owner, 7, "would-break-role", ("signer", "add", "alice", gun, "--key", "other.pub")),
        (owner, 7, "publish-refused", ("signer", "remove", "bob", gun, "--existing")),
        (owner, 7, "publish-refused", ("sign", f"{gun}:1.0", "--signer", "bob")),
        (owner, 3, "not-signed", ("revoke", f"{gun}:9.9")),
        (owner, 7, "collection-exists", ("init", gun, "--no-recovery-key")),
        (owner, 8, "key-not-", ("key", "rotate", "root", gun, "--key", "nobody")),
        (owner, 8, "key-not-", ("key", "rotate", "root", gun, "--recovery-key", "no-such.file")),
        (stranger, 8, "key-not-", ("sign", f"{gun}:1.0")),
        (stranger, 8, "key-not-", ("revoke", f"{gun}:1.0")),
        (stranger, 8, "key-not-", ("key", "rotate", "root", gun)),
    ):
        planned = stage.one(user, *command, expect=status)["error"]["code"]
        assert planned.startswith(code), command
        agreed = ["--yes"] if command[0] == "revoke" else []
        failed = user.run("--json", *command, *agreed, expect=status)
        assert failed.document()["error"]["code"] == planned, command


def test_whose_word_is_lost(*, stage: Stage, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    """Clients that ask for alice's signature have to know: her tag stays, but nobody vouches for it as alice."""
    owner.run("key", "generate", "alice")
    owner.run("signer", "add", "alice", gun, "--key", "alice.pub")
    owner.run("sign", f"{gun}:1.0", "--signer", "alice")
    plan = stage.one(owner, "signer", "remove", "alice", gun)
    digest = begun.digest
    assert plan["released"] == [
        {"tag": "1.0", "before": digest, "after": digest, "signers_before": ["alice"], "signers_after": []}
    ]
    text = owner.run("signer", "remove", "alice", gun, "--plan").stdout
    assert "1.0 is vouched for by alice -> the repository key alone" in text
    revoked = stage.one(owner, "revoke", f"{gun}:1.0")
    assert [(tag["role"], tag["change"]) for tag in revoked["tags"]] == [
        ("targets/releases", "removed"),
        ("targets/alice", "removed"),
    ]
    assert [walk["tags"] for walk in revoked["clients"]] == [0, 0, 0]


def test_an_unknown_name_and_no_server(*, stage: Stage, owner: TrustUser, gun: str) -> None:
    stage.one(owner, "key", "rotate", "root", gun, expect=3)
    down = owner.run("--json", "--server", "http://127.0.0.1:1", "init", gun, "--no-recovery-key", "--plan", expect=6)
    assert down.document()["plans"][0]["error"]["code"] == "remote-unreachable"
    assert not owner.home.exists()


def test_trust_on_first_use_is_not_kept(*, stage: Stage, people: People, gun: str, begun: BuiltImage) -> None:
    """Neither pin nor memory nor cache; not even the home comes to be."""
    newcomer = people("newcomer")
    command = ("key", "rotate", "timestamp", gun, "--tofu", "--plan")
    newcomer.run(*command, expect=8).said("this once: its root of trust is sha256:", "which is not recorded")
    plan = stage.one(newcomer, "key", "rotate", "timestamp", gun, "--tofu", expect=8)
    assert plan["error"]["code"] == "key-not-found"
    assert not newcomer.home.exists()


# --- several names


def test_several_names_with_one_summary(*, stage: Stage, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    """One new root key for all of them; a name that fails does not hide the others."""
    other = f"{gun}-other"
    owner.run("init", other, "--no-recovery-key")
    document = stage.plan(owner, "key", "rotate", "root", gun, other)
    assert [plan["gun"] for plan in document["plans"]] == [gun, other]
    text = owner.run("key", "rotate", "root", gun, other, "--plan").stdout
    assert text.splitlines()[-1] == "2 plans: 2 can be carried out, 0 cannot"
    failing = owner.run("key", "rotate", "root", gun, f"{gun}-none", other, "--plan", expect=3)
    assert failing.stdout.splitlines()[-1] == "3 plans: 2 can be carried out, 1 cannot"
    failing.said(f"{gun}-none has no trust data")


def test_a_long_chain(*, stage: Stage, owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    """Eleven roots later the three clients start from three roots."""
    for _ in range(11):
        owner.run("key", "rotate", "timestamp", gun)
    plan = stage.one(owner, "key", "rotate", "root", gun)
    assert [(walk["behind"], walk["root_from"], walk["root_to"]) for walk in plan["clients"]] == [
        ("one", 12, 13),
        ("ten", 3, 13),
        ("all", 1, 13),
    ]
    text = owner.run("key", "rotate", "root", gun, "--plan").stdout
    assert "a client ten roots behind (root 3) reaches root 13 and sees 1 tag" in text
