"""A request to a service that holds keys: what becomes of each status, how long it is waited for, which way it goes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import pytest

from keys.algorithms import PublicKey
from keys.errors import KeysError
from keys.kms import asking, https
from keys.kms.asking import Patience, asked
from keys.kms.errors import (
    KeyNotInService,
    KeyServiceAnswerWrong,
    KeyServiceDeclined,
    KeyServiceDenied,
    KeyServiceLate,
    KeyServiceThrottled,
    KeyServiceUnreachable,
    said,
)
from keys.kms.https import MAX_ANSWER, ask, refusal, safe_address
from keys.kms.service_keys import ServiceKey, ToSign
from keys.uris.kinds import FoundKey
from tests.support.certificates import make_authority
from tests.support.hostile_server import HostileServer, Request, Wire, answering, json_reply, reply
from tests.support.key_services import Waiting

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Key(ServiceKey):
    """A key by which requests are named; it makes none itself, and a test that has it do so fails."""

    service, name = "Service", "release"

    def find(self) -> FoundKey:
        raise AssertionError("the key was looked for")

    def sign(self, what: ToSign) -> bytes:
        raise AssertionError("the key was used")


KEY: Final = Key()
NAMES: Final = {"service": "Service", "key": "release"}
CUT_OFF: Final = reply(200, b"9\r\n{}", {"Transfer-Encoding": "chunked", "Content-Length": None})


@pytest.fixture
def served() -> Iterator[Callable[..., HostileServer]]:
    """Start servers that are stopped after the test."""
    servers: list[HostileServer] = []

    def serve(script: Callable[[Request, Wire], None], tls: ssl.SSLContext | None = None) -> HostileServer:
        servers.append(HostileServer(script, tls))
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- what a status means


def _kind(status: int) -> type[KeysError]:
    if status >= 500:
        return KeyServiceUnreachable
    named = {401: KeyServiceDenied, 403: KeyServiceDenied, 404: KeyNotInService, 429: KeyServiceThrottled}
    return named.get(status, KeyServiceDeclined)


@pytest.mark.parametrize("words", ["no\x1b", ""])
@pytest.mark.parametrize("status", [201, 299, 300, 302, 399, 400, 401, 402, 403, 404, 405, 429, 499, 500, 501, 599])
def test_each_status_names_who_is_at_fault_with_service_key_and_words(status: int, words: str) -> None:
    error = refusal(KEY, status, words)
    assert type(error) is _kind(status)
    told = f"it answered {status}: no\\x1b" if words else f"it answered {status}"
    if status >= 500:
        told = f"it is out of order; {told}"
    if 300 <= status <= 399:
        told += ", and sends elsewhere, where one does not go with credentials: name that address itself"
    assert error.details() == {**NAMES, **({"named": False} if status == 404 else {"reason": told})}


def test_what_a_service_says_is_one_line_of_some_length() -> None:
    assert said(" a\n b\tc\x1b ") == "a b c\\x1b"
    assert (said("x" * 300), said("x" * 301)) == ("x" * 300, "x" * 300 + "...")


# --- what an answer is


def test_the_status_and_the_document_of_an_answer(served: Callable[..., HostileServer]) -> None:
    server = served(answering(json_reply(200, {"a": 1}), json_reply(403, {"b": 2}), json_reply(200, [1])))
    headers = {"X-Token": "opensesame"}
    assert ask(KEY, f"{server.url}/x?y", headers=headers) == (200, {"a": 1})
    assert ask(KEY, f"{server.url}/x?y", headers=headers, content={"c": "é"}) == (403, {"b": 2})
    assert ask(KEY, f"{server.url}/", headers={}, content={}) == (200, {})
    get, post, empty = server.requests
    assert [(each.method, each.target, each.body) for each in (get, post, empty)] == [
        ("GET", "/x?y", b""),
        ("POST", "/x?y", b'{"c": "\\u00e9"}'),
        ("POST", "/", b"{}"),
    ]
    for each in (get, post):
        assert (each.headers["content-type"], each.headers["x-token"]) == ("application/json", "opensesame")


@pytest.mark.parametrize("status", [200, 307, 399])
@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000])
def test_what_is_no_json_is_no_answer(status: int, body: bytes, served: Callable[..., HostileServer]) -> None:
    server = served(answering(reply(status, body)))
    with pytest.raises(KeyServiceAnswerWrong) as caught:
        ask(KEY, server.url, headers={})
    assert caught.value.details() == {**NAMES, "reason": "its answer is not JSON"}


@pytest.mark.parametrize("status", [400, 502])
def test_a_refusal_need_not_be_json(status: int, served: Callable[..., HostileServer]) -> None:
    """A proxy refuses, or the front of a service that is out of order."""
    assert ask(KEY, served(answering(reply(status, b"<html>"))).url, headers={}) == (status, {})


def test_an_answer_may_have_so_many_bytes(served: Callable[..., HostileServer]) -> None:
    longest = b"{}" + b" " * (MAX_ANSWER - 2)
    server = served(answering(reply(200, longest), reply(200, longest + b" ")))
    assert ask(KEY, server.url, headers={}) == (200, {})
    with pytest.raises(KeyServiceAnswerWrong) as caught:
        ask(KEY, server.url, headers={})
    assert caught.value.details() == {**NAMES, "reason": f"it answered more than {MAX_ANSWER} bytes"}


@pytest.mark.parametrize("answer", [CUT_OFF, b"SSH-2.0\r\n\r\n", b""])
def test_a_service_that_breaks_off_or_speaks_otherwise(answer: bytes, served: Callable[..., HostileServer]) -> None:
    def script(_: Request, wire: Wire) -> None:
        wire.send(answer)
        wire.close()

    with pytest.raises(KeyServiceUnreachable, match=r"it cannot be reached: (?!None)[A-Z]") as caught:
        ask(KEY, served(script).url, headers={})
    assert caught.value.details() == {**NAMES, "reason": caught.value.reason}


def test_no_more_is_read_than_shows_that_it_is_too_much(served: Callable[..., HostileServer]) -> None:
    """The service stops sending there: whoever waited for more would call it silent."""

    def script(_: Request, wire: Wire) -> None:
        wire.send(reply(200, b"x" * (MAX_ANSWER + 1), {"Content-Length": "1000000000"}))
        wire.stopping.wait()

    with pytest.raises(KeyServiceAnswerWrong, match=f"more than {MAX_ANSWER} bytes"):
        ask(KEY, served(script).url, headers={})


def test_a_connection_may_be_silent_for_so_long(
    served: Callable[..., HostileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "REQUEST_SECONDS", 0.05)

    def script(_: Request, wire: Wire) -> None:
        wire.stopping.wait()

    with pytest.raises(KeyServiceUnreachable, match="it cannot be reached: timed out"):
        ask(KEY, served(script).url, headers={})


# --- where credentials go


@pytest.mark.parametrize(
    "address",
    [
        "https://",
        "https:///x",
        "https://@x",
        "https://:a@x",
        "https://a:@x",
        "https://x/#y",
        "x",
        "http://x",
        "HTTP://x",
    ],
)
def test_addresses_to_which_credentials_do_not_go(address: str) -> None:
    assert not safe_address(address)


def test_addresses_to_which_credentials_may_go() -> None:
    for address in ("https://vault.example:8200", "http://127.0.0.1:8200", "http://localhost", "http://[::1]:1"):
        assert safe_address(address)


def test_no_service_is_asked_that_no_authority_of_this_machine_vouches_for(
    tmp_path: Path, served: Callable[..., HostileServer]
) -> None:
    server = served(answering(json_reply(200, {})), make_authority(tmp_path).server_context(tmp_path))
    with pytest.raises(KeyServiceUnreachable, match="certificate verify failed"):
        ask(KEY, server.url, headers={})
    assert server.requests == []


def test_this_machine_is_asked_without_a_proxy_and_others_through_it(
    served: Callable[..., HostileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, service = (served(answering(json_reply(200, {"from": name}))) for name in ("proxy", "service"))
    monkeypatch.setenv("http_proxy", proxy.url)
    assert ask(KEY, service.url, headers={}) == (200, {"from": "service"})
    assert ask(KEY, "http://vault.example/v1/x", headers={}) == (200, {"from": "proxy"})
    assert [each.target for each in proxy.requests] == ["http://vault.example/v1/x"]


def test_nobody_is_sent_elsewhere_with_credentials(served: Callable[..., HostileServer]) -> None:
    other = served(answering(json_reply(200, {})))
    first = served(answering(json_reply(302, {"a": 1}, {"Location": other.url})))
    assert ask(KEY, first.url, headers={"X-Token": "opensesame"}) == (302, {"a": 1})
    assert other.requests == []


# --- how long it is asked


def late(request: Callable[[], Any], patience: Patience) -> KeyServiceLate:
    with pytest.raises(KeyServiceLate) as caught:
        asked(request, patience, **NAMES)
    return caught.value


class Waits:
    """Queues as `asking` makes them, which note for how long each is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        noted = self.noted = list[float]()

        class Noting(SimpleQueue[Any]):
            def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002
                assert timeout is not None
                noted.append(timeout)
                return super().get(block, timeout)

        monkeypatch.setattr(asking, "SimpleQueue", Noting)


def busy() -> None:
    raise KeyServiceThrottled(**NAMES, reason="slow down")


def test_each_try_has_what_is_left_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits, waiting = Waits(monkeypatch), Waiting(seconds=60)
    waiting.now = 1000.0
    with pytest.raises(KeyServiceThrottled):
        asked(busy, waiting.patience, **NAMES)
    assert waits.noted == [60.0, 59.5, 58.5, 56.5]


@pytest.mark.parametrize(("seconds", "paused"), [(0.5, []), (0.75, [0.5]), (1.5, [0.5]), (1.75, [0.5, 1.0])])
def test_nobody_pauses_until_the_time_is_over(seconds: float, paused: list[float]) -> None:
    waiting = Waiting(seconds=seconds)
    with pytest.raises(KeyServiceThrottled):
        asked(busy, waiting.patience, **NAMES)
    assert waiting.paused == paused


def test_a_pause_that_has_taken_all_the_time_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    waits, waiting, tries, over = Waits(monkeypatch), Waiting(seconds=5), list[int](), threading.Event()

    def request() -> None:
        tries.append(1)
        if len(tries) == 1:
            busy()
        over.wait()

    def sleep(_: float) -> None:
        waiting.now += 100

    slow = Patience(seconds=5, clock=lambda: waiting.now, sleep=sleep)
    error = late(request, slow)
    over.set()
    assert waits.noted == [5.0, 0.0]
    assert error.details() == {**NAMES, "reason": "it did not answer within 5 seconds"}


@pytest.mark.parametrize("pauses", [(), (1.0,)])
def test_who_does_not_answer_is_named_and_keeps_no_program_from_ending(pauses: tuple[float, ...]) -> None:
    over, threads = threading.Event(), list[threading.Thread]()

    def request() -> None:
        threads.append(threading.current_thread())
        over.wait()

    error = late(request, Patience(seconds=0.05, pauses=pauses))
    over.set()
    assert error.details() == {**NAMES, "reason": "it did not answer within 0.05 seconds"}
    assert [(thread.daemon, thread.name) for thread in threads] == [(True, "key service")]


@pytest.mark.parametrize("error", [KeyServiceDenied(**NAMES, reason="no"), KeyServiceLate(**NAMES, reason="late")])
def test_what_the_same_request_would_meet_again_is_asked_once(error: KeysError) -> None:
    waiting, tries = Waiting(), list[int]()

    def request() -> PublicKey:
        tries.append(1)
        raise error

    with pytest.raises(type(error)) as caught:
        asked(request, waiting.patience, **NAMES)
    assert caught.value is error
    assert (len(tries), waiting.paused) == (1, [])
