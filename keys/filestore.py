"""The key store on disk: one file for each key, `KEYID.key` with mode 0600, in a folder with mode 0700.

It is a sealed key (`keys.sealed_file`), or an entry for a key that lives elsewhere (`keys.store_entry`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keys import sealed_file
from keys.algorithms import PrivateKey
from keys.durable_file import file_lock, make_private_folder, sync_folder, write_durably
from keys.errors import KeyFileMalformed, KeyNotFound, KeyStoreInsecure, KeyStoreUnreadable, KeyStoreUnwritable
from keys.file_access import not_private, open_at_once, read_at_most
from keys.key_info import KeyInfo
from keys.pem import MAX_KEY_FILE
from keys.scrypt_cost import PRODUCTION_COST, ScryptCost
from keys.store import check_new, find, in_order, is_keyid
from keys.store_entry import write_entry

_SUFFIX: Final = ".key"


class FileKeyStore:
    """A `KeyStore` in a folder, which is created when the first key is added.

    Every read checks owners and modes: others must have no rights on the folder and on the file. Writers exclude
    each other with a lock. Readers need no lock, because files are replaced atomically. Only tests set `cost`.
    """

    def __init__(self, folder: Path, *, cost: ScryptCost = PRODUCTION_COST) -> None:
        self._folder = folder
        self._cost = cost

    def list(self) -> tuple[KeyInfo, ...]:
        """Return all keys, also the retired ones, sorted by purpose, name and id.

        Files whose name is not `KEYID.key` are ignored, such as temporary files left by a crash.
        """
        with self._os_errors_as(KeyStoreUnreadable):
            if not self._folder_exists():
                return ()
            keyids = [p.stem for p in self._folder.iterdir() if p.suffix == _SUFFIX]
        return in_order(self._info(k) for k in keyids if is_keyid(k))

    def get(self, reference: str) -> KeyInfo:
        """Return the key that an id, a name or the first digits of an id denote. For a full id, one file is read."""
        if not is_keyid(reference):
            return find(self.list(), reference)
        try:
            return self._info(reference)
        except KeyNotFound as missing:  # perhaps the id of Notary v1
            try:
                return find(self.list(), reference)
            except KeyNotFound:
                raise missing from None

    def private(self, keyid: str, passphrase: str) -> PrivateKey:
        """Open a key by its full id. Raises: KeyNotFound, PassphraseWrong, KeyElsewhere."""
        return sealed_file.unseal(self._read(keyid), passphrase, place=str(self._path(keyid)))

    def add(self, private: PrivateKey, info: KeyInfo, passphrase: str) -> None:
        """Store a new key. Raises: KeyExists, PassphraseMissing."""
        self._add(info, sealed_file.seal(private, passphrase, info=info, cost=self._cost))

    def add_elsewhere(self, info: KeyInfo) -> None:
        """Store an entry for a key that lives elsewhere. Raises: KeyExists, KeyFileMalformed (no `uri`)."""
        self._add(info, write_entry(info))

    def _add(self, info: KeyInfo, content: bytes) -> None:
        with self._os_errors_as(KeyStoreUnwritable):
            make_private_folder(self._folder)
        with self._folder_locked():
            check_new(self.list(), info)
            write_durably(self._path(info.keyid), content)

    def retire(self, keyid: str) -> None:
        """Mark a key as retired: it stays in the store and can be opened. Raises: KeyNotFound."""
        with self._locked(keyid):
            write_durably(self._path(keyid), sealed_file.retire(self._read(keyid), place=str(self._path(keyid))))

    def passwd(self, keyid: str, old: str, new: str) -> None:
        """Change the passphrase of a key. Raises: KeyNotFound, PassphraseWrong, PassphraseMissing, KeyElsewhere."""
        with self._locked(keyid):
            info = self._info(keyid)
            private = self.private(keyid, old)
            write_durably(self._path(keyid), sealed_file.seal(private, new, info=info, cost=self._cost))

    def remove(self, keyid: str) -> None:
        """Delete a key for good. Raises: KeyNotFound."""
        with self._locked(keyid):
            self._read(keyid)
            self._path(keyid).unlink()
            sync_folder(self._folder)

    def _path(self, keyid: str) -> Path:
        return self._folder / f"{keyid}{_SUFFIX}"

    def _info(self, keyid: str) -> KeyInfo:
        place = str(self._path(keyid))
        info = sealed_file.read_info(self._read(keyid), place=place)
        if info.keyid != keyid:
            raise KeyFileMalformed(place=place, reason="it holds another key than its name says")
        return info

    def _read(self, keyid: str) -> bytes:
        path = self._path(keyid)
        with self._os_errors_as(KeyStoreUnreadable):
            if not is_keyid(keyid) or not self._folder_exists():
                raise KeyNotFound(key=ascii(keyid[:80]))
            try:
                descriptor = open_at_once(str(path), os.O_RDONLY)
            except FileNotFoundError as error:
                raise KeyNotFound(key=keyid) from error
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise KeyFileMalformed(place=str(path), reason="not a regular file")
                check_private(path, status)
                return read_at_most(descriptor, MAX_KEY_FILE)
            finally:
                os.close(descriptor)

    def _folder_exists(self) -> bool:
        try:
            status = os.stat(self._folder)  # noqa: PTH116
        except FileNotFoundError:
            return False
        check_private(self._folder, status)
        return True

    @contextmanager
    def _locked(self, keyid: str) -> Iterator[None]:
        """Hold the lock to change a key. Raises: KeyNotFound if there can be none of this id."""
        with self._os_errors_as(KeyStoreUnwritable):
            if not is_keyid(keyid) or not self._folder_exists():
                raise KeyNotFound(key=ascii(keyid[:80]))
        with self._folder_locked():
            yield

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        with self._os_errors_as(KeyStoreUnwritable), file_lock(self._folder / "store"):
            yield

    @contextmanager
    def _os_errors_as(self, kind: type[KeyStoreUnreadable | KeyStoreUnwritable]) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise kind(path=str(self._folder), reason=error.strerror or type(error).__name__) from error


def check_private(path: Path, status: os.stat_result) -> None:
    """Check that a file or folder with private keys is for its user alone. Raises: KeyStoreInsecure."""
    found = not_private(path, status)
    if found is not None:
        raise KeyStoreInsecure(path=found.path, mode=found.mode, wanted=found.wanted, owner=found.owner)
