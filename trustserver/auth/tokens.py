"""Verify registry tokens (JWT) and read what they allow.

Sources: RFC 7515, RFC 7519, RFC 8725; for the claim `access` the token authentication of the `distribution` registry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from trustserver.auth.token_keys import TokenKeys
from trustserver.errors import TokenRefused

LEEWAY: Final = 60
"""How many seconds the clocks of the token server and of this server may differ."""
MAX_TOKEN: Final = 32 * 1024
"""The largest token, in bytes. A certificate chain in it takes some thousand."""
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""The signature algorithms that are accepted. All use a key pair: `none` signs nothing, and with HMAC an attacker could
use the public key as the secret (RFC 8725, 2.1)."""
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


class _JwsAlgorithms(JWSRegistry):
    """joserfc's registry, restricted to ALGORITHMS, and with headers long enough for a certificate chain.

    It gives no warning for `EdDSA`, as joserfc's own does: RFC 9864 replaces that name by `Ed25519`, but token servers
    still write it.
    """

    max_header_length = MAX_TOKEN

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise TokenRefused(reason="its algorithm is not accepted here")
        return self.algorithms[name]


class TokenVerifier:
    """Verifies the tokens of one issuer for one service."""

    def __init__(self, keys: TokenKeys, *, issuer: str, service: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._service = service
        # Unknown headers are ignored, as RFC 7515, 4 asks; `crit` is checked in `verify`.
        self._registry = _JwsAlgorithms(algorithms=ALGORITHMS, strict_check_header=False)

    def verify(self, token: bytes, at: datetime) -> Grant:
        """Verify a token and return what it allows at this time. Raises: TokenRefused."""
        if len(token) > MAX_TOKEN:
            raise TokenRefused(reason=f"it has more than {MAX_TOKEN} bytes")
        try:
            signed = jws.extract_compact(token, registry=self._registry)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise TokenRefused(reason="it is no JSON Web Token") from error
        header = signed.headers()
        if "crit" in header or "b64" in header:
            raise TokenRefused(reason="it needs extensions (crit) that are not known here")
        signing = self._keys.find(header, at)
        if not self._is_genuine(signed, signing.key):
            raise TokenRefused(reason="its signature is not that of its key")
        claims = self._claims(signed, at)
        return Grant(
            subject=_text(claims, "sub"),
            until=min(claims["exp"] + LEEWAY, signing.until.timestamp()),
            actions=_actions(claims),
        )

    def _is_genuine(self, signed: CompactSignature, key: Any) -> bool:
        try:
            return jws.validate_compact(signed, key, registry=self._registry)
        except (JoseError, ValueError, TypeError) as error:  # for example an RSA key and an algorithm for ECDSA
            raise TokenRefused(reason="its key and its algorithm do not belong together") from error

    def _claims(self, signed: CompactSignature, at: datetime) -> Mapping[str, Any]:
        try:
            claims = orjson.loads(signed.payload)
        except orjson.JSONDecodeError as error:
            raise TokenRefused(reason="its claims are not JSON") from error
        if not isinstance(claims, dict):
            raise TokenRefused(reason="its claims are no JSON object")
        rules = JWTClaimsRegistry(
            now=int(at.timestamp()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._service},
            exp={"essential": True},
        )
        try:
            rules.validate(claims)
        except ExpiredTokenError as error:
            raise TokenRefused(reason="it has expired") from error
        except ClaimError as error:
            raise TokenRefused(reason=f"its claim {error.claim} is missing, or is not what is expected here") from error
        return claims


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise TokenRefused(reason=f"its claim {name} is no text")
    return value


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
