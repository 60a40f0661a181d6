"""Read the Authorization header of a request."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from trustserver.auth.api_tokens import PREFIX
from trustserver.auth.authorizer import Headers
from trustserver.auth.sessions import PREFIX as SESSION_PREFIX

MAX_BASIC: Final = 1024
"""The longest name with its password, in bytes of base64."""
SECRET_PREFIXES: Final = (PREFIX.decode(), SESSION_PREFIX.decode())
"""What no name begins with: it would be a token in the wrong place, and names reach logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a request brings to say who sends it. `user`: empty for a bearer token. Empty is, too, what it has not.

    An API token may stand in the place of a password, with its own name as the user's, for clients that know no tokens.
    """

    scheme: str
    user: str = ""
    password: bytes = field(default=b"", repr=False)
    api_token: bytes = field(default=b"", repr=False)
    session: bytes = field(default=b"", repr=False)


def authorizations(headers: Headers) -> list[bytes]:
    """Return the values of all Authorization headers."""
    return [value for name, value in headers if name.lower() == b"authorization"]


def read_credential(value: bytes) -> Credential:
    """Read the value of an Authorization header. Of what cannot be read only the scheme is returned."""
    scheme, _, rest = value.partition(b" ")
    name, rest = scheme.lower().decode("latin-1"), rest.strip()
    if name == "bearer" and rest.startswith(PREFIX):
        return Credential(scheme=name, api_token=rest)
    if name == "bearer" and rest.startswith(SESSION_PREFIX):
        return Credential(scheme=name, session=rest)
    if name != "basic" or len(rest) > MAX_BASIC:
        return Credential(scheme=name)
    try:
        user, colon, password = base64.b64decode(rest, validate=True).partition(b":")
        text = user.decode()
    except (binascii.Error, UnicodeDecodeError):
        return Credential(scheme=name)
    if not colon or not text or text.startswith(SECRET_PREFIXES):
        return Credential(scheme=name)
    return Credential(
        scheme=name, user=text, password=password, api_token=password if password.startswith(PREFIX) else b""
    )
