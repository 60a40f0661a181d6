"""Key files in the form of Docker 1.8 to 17.11 (Go's `x509.EncryptPEMBlock`), made without it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys.algorithms import PrivateKey

DEK_CIPHERS: Final = {
    "DES-CBC": (8, 8),
    "DES-EDE3-CBC": (24, 8),
    "AES-128-CBC": (16, 16),
    "AES-192-CBC": (24, 16),
    "AES-256-CBC": (32, 16),
}
"""Bytes of the key and of a block."""


def old_key_file(
    private: PrivateKey, passphrase: bytes, *, cipher: str = "AES-256-CBC", headers: Mapping[str, str] | None = None
) -> bytes:
    """The PEM of a key, encrypted as a whole; of an Ed25519 key the 96 bytes that Notary wrote."""
    key_bytes, block_bytes = DEK_CIPHERS[cipher]
    iv = os.urandom(block_bytes)
    key = digest = b""
    while len(key) < key_bytes:
        digest = hashlib.md5(digest + passphrase + iv[:8]).digest()
        key += digest
    key = key[:key_bytes]
    algorithm = AES(key) if block_bytes == 16 else TripleDES(key * 3 if key_bytes == 8 else key)
    padder = PKCS7(block_bytes * 8).padder()
    encryptor = Cipher(algorithm, CBC(iv)).encryptor()
    padded = padder.update(_content(private)) + padder.finalize()
    encrypted = encryptor.update(padded) + encryptor.finalize()
    text = base64.b64encode(encrypted).decode()
    lines = ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: {cipher},{iv.hex()}"]
    lines += [f"{name}: {value}" for name, value in sorted((headers or {}).items())]
    lines += ["", *(text[at : at + 64] for at in range(0, len(text), 64))]
    label = f"{_kind(private)} PRIVATE KEY"
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _kind(private: PrivateKey) -> str:
    if isinstance(private, Ed25519PrivateKey):
        return "ED25519"
    return "RSA" if isinstance(private, RSAPrivateKey) else "EC"


def _content(private: PrivateKey) -> bytes:
    if isinstance(private, Ed25519PrivateKey):
        public = private.public_key().public_bytes_raw()
        return public + private.private_bytes_raw() + public
    return private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
