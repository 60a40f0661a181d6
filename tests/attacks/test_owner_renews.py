"""What an owner renews: what this machine knows, and nothing that only the server shows as the newest (ADR 0041)."""

from __future__ import annotations

import pytest

from keys.record import replace
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.owner import Owner
from tests.simulator.owner_commands import (
    ALICE,
    does,
    everything_expires,
    expire_role,
    forge,
    nobody_runs_evil,
    orphaned,
    owner,
    refuses,
)
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, good_collection
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification.lock_entry import SourcedLock
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY

# --- what this machine has verified before


def test_bytes_that_were_verified_here_are_signed_again() -> None:
    """By hash: a machine that has seen the releases while alice's signature counted. Others decide."""
    scene = good_collection(NOTARY)
    client = scene.regular()
    orphaned(scene)
    refuses(scene, scene.newcomer(), "renew", APP)
    said = does(client, "renew", APP).stderr.getvalue()
    assert f"1.0 as sha256:{GOOD}" in said
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_memory_of_an_older_program_has_no_hash_and_vouches_for_nothing() -> None:
    """Nor does the cache: it has what an owner read although it had expired, too."""
    scene = good_collection(NOTARY)
    client = scene.regular()
    memory = client.memory.known[scene.server.gun]
    hashless = {role: replace(seen, sha256="") for role, seen in memory.roles.items()}
    client.memory.known[scene.server.gun] = replace(memory, roles=hashless)
    orphaned(scene)
    refuses(scene, client, "renew", APP)


@pytest.mark.parametrize("expired", [TARGETS, RELEASES])
def test_what_an_owner_has_looked_at_is_not_known_by_that(expired: RoleName) -> None:
    """The server shows old targets, in which alice is a signer, or old releases of hers; she is removed meanwhile."""
    scene = good_collection(NOTARY)
    current = scene.server.stored[TARGETS]
    if expired == TARGETS:
        scene.forger.alter(TARGETS, lambda d: d.update(expires="2026-10-01T00:00:00Z"))

    def evil(document: Document) -> None:
        document["version"] += 1
        document["targets"]["1.0"] = scene.forger.target(EVIL)
        document.update({"expires": "2026-10-01T00:00:00Z"} if expired == RELEASES else {})

    scene.forger.alter(RELEASES, evil, signers=scene.forger.signers(RELEASES, "alice"))
    client = scene.newcomer()
    owner(client).ends("inspect", APP)
    assert client.cache.load(RELEASES) == scene.server.stored[RELEASES].raw
    scene.forger.put(TARGETS, current.raw, version=current.version)
    orphaned(scene)
    refuses(scene, client, "renew", APP)
    refuses(scene, client, "renew", APP)
    nobody_runs_evil(scene)


def test_new_snapshot_keys_void_the_hash_too() -> None:
    scene = good_collection(NOTARY)
    client = scene.regular()
    orphaned(scene)
    Owner(scene.server).replace_online_key(SNAPSHOT)
    refuses(scene, client, "renew", APP)


# --- expired roles


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES, ALICE])
def test_an_expired_role_that_is_not_known_here_is_not_renewed(wire: WireFormat, role: RoleName) -> None:
    scene = good_collection(wire)
    file = expire_role(scene, role)
    client = scene.newcomer()
    for _ in range(2):  # what an owner read as expired is not known the next time
        session = refuses(scene, client, "renew", APP)
        said = session.stderr.getvalue()
        assert f"--accept-expired {file}" in said
        assert (f"--start-empty {role}" in said) == (role in {RELEASES, ALICE})
        does(client, "inspect", APP) if role in {RELEASES, ALICE} else owner(client).ends("inspect", APP)
    option = "--accept-expired" if role in {ROOT, RELEASES} else "--accept-unsigned"  # the stronger word counts, too
    does(client, "renew", APP, option, file)
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_what_was_verified_here_while_it_was_fresh_is_renewed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    client = scene.newcomer()
    does(client, "inspect", APP)
    everything_expires(scene)
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
    file = expire_role(scene, role)
    refuses(scene, scene.newcomer(), *command)
    planned = owner(scene.newcomer())
    assert planned.ends(*command, "--plan") == 4
    does(scene.newcomer(), *command, "--accept-expired", file)


def test_no_key_is_made_for_a_rotation_that_is_refused(wire: WireFormat) -> None:
    scene = good_collection(wire)
    expire_role(scene, TARGETS)
    session = owner(scene.newcomer())
    before = session.store.list()
    assert session.ends("key", "rotate", "targets", APP) == 4
    assert session.store.list() == before


def test_a_lock_file_knows_root_and_targets(wire: WireFormat) -> None:
    scene = good_collection(wire)
    entry = scene.newcomer().lock_entry()
    everything_expires(scene)

    def locked() -> Client:
        client = Client(scene.server, pins=[scene.pin])
        client.lock = SourcedLock(entry=entry, source="trust.lock")
        return client

    session = owner(locked(), as_json=True)
    assert session.ends("renew", APP) == 4
    (row,) = session.document()["collections"]
    assert {renewed["role"] for renewed in row["renewed"]} == {TARGETS} | ({ROOT} if wire is not NOTARY else set())
    assert {error["details"]["role"] for error in row["errors"]} == {RELEASES, ALICE}


def test_a_root_that_is_known_is_not_followed_by_another(wire: WireFormat) -> None:
    """The server hides the newest root: an owner who has seen it does not sign another one in its place."""
    scene = good_collection(wire)
    scene.owner.renew(ROOT)
    client = scene.regular()
    client.cache = scene.newcomer().cache
    del scene.server.files["3.root.json"]
    for command in (("key", "rotate", "timestamp", APP), ("renew", APP, "--all")):
        refuses(scene, client, *command)
