"""Keys in services: roots in Vault and AWS KMS through their life in both formats, a signer in Vault, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.algorithms import Algorithm, generate
from tests.support.hostile_server import json_reply
from tests.support.key_services import AwsKms, KeyService, Vault
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Service = Callable[..., Any]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    started: list[KeyService] = []

    def start(kind: type[KeyService], user: TrustUser, algorithm: Algorithm = Algorithm.ECDSA_P256) -> KeyService:
        made = kind(generate(algorithm))
        started.append(made)
        user.environ |= made.environ(tmp_path)
        return made

    yield start
    for each in started:
        each.stop()


@pytest.mark.parametrize("kind", ["tuf ecdsa-p256", "tuf ed25519", "notary ecdsa-p256", "notary ecdsa-p384"])
def test_a_root_in_vault_and_one_in_aws(  # noqa: PLR0917
    kind: str, owner: TrustUser, people: People, gun: str, put: Put, service: Service
) -> None:
    pytest.importorskip("botocore", reason="botocore is not installed")
    wire, algorithm = kind.split()
    vault, aws = service(Vault, owner, Algorithm(algorithm)), service(AwsKms, owner)
    image = put("1.0")
    owner.run("key", "import", "hv:release", "--purpose", "root", "--name", "main")
    owner.run("key", "import", "awskms:alias/release", "--purpose", "root", "--name", "next")
    rows = {row["name"]: row["uri"] for row in owner.run("--json", "key", "list").document()["keys"]}
    assert rows == {"main": vault.uri, "next": aws.uri}, "the exact version, and the ARN behind the alias"
    owner.run("init", gun, "--root-key", "main", "--no-recovery-key", "--format", wire)
    reader = people("reader")
    reader.knows(gun, owner.pin_of(gun))
    owner.run("sign", f"{gun}:1.0")
    assert reader.run("verify", f"{gun}:1.0").stdout.strip() == f"{gun}@{image.digest}"
    owner.run("key", "rotate", "root", gun, "--key", "next")
    owner.run("key", "rotate", "timestamp", gun)
    owner.run("sign", f"{gun}:1.0@{image.digest}")
    reader.run("verify", f"{gun}:1.0")
    owner.run("doctor", gun)


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_a_signer_whose_key_is_in_vault(  # noqa: PLR0917
    wire: str, owner: TrustUser, people: People, gun: str, put: Put, service: Service
) -> None:
    image = put("1.0")
    owner.run("init", gun, "--no-recovery-key", "--format", wire)
    vault = service(Vault, owner)
    owner.run("signer", "add", "--key", "hv:release", "alice", gun)
    ci = people("ci")
    ci.environ |= {name: owner.environ.pop(name) for name in ("VAULT_ADDR", "VAULT_TOKEN")}
    ci.run("sign", f"{gun}:1.0", "--key", "hv:release", "--pin", owner.pin_of(gun))
    reader = people("reader")
    reader.knows(gun, owner.pin_of(gun))
    assert reader.run("verify", f"{gun}:1.0", "--signer", "alice").stdout.strip() == f"{gun}@{image.digest}"
    vault.signing = generate()
    put("2.0", text="other")
    ci.run("sign", f"{gun}:2.0", "--key", "hv:release", "--pin", owner.pin_of(gun), expect=8).said(
        "what it gave is no signature", "nothing was sent"
    )


def test_refusals_name_the_fault_and_what_to_do(owner: TrustUser, gun: str, service: Service) -> None:
    vault = service(Vault, owner)
    owner.run("key", "import", "hv:release", "--purpose", "root", "--name", "main")
    vault.faults.append(json_reply(403, {"errors": ["permission denied"]}))
    owner.run("init", gun, "--root-key", "main", "--no-recovery-key", expect=8).said(
        "Vault at 127.0.0.1", "permission denied", "have the service allow this caller"
    )
    assert "hvs.token" not in owner.run("key", "test", "main", VAULT_TOKEN="", expect=8).stderr
    owner.run("key", "test", "main", VAULT_ADDR="http://vault.example:8200", expect=8).said("VAULT_ADDR is no address")
    owner.run("key", "test", "hv:other", expect=8).said("has no key transit/other")
    owner.run("key", "generate", "x", "--at", "hv:x", expect=8).said("vault write -f transit/keys/NAME")
    owner.run("key", "test", "main")
    assert b"PRIVATE" not in b"".join(owner.key_files().values())
