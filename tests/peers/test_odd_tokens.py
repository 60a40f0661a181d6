"""The table of odd tokens, at Debian's notary-server: what stands of it there is what it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.simulator.token_issuer import Certified, certify, now
from tests.support.guarded_notary import notary_server
from tests.support.token_server import ISSUER, SERVICE, TokenServer
from tests.support.token_table import TABLE, OddToken
from tests.support.trust_servers import NotaryApi
from trustserver.auth.token_keys import libtrust_id

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GUN = "registry.example.com/app"


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server, and two keys that it believes."""

    api: NotaryApi
    ec: Certified
    rsa: Certified


class _NoTokenServer(TokenServer):
    """The tests make the tokens themselves."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "http://127.0.0.1:1")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("notary-server")
    tokens = _NoTokenServer(folder)
    known = certify(now()), certify(now(), name="rsa", key=rsa.generate_private_key(65537, 2048))
    tokens.certificate.write_bytes(b"".join(each.pem for each in known))
    with notary_server(folder, tokens) as server:
        yield Site(api=NotaryApi(url=server.url, ca=server.authority), ec=known[0], rsa=known[1])


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_notary_s_server(site: Site, row: OddToken) -> None:
    signer = site.rsa if row.alg else site.ec
    kid = libtrust_id(signer.key.public_key())
    bearer = row.made(signer, now(), issuer=ISSUER, service=SERVICE, gun=GUN, kid=kid)
    path = "/v2/" if row.ping else f"/v2/{GUN}/_trust/tuf/root.json"
    answer = site.api.request(path, headers={"Authorization": f"Bearer {bearer}"})
    assert answer.status == ((200 if row.ping else 404) if row.go else 401), answer
