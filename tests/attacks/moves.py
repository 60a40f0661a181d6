"""What attackers do, as functions of a scene. The table `catalogue` says what must come of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner

from tests.simulator import keyring
from tests.simulator.forgery import Document, text_of
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, NEWER, Scene
from trustdata.editing import repository_editor as editor
from trustdata.limits import size_limit
from trustdata.model import MetaFile
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName


def successor(change: Callable[[Document], object] = lambda _: None) -> Callable[[Document], None]:
    """The next version, changed."""

    def changed(document: Document) -> None:
        document["version"] += 1
        change(document)

    return changed


# --- rollback: old files, signed once by the right keys


def replay(scene: Scene, *roles: RoleName) -> None:
    """Old files stand where the current ones should be."""
    for role in roles:
        name = scene.server.filename(role, scene.server.stored[role].version)
        scene.server.files[name] = scene.past.stored[role].raw


def replay_all(scene: Scene) -> None:
    scene.server.files = dict(scene.past.files)


def list_old(scene: Scene, role: RoleName) -> None:
    """The online keys list an old version of an offline role; its old file is there, too."""
    old = scene.past.stored[role]
    scene.forger.list_in_snapshot(role, MetaFile(old.version, len(old.raw), {"sha256": old.sha256}))


def name_old_snapshot(scene: Scene) -> None:
    old = scene.past.stored[SNAPSHOT]
    scene.forger.name_snapshot(MetaFile(old.version, len(old.raw), {"sha256": old.sha256}))


# --- mix and match: pieces of different states


def swap(scene: Scene, role: RoleName) -> None:
    """A new version is announced; in its place lies a file of another state, no longer than what is announced."""
    old = scene.past.stored[role].raw
    publish_everything(scene)
    while len(scene.server.stored[role].raw) < len(old):  # ECDSA signatures differ in length
        publish_everything(scene)
    scene.server.files[scene.server.filename(role, scene.server.stored[role].version)] = old


def publish_everything(scene: Scene) -> None:
    """An honest publish that brings a new version of every role but root."""
    scene.owner.sign("1.0", NEWER)
    scene.owner.renew(TARGETS)


def swap_without_hashes(scene: Scene, role: RoleName) -> None:
    """The same, where the parent lists a version only: the version must do."""
    version = scene.server.stored[role].version + 1
    scene.server.files[scene.server.filename(role, version)] = scene.past.stored[role].raw
    if role == SNAPSHOT:
        scene.forger.name_snapshot(MetaFile(version))
    else:
        scene.forger.list_in_snapshot(role, MetaFile(version))


# --- bytes


def tamper(scene: Scene, role: RoleName, *, fitting: bool) -> None:
    """One digit of the next version's expiry, changed after signing; `fitting`: the parents name the changed file."""
    if fitting:
        year = scene.server.stored[role].expires.year
        scene.forger.alter_text(
            role, lambda raw: raw.replace(f'"expires":"{year}'.encode(), b'"expires":"2999'), whole_file=True
        )
        return
    publish_everything(scene)
    name = scene.server.filename(role, scene.server.stored[role].version)
    raw = scene.server.files[name]
    scene.server.files[name] = raw.replace(b'"expires":"20', b'"expires":"21')
    assert scene.server.files[name] != raw


def truncate(scene: Scene, role: RoleName) -> None:
    publish_everything(scene)
    name = scene.server.filename(role, scene.server.stored[role].version)
    scene.server.files[name] = scene.server.files[name][:-20]


def lengthen(scene: Scene, role: RoleName) -> None:
    """More bytes than the parent lists."""
    publish_everything(scene)
    name = scene.server.filename(role, scene.server.stored[role].version)
    scene.server.files[name] += b" "


def endless(scene: Scene, role: RoleName) -> None:
    """More bytes than any file of the role may have, and no length announced."""
    version = scene.server.stored[role].version + 1
    raw = b" " * (size_limit(role) + 1)
    scene.server.files[scene.server.filename(role, version)] = raw
    if role == SNAPSHOT:
        scene.forger.name_snapshot(MetaFile(version))
    elif role not in (ROOT, TIMESTAMP):
        scene.forger.list_in_snapshot(role, MetaFile(version))


def withhold(scene: Scene, *roles: RoleName) -> None:
    publish_everything(scene)
    for role in roles:
        del scene.server.files[scene.server.filename(role, scene.server.stored[role].version)]


def withhold_all(scene: Scene) -> None:
    scene.server.files.clear()


# --- keys


def sign_with(scene: Scene, role: RoleName, *names: str) -> None:
    """The next version, signed by these keys alone."""
    if role == ROOT:
        scene.forger.alter(ROOT, successor(), signers=[keyring.signer(n) for n in names], reissue=False)
    else:
        scene.forger.alter(role, successor(), signers=[keyring.signer(n) for n in names])


def removed_targets_key(scene: Scene) -> None:
    """The repository key was replaced; whoever has the old one signs on."""
    new = keyring.key("targets after rotation")
    Owner(scene.server, *EVERY_KEY, "targets after rotation").publish(
        lambda roles: editor.replace_targets_key(roles, new, terms=scene.owner.terms)
    )
    sign_with(scene, TARGETS, "targets")


def removed_signer(scene: Scene) -> None:
    """Alice was taken away; she releases on with her old key."""
    scene.owner.remove_signer("alice")
    scene.forger.alter(RELEASES, successor(set_tag), signers=[keyring.signer("alice")])


def set_tag(document: Document) -> None:
    document["targets"]["1.0"] = {"hashes": {"sha256": EVIL}, "length": 1}


def removed_root_key(scene: Scene) -> None:
    Owner(scene.server, "root", "root 2").publish(
        lambda roles: editor.replace_root_keys(
            roles, remove=[keyring.keyid("recovery")], add=[keyring.key("root 2")], terms=scene.owner.terms
        )
    )
    scene.forger.next_root(lambda _: None, "recovery")


# --- one key that poses as two

KeyObject = dict[str, Any]


def one_key_under_two_ids(scene: Scene, signer: CryptoSigner, rewrite: Callable[[KeyObject], object]) -> None:
    """Root asks for two signatures of targets; both key ids are one key, written in two ways."""
    first: KeyObject = signer.public_key.to_dict()
    second: KeyObject = {**first, "keyval": dict(first["keyval"])}
    rewrite(second)
    keys = {hashlib.sha256(str(encode_canonical(k)).encode()).hexdigest(): k for k in (first, second)}
    assert len(keys) == 2

    def distrust(root: Document) -> None:
        root["keys"] |= keys
        root["roles"]["targets"] = {"keyids": list(keys), "threshold": 2}

    scene.forger.next_root(distrust)
    document = scene.forger.document(TARGETS)
    document["version"] += 1
    signed = text_of(document)
    payload = str(encode_canonical(document)).encode()
    signatures = [{"keyid": keyid, "sig": signer.sign(payload).signature} for keyid in keys]
    raw = b'{"signatures":' + text_of(signatures) + b',"signed":' + signed + b"}"
    scene.forger.put(TARGETS, raw, version=document["version"])


def with_newline(key: KeyObject) -> None:
    key["keyval"]["public"] += "\n"


def of_other_type(key: KeyObject) -> None:
    key["keytype"] = "ecdsa-sha2-nistp256"


def in_capitals(key: KeyObject) -> None:
    key["keyval"]["public"] = key["keyval"]["public"].upper()


def with_gaps(key: KeyObject) -> None:
    """Python's reader of hexadecimal digits passes over spaces."""
    public = key["keyval"]["public"]
    key["keyval"]["public"] = f"{public[:2]} {public[2:]}"


def one_signature_of_two(scene: Scene) -> None:
    """Root asks for two signatures of targets by two keys; one signs."""

    def distrust(root: Document) -> None:
        root["keys"][keyring.keyid("second")] = keyring.key("second").to_dict()
        root["roles"]["targets"] = {"keyids": [keyring.keyid("targets"), keyring.keyid("second")], "threshold": 2}

    scene.forger.next_root(distrust)
    sign_with(scene, TARGETS, "targets")


# --- roots


def root_with_version(scene: Scene, difference: int) -> None:
    """Where the next root should lie, there lies one of another version, signed well."""
    version = scene.server.stored[ROOT].version
    document = scene.forger.document(ROOT)
    document["version"] = version + difference
    raw = scene.forger.file(ROOT, document)
    scene.server.files[scene.server.wire.filename(ROOT, version=version + 1)] = raw


def take_over_root(scene: Scene, *signers: str) -> None:
    """The next root names the attacker's key alone."""

    def mine(root: Document) -> None:
        root["keys"][keyring.keyid("mallory")] = keyring.key("mallory").to_dict()
        root["roles"]["root"] = {"keyids": [keyring.keyid("mallory")], "threshold": 1}

    scene.forger.next_root(mine, *signers)


def another_collection(scene: Scene) -> None:
    """A good collection, but not this one: other keys, every file in its place."""
    other = RepositorySimulator(online_keys=" of another")
    owner = Owner(other, "another root", "targets")
    owner.initialise("another root")
    for _ in range(9):
        owner.sign("1.0", EVIL)
    scene.server.files = dict(other.files)


# --- what releases


def set_member(scene: Scene, role: RoleName, change: Callable[[Document], object]) -> None:
    """The holder of the role's keys writes something that he should not."""
    scene.forger.alter(role, successor(change))


def expire(scene: Scene, role: RoleName) -> None:
    """Nobody renews the role: the newest that there is has expired."""
    change = successor(lambda document: document.update(expires="2026-10-31T00:00:00Z"))
    scene.forger.alter(role, change, reissue=role != ROOT)
