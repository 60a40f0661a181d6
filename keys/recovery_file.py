"""The recovery key: a second root key in a file that the user chooses. It can replace the root without the first one.

The file should be kept away from this machine. A new one is a sealed key file (`keys.sealed_file`); an existing one may
also be PKCS#8 PEM, encrypted or plain.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import SSlibKey

from keys import material, sealed_file
from keys.algorithms import Algorithm, PrivateKey, generate
from keys.durable_file import write_durably
from keys.errors import (
    KeyExists,
    KeyFileMalformed,
    KeyNotFound,
    KeyStoreInsecure,
    KeyStoreUnwritable,
    PassphraseMissing,
)
from keys.file_access import not_private
from keys.key_info import KeyInfo
from keys.passphrase import passphrase_bytes
from keys.sealed_file import PRODUCTION_COST, ScryptCost


def create(
    path: Path,
    passphrase: str,
    algorithm: Algorithm = Algorithm.ECDSA_P256,
    *,
    name: str = "",
    created: datetime | None = None,
    cost: ScryptCost = PRODUCTION_COST,
) -> KeyInfo:
    """Generate a recovery key and write it durably to a new file, mode 0600. An existing file is never changed.

    Raises: KeyExists, KeyStoreUnwritable, PassphraseMissing for an empty passphrase.
    """
    if os.path.lexists(path):  # fail before the slow part; the write checks again
        raise KeyExists(key="the recovery key file", place=str(path))
    private = generate(algorithm)
    info = KeyInfo.of(private, purpose="recovery", name=name, created=created)
    sealed = sealed_file.seal(private, passphrase, info=info, cost=cost)
    try:
        write_durably(path, sealed, replace=False)
    except FileExistsError as error:
        raise KeyExists(key="the recovery key file", place=str(path)) from error
    except OSError as error:
        raise KeyStoreUnwritable(path=str(path), reason=error.strerror or type(error).__name__) from error
    return info


def read(path: Path, passphrase: str | None) -> PrivateKey:
    """Read the private key from the file. The passphrase is ignored if the file is plain PEM.

    Raises: KeyNotFound, KeyStoreInsecure (a plain file that other users can read), KeyStoreUnwritable,
    KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong.
    """
    return _open(_read(path), passphrase, path)


def read_asking(path: Path, ask: Callable[[], str]) -> PrivateKey:
    """Read the private key from the file. `ask` returns the passphrase and is called only if the file is encrypted.

    Raises: KeyNotFound, KeyStoreInsecure (a plain file that other users can read), KeyStoreUnwritable,
    KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong, and the errors of `ask`.
    """
    data = _read(path)
    sealed = sealed_file.is_sealed(data) or material.is_encrypted_pem(data)
    return _open(data, ask() if sealed else None, path)


def _open(data: bytes, passphrase: str | None, path: Path) -> PrivateKey:
    if not sealed_file.is_sealed(data):
        secret = None if passphrase is None else passphrase_bytes(passphrase)
        return material.read_private_pem(data, secret, place=str(path))
    if not passphrase:
        raise PassphraseMissing(key=str(path), sources=())
    return sealed_file.unseal(data, passphrase, place=str(path))


def public(path: Path, passphrase: str | None = None) -> SSlibKey:
    """Read the public key from the file.

    A sealed file needs no passphrase for this, but then the public key is not authenticated; `read` proves it.

    Raises: KeyNotFound, KeyStoreInsecure (a plain file that other users can read), KeyStoreUnwritable,
    KeyFileMalformed, KeyNotAccepted; PassphraseMissing and PassphraseWrong only for an encrypted PEM file.
    """
    data = _read(path)
    if sealed_file.is_sealed(data):
        return sealed_file.read_info(data, place=str(path)).public
    return material.tuf_key(_open(data, passphrase, path), named=str(path))


def _read(path: Path) -> bytes:
    try:
        # Non-blocking: opening a FIFO must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileMalformed(place=str(path), reason="it is not a regular file")
            data = _read_to_end(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise KeyNotFound(key=str(path)) from error
    except OSError as error:
        raise KeyStoreUnwritable(path=str(path), reason=error.strerror or type(error).__name__) from error
    exposed = not_private(path, status)
    if exposed is not None and not sealed_file.is_sealed(data) and not material.is_encrypted_pem(data):
        # The file system of a memory stick may have no modes, so only plain keys must be unreadable for others.
        raise KeyStoreInsecure(path=str(path), mode=exposed.mode, wanted=exposed.wanted, owner=exposed.owner)
    return data


def _read_to_end(descriptor: int) -> bytes:
    """Read up to one byte more than a key file may have, so that a larger file is noticed."""
    data = b""
    while len(data) <= material.MAX_KEY_FILE:
        part = os.read(descriptor, material.MAX_KEY_FILE + 1 - len(data))
        if not part:
            break
        data += part
    return data
