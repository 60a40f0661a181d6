"""Read, open and prove the file of a backup: with its shares, or with its passphrase."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keys.algorithms import PrivateKey
from keys.backup.archive import (
    MAX_ARCHIVE,
    Backup,
    Elsewhere,
    PassphraseSeal,
    key_from_passphrase,
    open_archive,
    read_archive,
)
from keys.backup.errors import BackupMalformed, BackupPassphraseWrong, BackupSealedOtherwise
from keys.backup.opening import key_from_shares, prove
from keys.backup.share_text import MAX_SHARE_FILE, ReadShare, read_share_text
from keys.errors import PassphraseWrong
from keys.file_access import key_file_error, open_at_once, read_at_most
from keys.material import write_public_pem
from keys.passphrase import ask_and_try
from keys.rfc3339 import to_rfc3339
from trustcli.commands.key.key_rows import row
from trustcli.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedBackup:
    """A backup whose keys are open in memory, and proven. `shares`: those that opened it."""

    backup: Backup
    keys: Mapping[str, PrivateKey]
    shares: tuple[ReadShare, ...]


def open_backup(session: Session, file: Path, share_files: Sequence[Path]) -> OpenedBackup:
    """Open a backup and prove each of its keys by a signature; nothing is written.

    Raises: KeysError: BackupError and its kinds, BackupPassphraseWrong, PassphraseMissing, KeyFileMissing and others.
    """
    backup = read_archive(archive_bytes(file), place=str(file))
    shares = tuple(read_share_text(share_bytes(path), place=str(path)) for path in share_files)
    seal = backup.seal
    if isinstance(seal, PassphraseSeal):
        if shares:
            raise BackupSealedOtherwise(place=str(file))
        key = _ask(session, backup, seal)
    else:
        key = key_from_shares(backup, seal, shares)
    opened = open_archive(backup, key)
    prove(backup, opened)
    return OpenedBackup(backup=backup, keys=opened, shares=shares)


def _ask(session: Session, backup: Backup, seal: PassphraseSeal) -> bytes:
    """Ask for the passphrase of a backup and return its key. Raises: BackupPassphraseWrong, PassphraseMissing."""
    called = f"the backup {backup.place}"
    try:
        return ask_and_try(
            session.passphrases,
            lambda passphrase: key_from_passphrase(backup, seal, passphrase),
            purpose="backup",
            key=called,
        )[0]
    except PassphraseWrong as error:  # of a variable, it is the variable's that says so
        raise BackupPassphraseWrong(key=called, or_altered=True) from error


def described(backup: Backup) -> dict[str, object]:
    """Return what documents say of a backup itself."""
    seal = backup.seal
    shared = None if isinstance(seal, PassphraseSeal) else {"threshold": seal.threshold, "count": seal.count}
    return {
        "file": backup.place,
        "backup": backup.name,
        "created": to_rfc3339(backup.created),
        "by": backup.by,
        "shares": shared,
        "elsewhere": [elsewhere_row(each) for each in backup.elsewhere],
    }


def elsewhere_row(each: Elsewhere) -> dict[str, object]:
    """Return what documents say of a key that cannot be backed up."""
    return {**row(each.info), "uri": each.uri, "public": write_public_pem(each.info.public).decode()}


def tell_elsewhere(session: Session, elsewhere: Sequence[Elsewhere]) -> None:
    """Warn of each key that is not in the backup, because its private part lives elsewhere."""
    for each in elsewhere:
        session.output.warn(
            f"{each.info.described} is not in the backup, which has its public key alone: it lives at {each.uri}"
        )


def who() -> str:
    """Return who runs this program, and where: USER@HOST."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # a container's user often has no name
        name = str(user)
    return f"{name}@{os.uname().nodename}"


def archive_bytes(file: Path) -> bytes:
    """Return the bytes of a backup, at most one more than any may have. Raises: KeysError."""
    try:
        descriptor = open_at_once(str(file), os.O_RDONLY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BackupMalformed(place=str(file), reason="it is not a regular file")
            return read_at_most(descriptor, MAX_ARCHIVE)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise key_file_error(file, error) from error


def share_bytes(file: Path) -> bytes:
    """Return the bytes of a share, at most one more than any may have. It may come from a pipe. Raises: KeysError."""
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_SHARE_FILE + 1)
    except OSError as error:
        raise key_file_error(file, error) from error
