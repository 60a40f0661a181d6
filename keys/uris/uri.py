"""Key URIs as text: which kinds there are, percent signs, and what of a URI may be shown.

A URI comes from a command line, a setting or the user's key store, and never from metadata: a PKCS#11 module and a
command are code that opening the key runs.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from keys.errors import KeySchemeUnknown, KeyUriMalformed

FILE: Final = "file"
EXEC: Final = "exec"
PKCS11: Final = "pkcs11"
AWS: Final = "awskms"
GCP: Final = "gcpkms"
AZURE: Final = "azurekms"
VAULT: Final = "hv"
SCHEMES: Final = (FILE, PKCS11, EXEC, AWS, GCP, AZURE, VAULT)
_OF_OTHERS: Final = ("gnupg", "hsm", "sigstore", "tkey", "file2", "yubikey")
"""Kinds that other programs know. They are no file names, so they are refused by their own name."""
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_PLAIN: Final = re.compile(r"[^!-~]")
_SECRET: Final = re.compile(r"(pin-value=)[^;&?]*", re.IGNORECASE)
_SHOWN: Final = 300


def is_key_uri(text: str) -> bool:
    """Return whether the text is meant as a key URI, also one of a kind that is not known here, and not as a file."""
    found = _SCHEME.match(text)
    return found is not None and found[1].lower() in (*SCHEMES, *_OF_OTHERS)


def split_uri(text: str) -> tuple[str, str]:
    """Return the scheme and what follows its colon. Raises: KeyUriMalformed, KeySchemeUnknown."""
    found = _SCHEME.match(text)
    if found is None:
        raise KeyUriMalformed(uri=shown_uri(text), reason="it does not begin with a scheme, such as pkcs11:")
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}:" for each in SCHEMES)
        reason = f"keys of the kind {scheme}: are not known here; known are {known}"
        raise KeySchemeUnknown(uri=shown_uri(text), reason=reason, known=SCHEMES)
    odd = _NOT_PLAIN.search(text)
    if odd is not None:
        percent = "".join(f"%{byte:02X}" for byte in odd[0].encode(errors="surrogateescape"))
        raise KeyUriMalformed(uri=shown_uri(text), reason=f"{odd[0]!a} in it is written as {percent}")
    if bad := _BAD_PERCENT.search(text):
        reason = f"the percent sign at {text[bad.start() : bad.start() + 3]} is followed by no two hex digits"
        raise KeyUriMalformed(uri=shown_uri(text), reason=f"{reason}; a percent sign itself is %25")
    return scheme, text[found.end() :]


def decoded(part: str, *, uri: str) -> str:
    """Return a part of a URI without percent signs. Raises: KeyUriMalformed if it is not UTF-8, or has a NUL."""
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        raise KeyUriMalformed(uri=shown_uri(uri), reason=f"{part[:40]} is not UTF-8") from error
    if "\0" in text:
        raise KeyUriMalformed(uri=shown_uri(uri), reason=f"{part[:40]} has a NUL")
    return text


def absolute_path(part: str, *, uri: str, what: str) -> str:
    """Return the absolute path that a part of a URI names, also after `//`. Raises: KeyUriMalformed."""
    path = decoded(part, uri=uri)
    if path.startswith("//"):
        path = "/" + path.lstrip("/") if path.startswith("///") else ""
    if not path.startswith("/"):
        reason = f"{what} is an absolute path: where a command runs must not decide which it is"
        raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
    return path


def shown_uri(text: str) -> str:
    """Return a URI for messages: without a PIN in it, without control characters, and not too long."""
    shown = ascii(_SECRET.sub(r"\1...", text))[1:-1]
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
