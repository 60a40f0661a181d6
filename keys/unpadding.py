"""Tell a wrong passphrase from a damaged file, where the encryption of a key file is not authenticated.

Every private key that these forms hold begins as a DER SEQUENCE with a small INTEGER in it. After a wrong passphrase
bytes are as good as random: this beginning then occurs by chance once in 10^7 times, and sound padding at the end once
in 256.
"""

from __future__ import annotations

from typing import Final

from keys.der import sequence_length
from keys.errors import KeyFileMalformed, PassphraseWrong

_INTEGER_OF_ONE_BYTE: Final = b"\x02\x01"
NOTARY_ED25519_BYTES: Final = 96
"""The length of an Ed25519 key as Notary writes it: public key, seed, public key. It is no DER."""


def unpad(padded: bytes, *, block_bytes: int, place: str) -> bytes:
    """Return the decrypted content without its padding (PKCS#7).

    Raises: PassphraseWrong; KeyFileMalformed if the passphrase was right, and the file was altered since.
    """
    size = padded[-1]
    padding_is_sound = 0 < size <= block_bytes and padded.endswith(bytes([size]) * size)
    content = padded[:-size] if padding_is_sound else b""
    length = sequence_length(padded)
    header_bytes = 2 + max(padded[1] - 0x80, 0)
    begins_as_a_key = length != 0 and padded[header_bytes : header_bytes + 2] == _INTEGER_OF_ONE_BYTE
    if begins_as_a_key and len(content) != length:
        raise KeyFileMalformed(place=place, reason="its content was altered: the passphrase opens only a part of it")
    if not padding_is_sound:
        raise PassphraseWrong(key=place)
    if not begins_as_a_key and len(content) != NOTARY_ED25519_BYTES:
        raise PassphraseWrong(key=place, or_altered=True)
    return content
