"""What docker asks a trust server, in order, seen by somebody in between; both servers answer it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.peers.faulty_front import FaultyFront, front
from tests.support.docker_client import DockerCli, DockerPeople, DockerUser

__all__ = ["front"]

REGISTRY = "127.0.0.1:5000"


@pytest.fixture
def image(collection: str) -> str:
    """Nobody listens at that registry."""
    return f"{REGISTRY}/{collection.rpartition('/')[2]}"


@pytest.fixture
def admin(docker_people: DockerPeople, front: FaultyFront) -> DockerUser:
    """Who sees the server through the front."""
    return through(docker_people("admin"), front)


def through(user: DockerUser, front: FaultyFront) -> DockerUser:
    """The same person, to whom the front is the server."""
    return DockerUser(user.folder, user.cli, front.seen)


def asked(front: FaultyFront, image: str, since: int = 0) -> list[str]:
    """Requests, without what is the same in all of them."""
    base = f"/v2/{image}/_trust/tuf/"
    return [re.sub("[0-9a-f]{64}", "SHA256", line.replace(base, "")) for line in front.requests[since:]]


def test_the_first_publish(admin: DockerUser, front: FaultyFront, docker_people: DockerPeople, image: str) -> None:
    """Section 15: ping, root, both keys, root, and one upload."""
    key = docker_people("alice").new_signer_key("alice")
    admin.run("trust", "signer", "add", "alice", image, "--key", str(key))
    lines = asked(front, image)
    assert lines[0] == "GET /v2/"
    assert [line for line in lines if line.endswith("key")] == ["GET timestamp.key", "GET snapshot.key"]
    assert Counter(line.split()[0] for line in lines)["POST"] == 1
    assert lines[-1] == "POST " or "POST " in lines


def test_the_upload(admin: DockerUser, front: FaultyFront, docker_people: DockerPeople, image: str) -> None:
    """Section 4: parts are called `files`, their filenames are the roles; the server's roles do not come."""
    key = docker_people("alice").new_signer_key("alice")
    admin.run("trust", "signer", "add", "alice", image, "--key", str(key))
    (sent,) = front.uploads
    assert set(re.findall(rb'name="files"; filename="([^"]*)"', sent.body)) == {b"root", b"targets"}
    assert re.fullmatch("multipart/form-data; boundary=[0-9a-f]{60}", sent.headers["content-type"])


def test_each_request_has_a_connection_of_its_own(
    admin: DockerUser, front: FaultyFront, docker_people: DockerPeople, docker_cli: DockerCli, image: str
) -> None:
    """Section 2: HTTP/1.1, Connection: close, gzip accepted, the version told."""
    admin.run("trust", "signer", "add", "alice", image, "--key", str(docker_people("alice").new_signer_key("alice")))
    assert {request.headers["connection"] for request in front.seen_requests} == {"close"}
    assert {request.headers["accept-encoding"] for request in front.seen_requests} == {"gzip"}
    agents = {request.headers["user-agent"] for request in front.seen_requests}
    assert all(agent.startswith(("Docker-Client/", "Go-http-client/")) for agent in agents)
    assert len({request.connection for request in front.seen_requests}) == len(front.requests)


def test_inspect(admin: DockerUser, front: FaultyFront, docker_people: DockerPeople, image: str) -> None:
    """Section 15: cold as a read, then the timestamp again and again; warm only the timestamp."""
    admin.run("trust", "signer", "add", "alice", image, "--key", str(docker_people("alice").new_signer_key("alice")))
    reader = through(docker_people("reader"), front)
    before = len(front.requests)
    reader.inspect(image)
    cold = Counter(asked(front, image, before))
    assert cold["GET root.json"] == cold["GET snapshot.SHA256.json"] == cold["GET targets.SHA256.json"] == 1
    assert cold["GET timestamp.json"] == 3
    before = len(front.requests)
    reader.inspect(image)
    assert set(asked(front, image, before)) == {"GET /v2/", "GET timestamp.json"}
