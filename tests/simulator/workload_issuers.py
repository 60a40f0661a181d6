"""Who gives tokens to CI jobs and service accounts: rules that name them, what they say, and where their keys are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from tests.simulator.token_issuer import PrivateKey, p256, token
from tests.support.server_owner import NOW
from trustserver.auth.workloads import Issuer
from trustserver.process.outgoing import Unfetched

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.example.com"
CLUSTER = "https://kubernetes.default.svc"
AUDIENCE = "https://trust.example.com"
FILE = Path("access.toml")
RULES = f"""
[[issuer]]
name = "github"
platform = "github"
url = "{GITHUB}"
audience = "{AUDIENCE}"

[[issuer]]
name = "gitlab"
platform = "gitlab"
url = "{GITLAB}"
audience = "{AUDIENCE}"

[[issuer]]
name = "cluster"
platform = "kubernetes"
url = "{CLUSTER}"
audience = "{AUDIENCE}"

[[workload]]
name = "app"
issuer = "github"
claims = {{ repository_id = "123" }}

[[workload]]
name = "app-release"
issuer = "github"
claims = {{ repository_id = "123", environment = "release" }}

[[workload]]
name = "project"
issuer = "gitlab"
claims = {{ project_id = "7", ref_protected = "true" }}

[[workload]]
name = "deployer"
issuer = "cluster"
claims = {{ "kubernetes.io/namespace" = "prod", "kubernetes.io/serviceaccount/uid" = "0d1e" }}
"""
KEY = p256()
KID = "of the issuer"


def jwk(key: PrivateKey, kid: str | None = KID, **more: Any) -> dict[str, Any]:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    kind = RSAKey if isinstance(key, rsa.RSAPrivateKey) else ECKey
    found: dict[str, Any] = dict(kind.import_key(pem).as_dict(private=False))
    found.pop("kid", None)
    return {**found, **({"kid": kid} if kid else {}), **more}


def jwks(*keys: object) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def github(**others: Any) -> dict[str, Any]:
    """What a job of the repository 123 shows; None leaves a claim out."""
    usual = {
        "iss": GITHUB,
        "aud": AUDIENCE,
        "iat": int(NOW.timestamp()),
        "nbf": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "jti": "job-1",
        "sub": "repo:octo/app:ref:refs/heads/main",
        "repository": "octo/app",
        "repository_id": "123",
        "event_name": "push",
    }
    return {name: value for name, value in {**usual, **others}.items() if value is not None}


def gitlab(**others: Any) -> dict[str, Any]:
    return github(**{"iss": GITLAB, "repository_id": None, "project_id": "7", "ref_protected": "true", **others})


def cluster(aud: object = (AUDIENCE,), uid: object = "0d1e", **others: Any) -> dict[str, Any]:
    account = {"namespace": "prod", "serviceaccount": {"name": "deployer", "uid": uid}}
    return github(iss=CLUSTER, aud=aud, jti=None, **{"kubernetes.io": account}, **others)


class Documents:
    """The web servers of the issuers: documents by URL, and how often they were asked for."""

    def __init__(self, found: Mapping[str, bytes | Unfetched]) -> None:
        self.found = dict(found)
        self.asked: list[str] = []

    def __call__(self, url: str, *, issuer: Issuer, limit: int) -> bytes:
        del issuer, limit
        self.asked.append(url)
        document = self.found[url]
        if isinstance(document, Unfetched):
            raise document
        return document


def discovery(issuer: str, keys: str = "") -> bytes:
    return json.dumps({"issuer": issuer, "jwks_uri": keys or f"{issuer}/keys"}).encode()


def documents() -> Documents:
    found = {}
    for issuer in (GITHUB, GITLAB, CLUSTER):
        found[f"{issuer}/.well-known/openid-configuration"] = discovery(issuer)
        found[f"{issuer}/keys"] = jwks(jwk(KEY))
    return Documents(found)


def shown(claims: Mapping[str, Any], key: PrivateKey = KEY, **header: Any) -> bytes:
    return token(key, claims, **{"kid": KID, **header}).encode()
