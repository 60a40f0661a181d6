"""API tokens of this server: how they look, and how one is recognised without being stored.

    ct_ + 64 hex digits of 256 random bits + 8 hex digits of a checksum

So a token that was found somewhere is seen to be one, and one that was mistyped is told from one that is unknown. Since
the bits are random, there is nothing to guess, and a fast hash of the token is as good as a slow one: it is what is
stored, and a lookup of it is all that a token costs.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from trustserver.auth.rights import Right
from trustserver.auth.rules import EVERY_NAME
from trustserver.storage.access_port import AccessStore, CredentialKind, StoredCredential
from trustserver.storage.events import Actor

PREFIX: Final = b"ct_"
FIRST_ADMIN: Final = "admin"
_FORM: Final = re.compile(rb"ct_([0-9a-f]{64})([0-9a-f]{8})")


def new_token() -> str:
    """Make a token."""
    digits = secrets.token_hex(32)
    return f"ct_{digits}{_checksum(digits.encode())}"


def token_digest(token: bytes) -> str | None:
    """Return what a token is known by; None if it is no token, or a mistyped one."""
    found = _FORM.fullmatch(token)
    if found is None or found[2].decode() != _checksum(found[1]):
        return None
    return hashlib.sha256(token).hexdigest()


def make_token(
    store: AccessStore,
    name: str,
    *,
    at: datetime,
    expires: datetime | None,
    rights: Sequence[str],
    names: Sequence[str],
    roles: Sequence[str] = (),
    by: Actor,
) -> str | None:
    """Make and store a token, and return it; None if the name is or was in use. Raises: NotStored."""
    token = new_token()
    stored = StoredCredential(
        kind=CredentialKind.TOKEN,
        name=name,
        secret=token_digest(token.encode()) or "",
        created=at,
        expires=expires,
        rights=tuple(rights),
        names=tuple(names),
        roles=tuple(roles),
    )
    return token if store.add(stored, by=by) else None


def make_first_admin(store: AccessStore, at: datetime, *, by: Actor) -> str | None:
    """Make a token with all rights on all names; return it, or None if somebody has those. Raises: NotStored."""
    known = store.credentials()
    if any(each.is_valid(at) and Right.ADMIN in each.rights and EVERY_NAME in each.names for each in known):
        return None
    taken = {each.name for each in known if each.kind is CredentialKind.TOKEN}
    name = next(name for name in _numbered(FIRST_ADMIN) if name not in taken)
    return make_token(store, name, at=at, expires=None, rights=[Right.ADMIN], names=[EVERY_NAME], by=by)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 1
    while True:
        number += 1
        yield f"{name}-{number}"


def _checksum(digits: bytes) -> str:
    return f"{zlib.crc32(digits):08x}"
