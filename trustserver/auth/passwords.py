"""Hash passwords, and check them against what is stored.

New ones are hashed with argon2id, with the least memory and rounds that OWASP names for it. Those of htpasswd files are
bcrypt hashes, for which the package `bcrypt` is needed; the first good login replaces one.
"""

from __future__ import annotations

import os
import re
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keys.extras import how_to_install
from trustserver.errors import StartRefused

MAX_PASSWORD: Final = 512
"""The longest password, in bytes of UTF-8."""
MIN_PASSWORD: Final = 8
"""The shortest password that is taken, in characters."""
MEMORY: Final = 19 * 1024
"""KiB of memory for one check, which takes about 70 milliseconds."""
_ROUNDS: Final = 2
_BCRYPT: Final = re.compile(r"\$2[by]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}")
"""Up to 2^14 rounds, which take a second."""
_BCRYPT_BYTES: Final = 72
"""bcrypt looks at no more of a password; who made the hash has cut it, too."""


def hash_password(password: bytes) -> str:
    """Return what a password is checked by (a PHC string)."""
    return Argon2id(salt=os.urandom(16), length=32, iterations=_ROUNDS, lanes=1, memory_cost=MEMORY).derive_phc_encoded(
        password
    )


NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$W5kPJ4Lg7jwW2JrVUOHqkEvZzqRgBIsr2lx1sn1XfNM"
"""Checked for users who are not there, so that the time says nothing. No password is known that fits it."""


def is_bcrypt(stored: str) -> bool:
    """Return whether a text is a bcrypt hash that is checked here."""
    return _BCRYPT.fullmatch(stored) is not None


def check_password(password: bytes, stored: str) -> bool:
    """Return whether a password is the one that is stored. It takes about a tenth of a second."""
    if is_bcrypt(stored):
        import bcrypt  # of the extra htpasswd; `require_bcrypt` was asked when it was stored

        try:
            return bcrypt.checkpw(password[:_BCRYPT_BYTES], stored.encode())
        except ValueError:  # a zero byte
            return False
    try:
        Argon2id.verify_phc_encoded(password, stored)
    except InvalidKey:
        return False
    return True


def require_bcrypt() -> None:
    """Check that bcrypt hashes can be checked. Raises: StartRefused."""
    try:
        import bcrypt
    except ImportError as error:
        reason = f"its hashes are checked by the package bcrypt: {how_to_install('htpasswd')}"
        raise StartRefused(what="an htpasswd file", reason=reason) from error
    del bcrypt
