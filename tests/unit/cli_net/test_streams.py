"""Bodies that are handed on as they come: TLS, whose certificates count, and connections that are kept."""

from __future__ import annotations

import ssl
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.certificates import make_authority
from tests.support.hostile_server import HostileServer, Request, Wire, answering, reply
from tests.support.network_users import network_of
from tests.unit.cli_net.conftest import Serve
from trustcli.errors import RemoteMisbehaved, RemoteUnreachable
from trustcli.http.messages import Origin
from trustcli.http.streams import StreamPool
from trustdata.errors import TooLarge

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def origin_of(server: HostileServer) -> Origin:
    return Origin(scheme="https" if server.tls else "http", host="127.0.0.1", port=server.port)


def got(pool: StreamPool, server: HostileServer, *, limit: int = 100) -> bytes:
    return pool.ask("GET", origin_of(server), "/x", headers=()).read(limit)


def test_a_client_certificate_of_this_machine_is_not_shown(serve: Serve, tmp_path: Path) -> None:
    """It would let in whoever asks through us."""
    authority = make_authority(tmp_path)
    context = authority.server_context(tmp_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cafile=authority.file)
    shown = []

    def look(_: Request, wire: Wire) -> None:
        assert isinstance(wire.sock, ssl.SSLSocket)
        shown.append(wire.sock.getpeercert())
        wire.send(reply(200, b"content"))

    server = serve(look, tls=context)
    folder = tmp_path / "docker" / "tls" / server.netloc
    folder.mkdir(parents=True)
    authority.client_certificate(folder)
    (folder / "ca.crt").write_bytes(authority.file.read_bytes())
    with closing(StreamPool(network_of({"DOCKER_CONFIG": str(tmp_path / "docker")}))) as pool:
        assert got(pool, server) == b"content"
    assert [certificate or None for certificate in shown] == [None]


def test_a_connection_is_kept_if_its_answer_was_read(serve: Serve) -> None:
    server = serve(answering(reply(200, b"content")))
    with closing(StreamPool(network_of({}))) as pool:
        assert got(pool, server) == got(pool, server) == b"content"
        assert [request.connection for request in server.requests] == [1, 1]
        pool.ask("GET", origin_of(server), "/x", headers=()).finish()
        assert got(pool, server) == b"content"
        assert [request.connection for request in server.requests] == [1, 1, 1, 2]


def test_a_kept_connection_that_was_closed_is_opened_again(serve: Serve) -> None:
    def once(_: Request, wire: Wire) -> None:
        wire.send(reply(200, b"content"))
        wire.close()

    server = serve(once)
    with closing(StreamPool(network_of({}))) as pool:
        assert got(pool, server) == got(pool, server) == b"content"


def test_what_is_sent_is_not_sent_twice(serve: Serve) -> None:
    def hang_up(_: Request, wire: Wire) -> None:
        wire.close()

    server = serve(hang_up)
    with closing(StreamPool(network_of({}))) as pool, pytest.raises(RemoteUnreachable):
        pool.ask("POST", origin_of(server), "/x", headers=(("Content-Length", "1"),), body=[b"x"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(200, b"x" * 101), TooLarge),
        (reply(200, headers={"Content-Length": None, "Transfer-Encoding": "chunked"}) + b"65\r\n", RemoteMisbehaved),
        (reply(200, headers={"Content-Length": None, "Transfer-Encoding": "chunked"}) + b"zz\r\n", RemoteMisbehaved),
        (reply(200, headers={"Content-Length": "9"}) + b"x", RemoteMisbehaved),
        (reply(200, headers={"Content-Length": "1, 2"}), RemoteMisbehaved),
        (b"no HTTP\r\n\r\n", RemoteMisbehaved),
    ],
)
def test_an_answer_that_is_not_whole_or_too_much(serve: Serve, answer: bytes, error: type[Exception]) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(answer)
        wire.close()

    server = serve(script)
    with closing(StreamPool(network_of({}))) as pool, pytest.raises(error):
        got(pool, server)
