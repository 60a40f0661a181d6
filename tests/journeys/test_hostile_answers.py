"""What `trust` says and how it ends when a server gives no answer, or one without use."""

from __future__ import annotations

import pytest

from tests.journeys.hostile import Serve, always, between, fetched
from tests.support.hostile_server import Request, Wire, json_reply, reply
from tests.support.images import BuiltImage
from tests.support.programs import free_port
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


# --- out of reach


def test_a_dead_port(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    for command in (("verify", f"{gun}:1.0"), ("sign", f"{gun}:1.0"), ("inspect", gun), ("key", "rotate", "root", gun)):
        failed = owner.run("--server", dead, *command, expect=6)
        failed.said(f"{dead} cannot be reached: Connection refused", "--server, TRUST_SERVER, trust.toml")
        assert failed.stdout in {"", "[]\n"}


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        (reply(401), 7, "refused (401)"),
        (reply(403), 7, "refused (403)"),
        (reply(404), 4, "is withheld: "),
        (reply(418), 7, "refused (418)"),
        (reply(500), 6, "fails: it answered 500"),
        (reply(503, headers={"Retry-After": "3600"}), 6, "is busy (503)"),
        (reply(204), 6, "status 204 has no meaning here"),
        (reply(200, b"<html>a portal</html>"), 6, "sends a page in place of 2.root.json: a portal"),
        (reply(200, b"{}"), 4, "root metadata is malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", 6, "cut off after 2 of 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", 4, "2.root.json from http://127.0.0.1:"),
        (b"no HTTP at all\r\n\r\n", 6, "gave an answer that cannot be used"),
    ],
)
def test_answers_without_use(
    *, owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve, answer: bytes, status: int, sentence: str
) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(answer)
        wire.close()

    server = serve(script).url
    for command in ("verify", "sign"):
        failed = owner.run("--server", server, command, f"{gun}:1.0", expect=status).said(sentence)
        assert failed.stdout == ""
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n", "nothing of it is kept"


def test_an_endless_answer(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(reply(200, headers={"Content-Length": None, "Connection": "close"}))
        while True:  # until the client has enough
            wire.send(b" " * 65536)

    server = serve(script)
    owner.run("--server", server.url, "verify", f"{gun}:1.0", expect=4).said("2.root.json", "is larger than")


@pytest.mark.parametrize(
    ("to", "sentence"), [("", "more than 3 redirects"), ("http://127.0.0.1:1", "to another server")]
)
def test_redirects(*, owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve, to: str, sentence: str) -> None:
    def script(request: Request, wire: Wire) -> None:
        wire.send(reply(302, headers={"Location": f"{to}{request.target}"}))

    server = serve(script)
    for command in ("verify", "sign"):
        owner.run("--server", server.url, command, f"{gun}:1.0", expect=6).said(sentence)
    assert len(server.requests) <= 8


@pytest.mark.long  # the program's own limit: a minute
def test_a_slow_drip_ends_after_a_minute(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not wire.stopping.wait(timeout=1):
            wire.send(b" ")

    failed = owner.run("--server", serve(script).url, "verify", f"{gun}:1.0", expect=6)
    failed.said("no complete answer within 60 seconds")


def test_what_the_server_says_is_escaped_and_cut(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    answer = json_reply(403, {"title": "no", "detail": "\x1b[2Jall is well\r\n" + "x" * 5000, "code": "\x07"})
    failed = owner.run("--server", serve(always(answer)).url, "verify", f"{gun}:1.0", expect=7)
    failed.said("\\x1b[2Jall is well\\r\\n")
    assert "\x1b" not in failed.stderr
    assert len(failed.stderr) < 1500


# --- publishing


def test_a_lost_reply_is_no_failure(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    def lose(request: Request, answer: bytes) -> bytes | None:
        return None if request.target.endswith("/publish") else answer

    server = serve(between(owner.environ["TRUST_SERVER"], lose))
    signed = owner.run("--server", server.url, "sign", f"{gun}:2.0@{begun.digest}")
    assert signed.stdout == f"{gun}:2.0@{begun.digest}\n"
    assert sum(request.target.endswith("/publish") for request in server.requests) == 1
    owner.run("verify", f"{gun}:2.0")


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        (reply(403), 7, "trust login"),
        (reply(500), 6, "it answered 500"),
        (reply(413), 7, "refused (413)"),
        (reply(404, b"404 page not found"), 7, "the address belongs to something else"),
        (json_reply(404, {"errors": [{"code": "NOT_FOUND"}]}), 7, "see whether the address is right"),
        (json_reply(200, {"gun": "example.com/other", "revision": 1, "versions": {}}), 6, "another collection"),
    ],
)
def test_a_publish_that_is_refused(
    *, owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve, answer: bytes, status: int, sentence: str
) -> None:
    true = owner.environ["TRUST_SERVER"]

    def script(request: Request, wire: Wire) -> None:
        wire.send(answer if request.method == "POST" else fetched(true, request))

    failed = owner.run("--server", serve(script).url, "sign", f"{gun}:2.0@{begun.digest}", expect=status)
    failed.said(sentence)
    assert (" login" in failed.stderr) is (sentence == "trust login"), "another account would not help"
    owner.run("verify", f"{gun}:2.0", expect=3)


def test_a_server_that_says_yes_and_stores_nothing(owner: TrustUser, gun: str, begun: BuiltImage, serve: Serve) -> None:
    """Success is said only after a look as a client."""
    true = owner.environ["TRUST_SERVER"]

    def script(request: Request, wire: Wire) -> None:
        yes = json_reply(200, {"gun": gun, "format": "tuf-1.0", "revision": 9, "versions": {"targets": 3}})
        wire.send(yes if request.method == "POST" else fetched(true, request))

    failed = owner.run("--server", serve(script).url, "sign", f"{gun}:2.0@{begun.digest}", expect=3)
    failed.said(f"{gun}:2.0 is not signed")
    assert failed.stdout == ""
