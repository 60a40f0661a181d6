"""Decrypt private keys whose PEM block is encrypted as a whole (`DEK-Info`), as Docker 1.8 to 17.11 wrote them.

Go's `x509.EncryptPEMBlock` and OpenSSL write this form: the key is made with MD5 from the passphrase and eight bytes of
the initialisation vector; nothing tells a wrong passphrase from a damaged file but what comes out. It is read, and
never written.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from keys.errors import KeyEncryptionUnknown, KeyFileMalformed
from keys.pem import PemBlock
from keys.unpadding import unpad

_SALT_BYTES: Final = 8
_KEY_BYTES: Final = {"DES-CBC": 8, "DES-EDE3-CBC": 24, "AES-128-CBC": 16, "AES-192-CBC": 24, "AES-256-CBC": 32}


def decrypt_pem_block(block: PemBlock, passphrase: bytes, *, place: str) -> bytes:
    """Return the content of a block that is `encrypted_as_a_whole`.

    Raises: PassphraseWrong, KeyFileMalformed (the block was cut or altered), KeyNotAccepted (another cipher).
    """
    name, _, vector = block.headers.get("dek-info", "").partition(",")
    key_bytes = _KEY_BYTES.get(name.strip().upper())
    if not name.strip():
        raise KeyFileMalformed(place=place, reason="it says that it is encrypted, and its header DEK-Info is missing")
    if key_bytes is None:
        raise KeyEncryptionUnknown(key=place, reason=f"its encryption {name.strip()[:40]!a} is not supported")
    block_bytes = 16 if name.strip().upper().startswith("AES") else 8
    try:
        iv = bytes.fromhex(vector.strip())
    except ValueError:
        iv = b""
    if len(iv) != block_bytes or not block.content or len(block.content) % block_bytes:
        raise KeyFileMalformed(place=place, reason="its content is cut or altered")
    key = _derive(passphrase, iv[:_SALT_BYTES], key_bytes)
    # DES is Triple DES with the same key three times.
    cipher = AES(key) if block_bytes == 16 else TripleDES(key * 3 if key_bytes == 8 else key)
    decryptor = Cipher(cipher, CBC(iv)).decryptor()
    return unpad(decryptor.update(block.content) + decryptor.finalize(), block_bytes=block_bytes, place=place)


def _derive(passphrase: bytes, salt: bytes, length: int) -> bytes:
    """Derive a key as OpenSSL's EVP_BytesToKey does, with MD5 and one round."""
    key = digest = b""
    while len(key) < length:
        digest = hashlib.md5(digest + passphrase + salt, usedforsecurity=False).digest()
        key += digest
    return key[:length]
