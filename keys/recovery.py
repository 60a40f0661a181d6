"""The recovery root key: a file of the user's choice, kept away from this machine, that can replace the root alone.

A new one is a sealed envelope (`keys.envelope`). An existing one may also be PKCS#8 PEM, encrypted or plain.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from securesystemslib.signer import SSlibKey

from keys import envelope, material
from keys.algorithms import Algorithm, PrivateKey, generate
from keys.durable_file import write_durably
from keys.envelope import PRODUCTION_COST, ScryptCost
from keys.errors import (
    KeyExists,
    KeyFileMalformed,
    KeyNotFound,
    KeyStoreInsecure,
    KeyStoreUnwritable,
    PassphraseMissing,
)
from keys.key_info import KeyInfo

_OTHERS: Final = 0o077


def create(
    path: Path,
    passphrase: str,
    algorithm: Algorithm = Algorithm.ECDSA_P256,
    *,
    name: str = "",
    created: datetime | None = None,
    cost: ScryptCost = PRODUCTION_COST,
) -> KeyInfo:
    """Make a recovery key in a new file, mode 0600, durable when it returns. An existing file is never touched.

    Raises: KeyExists, KeyStoreUnwritable, PassphraseMissing for an empty passphrase.
    """
    if os.path.lexists(path):  # before the costly part; the write itself checks again
        raise KeyExists(key="the recovery key file", place=str(path))
    private = generate(algorithm)
    info = KeyInfo.of(private, purpose="recovery", name=name, created=created)
    sealed = envelope.seal(private, passphrase, info=info, cost=cost)
    try:
        write_durably(path, sealed, replace=False)
    except FileExistsError as error:
        raise KeyExists(key="the recovery key file", place=str(path)) from error
    except OSError as error:
        raise KeyStoreUnwritable(path=str(path), reason=error.strerror or type(error).__name__) from error
    return info


def read(path: Path, passphrase: str | None) -> PrivateKey:
    """Open the file. The passphrase of a plain PEM file is ignored.

    Raises: KeyNotFound, KeyStoreInsecure (a plain file that others can read), KeyStoreUnwritable, KeyFileMalformed,
    KeyNotAccepted, PassphraseMissing, PassphraseWrong.
    """
    return _opened(_read(path), passphrase, path)


def read_asking(path: Path, ask: Callable[[], str]) -> PrivateKey:
    """The same; `ask` gives the passphrase, and is called only for a file that has one. Raises: as `read`."""
    data = _read(path)
    sealed = envelope.is_sealed(data) or material.is_encrypted_pem(data)
    return _opened(data, ask() if sealed else None, path)


def _opened(data: bytes, passphrase: str | None, path: Path) -> PrivateKey:
    if not envelope.is_sealed(data):
        secret = None if passphrase is None else passphrase.encode("utf-8", "surrogateescape")
        return material.read_private_pem(data, secret, place=str(path))
    if not passphrase:
        raise PassphraseMissing(key=str(path), sources=())
    return envelope.unseal(data, passphrase, place=str(path))


def public(path: Path, passphrase: str | None = None) -> SSlibKey:
    """The public key. A sealed file tells it without its passphrase, but then nobody vouches for it: `read` proves it.

    Raises: as `read`; PassphraseMissing only for an encrypted PEM file.
    """
    data = _read(path)
    if envelope.is_sealed(data):
        return envelope.read_info(data, place=str(path)).public
    return material.tuf_key(_opened(data, passphrase, path), named=str(path))


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO may have no writer
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileMalformed(place=str(path), reason="it is not a regular file")
            data = _read_to_end(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise KeyNotFound(key=str(path)) from error
    except OSError as error:
        raise KeyStoreUnwritable(path=str(path), reason=error.strerror or type(error).__name__) from error
    if mode & _OTHERS and not envelope.is_sealed(data) and not material.is_encrypted_pem(data):
        # A memory stick may know no modes: a sealed file is let pass, a plain key that others can read is not.
        raise KeyStoreInsecure(path=str(path), mode=f"{stat.S_IMODE(mode):o}", wanted="600")
    return data


def _read_to_end(descriptor: int) -> bytes:
    """All of it, up to one byte more than a key file may have."""
    data = b""
    while len(data) <= material.MAX_KEY_FILE:
        part = os.read(descriptor, material.MAX_KEY_FILE + 1 - len(data))
        if not part:
            break
        data += part
    return data
