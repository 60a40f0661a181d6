"""The table of odd tokens at our server: each row is decided, and stands in the guide as it is here."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.simulator.token_issuer import ISSUER, REALM, SERVICE, certify
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from tests.support.token_table import TABLE, OddToken
from trustserver.auth.token_authorizer import TokenAuthorizer
from trustserver.auth.token_keys import TokenKeys, libtrust_id
from trustserver.auth.tokens import TokenVerifier

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "notary-api.md"
SIGNERS = {
    "": certify(NOW),
    "PS256": certify(NOW, name="rsa", key=rsa.generate_private_key(65537, 2048)),
}
PATHS = {
    "notary": f"/v2/{GUN_A}/_trust/tuf/root.json",
    "tuf": f"/tuf/{GUN_A}/metadata/1.root.json",
    "management": f"/api/v1/collections/{GUN_A}",
}


def site() -> Site:
    keys = TokenKeys([signer.certificate for signer in SIGNERS.values()])
    tokens = TokenAuthorizer(
        TokenVerifier(keys, issuer=ISSUER, service=SERVICE),
        realm=REALM,
        service=SERVICE,
        anonymous_pull=False,
        clock=lambda: NOW,
    )
    return Site(authorizer=tokens)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_ours(row: OddToken, path: str) -> None:
    """The same at every API; a name without data is 404 for those who may ask."""
    signer = SIGNERS[row.alg]
    kid = libtrust_id(signer.key.public_key())
    bearer = row.made(signer, NOW, issuer=ISSUER, service=SERVICE, gun=GUN_A, kid=kid)
    target = "/v2/" if row.ping else PATHS[path]
    answer = site().get(target, headers={"Authorization": f"Bearer {bearer}"})
    assert answer.status_code == ((200 if row.ping else 404) if row.ours else 401), answer.text


def test_the_reference_has_every_row_and_no_other() -> None:
    def said(*, taken: bool) -> str:
        return "taken" if taken else "refused"

    table = REFERENCE.read_text().partition("| token | RFCs |")[2].splitlines()[2:]
    written = [line.replace("`", "").split(" | ")[:4] for line in table if line.startswith("| ")]
    expected = [[f"| {r.name}", said(taken=r.rfc), said(taken=r.go), said(taken=r.ours)] for r in TABLE]
    assert written == expected
