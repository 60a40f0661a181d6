"""One collection from docker's first push to the fourth root, with a real engine: what the whole of this is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.engine_user import EngineUser
from tests.support.docker_client import DockerCli, DockerUser, debians_cli
from tests.support.docker_engine import UnpackedDocker
from tests.support.notary_client import REPOSITORY_PASSPHRASE, ROOT_PASSPHRASE
from tests.support.stage import Put
from tests.support.trust_program import TrustUser
from tests.support.trust_servers import PeerServer, debians_notary_server, our_server

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def cli(unpacked_docker: UnpackedDocker) -> DockerCli:
    return debians_cli(unpacked_docker)


def at(user: EngineUser, server: PeerServer) -> EngineUser:
    """The same person, told of another server and of nothing else."""
    old = user.docker
    return EngineUser(DockerUser(old.folder, old.cli, server, host=old.environ["DOCKER_HOST"]))


def test_from_the_first_push_to_the_fourth_root(
    cli: DockerCli, engine: str, tmp_path: Path, gun: str, put: Put
) -> None:
    """Made by docker, taken over by us, signed by us, pulled by docker; three roots by us, pulled by who has slept."""
    with debians_notary_server(tmp_path) as theirs, our_server(tmp_path) as ours:
        both = tmp_path / "both.crt"
        both.write_bytes(theirs.ca.read_bytes() + ours.ca.read_bytes())
        publisher, node, sleeper = (
            EngineUser(DockerUser(tmp_path / name, cli, theirs, host=engine))
            for name in ("publisher", "node", "sleeper")
        )

        publisher.take(gun, put("base"), "1.0")
        first = publisher.push(gun, "1.0")
        for user in (node, sleeper):
            user.forget(gun)
            user.docker.run("pull", f"{gun}:1.0")
        publisher.forget(gun)

        passphrases = {"TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE, "TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE}
        owner = TrustUser(tmp_path / "owner", ours.url, environ={"TRUST_CACERT": str(both), **passphrases})
        owner.run("key", "import", str(publisher.docker.trust))
        owner.run("migrate", "from-notary", theirs.url, gun)
        publisher, node, sleeper = (at(user, ours) for user in (publisher, node, sleeper))
        node.docker.run("pull", f"{gun}:1.0")
        assert node.has(gun) == {"1.0", first}
        node.forget(gun)

        second = put("2.0", text="signed without an engine")
        owner.run("--tofu", "sign", f"{gun}:2.0")
        node.docker.run("pull", f"{gun}:2.0")
        assert node.has(gun) == {"2.0", second.digest}
        node.forget(gun)

        for _ in range(3):
            owner.run("key", "rotate", "root", gun)
        assert sleeper.docker.notary.signed(gun, "root")["version"] == 1
        for tag, digest in (("1.0", first), ("2.0", second.digest)):
            sleeper.docker.run("pull", f"{gun}:{tag}")
            assert sleeper.has(gun) == {tag, digest}
            sleeper.forget(gun)
        # The server's keys were replaced in a root of their own when it was taken over.
        assert sleeper.docker.notary.signed(gun, "root")["version"] == 5
        moved = put("2.0", text="moved by somebody")
        sleeper.docker.run("pull", f"{gun}:2.0")
        assert sleeper.has(gun) == {"2.0", second.digest}
        assert moved.digest not in sleeper.has(gun)

        publisher.take(gun, put("base3", text="by docker again"), "3.0")
        third = publisher.push(gun, "3.0")
        node.forget(gun)
        node.docker.run("pull", f"{gun}:3.0")
        assert node.has(gun) == {"3.0", third}
        owner.run("revoke", "--yes", f"{gun}:1.0")
        node.forget(gun)
        assert "no valid trust data for 1.0" in node.docker.refused("pull", f"{gun}:1.0")
        assert node.has(gun) == set()
