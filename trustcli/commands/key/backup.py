"""`trust key backup`: write chosen keys into one encrypted file, and prove that it brings them back.

1. open      every chosen key; a passphrase that opened one is tried on the next
2. seal      under a random key, and that under a passphrase or in shares
3. write     the shares, then the file; never over what is there
4. prove     read all of it back, restore it in memory, and check a signature of every key

If one of these fails, what was written is taken away again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from keys.algorithms import PrivateKey
from keys.backup.archive import (
    Backup,
    Elsewhere,
    PassphraseSeal,
    SharedSeal,
    key_from_passphrase,
    new_key,
    new_name,
    open_archive,
    read_archive,
    seal_key,
    write_archive,
)
from keys.backup.opening import key_from_shares, prove
from keys.backup.share_text import read_share_text, require_qr_library, write_share
from keys.backup.slip39 import check_split, require_library, split
from keys.durable_file import make_private_folder, write_durably
from keys.errors import KeyExists, KeyFileUnwritable, PassphraseWrong
from keys.key_info import KeyInfo
from keys.signers import ask_and_open
from trustcli.commands.key.backup_file import archive_bytes, described, share_bytes, tell_elsewhere, who
from trustcli.commands.key.key_rows import row
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.counting import counted

_SHARES: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """How the key of a backup is split. `folder`: where the shares go; `qr`: each with a QR code."""

    threshold: int
    count: int
    folder: Path
    qr: bool

    def files(self, backup: Path) -> list[Path]:
        """Return the files of the shares, in order."""
        return [self.folder / f"{backup.name}.share-{n}-of-{self.count}.txt" for n in range(1, self.count + 1)]


def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to write; it must not exist.")],
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY...", help="Ids, the first digits of them, or names.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every key of the store, retired ones too.")] = False,
    shares: Annotated[str, typer.Option(metavar="K/N", help="N shares, K of which open it; no passphrase.")] = "",
    shares_dir: Annotated[Path | None, typer.Option(help="Where the shares go, a file for each.")] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Each share with a QR code of its words, as text.")] = False,
) -> int:
    """Write keys into one encrypted file, and prove that they come back from it."""
    session: Session = ctx.obj
    how = _how(shares, shares_dir, qr=qr)
    infos, elsewhere = _chosen(session, keys or [], everything=everything)
    for path in (file, *(how.files(file) if how else ())):
        if path.exists() or path.is_symlink():
            raise KeyExists(key="the backup" if path == file else "a share", place=str(path))
    opened = _open(session, infos)
    name, key = new_name(), new_key()
    passphrase = ""
    texts: dict[Path, bytes] = {}
    seal: PassphraseSeal | SharedSeal
    if how is None:
        passphrase = session.passphrases.passphrase(purpose="backup", key=f"the backup {file}", new=True)
        seal = seal_key(key, passphrase, name=name)
    else:
        seal, split_shares = split(key, threshold=how.threshold, count=how.count)
        text = partial(write_share, seal=seal, backup=name, file=file.name, created=session.at, by=who(), qr=how.qr)
        texts = dict(zip(how.files(file), map(text, split_shares), strict=True))
        _make_folder(how.folder)
    archive = write_archive(opened, key, seal=seal, name=name, created=session.at, by=who(), elsewhere=elsewhere)
    with _nothing_left_behind() as written:
        for path, data in {**texts, file: archive}.items():
            _write(path, data, written)
        proven = _prove(file, list(texts), passphrase)
    _tell(session, proven, list(texts), how)
    files = {"share_files": [str(path) for path in texts]}
    rows = [row(info) for info in proven.infos]
    session.output.document({**described(proven), **files, "keys": rows, "exit": DONE})
    return DONE


def _how(shares: str, folder: Path | None, *, qr: bool) -> _Split | None:
    """Return how the key is split, None for a passphrase. Raises: UsageError, SharesUnsupported."""
    if not shares:
        if folder is not None or qr:
            raise UsageError("--shares-dir and --qr are about shares: say how many with --shares K/N, such as 2/3")
        return None
    found = _SHARES.fullmatch(shares)
    if found is None:
        raise UsageError(f"--shares {shares} is not K/N, such as 2/3: two of three shares open the backup")
    threshold, count = int(found[1]), int(found[2])
    if reason := check_split(threshold, count):
        raise UsageError(f"--shares {shares}: {reason}")
    if folder is None:
        raise UsageError("--shares-dir DIR is missing: where the shares go, a file for each")
    require_library()
    if qr:
        require_qr_library()
    return _Split(threshold=threshold, count=count, folder=folder, qr=qr)


def _chosen(session: Session, references: Sequence[str], *, everything: bool) -> tuple[list[KeyInfo], list[Elsewhere]]:
    """Return the keys to back up, each once, and those of them that live elsewhere. Raises: UsageError, KeysError."""
    if bool(references) == everything:
        raise UsageError("which keys? Name them (trust key list), or give --all, one of the two")
    named = session.keystore.list() if everything else map(session.keystore.get, references)
    found = {info.keyid: info for info in named}
    places = {keyid: _place(info) for keyid, info in found.items()}
    elsewhere = [Elsewhere(info=info, uri=places[keyid]) for keyid, info in found.items() if places[keyid]]
    infos = [info for keyid, info in found.items() if not places[keyid]]
    if not infos:
        what = "they live elsewhere, and cannot be taken out" if elsewhere else "the key store has none"
        raise UsageError(f"there is no private key to back up: {what}")
    return infos, elsewhere


def _place(info: KeyInfo) -> str:
    """Return where the private part of a key lives, "" if it is in the store."""
    return info.uri


def _open(session: Session, infos: Sequence[KeyInfo]) -> list[tuple[KeyInfo, PrivateKey]]:
    """Open the keys; ask only for the passphrase of those that none opens that was given before. Raises: KeysError."""
    known: list[str] = []
    opened: list[tuple[KeyInfo, PrivateKey]] = []
    for info in infos:
        private: PrivateKey | None = None
        for passphrase in known:
            with suppress(PassphraseWrong):
                private = session.keystore.private(info.keyid, passphrase)
                break
        if private is None:
            private, passphrase = ask_and_open(session.keystore, info, session.passphrases)
            known.insert(0, passphrase)
        opened.append((info, private))
    return opened


def _prove(file: Path, share_files: Sequence[Path], passphrase: str) -> Backup:
    """Read the backup back from the disk and prove every key and every share. Raises: KeysError."""
    found = read_archive(archive_bytes(file), place=str(file))
    if isinstance(found.seal, PassphraseSeal):
        key = key_from_passphrase(found, found.seal, passphrase)
    else:
        read = [read_share_text(share_bytes(path), place=str(path)) for path in share_files]
        key = key_from_shares(found, found.seal, read)
    prove(found, open_archive(found, key))
    return found


def _tell(session: Session, proven: Backup, share_files: Sequence[Path], how: _Split | None) -> None:
    output = session.output
    for info in proven.infos:
        output.result(f"{info.described}: in the backup, and proven by a signature")
    tell_elsewhere(session, proven.elsewhere)
    for path in share_files:
        output.result(f"share written to {path}")
    opened_with = f"any {how.threshold} of {how.count} shares" if how else "its passphrase"
    output.result(
        f"backup of {counted(len(proven.infos), 'key')} written to {proven.place}; it opens with {opened_with}"
    )
    place = Path(proven.place).absolute().parent
    if place.is_relative_to(session.settings.home.absolute()):
        output.warn(f"{proven.place} lies beside the keys: what destroys them destroys it; take it elsewhere")
    if how is not None:
        output.notice("give each share to somebody else, then delete its file here: together they open the backup")
        if how.folder.absolute() == place:
            output.warn(f"all shares lie beside {proven.place}")


@contextmanager
def _nothing_left_behind() -> Iterator[list[Path]]:
    """Take away what was written if the rest fails: half of a backup would be taken for one."""
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise


def _write(path: Path, data: bytes, written: list[Path]) -> None:
    try:
        write_durably(path, data, replace=False)
    except FileExistsError as error:
        raise KeyExists(key="the file", place=str(path)) from error
    except OSError as error:
        raise KeyFileUnwritable(place=str(path), reason=error.strerror or type(error).__name__) from error
    written.append(path)


def _make_folder(folder: Path) -> None:
    try:
        make_private_folder(folder)
    except OSError as error:
        raise KeyFileUnwritable(place=str(folder), reason=error.strerror or type(error).__name__) from error
