"""docker with DOCKER_CONTENT_TRUST=1 and a real engine against both servers: push, sign, pull, move, refuse, revoke."""

from __future__ import annotations

import base64
import json

import pytest

from tests.peers.engine_user import OFF, EngineUser
from tests.support.docker_client import DockerPeople
from tests.support.guide_commands import commands
from tests.support.guide_stories import MIGRATE
from tests.support.stage import Put
from tests.support.trust_servers import PeerServer


@pytest.fixture
def publisher(docker_people: DockerPeople, engine: str) -> EngineUser:
    return EngineUser(docker_people("publisher", engine))


@pytest.fixture
def node(docker_people: DockerPeople, engine: str) -> EngineUser:
    """Who pulls, from a cold cache. The engine is the same one; tests make it forget."""
    return EngineUser(docker_people("node", engine))


@pytest.fixture
def pushed(publisher: EngineUser, gun: str, put: Put) -> str:
    """1.0, pushed and signed by docker; its digest. The engine has forgotten it."""
    publisher.take(gun, put("base"), "1.0")
    digest = publisher.push(gun, "1.0")
    publisher.forget(gun)
    return digest


def test_push_signs_what_pull_gets(pushed: str, node: EngineUser, gun: str) -> None:
    """Section 15: the manifest is pulled by digest, cold and warm; `inspect` shows the same digest."""
    for _ in range(2):
        said = node.docker.run("pull", f"{gun}:1.0")
        assert f"Pull (1 of 1): {gun}:1.0@{pushed}" in said
        assert f"Tagging {gun}@{pushed} as {gun}:1.0" in said
        assert node.has(gun) == {"1.0", pushed}
        node.forget(gun)
    assert node.docker.signers_of_tags(gun) == {"1.0": (pushed.removeprefix("sha256:"), {"Repo Admin"})}


def test_docker_signs_sha256_and_the_manifest_s_size(pushed: str, node: EngineUser, gun: str, put: Put) -> None:
    """Section 9."""
    node.docker.inspect(gun)
    (entry,) = node.docker.notary.signed(gun, "targets")["targets"].values()
    assert set(entry["hashes"]) == {"sha256"}
    assert entry["length"] > 0
    assert node.docker.notary.signed(gun, "targets")["version"] == 2


def test_what_is_pushed_first_is_one_upload(pushed: str, node: EngineUser, gun: str) -> None:
    """Section 9: root 1, targets 2; the server makes snapshot and timestamp 1."""
    node.docker.inspect(gun)
    roles = ("root", "targets", "snapshot", "timestamp")
    assert [node.docker.notary.signed(gun, role)["version"] for role in roles] == [1, 2, 1, 1]


def test_push_of_what_is_signed_already(
    publisher: EngineUser, pushed: str, node: EngineUser, gun: str, peer_server: PeerServer
) -> None:
    """Section 4: an upload of nothing gives 200; our server takes the snapshot and timestamp of the last minute."""
    node.docker.run("pull", f"{gun}:1.0")
    assert publisher.push(gun, "1.0") == pushed
    node.docker.inspect(gun)
    newest = 2 if peer_server.signs_anew_for_nothing else 1
    roles = ("root", "targets", "snapshot", "timestamp")
    assert [node.docker.notary.signed(gun, role)["version"] for role in roles] == [1, 2, newest, newest]


def test_push_of_what_is_signed_already_needs_no_passphrase(publisher: EngineUser, pushed: str, gun: str) -> None:
    """Section 17.7: nothing is signed, so a wrong one does no harm."""
    publisher.docker.run("pull", f"{gun}:1.0")
    publisher.docker.environ["DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"] = "wrong, and long enough"
    assert publisher.push(gun, "1.0") == pushed
    publisher.forget(gun)


def test_a_tag_more_is_signed_as_the_guide_to_moving_says(
    publisher: EngineUser, pushed: str, node: EngineUser, gun: str, put: Put
) -> None:
    (typed,) = [each.command for each in commands(MIGRATE) if each.command.startswith("docker trust sign ")]
    publisher.take(gun, put("base11", text="the next one"), "1.1")
    publisher.docker.run(*typed.replace("docker.io/example/app", gun).split()[1:])
    assert set(node.docker.signers_of_tags(gun)) == {"1.0", "1.1"}
    publisher.forget(gun)


@pytest.mark.parametrize("logged_in", [False, True])
def test_sign_makes_a_collection_only_for_who_is_logged_in(
    publisher: EngineUser, node: EngineUser, gun: str, put: Put, *, logged_in: bool
) -> None:
    """Section 17.5: the signer has the name of the account; without one the client fails at `targets/`."""
    if logged_in:
        account = {"auth": base64.b64encode(b"alice:secret").decode()}
        config = json.dumps({"auths": {gun.partition("/")[0]: account}})
        (publisher.docker.config / "config.json").write_text(config)
    publisher.take(gun, put("base"), "1.0")
    if logged_in:
        publisher.docker.run("trust", "sign", f"{gun}:1.0")
        ((_, signers),) = node.docker.signers_of_tags(gun).values()
        assert signers == {"alice"}
    else:
        assert "invalid role targets" in publisher.docker.refused("trust", "sign", f"{gun}:1.0")
        assert "cannot access" in node.docker.refused("trust", "inspect", gun)
    publisher.forget(gun)


def test_a_moved_tag_still_gives_the_signed_image(pushed: str, node: EngineUser, gun: str, put: Put) -> None:
    moved = put("1.0", text="moved by somebody")
    assert f"{gun}:1.0@{pushed}" in node.docker.run("pull", f"{gun}:1.0")
    assert node.has(gun) == {"1.0", pushed}
    node.forget(gun)
    node.docker.run("pull", OFF, f"{gun}:1.0")
    assert moved.digest in node.has(gun)


def test_a_tag_moved_by_its_owner(publisher: EngineUser, pushed: str, node: EngineUser, gun: str, put: Put) -> None:
    node.docker.run("pull", f"{gun}:1.0")
    node.forget(gun)
    publisher.take(gun, put("base2", text="the next build"), "1.0")
    second = publisher.push(gun, "1.0")
    assert second != pushed
    node.forget(gun)
    node.docker.run("pull", f"{gun}:1.0")
    assert node.has(gun) == {"1.0", second}


def test_an_unsigned_tag_is_refused(pushed: str, node: EngineUser, gun: str, put: Put) -> None:
    put("unsigned")
    assert "no valid trust data for unsigned" in node.docker.refused("pull", f"{gun}:unsigned")
    for command in ("create", "run"):
        done = node.docker.start((command, f"{gun}:unsigned"))
        assert "no valid trust data for unsigned" in done.stderr.lower()
        assert done.returncode != 0
    assert node.has(gun) == set()


def test_a_collection_without_trust_data_is_refused(node: EngineUser, gun: str, put: Put) -> None:
    put("1.0")
    assert "does not have trust data" in node.docker.refused("pull", f"{gun}:1.0")
    assert node.has(gun) == set()


def test_push_of_all_tags_signs_nothing(publisher: EngineUser, gun: str, put: Put) -> None:
    """Section 17.8."""
    publisher.take(gun, put("base"), "1.0")
    assert "No tag specified, skipping trust metadata push" in publisher.docker.run("push", "--all-tags", gun)
    assert "cannot access" in publisher.docker.refused("trust", "inspect", gun)
    publisher.forget(gun)


def test_signers_sign_and_others_pull(
    publisher: EngineUser, docker_people: DockerPeople, engine: str, node: EngineUser, gun: str, *, put: Put
) -> None:
    """`docker trust sign` of a new tag pushes it; it is released by targets/releases."""
    alice = EngineUser(docker_people("alice", engine))
    key = alice.docker.new_signer_key("alice")
    publisher.docker.run("trust", "signer", "add", "alice", gun, "--key", str(key))
    alice.take(gun, put("base"), "1.0")
    said = alice.docker.run("trust", "sign", "--local", f"{gun}:1.0")
    assert f"Successfully signed {gun}:1.0" in said
    alice.forget(gun)
    signed, signers = node.docker.signers_of_tags(gun)["1.0"]
    assert signers == {"alice"}
    node.docker.run("pull", f"{gun}:1.0")
    assert node.has(gun) == {"1.0", f"sha256:{signed}"}
    node.forget(gun)
    alice.docker.run("trust", "revoke", "-y", f"{gun}:1.0")
    assert "no valid trust data for 1.0" in node.docker.refused("pull", f"{gun}:1.0")
    assert node.has(gun) == set()


def test_revoke(publisher: EngineUser, pushed: str, node: EngineUser, gun: str) -> None:
    node.docker.run("pull", f"{gun}:1.0")
    node.forget(gun)
    publisher.docker.run("trust", "revoke", "-y", f"{gun}:1.0")
    assert "no valid trust data for 1.0" in node.docker.refused("pull", f"{gun}:1.0")
    assert node.has(gun) == set()


def test_the_server_is_down(pushed: str, node: EngineUser, docker_people: DockerPeople, engine: str, gun: str) -> None:
    """Section 3: with a warm cache docker goes on, from a cold one it refuses."""
    node.docker.run("pull", f"{gun}:1.0")
    node.forget(gun)
    cold = EngineUser(docker_people("cold", engine))
    for user in (node, cold):
        user.docker.environ["DOCKER_CONTENT_TRUST_SERVER"] = "https://127.0.0.1:9"
    cold.docker.refused("pull", f"{gun}:1.0")
    assert cold.has(gun) == set()
    node.docker.run("pull", f"{gun}:1.0")
    assert node.has(gun) == {"1.0", pushed}
    node.forget(gun)


def test_three_roots_behind(publisher: EngineUser, pushed: str, node: EngineUser, gun: str) -> None:
    """Section 15: a docker that has the first root follows to the fourth."""
    node.docker.run("pull", f"{gun}:1.0")
    node.forget(gun)
    for _ in range(3):
        publisher.docker.notary.rotate(gun, "root")
    node.docker.run("pull", f"{gun}:1.0")
    assert node.has(gun) == {"1.0", pushed}
    assert node.docker.notary.signed(gun, "root")["version"] == 4
    node.forget(gun)
