"""Session tokens: what this server gives to clients that exchange a login for a token, as registries' clients do.

    cs_ + the second in which it ends, the kind and the name of the subject, and an HMAC over them, separated by dots

They say who somebody is and nothing else: rules decide at each request, and whoever is removed has no session either.
A session of somebody with a password or an API token is also bound to what that is checked by, so that a changed
password ends it. The key is the process's own: after a restart clients ask for another one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from typing import Final

PREFIX: Final = b"cs_"
SESSION_SECONDS: Final = 300
"""How long a session lasts. Docker's client asks for no new token for one command in this time."""
_FORM: Final = re.compile(rb"cs_([0-9]{1,12})\.([a-z]+)\.([0-9a-f]*)\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Whom a session token names, as it says: `Sessions.is_genuine` tells whether that is so."""

    kind: str
    name: str
    until: int
    mac: bytes


class Sessions:
    """Makes and checks session tokens of this process."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def make(self, kind: str, name: str, bound_to: str, *, at: float) -> str:
        """Make a token for a subject. `bound_to`: it counts only as long as this stays the same."""
        session = Session(kind=kind, name=name, until=int(at) + SESSION_SECONDS, mac=b"")
        return f"cs_{session.until}.{kind}.{name.encode().hex()}.{self._mac(session, bound_to).hex()}"

    def is_genuine(self, session: Session, bound_to: str, *, at: float) -> bool:
        """Return whether this process has made a token, and it counts at this time, in seconds since 1970."""
        return at < session.until and hmac.compare_digest(session.mac, self._mac(session, bound_to))

    def _mac(self, session: Session, bound_to: str) -> bytes:
        message = "\n".join((str(session.until), session.kind, session.name.encode().hex(), bound_to))
        return hmac.digest(self._key, message.encode(), hashlib.sha256)


def read_session(token: bytes) -> Session | None:
    """Read a session token; None if it is none."""
    found = _FORM.fullmatch(token)
    if found is None:
        return None
    try:
        name = bytes.fromhex(found[3].decode()).decode()
    except ValueError:
        return None
    return Session(kind=found[2].decode(), name=name, until=int(found[1]), mac=bytes.fromhex(found[4].decode()))
