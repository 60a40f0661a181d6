"""Check the key store: file modes, damaged files, unused keys, and which roles of a collection the keys can sign.

No key is opened. The descriptions of keys that it reads are neither encrypted nor signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from keys.algorithms import EncodedKey, key_fingerprint, matching_keyids
from keys.errors import KeyFileNewer, KeysError
from keys.file_access import not_private
from keys.key_info import KeyInfo
from keys.keyid import short_keyid
from keys.store import is_keyid
from keys.uris.uri import shown_uri
from trustcli.doctor.failing import failed
from trustcli.doctor.findings import Finding
from trustcli.doctor.look import Look
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.editing.repository_editor import public_keys
from trustdata.errors import MalformedMetadata, shown
from trustdata.roles import RELEASES, ROOT, TARGETS, is_delegated, signer_name
from trustdata.verification.delegations import delegations_of, role_keys
from trustdata.wire.formats import wire_named

_CHECK: Final = "keys"


def check_key_store(session: Session, look: Look | None) -> Iterator[Finding]:
    """Return the findings about the store, and with `look` about what its keys may sign in that collection."""
    folder = session.settings.home / "private"
    try:
        exposed = not_private(folder, folder.stat())
    except FileNotFoundError:
        yield Finding(check=_CHECK, severity="ok", text="there are no private keys here", place=str(folder))
        return
    if exposed is not None:
        yield Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{exposed}: no key in it is used",
            remedy=exposed.remedy,
            place=str(folder),
        )
        return
    found, damaged = [], 0
    for file in sorted(folder.iterdir()):
        if file.suffix != ".key" or not is_keyid(file.stem):
            continue
        try:
            found.append(session.keystore.get(file.stem))
        except KeysError as error:
            damaged += 1
            remedy = None if isinstance(error, KeyFileNewer) else _mend(file)
            yield failed(_CHECK, error, place=str(file), remedy=remedy)
    if not damaged:
        yield Finding(check=_CHECK, severity="ok", text=_counted(found), place=str(folder))
    if look is not None and look.roles:
        yield from _for_the_collection(found, look)
    elif look is None:
        yield from _unused(session, found)


def _counted(found: Sequence[KeyInfo]) -> str:
    """Return how many keys are here, and how many are only named here, in words."""
    elsewhere = sum(bool(info.uri) for info in found)
    text = f"{counted(len(found) - elsewhere, 'private key')}, for their owner alone"
    if elsewhere:
        text += f"; {counted(elsewhere, 'entry', plural='entries')} for keys elsewhere: trust key test KEY tries them"
    return text


def _mend(file: Path) -> str:
    try:
        exposed = not_private(file, file.stat())
        if exposed is not None:
            return exposed.remedy
    except OSError:
        pass
    return f"restore {file} from a backup; a signer's key can be replaced: trust key generate, then trust signer add"


def _unused(session: Session, found: list[KeyInfo]) -> Iterator[Finding]:
    """Return a finding for each key that no pinned collection names, as far as its cached files tell."""
    used: set[str] = set()
    for gun, entry in session.pins.load().items():
        wire = wire_named(entry.format)
        cache = session.cache(entry.named or gun, wire.name)
        try:
            roots, targets = cache.roots(), cache.load(TARGETS)
            files = {ROOT: wire.parse(ROOT, roots[-1])} if roots else {}
            if targets is not None:
                files[TARGETS] = wire.parse(TARGETS, targets)
        except MalformedMetadata:
            continue  # the next refresh replaces a damaged cache
        used |= {
            info.keyid for info in found if matching_keyids(public_keys(files, {}), [key_fingerprint(info.public)])
        }
    for info in found:
        if info.keyid not in used and not info.retired:
            text = f"the {info.described} is named by no pinned collection, as far as was seen here"
            remedy = f"trust signer add, or trust key remove {short_keyid(info.keyid)} if it is for nothing"
            yield Finding(check=_CHECK, severity="note", text=text, remedy=remedy)


def _for_the_collection(found: list[KeyInfo], look: Look) -> Iterator[Finding]:
    root, targets = look.roles[ROOT].root, look.roles[TARGETS].targets
    keys_by_id = public_keys(look.roles, {})
    held = matching_keyids(keys_by_id, (key_fingerprint(info.public) for info in found))
    held_by_signer = {
        signer_name(role): set(targets.get_delegated_role(role).keyids) & held
        for role in delegations_of(targets)
        if role != RELEASES and is_delegated(role)
    }
    signing_as = [shown(name) for name, keyids in held_by_signer.items() if keyids]
    if set(root.roles[TARGETS].keyids) & held:
        signing_as.insert(0, "the repository key")
    if signing_as:
        text = f"keys here can sign {look.gun} as {', '.join(signing_as)}"
        yield Finding(check="signing", severity="ok", text=text)
    elif any(info.purpose in {"signer", "targets"} and not info.retired for info in found):
        text = f"no key here is a signer's or the repository key of {look.gun}"
        remedy = f"ask its owner: trust signer add --key YOURS.pub YOU {look.gun}"
        yield Finding(check="signing", severity="note", text=text, remedy=remedy)
    for info in found:
        if (
            info.purpose == "signer"
            and not info.retired
            and not matching_keyids(keys_by_id, [key_fingerprint(info.public)])
        ):
            text = f"the {_described(info, look)} is not delegated in {look.gun}"
            yield Finding(check="signing", severity="note", text=text)
    if set(root.roles[TARGETS].keyids) & held or set(root.roles[ROOT].keyids) & held:
        yield from _root(found, look)


def _described(info: KeyInfo, look: Look) -> str:
    """Return the name of a key under the id that it has in the collection: no output shows two ids of one key."""
    root = look.roles[ROOT].root
    if not any(isinstance(key, EncodedKey) for key in root.keys.values()):
        return info.described
    from keys.notary import notary_key

    named = matching_keyids(role_keys(root, ROOT), [key_fingerprint(info.public)])
    return replace(info, keyid=min(named, default=notary_key(info.public).keyid)).described


def _root(found: list[KeyInfo], look: Look) -> Iterator[Finding]:
    """Return for an owner whether a root key is in the store, or only the recovery key's file is left."""
    root = look.roles[ROOT].root
    keys = role_keys(root, ROOT)
    root_keys = [info for info in found if matching_keyids(keys, [key_fingerprint(info.public)])]
    if root_keys:
        own = min(root_keys, key=lambda info: bool(info.uri))
        where = f"lives at {shown_uri(own.uri)}" if own.uri else "is here"
        text = f"a root key of {look.gun} {where}: {_described(own, look)}"
        yield Finding(check="root-key", severity="ok", text=text)
        return
    yield Finding(
        check="root-key",
        severity="note",
        text=f"no root key of {look.gun} is in this store: keys can be rotated with the recovery key only",
        remedy=f"trust key rotate root {look.gun} --recovery-key FILE",
    )
