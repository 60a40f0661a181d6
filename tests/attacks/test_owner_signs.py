"""What an owner is made to sign: content that only the server vouches for never gets an owner's signature (ADR 0041).

The attacker has the server's keys of snapshot and timestamp. Each attack ends with the question that matters: does a
client say yes to the attacker's digest afterwards?
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from keys.record import replace
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.scene import EVIL, GOOD, NEWER, OLD, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.console.failure_table import UsageError
from trustdata.editing import repository_editor as editor
from trustdata.errors import NotSigned
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.rollback_memory import Memory
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY

ALICE = RoleName("targets/alice")
APP = "registry.example.com/team/app"
LATER = timedelta(days=2000)
"""After every offline role but a Notary root has expired."""


def forge(scene: Scene, *signers: str, role: RoleName = RELEASES) -> str:
    """List a next version with the attacker's digest under 1.0; return `ROLE@sha256:HEX`. What is stored stays."""
    stored = scene.server.stored[role]

    def change(document: Document) -> None:
        document["version"] += 1
        document["targets"]["1.0"] = scene.forger.target(EVIL)

    scene.forger.alter(role, change, signers=scene.forger.signers(role, *signers))
    forged = scene.server.stored[role].sha256
    scene.server.stored[role] = stored
    return f"{role}@sha256:{forged}"


def owner(client: Client, *, keys: tuple[str, ...] = EVERY_KEY, as_json: bool = False) -> SimulatedSession:
    """One invocation of an owner who has the keys; the registry has NEWER under every tag."""
    return SimulatedSession(client, keys=keys, as_json=as_json, registry_digest=f"sha256:{NEWER}")


def refuses(scene: Scene, client: Client, *command: str) -> SimulatedSession:
    """Run a command that must end with "not trusted" and send nothing."""
    before = scene.server.revision
    session = owner(client)
    assert session.ends(*command) == 4, session.stderr.getvalue()
    assert scene.server.revision == before
    return session


def does(client: Client, *command: str) -> SimulatedSession:
    session = owner(client)
    assert session.ends(*command) == 0, session.stderr.getvalue()
    return session


def nobody_runs_evil(scene: Scene) -> None:
    for client in (scene.newcomer(), Client(scene.server, pins=[scene.pin])):
        for tag in ("1.0", "2.0", "3.0", None):
            for digest in (None, f"sha256:{EVIL}"):
                assert client.judge(tag, digest).digest != f"sha256:{EVIL}"


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


def test_nobody_is_shown_what_targets_lists_instead() -> None:
    """Neither `inspect` nor an edit takes the old digest of `targets` for what is released."""
    scene = good_collection(NOTARY)
    forge(scene, "mallory")
    session = does(scene.newcomer(), "inspect", APP)
    assert OLD not in session.stdout.getvalue()


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
    scene.server.stored[RELEASES] = scene.server.wire.parse(RELEASES, _listed(scene))
    said = does(scene.newcomer(), "renew", APP, "--accept-unsigned", file).stderr.getvalue()
    assert f"1.0 as sha256:{EVIL}" in said
    assert scene.newcomer().digest("1.0") == f"sha256:{EVIL}"


def _listed(scene: Scene) -> bytes:
    """The releases file that the server lists now."""
    client = scene.newcomer()
    roles = client.collection().refresh(for_owner=True)
    return roles.load_unverified(RELEASES).raw


def test_a_role_that_begins_empty(wire: WireFormat) -> None:
    """The attacker's tags are gone; in Notary v1 the old digests of `targets` show, and are listed before."""
    scene = good_collection(wire)
    forge(scene, "mallory")
    scene.server.stored[RELEASES] = scene.server.wire.parse(RELEASES, _listed(scene))
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
    scene.server.stored[RELEASES] = scene.server.wire.parse(RELEASES, _listed(scene))
    does(scene.newcomer(), "revoke", f"{APP}:1.0", "--yes", "--start-empty", RELEASES)
    for tag in ("1.0", "2.0"):
        assert isinstance(scene.newcomer().judge(tag).refusal, NotSigned)


def test_an_expired_role_of_somebody_else_s_is_theirs_to_renew(wire: WireFormat) -> None:
    scene = good_collection(wire)
    _expire(scene, ALICE)
    session = owner(scene.newcomer(), keys=("targets",))
    assert session.ends("renew", APP) == 8
    assert "who can renew it: alice" in session.stderr.getvalue()
    assert "--accept-expired" not in session.stderr.getvalue()


def test_a_decision_that_a_command_does_not_carry_out_is_said(wire: WireFormat) -> None:
    scene = good_collection(wire)
    _expire(scene, ALICE)
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


# --- what this machine has verified before


def orphaned(scene: Scene) -> None:
    """What docker's removal leaves: alice is no key of the releases any more, and had signed them last."""
    removal = editor.remove_signer(scene.server.gun, scene.owner.read(), "alice", terms=scene.owner.terms)
    scene.owner.publish(lambda _: {TARGETS: removal[TARGETS]})


def test_bytes_that_were_verified_here_are_signed_again() -> None:
    """By hash: a machine that has seen the releases while alice's signature counted. Others decide."""
    scene = good_collection(NOTARY)
    client = scene.regular()
    orphaned(scene)
    refuses(scene, scene.newcomer(), "renew", APP)
    said = does(client, "renew", APP).stderr.getvalue()
    assert f"1.0 as sha256:{GOOD}" in said
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_memory_of_an_older_program_has_the_version_and_the_cache_the_bytes() -> None:
    scene = good_collection(NOTARY)
    client = scene.regular()
    memory = client.memory.known[scene.server.gun]
    client.memory.known[scene.server.gun] = _without_hashes(memory)
    orphaned(scene)
    does(client, "renew", APP)
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


@pytest.mark.parametrize("lost", ["version", "cache"])
def test_the_cache_alone_vouches_for_nothing(lost: str) -> None:
    scene = good_collection(NOTARY)
    client = scene.regular()
    client.memory.known[scene.server.gun] = _without_hashes(client.memory.known[scene.server.gun])
    if lost == "version":
        client.memory.forget(scene.server.gun)
    else:
        client.cache.drop(RELEASES)
    orphaned(scene)
    refuses(scene, client, "renew", APP)


def test_what_was_cached_although_it_had_expired_is_not_known() -> None:
    """An owner looks at releases that have expired, and their signer is removed afterwards."""
    scene = good_collection(NOTARY)
    scene.forger.alter(
        RELEASES,
        lambda d: d.update(version=d["version"] + 1, expires="2026-10-01T00:00:00Z"),
        signers=scene.forger.signers(RELEASES, "alice"),
    )
    client = scene.newcomer()
    does(client, "inspect", APP)
    assert client.cache.load(RELEASES) == scene.server.stored[RELEASES].raw
    orphaned(scene)
    refuses(scene, client, "renew", APP)


def test_new_snapshot_keys_void_the_hash_too() -> None:
    scene = good_collection(NOTARY)
    client = scene.regular()
    orphaned(scene)
    Owner(scene.server).replace_online_key(SNAPSHOT)
    client.cache.drop(RELEASES)
    refuses(scene, client, "renew", APP)


def _without_hashes(memory: Memory) -> Memory:
    return replace(memory, roles={role: replace(seen, sha256="") for role, seen in memory.roles.items()})


# --- expired roles


def expired(scene: Scene) -> None:
    """Two thousand days later the server is still there, and no owner was."""
    scene.server.later(LATER)
    scene.server.issue()


def _expire(scene: Scene, role: RoleName) -> str:
    """Let one stored role have expired, signed by its own keys."""
    scene.forger.alter(role, lambda d: d.update(version=d["version"] + 1, expires="2026-10-01T00:00:00Z"))
    return f"{role}@sha256:{scene.server.stored[role].sha256}"


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES, ALICE])
def test_an_expired_role_that_is_not_known_here_is_not_renewed(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    file = _expire(scene, role)
    client = scene.newcomer()
    for _ in range(2):  # what an owner read as expired is not known the next time
        session = refuses(scene, client, "renew", APP)
        said = session.stderr.getvalue()
        assert f"--accept-expired {file}" in said
        assert (f"--start-empty {role}" in said) == (role in {RELEASES, ALICE})
        does(client, "inspect", APP) if role in {RELEASES, ALICE} else owner(client).ends("inspect", APP)
    refuses(scene, client, "renew", APP, "--accept-unsigned", file)
    does(client, "renew", APP, "--accept-expired", file)
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_what_was_verified_here_while_it_was_fresh_is_renewed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.newcomer()
    does(client, "inspect", APP)
    expired(scene)
    client.at = scene.server.at
    does(client, "renew", APP)
    assert Client(scene.server, pins=[scene.pin]).digest("1.0") == f"sha256:{GOOD}"


def test_expired_targets_do_not_say_whose_keys_count(wire: WireFormat) -> None:
    """The server shows old targets, in which a thief was a signer, and the thief has signed the releases since."""
    scene = good_collection(wire)
    scene.forger.alter(
        TARGETS, lambda d: d.update(version=d["version"] + 1, expires="2026-10-01T00:00:00Z"), signers=None
    )
    forge(scene, "alice")
    client = scene.newcomer()
    for command in (("sign", f"{APP}:3.0"), ("renew", APP), ("signer", "remove", "bob", APP)):
        for _ in range(2):
            said = refuses(scene, client, *command).stderr.getvalue()
            assert "targets version 5 " in said
    nobody_runs_evil(scene)


@pytest.mark.parametrize(
    ("role", "command"),
    [
        (ROOT, ("key", "rotate", "timestamp", APP)),
        (TARGETS, ("signer", "remove", "bob", APP)),
        (TARGETS, ("key", "rotate", "targets", APP)),
        (RELEASES, ("signer", "remove", "bob", APP)),
        (RELEASES, ("sign", f"{APP}:3.0")),
        (RELEASES, ("revoke", f"{APP}:2.0", "--yes")),
        (ALICE, ("sign", f"{APP}:3.0")),
    ],
)
def test_no_command_signs_an_expired_role_that_is_not_known(
    wire: WireFormat, role: RoleName, command: tuple[str, ...]
) -> None:
    scene = good_collection(wire)
    file = _expire(scene, role)
    refuses(scene, scene.newcomer(), *command)
    planned = owner(scene.newcomer())
    assert planned.ends(*command, "--plan") == 4
    does(scene.newcomer(), *command, "--accept-expired", file)


def test_no_key_is_made_for_a_rotation_that_is_refused(wire: WireFormat) -> None:
    scene = good_collection(wire)
    _expire(scene, TARGETS)
    session = owner(scene.newcomer())
    before = session.store.list()
    assert session.ends("key", "rotate", "targets", APP) == 4
    assert session.store.list() == before


def test_a_lock_file_knows_root_and_targets(wire: WireFormat) -> None:
    scene = good_collection(wire)
    entry = scene.newcomer().lock_entry()
    expired(scene)

    def locked() -> Client:
        client = Client(scene.server, pins=[scene.pin])
        client.lock = SourcedLock(entry=entry, source="trust.lock")
        return client

    session = owner(locked(), as_json=True)
    assert session.ends("renew", APP) == 4
    (row,) = session.document()["collections"]
    assert {renewed["role"] for renewed in row["renewed"]} == {TARGETS} | ({ROOT} if wire is not NOTARY else set())
    assert {error["details"]["role"] for error in row["errors"]} == {RELEASES, ALICE}


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
