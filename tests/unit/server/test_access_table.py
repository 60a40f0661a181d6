"""Every kind of subject at every route of both formats, with each right that the route needs and without it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.simulator.token_issuer import access
from tests.simulator.workload_issuers import RULES, documents, github, shown
from tests.support.certificates import make_authority
from tests.support.client_certificates import der, issued
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from tests.unit.server.access_site import ROUTES, RuledSite, filled, rules_text
from tests.unit.server.guarded_site import bearer
from trustserver.auth.api_tokens import make_token
from trustserver.auth.authorizer import SubjectKind
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.auth.issuer_keys import IssuerKeys
from trustserver.auth.passwords import hash_password
from trustserver.auth.rights import Right
from trustserver.settings import Settings
from trustserver.storage.access_port import CredentialKind, StoredCredential
from trustserver.storage.events import NOBODY
from trustserver.storage.opening import open_access, open_exchanges, open_store

SUBJECTS = {
    SubjectKind.ANONYMOUS: "anonymous",
    SubjectKind.REGISTRY_TOKEN: "registry-token:alice",
    SubjectKind.API_TOKEN: "token:ci",
    SubjectKind.PASSWORD: "user:bob",
    SubjectKind.CERTIFICATE: "certificate:carol",
    SubjectKind.WORKLOAD: "ci:app",
}
EVERYTHING = ("*", "*", "allow", "*")
CAROL = '\n[[certificate]]\nname = "carol"\nsubject = "CN=carol,O=Example"\n'
ORDERED = sorted(ROUTES, key=lambda route: route[0] == "DELETE")
"""Deletions come last: what is deleted is asked for by the others."""


class EveryKind(RuledSite):
    """A site that knows somebody of each kind."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data=folder / "data")
        open_store(settings).close()
        self.credentials = open_access(settings)
        self.exchanged = open_exchanges(settings)
        token = make_token(self.credentials, "ci", at=NOW, expires=None, rights=["pull"], names=["*"], by=NOBODY)
        self.token = token or ""
        bob = StoredCredential(
            kind=CredentialKind.USER, name="bob", secret=hash_password(b"secret of bob"), created=NOW
        )
        self.credentials.put([bob], by=NOBODY)
        authority = make_authority(folder)
        trusted = folder / "clients-ca.crt"
        trusted.write_bytes(authority.file.read_bytes())
        trusted.chmod(0o600)
        self.certificate = der(issued(authority))
        begun = Site()
        begun.begin()
        asked = documents()
        super().__init__(
            folder / "access.toml",
            rules_text(EVERYTHING) + CAROL + RULES,
            begun.store,
            registry=True,
            credentials=self.credentials,
            certificates=ClientCertificates(trusted, clock=self.now),
            exchanged=self.exchanged,
            keys_of=lambda issuer: IssuerKeys(issuer, get=asked),
        )

    def close(self) -> None:
        self.app.close()
        self.credentials.close()
        self.exchanged.close()

    def headers_of(self, kind: SubjectKind) -> Mapping[str, str]:
        """What somebody of this kind sends, or shows before."""
        if kind is SubjectKind.REGISTRY_TOKEN:
            entries = [access(GUN_A, "*"), access("catalog", "*", kind="registry")]
            return bearer(access=entries)
        if kind is SubjectKind.API_TOKEN:
            return {"Authorization": f"Bearer {self.token}"}
        if kind is SubjectKind.PASSWORD:
            return {"Authorization": "Basic " + base64.b64encode(b"bob:secret of bob").decode()}
        if kind is SubjectKind.WORKLOAD:
            of_job = {"Authorization": f"Bearer {shown(github()).decode()}"}
            answer = self.request("POST", "/api/v1/access/exchange", headers=of_job)
            return {"Authorization": f"Bearer {answer.json()['token']}"}
        self.shown = self.certificate if kind is SubjectKind.CERTIFICATE else None
        return {}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[EveryKind]:
    made = EveryKind(tmp_path)
    yield made
    made.close()


def test_somebody_of_every_kind_is_in_the_table() -> None:
    assert set(SUBJECTS) == set(SubjectKind)


@pytest.mark.parametrize("kind", SUBJECTS)
def test_each_route_by_the_rights_of_each_kind(site: EveryKind, kind: SubjectKind) -> None:
    headers, subject = site.headers_of(kind), SUBJECTS[kind]
    told = site.get("/api/v1/access/whoami", headers=headers).json()["subject"]
    assert told == subject
    refused = 0
    for method, path, rights in ORDERED:
        for missing in set(rights.split(",")) & set(Right):
            denied = rules_text(EVERYTHING, (subject, "*", "deny", missing))
            site.rule(denied + CAROL + RULES)
            answer = site.request(method, filled(path), headers=headers)
            # Notary's clients take every other status for a server that cannot be reached.
            known = subject != "anonymous" and not path.startswith("/v2/")
            assert answer.status_code == (403 if known else 401), (method, path, missing)
            refused += 1
    assert refused >= 16
    site.rule(rules_text(EVERYTHING) + CAROL + RULES)
    for method, path, rights in ORDERED:
        if "access/exchange" in path or "api/v1/token" in path:
            continue  # for those who are not known yet
        answer = site.request(method, filled(path), headers=headers)
        is_open = rights != "known" or subject != "anonymous"
        assert (answer.status_code not in {401, 403}) is is_open, (method, path, answer.text)
