"""Import private keys into the store: PEM files, and the key folders of `docker` and `notary`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from keys.errors import KeyFileMalformed, KeyNotFound, KeysError
from keys.file_access import key_file_error
from keys.key_info import KeyInfo, Purpose
from keys.passphrase import ask_and_try, passphrase_bytes
from keys.pem import MAX_KEY_FILE
from keys.private_blocks import PrivateKeyBlock, read_private_blocks
from keys.sealed_file import is_sealed, read_info
from keys.store import check_new
from keys.uris.uri import shown_uri
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.errors import InvalidName
from trustdata.gun import parse_gun
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, signer_name, signer_role

_PURPOSES: Final[dict[str, Purpose]] = {ROOT: "root", TARGETS: "targets", SNAPSHOT: "snapshot"}
_OLD_ROOT_FOLDER: Final = "root_keys"
_OLD_FOLDER: Final = "tuf_keys"
"""Folders of Docker 1.8 to 1.12, below `private/`: root keys, and others in `tuf_keys/COLLECTION/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user says about a key; an empty field is taken from the file, or has its default."""

    name: str = ""
    purpose: Purpose | None = None
    gun: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedKey:
    """What became of one key of a file or folder.

    `place`: the file, and which of its keys it is if there are several. `info`: the key as it is in the store. `known`:
    it was there already. `error`: why it was not imported. None of them: a timestamp key, which is left out.
    """

    place: str
    info: KeyInfo | None = None
    known: bool = False
    error: KeysError | InvalidName | None = None


def import_file(session: Session, file: Path, options: ImportOptions) -> list[ImportedKey]:
    """Import every key of a file. One that fails does not stop the others, unless it is the only one.

    Raises: KeysError, InvalidName; UsageError (a timestamp key alone, or `--name` for several keys).
    """
    blocks = _content(session, file)
    if isinstance(blocks, KeyInfo):
        return [ImportedKey(place=str(file), info=blocks, known=True)]
    if len(blocks) == 1:
        return [_import(session, blocks[0], options, place=str(file))]
    if options.name:
        raise UsageError(f"{file} holds {len(blocks)} keys: --name is for one")
    return [_try_to_import(session, block, options) for block in blocks]


def import_folder(session: Session, folder: Path) -> list[ImportedKey]:
    """Import every key file below `private/` (`~/.docker/trust`, `~/.notary`), or below the folder itself.

    A file that fails does not stop the others. Raises: UsageError if there is no key file.
    """
    private_folder = folder / "private"
    files = sorted(
        file for file in (private_folder if private_folder.is_dir() else folder).rglob("*.key") if file.is_file()
    )
    if not files:
        raise UsageError(f"{folder} holds no key files (NAME.key, as below ~/.docker/trust/private)")
    return [imported for file in files for imported in _import_folder_file(session, file)]


def _import_folder_file(session: Session, file: Path) -> Iterator[ImportedKey]:
    try:
        blocks = _content(session, file)
    except KeysError as error:
        yield ImportedKey(place=str(file), error=error)
        return
    if isinstance(blocks, KeyInfo):
        yield ImportedKey(place=str(file), info=blocks, known=True)
        return
    for block in blocks:
        yield _try_to_import(session, block, ImportOptions(), named=True)


def _content(session: Session, file: Path) -> list[PrivateKeyBlock] | KeyInfo:
    """Return the keys of a file; of a sealed one of a key store, the key that is in the store. Raises: KeysError."""
    data = read_key_file(file)
    return _sealed(session, file, read_info(data, place=str(file))) if is_sealed(data) else blocks_of(file, data)


def blocks_of(file: Path, data: bytes) -> list[PrivateKeyBlock]:
    """Return the keys of a file, with role and collection from the folder of old clients where no header says them.

    `data`: what it holds. Raises: KeysError.
    """
    blocks = read_private_blocks(data, place=str(file))
    *folders, _ = file.absolute().parts
    old = max((at for at, name in enumerate(folders) if name in {_OLD_ROOT_FOLDER, _OLD_FOLDER}), default=None)
    if old is None:
        return list(blocks)
    # As the Go clients do when they move these files: root_keys/ID_root.key, tuf_keys/COLLECTION/ID_targets.key.
    _, underscore, role = file.stem.partition("_")
    role = role if underscore else ROOT if folders[old] == _OLD_ROOT_FOLDER else ""
    gun = "/".join(folders[old + 1 :]) if folders[old] == _OLD_FOLDER else ""
    return [replace(block, role=block.role or role, gun=block.gun or gun) for block in blocks]


def _sealed(session: Session, file: Path, info: KeyInfo) -> KeyInfo:
    """Return the key of a file of a key store of `trust`, if it is in the store here; else it is not imported.

    Raises: KeyFileMalformed: such a file is what an import would make.
    """
    if info.uri:
        reason = "it is an entry of a key store, whose key lives elsewhere"
        command = f"trust key import {shlex.quote(shown_uri(info.uri))}"
        raise KeyFileMalformed(place=str(file), reason=reason, command=command)
    if info.purpose == "recovery":
        reason = "it is a recovery key, which stays in its file: --recovery-key names it"
        raise KeyFileMalformed(place=str(file), reason=reason)
    try:
        return session.keystore.get(info.keyid)
    except KeyNotFound as error:
        reason = "it is a file of a key store of trust, sealed with its passphrase, and is copied as it is"
        folder = session.settings.home / "private"
        copy = f"cp {shlex.quote(str(file))} {shlex.quote(str(folder / info.keyid))}.key"
        command = f"(umask 077; mkdir -p {shlex.quote(str(folder))} && {copy})"
        raise KeyFileMalformed(place=str(file), reason=reason, command=command) from error


def _try_to_import(
    session: Session, block: PrivateKeyBlock, options: ImportOptions, *, named: bool = False
) -> ImportedKey:
    """Import one of several keys. `named`: only if it says what it is for, as a key of docker or notary does."""
    try:
        if block.role == TIMESTAMP:
            return ImportedKey(place=block.place)
        if named and not block.role:
            reason = "it does not say what its key is for, as key files of docker and notary do; import it by itself"
            raise KeyFileMalformed(place=block.place, reason=reason)
        return _import(session, block, options, place=block.place)
    except (KeysError, InvalidName) as error:
        return ImportedKey(place=block.place, error=error)


def stored_purpose(block: PrivateKeyBlock) -> Purpose:
    """Return what the key of a file is for, as its role says; a role of any other name is a signer's."""
    return _PURPOSES.get(block.role, "signer")


def _import(session: Session, block: PrivateKeyBlock, options: ImportOptions, *, place: str) -> ImportedKey:
    """Import a key. One of docker or notary keeps its passphrase; one that is here already stays as it is.

    Raises: KeysError, InvalidName, UsageError (a timestamp key, which only a server uses).
    """
    if block.role == TIMESTAMP:
        raise UsageError(f"{block.place} holds a timestamp key: those are the server's, and no command here uses one")
    purpose = options.purpose or stored_purpose(block)
    name = options.name or (_name(block.role) if purpose == "signer" and block.role else "")
    gun = options.gun or (parse_gun(block.gun) if block.gun else "")
    if block.encrypted:
        private, passphrase = ask_and_try(
            session.passphrases,
            lambda passphrase: block.open(passphrase_bytes(passphrase)),
            purpose=purpose,
            key=block.place,
        )
    else:
        private = block.open(None)
    info = KeyInfo.of(private, purpose=purpose, name=name, gun=gun, created=session.at)
    stored = session.keystore.list()
    known = next((each for each in stored if each.keyid == info.keyid), None)
    if known is not None:
        return ImportedKey(place=place, info=known, known=True)
    check_new(stored, info)  # before anybody is asked for a passphrase
    if not (block.encrypted and block.role):  # that of a key of docker or notary is the one in use
        passphrase = session.passphrases.passphrase(purpose=purpose, key=info.described, new=True)
    session.keystore.add(private, info, passphrase)
    return ImportedKey(place=place, info=info)


def _name(role: str) -> str:
    """Return a signer's name from the role in a key file: `alice`, `targets/alice`. Raises: InvalidName."""
    name = signer_name(role)
    if name != "releases":
        signer_role(name)
    return name


def read_key_file(file: Path) -> bytes:
    """Return the bytes of a key file, at most one more than any may have. Raises: KeysError."""
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise key_file_error(file, error) from error
