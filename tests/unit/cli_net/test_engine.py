"""Docker's Engine API, played by a server on a Unix socket."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.support.hostile_server import Request, Script, Wire, json_reply, read_request, reply
from trustcli.config.credential import Credential
from trustcli.errors import (
    ImageNotFound,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    SettingsUnusable,
)
from trustcli.http.network import Network
from trustcli.http.tls import CertificateAuthorities
from trustcli.registry.engine import MAX_LINE, Engine
from trustdata.errors import (
    InvalidName,
    TrustError,
)

DIGEST = "sha256:" + "a" * 64
NAME = "registry.example.com:5000/team/app"


def engine_at(docker_host: str, **options: float) -> Engine:
    environ = {"DOCKER_HOST": docker_host}
    return Engine(Network(authorities=CertificateAuthorities(environ), environ=environ), **options)


class FakeEngine:
    def __init__(self, path: str, script: Script) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._stopping = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self.engine = engine_at(f"unix://{path}", seconds=5, silence=5)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):
                sock, _ = self._listener.accept()
                with sock, sock.makefile("rb") as reader:
                    request = read_request(reader, 0)
                    if request:
                        self.requests.append(request)
                        self._script(request, Wire(sock=sock, stopping=self._stopping))
                    sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def fake() -> Iterator[Callable[..., FakeEngine]]:
    """An engine that answers with the bytes given, or by a script."""
    started: list[FakeEngine] = []
    # Not tmp_path: the path of a Unix socket has little room.
    with tempfile.TemporaryDirectory() as folder:

        def start(script: Script | bytes) -> FakeEngine:
            do = (lambda _, wire: wire.send(script)) if isinstance(script, bytes) else script
            started.append(FakeEngine(os.path.join(folder, f"{len(started)}.sock"), do))  # noqa: PTH118
            return started[-1]

        yield start
        for engine in started:
            engine.stop()


Fake = Callable[..., FakeEngine]


def stream(*messages: object) -> bytes:
    body = b"".join((m if isinstance(m, bytes) else json.dumps(m).encode()) + b"\r\n" for m in messages)
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    return reply(200, headers={"Transfer-Encoding": "chunked", "Content-Length": None}) + chunk


def pulling(answer: bytes, inspected: int = 200) -> Script:
    """A pull, and the look at the image that follows."""

    def script(request: Request, wire: Wire) -> None:
        wire.send(answer if request.method == "POST" else json_reply(inspected, {}))

    return script


def test_pull_by_digest_with_the_credential_and_progress(fake: Fake) -> None:
    seen: list[str] = []
    running = fake(
        pulling(stream({"status": "Pulling"}, {"status": "\x1b[2J", "id": "x"}, {"aux": {}}, {"status": "Done"}))
    )
    credential = Credential(source="c", username="alice", password="hunter2")
    running.engine.pull(NAME, DIGEST, credential=credential, server="registry.example.com:5000", progress=seen.append)
    request = running.requests[0]
    assert request.method == "POST"
    assert parse_qs(request.target.partition("?")[2]) == {"fromImage": [NAME], "tag": [DIGEST]}
    assert json.loads(base64.urlsafe_b64decode(request.headers["x-registry-auth"])) == {
        "username": "alice",
        "password": "hunter2",
        "serveraddress": "registry.example.com:5000",
    }
    assert seen == ["Pulling", "\\x1b[2J", "Done"]


def test_without_a_credential_no_header(fake: Fake) -> None:
    running = fake(pulling(stream()))
    running.engine.pull(NAME, DIGEST)
    assert "x-registry-auth" not in running.requests[0].headers


def test_only_digests_are_pulled(fake: Fake) -> None:
    running = fake(stream())
    with pytest.raises(InvalidName):
        running.engine.pull(NAME, "latest")
    assert running.requests == []


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("manifest unknown: manifest unknown", ImageNotFound),
        ("pull access denied", RemoteRefused),
        ("unauthorized: authentication required", RemoteRefused),
        ("no space left on device", RemoteUnreachable),
    ],
)
def test_errors_come_inside_the_stream(fake: Fake, said: str, error: type[TrustError]) -> None:
    running = fake(stream({"status": "Pulling"}, {"errorDetail": {"message": said}, "error": said}))
    with pytest.raises(error, match=said):
        running.engine.pull(NAME, DIGEST)


@pytest.mark.parametrize(
    "answer",
    [stream(b"not json"), stream([]), stream(b"x" * (MAX_LINE + 10)), stream(b"[" * 50_000)],
)
def test_messages_that_are_none(fake: Fake, answer: bytes) -> None:
    with pytest.raises(RemoteMisbehaved):
        fake(answer).engine.pull(NAME, DIGEST)


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n", stream({"status": "Pulling"}).replace(b"\r\n0\r\n\r\n", b"")],
)
def test_a_connection_that_breaks_is_no_success(fake: Fake, answer: bytes) -> None:
    with pytest.raises(RemoteUnreachable):
        fake(answer).engine.pull(NAME, DIGEST)


@pytest.mark.parametrize(("status", "error"), [(404, ImageNotFound), (400, RemoteRefused), (500, RemoteUnreachable)])
def test_statuses(fake: Fake, status: int, error: type[TrustError]) -> None:
    running = fake(json_reply(status, {"message": "because"}))
    for call in (
        lambda: running.engine.pull(NAME, DIGEST),
        lambda: running.engine.tag(f"{NAME}@{DIGEST}", NAME, "1.0"),
        lambda: running.engine.repo_digests("app:1.0"),
    ):
        with pytest.raises(error, match="because"):
            call()


@pytest.mark.parametrize("answer", [stream({"status": "Pulling"}), b"HTTP/1.1 200 OK\r\n", reply(200)])
def test_a_pull_without_an_image_is_no_success(fake: Fake, answer: bytes) -> None:
    with pytest.raises(ImageNotFound):
        fake(pulling(answer, inspected=404)).engine.pull(NAME, DIGEST)


def test_tag(fake: Fake) -> None:
    running = fake(reply(201))
    running.engine.tag(f"{NAME}@{DIGEST}", NAME, "1.0")
    path, _, query = running.requests[0].target.partition("?")
    assert path == f"/images/{NAME}@{DIGEST}/tag"
    assert parse_qs(query) == {"repo": [NAME], "tag": ["1.0"]}


def test_repository_digests(fake: Fake) -> None:
    digests = [f"{NAME}@{DIGEST}"]
    assert fake(json_reply(200, {"RepoDigests": digests})).engine.repo_digests("app") == tuple(digests)
    assert fake(json_reply(200, {"RepoDigests": None})).engine.repo_digests("app") == ()
    for wrong in (reply(200, b"x"), json_reply(200, []), json_reply(200, {"RepoDigests": 5})):
        with pytest.raises(RemoteMisbehaved):
            fake(wrong).engine.repo_digests("app")


def test_no_engine(tmp_path: Path) -> None:
    engine = engine_at(f"unix://{tmp_path}/none.sock")
    with pytest.raises(RemoteUnreachable, match="is the engine installed and running") as caught:
        engine.repo_digests("app")
    assert "none.sock" in str(caught.value)


def test_silence() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        with pytest.raises(RemoteUnreachable, match="no answer in time"):
            engine_at(f"unix://{folder}/s", silence=0.05).pull(NAME, DIGEST)


@pytest.mark.parametrize(
    "host", ["tcp://engine.example.com:2375", "ssh://me@host", "npipe:////./pipe/x", "http://127.0.0.1", "tcp://["]
)
def test_engines_out_of_reach(host: str) -> None:
    with pytest.raises(SettingsUnusable, match="DOCKER_HOST"):
        engine_at(host)


def test_where_the_engine_is() -> None:
    assert engine_at("").name.endswith("unix:///var/run/docker.sock")
    assert engine_at("tcp://127.0.0.1").name.endswith("tcp://127.0.0.1:2375")


ID, LOST = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def running(listed: object, images: dict[str, object]) -> Script:
    """An engine with containers, and with what it says of images by id."""

    def script(request: Request, wire: Wire) -> None:
        if request.target == "/containers/json":
            wire.send(json_reply(200, listed))
            return
        image = request.target.removeprefix("/images/").removesuffix("/json")
        wire.send(json_reply(200, images[image]) if image in images else json_reply(404, {"message": "no such image"}))

    return script


def test_what_runs_is_told_with_the_digests_of_its_image(fake: Fake) -> None:
    """As podman 5 and docker 28 say it; each image is asked for once, and one that is gone is not passed over."""
    listed = [
        {"Id": "c" * 64, "Names": ["/web"], "Image": f"{NAME}:1.0", "ImageID": ID, "State": "running"},
        {"Id": "d" * 64, "Names": ["/web-2"], "Image": f"{NAME}:1.0", "ImageID": ID, "State": "running"},
        {"Id": "e" * 64, "Names": None, "Image": LOST, "ImageID": LOST, "State": "running"},
    ]
    engine = fake(running(listed, {ID: {"RepoDigests": [f"{NAME}@{DIGEST}"]}}))
    web, second, lost = engine.engine.running()
    assert (web.container, web.image, web.contents) == ("web", f"{NAME}:1.0", (f"{NAME}@{DIGEST}",))
    assert second.contents == web.contents
    assert (lost.container, lost.contents) == ("e" * 12, ())
    assert "no digest of a registry" in lost.unknown
    assert len(engine.requests) == 3


@pytest.mark.parametrize("listed", [{}, [1], [{"Names": ["/x"]}, None], "x"])
def test_a_list_of_containers_that_cannot_be_read(fake: Fake, listed: object) -> None:
    with pytest.raises(RemoteMisbehaved, match="list of containers cannot be read"):
        fake(running(listed, {})).engine.running()
