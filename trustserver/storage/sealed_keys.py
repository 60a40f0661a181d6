"""Encrypt the server's private keys for storage: AES-256-GCM with the seal key, which is read from a file.

The file has one line: the 32 bytes of the key in base64. While it lies in the data folder it protects only copies of
the database. On another volume, or provided by a secret store (`--seal-key`), it protects copies of the folder too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import shlex
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.algorithms import DERIVED_BYTES
from keys.durable_file import write_durably
from keys.errors import KeyFileMalformed
from keys.file_access import exposed_secret, not_private
from keys.pem import MAX_KEY_FILE, kind_of, read_pem, text_of
from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.errors import StartRefused
from trustserver.storage.ports import MetadataStore

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORMAT: Final = b"\x01"  # the first byte of every sealed key: the version of this format
_MAX_FILE: Final = MAX_KEY_FILE
_HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]{64}")


class SealedKeys:
    """The KeySealer with this seal key. Its repr does not show the key.

    `older`: what was sealed with that one is opened, too, and nothing is sealed with it any more.
    """

    def __init__(self, key: bytes, *, older: SealedKeys | None = None) -> None:
        self._key = key
        self._older = older
        self._cipher = AESGCM(key)
        self._mark = hmac.new(key, b"content-trust seal mark", hashlib.sha256).hexdigest()[:32]

    @property
    def mark(self) -> str:
        return self._mark

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of the seal keys that are accepted, the one that is sealed with first."""
        return (self._mark, *(self._older.marks if self._older else ()))

    def trace(self, secret: bytes) -> str:
        """Return by what a secret is known again, from which nobody without the seal key learns it."""
        return hmac.new(self._key, b"content-trust secret\n" + secret, hashlib.sha256).hexdigest()

    def alone(self) -> SealedKeys:
        """Return a sealer with this seal key only."""
        return SealedKeys(self._key)

    def beside(self, older: SealedKeys) -> SealedKeys:
        """Return a sealer with this seal key that opens what was sealed with the other one, too."""
        return SealedKeys(self._key, older=older)

    def seal(self, private: bytes, *, gun: GUN, role: RoleName, keyid: str, place: str = "") -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, private, _associated_data(gun, role, keyid, place))

    def open(self, sealed: bytes, *, gun: GUN, role: RoleName, keyid: str, place: str = "") -> bytes:
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        which = f"the sealed {role} key {keyid} of {gun}"
        if sealed[:1] != _FORMAT or len(nonce) != _NONCE_BYTES:
            raise KeyFileMalformed(place=which, reason="not in a form that this version knows")
        try:
            return self._cipher.decrypt(nonce, body, _associated_data(gun, role, keyid, place))
        except InvalidTag as error:
            if self._older is not None:
                return self._older.open(sealed, gun=gun, role=role, keyid=keyid, place=place)
            raise KeyFileMalformed(place=which, reason="altered, moved, or sealed with another seal key") from error

    def derive(self, salt: bytes, *, gun: GUN, role: RoleName, revision: int) -> tuple[bytes, ...]:
        info = f"content-trust offered key\n{gun}\n{role}\n{revision}".encode()
        derived = HKDF(algorithm=SHA256(), length=DERIVED_BYTES, salt=salt, info=info).derive(self._key)
        return (derived, *(self._older.derive(salt, gun=gun, role=role, revision=revision) if self._older else ()))


def open_seal(
    store: MetadataStore,
    path: Path,
    *,
    may_create: bool,
    platform_secrets: bool = False,
    next_path: Path | None = None,
) -> SealedKeys:
    """Return the sealer with the seal key in the file at `path`.

    `next_path`: the file of another seal key, which everything is sealed with from now on; `trust-server seal rotate`
    seals again with it what is sealed with the first. `may_create`: the file is the default one, and nobody has named
    it. `platform_secrets`: as for `keys.file_access.exposed_secret`.

    If the file is missing, a key is made if `may_create` and nothing was sealed before. Once keys are sealed, a missing
    or different seal key is an error: with a new one every collection would lose its online keys. Raises: StartRefused.
    """
    mark = store.seal_mark()
    following = None if next_path is None else _following(next_path, platform_secrets=platform_secrets)
    if path.exists():
        sealer = SealedKeys(_read(path, named=not may_create, platform_secrets=platform_secrets))
        if mark and mark not in {sealer.mark, following.mark if following else ""}:
            raise StartRefused(
                what=str(path), reason="is not the seal key of the stored keys; bring back the right one"
            )
    elif mark:
        raise StartRefused(
            what=str(path), reason="the seal key of the stored keys is missing; restore it or point --seal-key to it"
        )
    elif may_create:
        sealer = SealedKeys(_make(path))
    else:
        raise StartRefused(
            what=str(path), reason=f"no such seal key; make one: (umask 077; head -c 32 /dev/urandom | base64 > {path})"
        )
    if following is not None:
        if following.mark == sealer.mark:
            raise StartRefused(what=str(next_path), reason=f"is the same seal key as that in {path}")
        sealer = following.beside(sealer)
    if not mark:
        store.set_seal_mark(sealer.mark)
    return sealer


def _following(path: Path, *, platform_secrets: bool) -> SealedKeys:
    if not path.exists():
        raise StartRefused(
            what=str(path), reason=f"no such seal key; make one: (umask 077; head -c 32 /dev/urandom | base64 > {path})"
        )
    return SealedKeys(_read(path, named=True, platform_secrets=platform_secrets))


def _associated_data(gun: GUN, role: RoleName, keyid: str, place: str) -> bytes:
    # Neither names nor roles nor key ids nor places contain a line feed, so no two of these give the same bytes.
    where = f"\n{place}" if place else ""
    return f"content-trust online key\n{gun}\n{role}\n{keyid}{where}".encode()


def _make(path: Path) -> bytes:
    key = os.urandom(_KEY_BYTES)
    try:
        write_durably(path, base64.b64encode(key) + b"\n", mode=0o600, replace=False)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"the seal key cannot be written: {error.strerror}") from error
    return key


def _read(path: Path, *, named: bool, platform_secrets: bool) -> bytes:
    try:
        with path.open("rb") as file:
            # The group may read it: container platforms mount secrets as root:group with mode 0440.
            if named:
                exposed = exposed_secret(path, file.fileno(), platform_secrets=platform_secrets, group_may_read=True)
            else:
                exposed = not_private(path, os.fstat(file.fileno()), group_may_read=True)
            text = file.read(_MAX_FILE)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"the seal key cannot be read: {error.strerror}") from error
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    try:
        key = base64.b64decode(text_of(text).strip(), validate=True)
    except ValueError:  # also if it is no ASCII
        key = b""
    if len(key) != _KEY_BYTES:
        raise StartRefused(what=str(path), reason=_no_seal_key(path, text))
    return key


def _no_seal_key(path: Path, content: bytes) -> str:
    """Return what is wrong with a file that is no seal key, and how one is made of it, if it has 32 bytes at all."""
    wanted = "32 bytes in base64 are wanted"
    if len(content) == _KEY_BYTES:
        command = f"(umask 077; base64 {shlex.quote(str(path))} > seal.key)"
        return f"is no seal key: {wanted}, and these are as they are; {command}"
    if _HEXADECIMAL.fullmatch(content.strip()):
        return f"is no seal key: {wanted}, and these are in hexadecimal"
    try:
        kind = kind_of(read_pem(content, place=str(path)))
    except KeyFileMalformed as error:
        found = error.reason.removesuffix(", and PEM is wanted") if error.reason.startswith("it is ") else ""
    else:
        found = f"it holds {kind}"
    return f"is no seal key: {wanted}" + (f", and {found}" if found else "")
