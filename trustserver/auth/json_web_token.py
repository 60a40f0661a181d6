"""Read JSON Web Tokens and check their signatures, whatever their claims are for.

Sources: RFC 7515, RFC 7519, RFC 8725.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from trustserver.auth.accepted_keys import ALGORITHMS
from trustserver.errors import TokenRefused

MAX_TOKEN: Final = 32 * 1024
"""The largest token, in bytes. A certificate chain in it takes some thousand."""
MAX_SIGNATURE: Final = 2048
"""The longest signature, in bytes of base64: that of the largest RSA key takes 1366."""
MAX_VALUES: Final = 4096
"""The highest number of values in the header, and in the payload. A token for four hundred repositories has as many."""


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


# Unknown headers are ignored, as RFC 7515, 4 asks; `crit` is checked in `read_token`.
_REGISTRY: Final = _JwsAlgorithms(algorithms=ALGORITHMS, strict_check_header=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedToken:
    """A token of which nothing is checked but its form. `digest`: the SHA-256 of the token."""

    raw: bytes
    digest: bytes
    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def read_token(token: bytes) -> UncheckedToken:
    """Check the sizes, the form and the algorithm of a token, and parse header and claims. Raises: TokenRefused."""
    if len(token) > MAX_TOKEN:
        raise TokenRefused(reason=f"it has more than {MAX_TOKEN} bytes")
    if b"=" in token:
        raise TokenRefused(reason="it is written with =, which no part of a JSON Web Token ends with (RFC 7515, 2)")
    parts = token.split(b".")
    if len(parts) != len(("header", "payload", "signature")) or len(parts[2]) > MAX_SIGNATURE:
        raise TokenRefused(reason="it is not a JSON Web Token")
    header = _parse_object(parts[0], "it is not a JSON Web Token")
    if "crit" in header or "b64" in header:
        raise TokenRefused(reason="it needs extensions (crit) that are not known here")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenRefused(reason="it is not a JSON Web Token")
    _REGISTRY.get_alg(algorithm)
    claims = _parse_object(parts[1], "its claims are not a JSON object")
    return UncheckedToken(raw=token, digest=hashlib.sha256(token).digest(), header=header, claims=claims)


def check_claims(
    claims: Mapping[str, Any], *, issuer: str, audience: str, leeway: int, at: datetime, has_begun: bool = False
) -> None:
    """Check from whom and for whom a token is, and when it counts. Raises: TokenRefused.

    `audience`: the only one that it may have. `leeway`: how many seconds the clocks of issuer and server may differ.
    `has_begun`: whether it must say when it was issued (`iat`).
    """
    rules = JWTClaimsRegistry(
        now=int(at.timestamp()),
        leeway=leeway,
        iss={"essential": True, "value": issuer},
        aud={"essential": True},
        exp={"essential": True},
        iat={"essential": has_begun},
    )
    try:
        rules.validate(dict(claims))
    except ExpiredTokenError as error:
        raise TokenRefused(reason="it has expired") from error
    except ClaimError as error:
        if isinstance(early := claims.get(str(error.claim)), int | float) and error.claim in {"iat", "nbf"}:
            reason = f"its claim {error.claim} is {early - at.timestamp():.0f} s ahead of the clock of this server"
            raise TokenRefused(reason=reason) from error
        raise TokenRefused(reason=f"its claim {error.claim} is missing, or is not what is expected here") from error
    # A token for others as well could be brought here by them, or there by whoever reads it here.
    if claims["aud"] not in (audience, [audience]):
        raise TokenRefused(reason="it is for another audience (aud), or for others as well")


def check_signature(token: bytes, key: Any) -> None:
    """Check that the signature of a token is that of this key. Raises: TokenRefused, which is lasting."""
    try:
        signed = jws.extract_compact(token, registry=_REGISTRY)
        genuine = jws.validate_compact(signed, key, registry=_REGISTRY)
    except RecursionError as error:  # joserfc parses the header again, with a parser that allows less than orjson
        raise TokenRefused(reason="its header is nested too deep", lasting=True) from error
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        # for example an RSA key and an algorithm for ECDSA
        raise TokenRefused(reason="its key and its algorithm do not belong together", lasting=True) from error
    if not genuine:
        raise TokenRefused(reason="its signature is not that of its key", lasting=True)


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
