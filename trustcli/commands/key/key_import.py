"""Import private keys into the store: PEM files, and the key folders of `docker` and `notary`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys.errors import KeyExists, KeyFileMalformed, KeysError
from keys.file_access import key_file_error
from keys.key_info import KeyInfo, Purpose
from keys.material import MAX_KEY_FILE, is_encrypted_pem, read_private_pem
from keys.notary_files import NotaryKeyFile, read_notary_key_file
from keys.passphrase import ask_and_try, passphrase_bytes
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.errors import InvalidName
from trustdata.gun import parse_gun
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, signer_name, signer_role

_PURPOSES: Final[dict[str, Purpose]] = {ROOT: "root", TARGETS: "targets", SNAPSHOT: "snapshot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user says about a key; an empty field is taken from the file, or has its default."""

    name: str = ""
    purpose: Purpose | None = None
    gun: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """What became of one file of a folder.

    `info`: the key that was imported. `known`: the key was in the store already, and `error` says so. `error`: why it
    was not imported. None of them: a timestamp key, which is left out.
    """

    file: Path
    info: KeyInfo | None = None
    known: bool = False
    error: KeysError | InvalidName | None = None


def import_key(session: Session, file: Path, options: ImportOptions) -> KeyInfo:
    """Import one file. Raises: KeysError, InvalidName, UsageError (a timestamp key, which only a server uses)."""
    data = _read(file)
    notary = read_notary_key_file(data, place=str(file))
    if notary is not None:
        return _import_notary_key(session, notary, options)
    purpose = options.purpose or "signer"
    place = str(file)
    if is_encrypted_pem(data):
        private, _ = ask_and_try(
            session.passphrases,
            lambda passphrase: read_private_pem(data, passphrase_bytes(passphrase), place=place),
            purpose=purpose,
            key=place,
        )
    else:
        private = read_private_pem(data, None, place=place)
    info = KeyInfo.of(private, purpose=purpose, name=options.name, gun=options.gun, created=session.at)
    session.keystore.add(private, info, session.passphrases.passphrase(purpose=purpose, key=info.described, new=True))
    return info


def import_folder(session: Session, folder: Path) -> list[ImportedFile]:
    """Import every key file below `private/` (`~/.docker/trust`, `~/.notary`), or below the folder itself.

    A file that fails does not stop the others. Raises: UsageError if there is no key file.
    """
    private_folder = folder / "private"
    files = sorted(
        file for file in (private_folder if private_folder.is_dir() else folder).rglob("*.key") if file.is_file()
    )
    if not files:
        raise UsageError(f"{folder} holds no key files (NAME.key, as below ~/.docker/trust/private)")
    return [_import_notary_file(session, file) for file in files]


def _import_notary_file(session: Session, file: Path) -> ImportedFile:
    try:
        notary = read_notary_key_file(_read(file), place=str(file))
        if notary is None:
            raise KeyFileMalformed(place=str(file), reason="it is no key file of docker or notary")
        if notary.role == TIMESTAMP:
            return ImportedFile(file=file)
        return ImportedFile(file=file, info=_import_notary_key(session, notary, ImportOptions()))
    except KeyExists as error:
        return ImportedFile(file=file, known=True, error=error)
    except (KeysError, InvalidName) as error:
        return ImportedFile(file=file, error=error)


def _import_notary_key(session: Session, file: NotaryKeyFile, options: ImportOptions) -> KeyInfo:
    """Import a Notary key file, and store the key under the passphrase that opened it.

    Raises: KeysError, InvalidName, UsageError (a timestamp key).
    """
    if file.role == TIMESTAMP:
        raise UsageError(f"{file.place} holds a timestamp key: those are the server's, and no command here uses one")
    purpose = options.purpose or _PURPOSES.get(file.role, "signer")
    name = options.name or ("" if purpose != "signer" else _name(file.role))
    gun = options.gun or (parse_gun(file.gun) if file.gun else "")
    if file.encrypted:
        private, passphrase = ask_and_try(
            session.passphrases,
            lambda passphrase: file.open(passphrase_bytes(passphrase)),
            purpose=purpose,
            key=file.place,
        )
    else:
        private = file.open(None)
    info = KeyInfo.of(private, purpose=purpose, name=name, gun=gun, created=session.at)
    if not file.encrypted:
        passphrase = session.passphrases.passphrase(purpose=purpose, key=info.described, new=True)
    session.keystore.add(private, info, passphrase)
    return info


def _name(role: str) -> str:
    """Return a signer's name from the role in a key file: `alice`, `targets/alice`. Raises: InvalidName."""
    name = signer_name(role)
    if name != "releases":
        signer_role(name)
    return name


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise key_file_error(file, error) from error
