"""A server that wants registry tokens, and the headers that its clients send and read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.simulator.token_issuer import ISSUER, REALM, SERVICE, access, certify, claims, token
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from trustserver.auth.token_authorizer import TokenAuthorizer
from trustserver.auth.token_keys import TokenKeys, libtrust_id
from trustserver.auth.tokens import Grant, TokenVerifier, UnverifiedToken

ISSUED = certify(NOW)


KID = libtrust_id(ISSUED.key.public_key())


class _Counting(TokenVerifier):
    """Counts the tokens whose signature it checks."""

    verified = 0

    def verify_signature(self, token: UnverifiedToken, at: datetime) -> Grant:
        self.verified += 1
        return super().verify_signature(token, at)


class Guarded(Site):
    """A site that wants tokens."""

    def __init__(self, store: Any = None, *, anonymous_pull: bool = False, **settings: Any) -> None:
        self.verifier = _Counting(TokenKeys([ISSUED.certificate]), issuer=ISSUER, service=SERVICE)
        self.tokens = TokenAuthorizer(
            self.verifier, realm=REALM, service=SERVICE, anonymous_pull=anonymous_pull, clock=lambda: self.at
        )
        super().__init__(store, authorizer=self.tokens, **settings)


def bearer(*actions: str, name: str = GUN_A, kind: str = "repository", **others: Any) -> dict[str, str]:
    entries = [access(name, *actions, kind=kind)] if actions else []
    return {"Authorization": f"Bearer {token(ISSUED.key, claims(NOW, *entries, **others), kid=KID)}"}


def challenge(scope: str, error: str = "") -> str:
    plain = f'Bearer realm="{REALM}",service="{SERVICE}",scope="{scope}"'
    return f'{plain},error="{error}"' if error else plain
