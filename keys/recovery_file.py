"""The recovery key: a second root key in a file that the user chooses.

It can sign a new root on its own if the first root key is lost. The file should be kept away from this machine. A new
one is a sealed key file (`keys.sealed_file`); an existing one may also be PKCS#8 PEM, encrypted or plain.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from securesystemslib.signer import SSlibKey

from keys import material, sealed_file
from keys.algorithms import Algorithm, PrivateKey, generate
from keys.durable_file import write_durably
from keys.errors import (
    KeyExists,
    KeyFileExposed,
    KeyFileMalformed,
    KeyFileUnwritable,
)
from keys.file_access import exposed_secret, key_file_error, open_at_once, read_at_most
from keys.key_info import KeyInfo, Purpose
from keys.passphrase import PassphraseProvider, ask_and_try, passphrase_bytes
from keys.pem import MAX_KEY_FILE
from keys.scrypt_cost import PRODUCTION_COST, ScryptCost


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

    Raises: KeyExists, KeyFileUnwritable, PassphraseMissing for an empty passphrase.
    """
    if os.path.lexists(path):  # fail before the slow part; the write checks again
        raise KeyExists(key="the recovery key file", place=str(path))
    private = generate(algorithm)
    info = KeyInfo.of(private, purpose="recovery", name=name, created=created)
    content = sealed_file.seal(private, passphrase, info=info, cost=cost)
    try:
        write_durably(path, content, replace=False)
    except FileExistsError as error:
        raise KeyExists(key="the recovery key file", place=str(path)) from error
    except OSError as error:
        raise KeyFileUnwritable(place=str(path), reason=error.strerror or type(error).__name__) from error
    return info


def read(
    path: Path, passphrases: PassphraseProvider, *, platform_secrets: bool = False, purpose: Purpose = "recovery"
) -> PrivateKey:
    """Read the private key from the file. A passphrase is asked for only if the file is encrypted.

    `purpose`: of the key, if it is not a recovery key but one that stays in its file. `platform_secrets`: as for
    `keys.file_access.exposed_secret`.

    Raises: KeyFileMissing, KeyFileUnreadable, KeyFileExposed (a plain file that other users can read),
    KeyFileMalformed, KeyFileNewer, KeyNotAccepted, PassphraseMissing, PassphraseUnreadable, PassphraseWrong.
    """
    return _open(read_key_file(path, platform_secrets=platform_secrets), path, passphrases, purpose)


def read_public_key(path: Path, passphrases: PassphraseProvider, *, platform_secrets: bool = False) -> SSlibKey:
    """Read the public key from the file. A passphrase is asked for only if the file is encrypted PEM.

    A sealed file shows its public key, but only decrypting authenticates it (`read`).

    Raises: as `read`.
    """
    data = read_key_file(path, platform_secrets=platform_secrets)
    if sealed_file.is_sealed(data):
        return _sealed_info(data, place=str(path)).public
    return material.tuf_key(_open(data, path, passphrases, "recovery"))


def _sealed_info(data: bytes, *, place: str) -> KeyInfo:
    """Return the description in a sealed file. Raises: KeyFileMalformed, also for an entry without a private key."""
    info = sealed_file.read_info(data, place=place)
    if info.uri:
        raise KeyFileMalformed(place=place, reason="it is an entry of a key store, whose key lives elsewhere")
    return info


def _open(data: bytes, path: Path, passphrases: PassphraseProvider, purpose: Purpose) -> PrivateKey:
    place = str(path)
    if sealed_file.is_sealed(data):
        _sealed_info(data, place=place)  # before anybody is asked for a passphrase that cannot help
        attempt: Callable[[str], PrivateKey] = partial(sealed_file.unseal, data, place=place)
    else:
        from keys.private_blocks import read_private_blocks, the_only_key  # rarely PEM: start-up time

        key = the_only_key(read_private_blocks(data, place=place), place=place)
        if not key.encrypted:
            return key.open(None)

        def attempt(passphrase: str) -> PrivateKey:
            return key.open(passphrase_bytes(passphrase))

    return ask_and_try(passphrases, attempt, purpose=purpose, key=f"the {purpose} key {path}")[0]


def _is_encrypted(data: bytes, place: str) -> bool:
    if sealed_file.is_sealed(data):
        return True
    from keys.private_blocks import read_private_blocks

    return all(key.encrypted for key in read_private_blocks(data, place=place))


def read_key_file(path: Path, *, platform_secrets: bool) -> bytes:
    """Return the bytes of a file with a private key that the user has named.

    Raises: KeyFileExposed (others may read or change it, and it is not encrypted), KeyFileMalformed, KeysError.
    """
    try:
        descriptor = open_at_once(str(path), os.O_RDONLY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise KeyFileMalformed(place=str(path), reason="it is not a regular file")
            data = read_at_most(descriptor, MAX_KEY_FILE)
            exposed = exposed_secret(path, descriptor, platform_secrets=platform_secrets)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise key_file_error(path, error) from error
    # An encrypted key may lie on a USB stick, whose file system has no modes.
    if exposed is not None and not _is_encrypted(data, str(path)):
        raise KeyFileExposed(
            path=exposed.path,
            mode=exposed.mode,
            wanted=exposed.wanted,
            owner=exposed.owner,
            platform=exposed.remedy if exposed.by_platform else "",
        )
    return data
