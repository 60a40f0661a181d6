"""Collections whose root key is in SoftHSM2, read by `docker`, `notary` and python-tuf, which know nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.peers.engine_user import EngineUser
from tests.support.docker_client import DockerUser, debians_cli
from tests.support.docker_engine import UnpackedDocker
from tests.support.notary_client import NotaryUser
from tests.support.softhsm import QUERY, SoftHsm
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import our_server
from tests.support.tuf_client import TufClient

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TOKEN: Final = f"pkcs11:token=vault{QUERY}"
MADE: Final = (("main", "root"), ("next", "root"))


def holder(folder: Path, server: str, algorithm: str, *, ca: Path | None = None) -> TrustUser:
    """Somebody whose root keys are in a token; the repository key is in the store, for every day."""
    hsm = SoftHsm(folder / "hsm")
    hsm.make("vault")
    user = TrustUser(folder / "holder", server, environ=hsm.environ)
    if ca is not None:
        user.environ["TRUST_CACERT"] = str(ca)
    for name, purpose in MADE:
        user.run("key", "generate", name, "--purpose", purpose, "--algorithm", algorithm, "--at", TOKEN)
    return user


def digest_that_notary_lists(notary: NotaryUser, gun: str, tag: str) -> str:
    return f"sha256:{notary.listed(gun)[tag].digest}"


@pytest.mark.parametrize(
    "algorithm",
    ["ecdsa-p256", pytest.param("ecdsa-p384", marks=pytest.mark.long), pytest.param("rsa", marks=pytest.mark.long)],
)
def test_notary_follows_from_one_certificate_of_the_token_to_the_next(
    algorithm: str, tmp_path: Path, gun: str, put: Put
) -> None:
    first = put("1.0")
    with our_server(tmp_path) as server:
        owner = holder(tmp_path, server.url, algorithm, ca=server.ca)
        sleeper, late = (NotaryUser(tmp_path / name, server) for name in ("sleeper", "late"))
        owner.run("init", gun, "--format", "notary", "--root-key", "main", "--no-recovery-key")
        owner.run("sign", f"{gun}:1.0")
        assert digest_that_notary_lists(sleeper, gun, "1.0") == first.digest
        owner.run("key", "rotate", "root", gun, "--key", "next")
        owner.run("key", "rotate", "targets", gun)
        second = put("2.0", text="signed after the rotation")
        owner.run("sign", f"{gun}:2.0")
        for user in (sleeper, late):
            assert digest_that_notary_lists(user, gun, "2.0") == second.digest
        assert sleeper.signed(gun, "root")["version"] == 3


def test_docker_pulls_what_a_collection_of_the_token_has_signed(
    unpacked_docker: UnpackedDocker, engine: str, tmp_path: Path, gun: str, put: Put
) -> None:
    first = put("1.0")
    with our_server(tmp_path) as server:
        owner = holder(tmp_path, server.url, "ecdsa-p256", ca=server.ca)
        owner.run("init", gun, "--format", "notary", "--root-key", "main", "--no-recovery-key")
        owner.run("sign", f"{gun}:1.0")
        node = EngineUser(DockerUser(tmp_path / "node", debians_cli(unpacked_docker), server, host=engine))
        node.docker.run("pull", f"{gun}:1.0")
        assert node.has(gun) == {"1.0", first.digest}
        node.forget(gun)
        assert node.docker.start(("trust", "inspect", gun)).stdout == owner.run("inspect", gun).stdout
        owner.run("key", "rotate", "root", gun, "--key", "next")
        second = put("2.0", text="signed after the rotation")
        owner.run("sign", f"{gun}:2.0")
        node.docker.run("pull", f"{gun}:2.0")
        assert node.has(gun) == {"2.0", second.digest}
        node.forget(gun)
        owner.run("revoke", "--yes", f"{gun}:1.0")
        assert "no valid trust data for 1.0" in node.docker.refused("pull", f"{gun}:1.0")
        assert node.has(gun) == set()


@pytest.mark.parametrize(
    "algorithm",
    [
        "ecdsa-p256",
        pytest.param("ecdsa-p384", marks=pytest.mark.long),
        "ed25519",
        pytest.param("rsa", marks=pytest.mark.long),
    ],
)
def test_python_tuf_follows_the_token(algorithm: str, tmp_path: Path, owner: TrustUser, gun: str, put: Put) -> None:
    first = put("1.0")
    user = holder(tmp_path, owner.environ["TRUST_SERVER"], algorithm)
    user.run("init", gun, "--root-key", "main", "--no-recovery-key")
    user.run("sign", f"{gun}:1.0")
    reader = TufClient(tmp_path / "reader", owner.environ["TRUST_SERVER"], gun)
    assert reader.digest_of("1.0") == first.digest
    user.run("key", "rotate", "root", gun, "--key", "next")
    user.run("key", "rotate", "timestamp", gun)
    second = put("2.0", text="signed after the rotation")
    user.run("sign", f"{gun}:2.0")
    assert reader.digest_of("2.0") == second.digest
