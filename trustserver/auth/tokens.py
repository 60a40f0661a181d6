"""Verify registry tokens (JWT) and read what they allow.

Sources: RFC 7519, RFC 8725; for the claim `access` the token authentication of the `distribution` registry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trustdata.errors import shown
from trustserver.auth.json_web_token import check_claims, check_signature, read_token
from trustserver.auth.token_keys import TokenKeys
from trustserver.errors import TokenRefused

MAX_USER: Final = 255
"""The longest name of a user, in characters."""
LEEWAY: Final = 60
"""How many seconds the clocks of the token server and of this server may differ."""
EVERYTHING: Final = "*"
"""The action in a token that includes all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a verified token allows.

    `subject`: the user's name; empty if they did not log in at the token server. `until`: when the token or the
    certificate of its key expires, in seconds since 1970. `actions`: by type and name of the resource.
    """

    subject: str
    until: float
    actions: Mapping[tuple[str, str], frozenset[str]]

    def allows(self, kind: str, name: str, required: Collection[str]) -> bool:
        """Return whether all of these actions are allowed on the resource of this type and name."""
        granted = self.actions.get((kind, name), frozenset())
        return EVERYTHING in granted or (bool(required) and granted.issuperset(required))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """A token whose claims are in order, if it is genuine: its signature has not been checked.

    `digest`: the SHA-256 of the token. `actions`: as in `Grant`. `until`: when it expires, in seconds since 1970.
    """

    raw: bytes
    digest: bytes
    header: Mapping[str, object]
    subject: str
    until: float
    actions: Mapping[tuple[str, str], frozenset[str]]


class TokenVerifier:
    """Verifies the tokens of one issuer for one service, in two steps: what costs little comes first."""

    def __init__(self, keys: TokenKeys, *, issuer: str, service: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._service = service

    def verify(self, token: bytes, at: datetime) -> Grant:
        """Verify a token and return what it allows at this time. Raises: TokenRefused."""
        return self.verify_signature(self.read(token, at), at)

    def read(self, token: bytes, at: datetime) -> UnverifiedToken:
        """Check all of a token that can be checked without a signature or a certificate: sizes, header and claims.

        So whether a signature holds is not found out with claims that are wrong. Raises: TokenRefused.
        """
        unchecked = read_token(token)
        claims = unchecked.claims
        check_claims(claims, issuer=self._issuer, audience=self._service, leeway=LEEWAY, at=at)
        read = UnverifiedToken(
            raw=token,
            digest=unchecked.digest,
            header=unchecked.header,
            subject=_user(claims),
            until=claims["exp"] + LEEWAY,
            actions=_actions(claims),
        )
        self._keys.check_named(unchecked.header)
        return read

    def verify_signature(self, token: UnverifiedToken, at: datetime) -> Grant:
        """Find the key of a token and check its signature. Return what it allows. Raises: TokenRefused."""
        signing = self._keys.find(token.header, at)
        check_signature(token.raw, signing.key)
        until = min(token.until, signing.until.timestamp())
        return Grant(subject=token.subject, until=until, actions=token.actions)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise TokenRefused(reason=f"its claim {name} is no text")
    return value


def _user(claims: Mapping[str, Any]) -> str:
    """Return the user whom the token names. One that is not shown as it is could be shown as another one."""
    name = _text(claims, "sub")
    if shown(name, MAX_USER) != name:
        raise TokenRefused(reason=f"its claim sub has more than {MAX_USER} characters, or some that cannot be shown")
    return name


def _actions(claims: Mapping[str, Any]) -> dict[tuple[str, str], frozenset[str]]:
    """Return what the claim `access` allows, by type and name. `null` allows nothing: it is Go's empty list."""
    granted: dict[tuple[str, str], frozenset[str]] = {}
    for entry in _list(claims, "access"):
        if not isinstance(entry, dict):
            raise TokenRefused(reason="its claim access holds something else than types, names and actions")
        resource = (_text(entry, "type"), _text(entry, "name"))
        actions = frozenset(action for action in _list(entry, "actions") if isinstance(action, str))
        granted[resource] = granted.get(resource, frozenset()) | actions
    return granted


def _list(claims: Mapping[str, Any], name: str) -> list[Any]:
    value = claims.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise TokenRefused(reason=f"its claim {name} is no list")
    return value
