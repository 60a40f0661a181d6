"""Verify the tokens that CI platforms and Kubernetes give to their jobs, and say which workload has one.

Sources: RFC 7519, RFC 8725; OpenID Connect Core 1.0, section 3.1.3.7. Such a token is only ever exchanged for one of
this server's own, and only once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trustserver.auth.issuer_keys import IssuerKeys
from trustserver.auth.json_web_token import UncheckedToken, check_claims, check_signature, read_token
from trustserver.auth.workloads import IMMUTABLE_IDS, Issuer, Platform, Workloads, claim_at
from trustserver.errors import TokenRefused

LEEWAY: Final = 30
"""How many seconds the clocks of the issuer and of this server may differ."""
_ALGORITHMS: Final = frozenset({"RS256", "ES256"})
"""What the platforms sign with."""
_NOT_FROM_OUTSIDE: Final = "pull_request_target"
"""The event of a GitHub workflow that runs with the rights of a repository and the content of a stranger's change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWorkload:
    """Who has shown a token. `name`, `definition`: of the workload. `token_id`: the same for no other token, 32 bytes.

    `until`: when the token could no longer be shown, in seconds since 1970.
    """

    name: str
    definition: str
    issuer: str
    token_id: bytes
    until: float


class WorkloadVerifier:
    """Verifies tokens of the issuers of an access file. It may ask an issuer for its keys, and wait for that."""

    def __init__(self, workloads: Workloads, keys: Mapping[str, IssuerKeys]) -> None:
        """Make a verifier. `keys`: by the issuer's name."""
        self._workloads = workloads
        self._keys = keys
        self._by_url = {issuer.url: issuer for issuer in workloads.issuers.values()}

    def read(self, token: bytes, at: datetime) -> tuple[Issuer, UncheckedToken]:
        """Check all of a token that can be checked without its issuer's keys. Raises: TokenRefused."""
        unchecked = read_token(token)
        url = unchecked.claims.get("iss")
        # By the issuer that it names, and no other: one issuer must not vouch for the jobs of another.
        issuer = self._by_url.get(url) if isinstance(url, str) else None
        if issuer is None:
            raise TokenRefused(reason="its issuer (iss) is none that is known here")
        if unchecked.header["alg"] not in _ALGORITHMS:
            raise TokenRefused(reason="its algorithm is not accepted here")
        if not isinstance(unchecked.header.get("kid"), str):
            raise TokenRefused(reason="it names no key (kid)")
        _check_claims(issuer, unchecked.claims, at)
        return issuer, unchecked

    def verify(self, token: bytes, at: datetime) -> VerifiedWorkload:
        """Verify a token and say which workload has it. Raises: TokenRefused."""
        issuer, unchecked = self.read(token, at)
        check_signature(token, self._keys[issuer.name].find(unchecked.header["kid"], at))
        workload = self._workloads.of(issuer, unchecked.claims)
        return VerifiedWorkload(
            name=workload.name,
            definition=workload.definition,
            issuer=issuer.name,
            token_id=_token_id(issuer, unchecked),
            until=unchecked.claims["exp"] + LEEWAY,
        )


def _check_claims(issuer: Issuer, claims: Mapping[str, Any], at: datetime) -> None:
    """Check the claims that each token of the issuer must have. Raises: TokenRefused."""
    check_claims(claims, issuer=issuer.url, audience=issuer.audience, leeway=LEEWAY, at=at, has_begun=True)
    if not isinstance(claim_at(claims, IMMUTABLE_IDS[issuer.platform]), str):
        raise TokenRefused(reason=f"it has no claim {IMMUTABLE_IDS[issuer.platform]}")
    if issuer.platform is Platform.GITHUB and claims.get("event_name") == _NOT_FROM_OUTSIDE:
        raise TokenRefused(reason=f"it is of a workflow that {_NOT_FROM_OUTSIDE} started, which strangers can use")


def _token_id(issuer: Issuer, token: UncheckedToken) -> bytes:
    """Return the SHA-256 of what stands for this token and no other: its `jti`, or else all that was signed."""
    named = token.claims.get("jti")
    signed = token.raw.rpartition(b".")[0]  # a signature can be written in more than one way
    own = named.encode(errors="surrogatepass") if isinstance(named, str) and named else signed
    return hashlib.sha256(issuer.url.encode() + b"\n" + own).digest()
