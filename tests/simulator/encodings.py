"""One key in other encodings: PEM with other line breaks, a compressed point, a certificate of Notary v1."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner, SSlibKey

from keys.notary import NotaryKey
from tests.simulator import keyring
from trustdata.model import Key, Signer
from trustdata.wire import WireFormat, canonical_json
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

_UNCOMPRESSED_P256: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_COMPRESSED_P256: Final = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")


def _spki(name: str) -> bytes:
    return keyring.private(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _compressed(name: str) -> bytes:
    """The key's SubjectPublicKeyInfo with the point compressed (SEC 1, 2.3.3)."""
    assert _spki(name).startswith(_UNCOMPRESSED_P256)
    point = keyring.private(name).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return _COMPRESSED_P256 + point


def _pem(der: bytes, *, width: int, newline: str = "\n") -> str:
    text = base64.b64encode(der).decode()
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    return newline.join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def _tuf_key(public: str) -> Key:
    members = {"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": public}}
    keyid = hashlib.sha256(canonical_json.encode(members)).hexdigest()
    return SSlibKey(keyid, "ecdsa", "ecdsa-sha2-nistp256", {"public": public})


def _notary_compressed(name: str) -> Key:
    return NotaryKey.of("ecdsa", base64.b64encode(_compressed(name)).decode())


ENCODINGS: Final[Mapping[str, tuple[WireFormat, Callable[[str], Key]]]] = {
    "pem-in-short-lines": (TUF, lambda name: _tuf_key(_pem(_spki(name), width=32))),
    "pem-with-carriage-returns": (TUF, lambda name: _tuf_key(_pem(_spki(name), width=64, newline="\r\n"))),
    "pem-without-the-last-newline": (TUF, lambda name: _tuf_key(_pem(_spki(name), width=64).rstrip())),
    "pem-of-a-compressed-point": (TUF, lambda name: _tuf_key(_pem(_compressed(name), width=64))),
    "certificate": (NOTARY, lambda name: keyring.certificate(name, "registry.example.com/team/app")),
    "another-certificate": (NOTARY, lambda name: keyring.certificate(name, "registry.example.com/team/app", 2)),
    "compressed-point": (NOTARY, _notary_compressed),
}
"""By name: the format, and the actor's key in this encoding."""


def signer_of(name: str, key: Key) -> Signer:
    """The actor's signer, under the id that the key has in this encoding."""
    if isinstance(key, SSlibKey):
        return CryptoSigner(keyring.private(name), key)
    return NOTARY.signer(keyring.private(name), key)
