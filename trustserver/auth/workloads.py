"""Say which CI jobs and service accounts are which subject, by the claims of the tokens that their platforms give them.

    [[issuer]]
    name = "github"
    platform = "github"
    url = "https://token.actions.githubusercontent.com"
    audience = "https://trust.example.com"

    [[workload]]
    name = "app-release"
    issuer = "github"
    claims = { repository_id = "123456", environment = "release" }

Claims are compared exactly, and each workload names an id that its platform never gives away again: the names of
repositories and projects can be taken over by others after a deletion. Nothing is read out of `sub`, whose form people
configure. What tokens of which platform say: docs/reference/access.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from trustdata.errors import shown
from trustserver.auth.access_tables import Table, tables
from trustserver.errors import StartRefused, TokenRefused
from trustserver.process.outgoing import is_fetchable

MAX_ISSUERS: Final = 16
MAX_WORKLOADS: Final = 10_000
PATH_SEPARATOR: Final = "/"
"""Between the names of nested claims, as in `kubernetes.io/namespace`; names of claims have dots themselves."""
_ISSUER_KEYS: Final = frozenset({"name", "platform", "url", "audience", "jwks_url", "jwks_file", "ca"})
_WORKLOAD_KEYS: Final = frozenset({"name", "issuer", "claims"})


class Platform(StrEnum):
    """What makes the tokens."""

    GITHUB = "github"
    GITLAB = "gitlab"
    KUBERNETES = "kubernetes"


IMMUTABLE_IDS: Final[Mapping[Platform, str]] = {
    Platform.GITHUB: "repository_id",
    Platform.GITLAB: "project_id",
    Platform.KUBERNETES: "kubernetes.io/serviceaccount/uid",
}
"""The claim that each workload of a platform must name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs tokens for workloads.

    `url`: the claim `iss`. `audience`: the claim `aud`, the name that this server has there. `jwks_url`, `jwks_file`:
    where its public keys are; both empty: where its discovery document says. `ca`: certificates (PEM) of those who may
    certify its web server; None: the system's.
    """

    name: str
    platform: Platform
    url: str
    audience: str
    jwks_url: str = ""
    jwks_file: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A subject `ci:NAME`: whoever has a token of this issuer with all of these claims.

    `definition`: the same text for the same claims of the same issuer, and for no others.
    """

    name: str
    issuer: str
    claims: Mapping[str, str]
    definition: str = ""

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Return whether a token's claims are those that are asked for, each the same text."""
        return all(claim_at(claims, path) == wanted for path, wanted in self.claims.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """All issuers and workloads of an access file, by name."""

    issuers: Mapping[str, Issuer] = field(default_factory=dict)
    workloads: Mapping[str, Workload] = field(default_factory=dict)

    def of(self, issuer: Issuer, claims: Mapping[str, Any]) -> Workload:
        """Return the workload that has a verified token with these claims.

        If several fit it is the one that asks for all that the others ask for, and more. Raises: TokenRefused if none
        fits, or none of them asks for most.
        """
        fitting = [each for each in self.workloads.values() if each.issuer == issuer.name and each.fits(claims)]
        for each in fitting:
            if all(each.claims.items() >= other.claims.items() for other in fitting):
                return each
        if fitting:
            names = ", ".join(each.name for each in fitting)
            raise TokenRefused(reason=f"its claims fit the workloads {names}, and none of them asks for most")
        raise TokenRefused(reason=f"its claims fit no workload of the issuer {issuer.name}")


def claim_at(claims: Mapping[str, Any], path: str) -> object:
    """Return the claim at a path, such as `kubernetes.io/namespace`; None if there is none."""
    found: object = claims
    for name in path.split(PATH_SEPARATOR):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def read_workloads(document: Mapping[str, Any], *, file: Path) -> Workloads:
    """Read the tables `issuer` and `workload` of an access file. Raises: StartRefused, which names the table."""
    issuers: dict[str, Issuer] = {}
    urls: set[str] = set()
    for place, table in tables(document, "issuer", MAX_ISSUERS, file):
        issuer = _issuer(_Table(table, place=place, file=file))
        if issuer.name in issuers or issuer.url in urls:
            raise StartRefused(what=str(file), reason=f"{place} has the name or url of an issuer before it")
        issuers[issuer.name] = issuer
        urls.add(issuer.url)
    workloads: dict[str, Workload] = {}
    by_definition: dict[str, str] = {}
    for place, table in tables(document, "workload", MAX_WORKLOADS, file):
        workload = _workload(_Table(table, place=place, file=file), issuers)
        if workload.name in workloads:
            raise StartRefused(what=str(file), reason=f"{place} has the name of a workload before it")
        same = by_definition.setdefault(workload.definition, workload.name)
        if same != workload.name:
            raise StartRefused(what=str(file), reason=f"{place} asks for the same claims as {same}")
        workloads[workload.name] = workload
    return Workloads(issuers=issuers, workloads=workloads)


class _Table(Table):
    """A table of an issuer or a workload."""

    def url(self, key: str, *, required: bool = True) -> str:
        url = self.text(key, required=required)
        if url and not is_fetchable(url):
            raise self.refusal(f"needs {key}, a URL with https:// (http:// on loopback), without login and fragment")
        return url

    def path(self, key: str) -> Path | None:
        text = self.text(key, required=False)
        return self.file.parent / text if text else None  # as written, if it is absolute

    def claims(self) -> Mapping[str, str]:
        claims = self.table.get("claims")
        if not isinstance(claims, Mapping) or not claims:
            raise self.refusal("needs claims, a table")
        for claim, value in claims.items():
            if not isinstance(value, str) or not value:
                raise self.refusal(f"compares the claim {shown(claim, 100)} with something that is no text")
        return dict(claims)


def _issuer(table: _Table) -> Issuer:
    table.check_keys(_ISSUER_KEYS)
    platform = table.text("platform")
    if platform not in set(Platform):
        raise table.refusal(f"needs platform: {', '.join(Platform)}")
    jwks_url, jwks_file = table.url("jwks_url", required=False), table.path("jwks_file")
    if jwks_url and jwks_file:
        raise table.refusal("has jwks_url and jwks_file: give one of them")
    return Issuer(
        name=table.name(),
        platform=Platform(platform),
        url=table.url("url"),
        audience=table.text("audience"),
        jwks_url=jwks_url,
        jwks_file=jwks_file,
        ca=table.path("ca"),
    )


def _workload(table: _Table, issuers: Mapping[str, Issuer]) -> Workload:
    table.check_keys(_WORKLOAD_KEYS)
    issuer = issuers.get(table.text("issuer"))
    if issuer is None:
        raise table.refusal(f"names an issuer that does not exist; there are: {', '.join(issuers) or 'none'}")
    claims = table.claims()
    immutable = IMMUTABLE_IDS[issuer.platform]
    if immutable not in claims:
        raise table.refusal(
            f"needs the claim {immutable}: the other ones of {issuer.platform} can belong to somebody else one day"
        )
    stated = json.dumps([issuer.platform, issuer.url, issuer.audience, sorted(claims.items())])
    definition = hashlib.sha256(stated.encode()).hexdigest()
    return Workload(name=table.name(), issuer=issuer.name, claims=claims, definition=definition)
