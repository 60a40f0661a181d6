"""A server with rules on who may do what, and the credentials of its clients."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from tests.simulator.token_issuer import ISSUER, REALM, SERVICE
from tests.support.server_site import GUN_A, Site
from tests.unit.server.guarded_site import ISSUED
from trustserver.auth.access_authorizer import AccessAuthorizer
from trustserver.auth.access_source import AccessSource
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.auth.exchanges import Exchanges
from trustserver.auth.issuer_keys import IssuerKeys
from trustserver.auth.open_authorizer import OpenAuthorizer
from trustserver.auth.token_authorizer import TokenAuthorizer
from trustserver.auth.token_keys import TokenKeys
from trustserver.auth.tokens import TokenVerifier
from trustserver.auth.workloads import Issuer
from trustserver.process.tls import CERTIFICATE
from trustserver.storage.access_port import AccessStore
from trustserver.storage.exchange_port import ExchangeStore

_REFERENCE = Path(__file__).parents[3] / "docs/reference/access.md"


def _routes() -> list[tuple[str, str, str]]:
    """(method, path, rights on a collection that is there) by the table of the reference."""
    rows = re.findall(
        r"^\| (`(?:GET|POST|DELETE) .*?) \| (.*?) \|", _REFERENCE.read_text(encoding="utf-8"), re.MULTILINE
    )
    found = []
    for routes, needs in rows:
        method = ""
        for route in re.findall(r"`(.*?)`", routes):
            method, path = route.split() if " " in route else (method, route)
            rights = "" if "`" not in needs else ",".join(re.findall(r"`([a-z]+)`", needs.partition(";")[0]))
            found.append((method, path, "known" if needs == "to be known" else rights))
    return found


ROUTES = _routes()
_PARTS = {"FILE": "timestamp.json", "ROLE": "snapshot"}


def filled(path: str, gun: str = GUN_A) -> str:
    """The path of a row, for a collection."""
    for word, text in {**_PARTS, "GUN": gun}.items():
        path = re.sub(rf"\b{word}\b", text, path)
    return path


def rules_text(*rules: tuple[str, str, str, str], roles: Sequence[str] = ()) -> str:
    """Rules of (subjects, names, allow or deny, rights), each but the verb as words. `roles`: of the last."""
    tables = [
        f"[[rule]]\nsubjects = {subjects.split()}\nnames = {names.split()}\n{verb} = {rights.split()}\n"
        for subjects, names, verb, rights in rules
    ]
    return "\n".join(["version = 1\n", *tables]) + (f"roles = {list(roles)}\n" if roles else "")


class RuledSite(Site):
    """A site with a file of rules, and with registry tokens if `registry`. `shown`: the connection's certificate."""

    shown: bytes | None = None

    def __init__(
        self,
        file: Path,
        text: str,
        store: Any = None,
        *,
        registry: bool = False,
        credentials: AccessStore | None = None,
        certificates: ClientCertificates | None = None,
        exchanged: ExchangeStore | None = None,
        keys_of: Callable[[Issuer], IssuerKeys] = IssuerKeys,
        **settings: Any,
    ) -> None:
        self.rules_file = file
        self.write(text)
        # Time passes with each look, so that a file that was changed is settled at the next one.
        self.source = AccessSource(file, credentials, certificates=certificates, seconds=count().__next__)
        tokens = self._tokens() if registry else None
        authorizer = AccessAuthorizer(
            self.source,
            otherwise=tokens or OpenAuthorizer(),
            registry=tokens,
            clock=self.now,
            seconds=self.uptime,
            certificates=certificates,
            exchanges=None
            if exchanged is None
            else Exchanges(exchanged, self.source.workloads, clock=self.now, keys_of=keys_of),
        )
        super().__init__(store, authorizer=authorizer, **settings)

    async def served(self, scope: Any, receive: Any, send: Any) -> None:
        await super().served({**scope, CERTIFICATE: self.shown} if self.shown else scope, receive, send)

    def _tokens(self) -> TokenAuthorizer:
        verifier = TokenVerifier(TokenKeys([ISSUED.certificate]), issuer=ISSUER, service=SERVICE)
        return TokenAuthorizer(verifier, realm=REALM, service=SERVICE, anonymous_pull=False, clock=lambda: self.at)

    def write(self, text: str) -> None:
        """Put other rules into the file. The server has not looked at them yet."""
        self.rules_file.write_text(text)
        self.rules_file.chmod(0o600)

    def rule(self, text: str) -> None:
        """Put other rules into the file, and have the server look."""
        self.write(text)
        self.source.refresh(unchanged_too=True)
