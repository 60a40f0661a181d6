"""Verify registry tokens (JWT) and read what they allow.

Sources: RFC 7515, RFC 7519, RFC 8725; for the claim `access` the token authentication of the `distribution` registry.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from trustserver.auth.accepted_keys import ALGORITHMS
from trustserver.auth.token_keys import TokenKeys
from trustserver.errors import TokenRefused

LEEWAY: Final = 60
"""How many seconds the clocks of the token server and of this server may differ."""
MAX_TOKEN: Final = 32 * 1024
"""The largest token, in bytes. A certificate chain in it takes some thousand."""
MAX_SIGNATURE: Final = 2048
"""The longest signature, in bytes of base64: that of the largest RSA key takes 1366."""
MAX_VALUES: Final = 4096
"""The highest number of values in the header, and in the payload. A token for four hundred repositories has as many."""
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
        # Unknown headers are ignored, as RFC 7515, 4 asks; `crit` is checked in `read`.
        self._registry = _JwsAlgorithms(algorithms=ALGORITHMS, strict_check_header=False)

    def verify(self, token: bytes, at: datetime) -> Grant:
        """Verify a token and return what it allows at this time. Raises: TokenRefused."""
        return self.verify_signature(self.read(token, at), at)

    def read(self, token: bytes, at: datetime) -> UnverifiedToken:
        """Check all of a token that can be checked without a signature or a certificate: sizes, header and claims.

        So whether a signature holds is not found out with claims that are wrong. Raises: TokenRefused.
        """
        if len(token) > MAX_TOKEN:
            raise TokenRefused(reason=f"it has more than {MAX_TOKEN} bytes")
        if b"=" in token:
            raise TokenRefused(reason="it is written with =, which no part of a JSON Web Token ends with (RFC 7515, 2)")
        parts = token.split(b".")
        if len(parts) != len(("header", "payload", "signature")) or len(parts[2]) > MAX_SIGNATURE:
            raise TokenRefused(reason="it is no JSON Web Token")
        header = _parse_object(parts[0], "it is no JSON Web Token")
        if "crit" in header or "b64" in header:
            raise TokenRefused(reason="it needs extensions (crit) that are not known here")
        algorithm = header.get("alg")
        if not isinstance(algorithm, str):
            raise TokenRefused(reason="it is no JSON Web Token")
        self._registry.get_alg(algorithm)
        claims = self._claims(_parse_object(parts[1], "its claims are no JSON object"), at)
        read = UnverifiedToken(
            raw=token,
            digest=hashlib.sha256(token).digest(),
            header=header,
            subject=_text(claims, "sub"),
            until=claims["exp"] + LEEWAY,
            actions=_actions(claims),
        )
        self._keys.check_named(header)
        return read

    def verify_signature(self, token: UnverifiedToken, at: datetime) -> Grant:
        """Find the key of a token and check its signature. Return what it allows. Raises: TokenRefused."""
        signing = self._keys.find(token.header, at)
        if not self._is_genuine(token.raw, signing.key):
            raise TokenRefused(reason="its signature is not that of its key", lasting=True)
        until = min(token.until, signing.until.timestamp())
        return Grant(subject=token.subject, until=until, actions=token.actions)

    def _is_genuine(self, token: bytes, key: Any) -> bool:
        """Return whether a signature is that of this key. Raises: TokenRefused if that cannot be found out."""
        try:
            signed = jws.extract_compact(token, registry=self._registry)
            return jws.validate_compact(signed, key, registry=self._registry)
        except RecursionError as error:  # joserfc parses the header again, with a parser that allows less than orjson
            raise TokenRefused(reason="its header is nested too deep", lasting=True) from error
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            # for example an RSA key and an algorithm for ECDSA
            raise TokenRefused(reason="its key and its algorithm do not belong together", lasting=True) from error

    def _claims(self, claims: Mapping[str, Any], at: datetime) -> Mapping[str, Any]:
        rules = JWTClaimsRegistry(
            now=int(at.timestamp()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True},
            exp={"essential": True},
        )
        try:
            rules.validate(dict(claims))
            # A token for others as well could be brought here by them, or there by whoever reads it here.
            if claims["aud"] not in (self._service, [self._service]):
                raise InvalidClaimError("aud")
        except ExpiredTokenError as error:
            raise TokenRefused(reason="it has expired") from error
        except ClaimError as error:
            if isinstance(early := claims.get(str(error.claim)), int | float) and error.claim in {"iat", "nbf"}:
                reason = f"its claim {error.claim} is {early - at.timestamp():.0f} s ahead of the clock of this server"
                raise TokenRefused(reason=reason) from error
            raise TokenRefused(reason=f"its claim {error.claim} is missing, or is not what is expected here") from error
        return claims


def _parse_object(encoded: bytes, refusal: str) -> dict[str, Any]:
    """Decode and parse the header or the payload, if it holds few values. Raises: TokenRefused with this reason."""
    try:
        text = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
            raise TokenRefused(reason=f"it holds more than {MAX_VALUES} values")
        content = orjson.loads(text)
    except ValueError as error:
        raise TokenRefused(reason=refusal) from error
    if not isinstance(content, dict):
        raise TokenRefused(reason=refusal)
    return content


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
