"""Sealed key files: one private key, encrypted with a passphrase, in a JSON document.

    {"format": "content-trust-key-1",
     "kdf":    {"name": "scrypt", "n": 32768, "r": 8, "p": 1, "salt": BASE64 of 16 bytes},
     "cipher": {"name": "aes-256-gcm", "nonce": BASE64 of 12 bytes},
     "info":   the members of KeyInfo.to_dict,
     "retired": false,
     "sealed": BASE64 of AES-256-GCM(PKCS#8 DER)}

`format`, `kdf`, `cipher` and `info` are authenticated together with the key, so that nobody can exchange one key for
another or lower the cost of the key derivation. `retired` is not authenticated, because a key is retired without its
passphrase. Encrypted PKCS#8 is not used, because the libraries that write it offer no strong key derivation; here each
guess of a passphrase costs 32 MiB and about 0.1 s (docs/adr/0009).

Version 2 is no sealed key, but an entry for one that lives elsewhere (`keys.store_entry`). Sealed keys stay version 1.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys.algorithms import PrivateKey
from keys.document_version import DocumentKind
from keys.errors import KeyElsewhere, KeyFileMalformed, KeyFileNewer, PassphraseMissing, PassphraseWrong
from keys.foreign_files import SEALED, sealed_key
from keys.json_members import unique_members
from keys.key_info import KeyInfo
from keys.material import read_private_der, tuf_key, write_private_der
from keys.pem import MAX_KEY_FILE, unwrapped
from keys.scrypt_cost import PRODUCTION_COST, ScryptCost
from keys.store_entry import FORMAT as FORMAT_OF_ENTRIES
from keys.store_entry import read_entry, write_entry

KIND: Final = DocumentKind(what="a sealed key", name=SEALED, known=2)
_FORMAT: Final = f"{SEALED}1"
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_HEADER: Final = ("format", "kdf", "cipher", "info")


def seal(private: PrivateKey, passphrase: str, *, info: KeyInfo, cost: ScryptCost = PRODUCTION_COST) -> bytes:
    """Encrypt a private key with a passphrase and return the key file. Salt and nonce are new each time.

    Raises: PassphraseMissing for an empty passphrase; KeyFileMalformed if `info` describes another key.
    """
    if not passphrase:
        raise PassphraseMissing(key=info.described, sources=())
    if tuf_key(private).keyid != info.keyid:
        raise KeyFileMalformed(place=info.described, reason="the description is of another key")
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    header: dict[str, object] = {
        "format": _FORMAT,
        "kdf": {"name": "scrypt", "n": cost.n, "r": cost.r, "p": cost.p, "salt": _encode(salt)},
        "cipher": {"name": "aes-256-gcm", "nonce": _encode(nonce)},
        "info": info.to_dict(),
    }
    sealed = AESGCM(_derive(passphrase, salt, cost)).encrypt(nonce, write_private_der(private), _authenticated(header))
    return _document({**header, "retired": info.retired, "sealed": _encode(sealed)})


def is_sealed(data: bytes) -> bool:
    """Return whether the bytes look like a sealed key file: JSON that says so. They may still be invalid."""
    return sealed_key(unwrapped(data)) is not None


def read_info(data: bytes, *, place: str) -> KeyInfo:
    """Read the description in a sealed key file. It is not authenticated until the key is opened with `unseal`.

    Of an entry for a key elsewhere, it has a `uri`. `place`: the name of the file in error messages.

    Raises: KeyFileMalformed, KeyFileNewer, KeyNotAccepted.
    """
    parsed = _parse(data, place=place)
    return parsed if isinstance(parsed, KeyInfo) else parsed.info


def unseal(data: bytes, passphrase: str, *, place: str) -> PrivateKey:
    """Decrypt the private key in a sealed key file.

    `place`: the name of the file in error messages.

    Raises: KeyFileMalformed, KeyFileNewer, KeyNotAccepted; KeyElsewhere, if it is an entry for a key elsewhere;
    PassphraseWrong if the passphrase is wrong or the file was altered.
    """
    parsed = _parse(data, place=place)
    if isinstance(parsed, KeyInfo):
        raise KeyElsewhere(key=parsed.described, uri=parsed.uri)
    key = _derive(passphrase, parsed.salt, parsed.cost)
    try:
        der = AESGCM(key).decrypt(parsed.nonce, parsed.sealed, _authenticated(parsed.header))
    except InvalidTag as error:
        raise PassphraseWrong(key=f"{parsed.info.described} in {place}", or_altered=True) from error
    private = read_private_der(der, place=place)
    if tuf_key(private).keyid != parsed.info.keyid:
        raise KeyFileMalformed(place=place, reason="the private key is not that of its public key")
    return private


def retire(data: bytes, *, place: str) -> bytes:
    """Return the same key file, marked as retired. Raises: KeyFileMalformed, KeyFileNewer, KeyNotAccepted."""
    parsed = _parse(data, place=place)
    if isinstance(parsed, KeyInfo):
        return write_entry(replace(parsed, retired=True))
    return _document({**parsed.header, "retired": True, "sealed": _encode(parsed.sealed)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _SealedParts:
    header: Mapping[str, object]
    cost: ScryptCost
    salt: bytes
    nonce: bytes
    info: KeyInfo
    sealed: bytes


def _known_document(data: bytes, *, place: str) -> dict[str, Any]:
    """Return the members of a file whose version is known. Raises: KeyFileMalformed, KeyFileNewer."""
    try:
        document = json.loads(unwrapped(data), object_pairs_hook=unique_members)
    except (ValueError, RecursionError) as error:
        raise KeyFileMalformed(place=place, reason="not the JSON of a sealed key") from error
    if (version := KIND.newer(document)) is not None:
        raise KeyFileNewer(place=place, version=version, known=KIND.known)
    if not isinstance(document, dict) or not KIND.is_known(document):
        raise KeyFileMalformed(place=place, reason=f"not a sealed key of format {_FORMAT}")
    return document


def _parse(data: bytes, *, place: str) -> _SealedParts | KeyInfo:
    """Read a sealed key, or the description in an entry. Raises: KeyFileMalformed, KeyFileNewer, KeyNotAccepted."""
    if len(data) > MAX_KEY_FILE:
        raise KeyFileMalformed(place=place, reason=f"larger than {MAX_KEY_FILE} bytes")
    document = _known_document(data, place=place)
    if document["format"] == FORMAT_OF_ENTRIES:
        return read_entry(document, place=place)
    members = _object(document, {*_HEADER, "retired", "sealed"}, place=place, what="the document")
    kdf = _object(members["kdf"], {"name", "n", "r", "p", "salt"}, place=place, what="kdf")
    cipher = _object(members["cipher"], {"name", "nonce"}, place=place, what="cipher")
    if kdf["name"] != "scrypt" or cipher["name"] != "aes-256-gcm":
        raise KeyFileMalformed(place=place, reason="sealed by an unknown method")
    if not all(type(kdf[m]) is int for m in ("n", "r", "p")):
        raise KeyFileMalformed(place=place, reason="the scrypt parameters are not whole numbers")
    cost = ScryptCost(n=kdf["n"], r=kdf["r"], p=kdf["p"])
    if not cost.acceptable:
        raise KeyFileMalformed(place=place, reason="the scrypt parameters are out of bounds")
    if type(members["retired"]) is not bool:
        raise KeyFileMalformed(place=place, reason="retired is neither true nor false")
    info = members["info"]
    if not isinstance(info, dict):
        raise KeyFileMalformed(place=place, reason="it has no description")
    return _SealedParts(
        header={m: members[m] for m in _HEADER},
        cost=cost,
        salt=_decode(kdf["salt"], length=_SALT_BYTES, place=place, what="salt"),
        nonce=_decode(cipher["nonce"], length=_NONCE_BYTES, place=place, what="nonce"),
        info=KeyInfo.from_dict(info, retired=members["retired"], place=place),
        sealed=_decode(members["sealed"], length=None, place=place, what="sealed"),
    )


def _derive(passphrase: str, salt: bytes, cost: ScryptCost) -> bytes:
    # surrogatepass: a passphrase from the environment may be any bytes, also bytes that are not UTF-8. It is not what
    # passphrase_bytes does with those, but files are sealed in this way, and must open.
    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost.n, r=cost.r, p=cost.p).derive(
        passphrase.encode(errors="surrogatepass")
    )


def _authenticated(header: Mapping[str, object]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _document(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, indent=1).encode() + b"\n"


def _object(value: object, members: set[str], *, place: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != members:
        raise KeyFileMalformed(place=place, reason=f"{what} does not have the members that it should")
    return value


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: Any, *, length: int | None, place: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:  # binascii.Error is a ValueError; TypeError: it is no text
        raise KeyFileMalformed(place=place, reason=f"{what} is not base64") from error
    if length is not None and len(data) != length:
        raise KeyFileMalformed(place=place, reason=f"{what} has {len(data)} bytes where {length} are wanted")
    return data
