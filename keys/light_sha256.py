"""SHA-256 without loading OpenSSL, for a process that lives for some hundredths of a second and hashes a few files.

`hashlib` loads it when it is imported, which took a sixteenth of the time of `trust-image-verifier` with an agent. What
Python has built in is asked for as `random` of the standard library does; a Python that was built without has hashlib.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

_PLACES: Final = ("_sha2", "_sha256", "hashlib")
"""The modules of Python 3.12 and later, of 3.11, and of every Python."""


def sha256_hex(content: bytes) -> str:
    """Return the SHA-256 hash in lower-case hexadecimal digits."""
    return str(_SHA256(content).hexdigest())


def first_of(places: tuple[str, ...]) -> Callable[[bytes], Any]:
    """Return `sha256` of the first module that there is. Raises: ImportError."""
    for place in places[:-1]:
        try:
            found: Callable[[bytes], Any] = import_module(place).sha256
        except (ImportError, AttributeError):
            continue
        return found
    last: Callable[[bytes], Any] = import_module(places[-1]).sha256
    return last


_SHA256: Final = first_of(_PLACES)
