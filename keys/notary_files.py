"""Write private key files of Notary v1, as `docker` and `notary` store them under `private/`.

The files are PEM with headers that name the role and, for a key of one collection, the collection. They are read by
`keys.private_blocks`; what is peculiar to their content is in `keys.pkcs8`.
"""

from __future__ import annotations

import base64
from typing import Final

from keys.algorithms import PrivateKey
from keys.errors import PassphraseMissing
from keys.pkcs8 import encrypt_as_notary, notary_private_key_info

_LINE: Final = 64


def write_notary_key_file(private: PrivateKey, *, role: str, gun: str, passphrase: bytes) -> bytes:
    """Write an encrypted key file that `docker` and `notary` can load.

    `gun`: the collection that the key signs, "" if several. Store the file under `private/`, named after the Notary id
    of the bare key. Its key derivation (PBKDF2 with SHA-1) is weaker than that of the sealed envelope
    (`keys.sealed_file`).

    Raises: PassphraseMissing for an empty passphrase.
    """
    if not passphrase:
        raise PassphraseMissing(key="the exported key", sources=())
    content = encrypt_as_notary(notary_private_key_info(private), passphrase)
    text = base64.b64encode(content).decode()
    headers = ([f"gun: {gun}"] if gun else []) + [f"role: {role}"]
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    name = "ENCRYPTED PRIVATE KEY"
    return "\n".join([f"-----BEGIN {name}-----", *headers, "", *lines, f"-----END {name}-----", ""]).encode()
