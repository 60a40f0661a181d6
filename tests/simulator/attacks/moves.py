"""What attackers do, as functions of a scene. The table `catalogue` says what must come of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from securesystemslib.formats import encode_canonical

from keys.notary import NotaryKey
from tests.simulator import keyring
from tests.simulator.forgery import Document, text_of
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, NEWER, Scene, good_collection
from trustdata.editing import repository_editor as editor
from trustdata.model import Key, MetaFile, Signer, UnversionedMeta
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


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
        name = scene.server.current(role)
        scene.server.files[name] = scene.past.stored[role].raw


def replay_all(scene: Scene) -> None:
    scene.server.files = dict(scene.past.files)


def list_old(scene: Scene, role: RoleName) -> None:
    """The online keys list an old version of an offline role; its old file is there, too."""
    old = scene.past.stored[role]
    scene.forger.list_in_snapshot(role, scene.server.meta(old.version, old.raw))


def name_old_snapshot(scene: Scene) -> None:
    old = scene.past.stored[SNAPSHOT]
    scene.forger.name_snapshot(scene.server.meta(old.version, old.raw))


# --- mix and match: pieces of different states


def swap(scene: Scene, role: RoleName) -> None:
    """A new version is announced; in its place lies a file of another state, no longer than what is announced."""
    old = scene.past.stored[role].raw
    publish_everything(scene)
    while len(scene.server.stored[role].raw) < len(old):  # ECDSA signatures differ in length
        publish_everything(scene)
    scene.server.files[scene.server.current(role)] = old


def publish_everything(scene: Scene) -> None:
    """An honest publish that brings a new version of every role but root."""
    scene.owner.sign("1.0", NEWER)
    scene.owner.renew(TARGETS)


def swap_without_hashes(scene: Scene, role: RoleName) -> None:
    """The same, where the parent lists a version only: the version must do."""
    version = scene.server.stored[role].version + 1
    scene.server.files[scene.server.wire.filename(role, version=version)] = scene.past.stored[role].raw
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
    name = scene.server.current(role)
    raw = scene.server.files[name]
    scene.server.files[name] = raw.replace(b'"expires":"20', b'"expires":"21')
    assert scene.server.files[name] != raw


def truncate(scene: Scene, role: RoleName) -> None:
    publish_everything(scene)
    name = scene.server.current(role)
    scene.server.files[name] = scene.server.files[name][:-20]


def lengthen(scene: Scene, role: RoleName) -> None:
    """More bytes than the parent lists."""
    publish_everything(scene)
    name = scene.server.current(role)
    scene.server.files[name] += b" "


def endless(scene: Scene, role: RoleName) -> None:
    """More bytes than any file of the role may have, and no length announced (in Notary v1 that length)."""
    wire = scene.server.wire
    version = scene.server.stored[role].version + 1
    raw = blanks(wire.size_limit(role) + 1)
    meta = MetaFile(version) if wire.lists_versions else UnversionedMeta(length=len(raw), hashes={"sha256": EVIL})
    if role in (ROOT, TIMESTAMP):
        scene.server.files[scene.server.place(role, version, raw)] = raw
        return
    scene.server.files[wire.listed_filename(role, meta, consistent=True)] = raw
    if role == SNAPSHOT:
        scene.forger.name_snapshot(meta)
    else:
        scene.forger.list_in_snapshot(role, meta)


@cache
def blanks(number: int) -> bytes:
    """Notary v1 allows 100 MiB: made once."""
    return b" " * number


def withhold(scene: Scene, *roles: RoleName) -> None:
    publish_everything(scene)
    for role in roles:
        del scene.server.files[scene.server.current(role)]


def withhold_all(scene: Scene) -> None:
    scene.server.files.clear()


# --- keys


def sign_with(scene: Scene, role: RoleName, *names: str) -> None:
    """The next version, signed by these keys alone."""
    scene.forger.alter(role, successor(), signers=scene.forger.signers(role, *names))


def removed_targets_key(scene: Scene) -> None:
    """The repository key was replaced; whoever has the old one signs on."""
    new = scene.keys.key("targets after rotation")
    Owner(scene.server, *EVERY_KEY, "targets after rotation").publish(
        lambda roles: editor.replace_targets_key(roles, new, terms=scene.owner.terms)
    )
    sign_with(scene, TARGETS, "targets")


def removed_signer(scene: Scene) -> None:
    """Alice was taken away; she releases on with her old key."""
    scene.owner.remove_signer("alice")
    scene.forger.alter(RELEASES, successor(set_tag(scene)), signers=scene.forger.signers(RELEASES, "alice"))


def set_tag(scene: Scene) -> Callable[[Document], object]:
    """1.0 is EVIL."""
    return lambda document: document["targets"].update({"1.0": scene.forger.target(EVIL)})


def removed_root_key(scene: Scene) -> None:
    Owner(scene.server, "root", "root 2").publish(
        lambda roles: editor.replace_root_keys(
            roles,
            remove=[scene.keys.root_keyid("recovery")],
            add=[scene.keys.root_key("root 2")],
            terms=scene.owner.terms,
        )
    )
    scene.forger.next_root(lambda _: None, "recovery")


# --- one key that poses as two

KeyObject = dict[str, Any]


def one_key_under_two_ids(
    scene: Scene, signer: Signer, rewrite: Callable[[KeyObject], object], role: RoleName = TARGETS
) -> None:
    """Root asks for two signatures of a role; both key ids are one key, written in two ways."""
    first: KeyObject = signer.public_key.to_dict()
    second: KeyObject = {**first, "keyval": dict(first["keyval"])}
    rewrite(second)
    keys = {hashlib.sha256(str(encode_canonical(k)).encode()).hexdigest(): k for k in (first, second)}
    assert len(keys) == 2

    def distrust(root: Document) -> None:
        root["keys"] |= keys
        root["roles"][role] = {"keyids": list(keys), "threshold": 2}

    if role == ROOT:
        document = scene.forger.document(ROOT)
        distrust(document)
    else:
        scene.forger.next_root(distrust)
        document = scene.forger.document(role)
    document["version"] += 1
    signed = text_of(document)
    payload = str(encode_canonical(document)).encode()
    signatures = [{**signer.sign(payload).to_dict(), "keyid": keyid} for keyid in keys]
    raw = b'{"signatures":' + text_of(signatures) + b',"signed":' + signed + b"}"
    scene.forger.put(role, raw, version=document["version"])


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


def spare_bits(key: KeyObject) -> None:
    """Notary v1: base64 that ends in `==` has four bits that no reader looks at."""
    public: str = key["keyval"]["public"]
    assert public.endswith("==")
    letter = public[-3]
    key["keyval"]["public"] = public[:-3] + chr(ord(letter) + 1) + "=="
    assert base64.b64decode(key["keyval"]["public"], validate=True) == base64.b64decode(public)


def certified(scene: Scene, name: str) -> Callable[[KeyObject], None]:
    """Notary v1: the same key in a certificate; of one that is in a certificate, in another."""

    def rewrite(key: KeyObject) -> None:
        number = 2 if key["keytype"].endswith("-x509") else 1
        key.update(keyring.certificate(name, scene.server.gun, number).to_dict())

    return rewrite


def one_signature_of_two(scene: Scene) -> None:
    """Root asks for two signatures of targets by two keys; one signs."""

    def distrust(root: Document) -> None:
        first, second = scene.keys.key("targets"), scene.keys.key("second")
        root["keys"][second.keyid] = second.to_dict()
        root["roles"]["targets"] = {"keyids": [first.keyid, second.keyid], "threshold": 2}

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
    root_is(scene, scene.keys.root_key("mallory"), scene.forger.signers(ROOT, *signers))


def root_is(scene: Scene, key: Key, signers: Sequence[Signer]) -> None:
    """The next root has this one root key."""

    def named(root: Document) -> None:
        root["keys"][key.keyid] = key.to_dict()
        root["roles"]["root"] = {"keyids": [key.keyid], "threshold": 1}

    scene.forger.alter(ROOT, successor(named), signers=signers)


def certified_for_another(scene: Scene) -> None:
    """Notary v1: the owner's root key, in a certificate for another collection."""
    key = keyring.certificate("root", "registry.example.com/team/other")
    new = scene.server.wire.signer(keyring.private("root"), key)
    root_is(scene, key, [*scene.forger.signers(ROOT, "root"), new])


def not_certified(scene: Scene) -> None:
    """Notary v1: the owner's root key, in no certificate."""
    root_is(scene, scene.keys.key("root"), [*scene.forger.signers(ROOT, "root"), scene.keys.signer("root")])


def not_readable(scene: Scene) -> None:
    """Notary v1: one of the root keys stands in a certificate that nobody can read; the other one has signed."""
    broken = NotaryKey.of("ecdsa-x509", base64.b64encode(b"no certificate").decode())

    def named(root: Document) -> None:
        root["keys"][broken.keyid] = broken.to_dict()
        root["roles"]["root"]["keyids"].append(broken.keyid)

    scene.forger.next_root(named)


def list_another_root(scene: Scene) -> None:
    """Notary v1: the snapshot lists the root before."""
    raw = scene.server.files["1.root.json"]
    scene.forger.list_in_snapshot(ROOT, scene.server.meta(1, raw))


def hide_the_newest_root(scene: Scene) -> None:
    """The root is renewed, and everything after it, but the file is kept from clients."""
    scene.owner.renew(ROOT)
    del scene.server.files[scene.server.current(ROOT)]


def in_the_other_format(scene: Scene, *roles: RoleName) -> None:
    """A good file of the same content under the same keys, in the other format."""
    other = good_collection(TUF if scene.server.wire is NOTARY else NOTARY)
    for role in roles:
        raw = other.server.stored[role].raw
        if role != TIMESTAMP:
            scene.forger.put(role, raw, version=scene.server.stored[role].version + 1)
        else:
            scene.server.files[scene.server.current(TIMESTAMP)] = raw


def another_collection(scene: Scene) -> None:
    """A good collection, but not this one: other keys, every file in its place."""
    other = RepositorySimulator(wire=scene.server.wire, online_keys=" of another")
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
    scene.forger.alter(role, successor(lambda document: document.update(expires="2026-10-31T00:00:00Z")))


def ten_years(scene: Scene, role: RoleName) -> None:
    """The server's keys sign for ten years: its clock was ahead, or somebody else has the keys."""
    scene.forger.alter(role, successor(lambda document: document.update(expires="2036-10-31T00:00:00Z")))


def everything_in_the_other_format(scene: Scene) -> None:
    """The collection is there, whole and good, in the other format, under the names of this one."""
    other = good_collection(TUF if scene.server.wire is NOTARY else NOTARY).server
    for role, envelope in other.stored.items():
        if role != ROOT:
            scene.server.files[scene.server.current(role)] = envelope.raw
    for number in (1, 2, 3):
        name = f"{number}.root.json"
        scene.server.files[name] = other.files.get(name, other.stored[ROOT].raw)
