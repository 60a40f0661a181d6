"""Webhooks: which there are, what they are told and where, and what happens while they do not answer."""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any, Self, cast

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.server_owner import NOW
from tests.support.store_values import publication
from trustdata.errors import NotStored
from trustdata.gun import GUN
from trustserver.errors import StartRefused
from trustserver.storage.events import Actor, EventKind, NewEvent
from trustserver.webhooks.hooks import MAX_HOOKS, Hook, read_hooks
from trustserver.webhooks.message import message_of, signature
from trustserver.webhooks.one_request import NotDelivered, Sender, may_be_told
from trustserver.webhooks.outbox import GIVE_UP_SECONDS, IDLE_SECONDS, LONGEST_WAIT, Outbox, OutboxThread

APP = GUN("registry.example.com/team/app")
OTHER = GUN("registry.example.com/other")
SECRET = b"0123456789abcdef"
HOOK = Hook(name="ci", host="hooks.example.com", port=443, path="/trust?x=1", tls=True, secret=SECRET)
ALICE = Actor(subject="token:alice", kind="token", address="192.0.2.7", client="trust/0.1")
REVOKES = {"revision": 2, "tags": {"added": 0, "changed": 0, "removed": 1}}
ROTATES = {"revision": 3, "keys": {"listed": [], "total": 1, "cut": True}}


# --- the file ------------------------------------------------------------------------------------------------


def written(folder: Path, text: str, *, secret: bytes = SECRET + b"\n", mode: int = 0o600) -> Path:
    (folder / "secret").write_bytes(secret)
    (folder / "secret").chmod(mode)
    file = folder / "webhooks.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def table(**members: str) -> str:
    values = {"name": '"ci"', "url": '"https://hooks.example.com/trust?x=1"', "secret_file": '"secret"', **members}
    return "[[webhook]]\n" + "".join(f"{name} = {value}\n" for name, value in values.items() if value)


def test_a_hook_with_all_that_it_may_have(tmp_path: Path) -> None:
    assert read_hooks(written(tmp_path, table())) == (HOOK,)
    full = table(
        url='"http://[::1]:8080"',
        events='["revoked", "deleted"]',
        names='["registry.example.com/*"]',
        allow_local="true",
        people="true",
    )
    (hook,) = read_hooks(written(tmp_path, f"version = 1\n{full}"))
    assert (hook.host, hook.port, hook.path, hook.tls) == ("::1", 8080, "/", False)
    assert (hook.topics, hook.names, hook.allow_local, hook.people) == (
        frozenset({"revoked", "deleted"}),
        ("registry.example.com/*",),
        True,
        True,
    )
    assert SECRET.decode() not in repr(hook)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "is not TOML"),
        ("hooks = 1", r"must have tables \[\[webhook\]\]"),
        ("webhook = 1", "must have tables"),
        ("webhook = [1]", "must be a table"),
        ("version = 2", "version 2"),
        ("version = 0", "must have tables"),
        (table(secret="1"), "members that do not exist: secret"),
        (table(name=""), "needs a name"),
        (table(name='"A"'), "needs a name"),
        (table(url=""), "url must be like"),
        (table(url="1"), "url must be like"),
        (table(url='"ftp://hooks.example.com/"'), "url must be like"),
        (table(url='"https://u:p@hooks.example.com/"'), "url must be like"),
        (table(url='"https://hooks.example.com/#x"'), "url must be like"),
        (table(url='"https://hooks.example.com:99999/"'), "url must be like"),
        (table(url='"https:///x"'), "url must be like"),
        (table(url=r'"https://hooks.example.com/\r\nX: y"'), "url must be like"),
        (table(url='"https://hooks.example.com/ä"'), "url must be like"),
        (table(url='"http://hooks.example.com/"'), r"must begin with https://; http:// is for .* allow_local = true"),
        (table(events='"published"'), "events must be a list"),
        (table(events='["pushed"]'), "pushed is not one of access, deleted"),
        (table(names='["*/app"]'), r"names: \*/app must be"),
        (table(names='["r.example.com"]'), r"did you mean r\.example\.com/\*\?"),
        (table(allow_local="1"), "allow_local must be true or false"),
        (table(people='"yes"'), "people must be true or false"),
        (table(secret_file=""), "needs a secret_file"),
        (table(secret_file='"none"'), "cannot be read: No such file"),
        (table(cacert="1"), "cacert must be the path"),
        (table(cacert='"secret"'), "has no certificates"),
        (table() * 2, "two webhooks of one name"),
        ("".join(table(name=f'"n{number}"') for number in range(MAX_HOOKS + 1)), "more than 16 webhooks"),
    ],
)
def test_a_file_with_something_wrong_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Exception, match=said) as refused:
        read_hooks(written(tmp_path, text))
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize(
    ("secret", "mode", "said"),
    [(b"short", 0o600, "has 16 to 4096"), (b"x" * 5000, 0o600, "has 16 to 4096"), (SECRET, 0o644, "chmod")],
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, secret: bytes, mode: int, said: str) -> None:
    with pytest.raises(StartRefused, match=said):
        read_hooks(written(tmp_path, table(), secret=secret, mode=mode))


def test_a_file_that_others_may_change_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, table())
    file.chmod(0o666)
    with pytest.raises(StartRefused, match="chmod"):
        read_hooks(file)


# --- what is wanted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topics", "names", "event", "wanted"),
    [
        ({"published"}, ["*"], {"kind": "published", "gun": APP}, True),
        ({"published"}, ["registry.example.com/team/*"], {"kind": "published", "gun": APP}, True),
        ({"published"}, ["registry.example.com/team/*"], {"kind": "published", "gun": OTHER}, False),
        ({"deleted"}, ["*"], {"kind": "published", "gun": APP, **REVOKES}, False),
        ({"revoked"}, ["*"], {"kind": "published", "gun": APP, **REVOKES}, True),
        ({"revoked"}, ["*"], {"kind": "published", "gun": APP, **ROTATES}, False),
        ({"rotated"}, ["*"], {"kind": "published", "gun": APP, **ROTATES}, True),
        ({"rotated"}, ["*"], {"kind": "published", "gun": APP, **ROTATES, "revision": 1}, False),
        ({"access"}, ["*"], {"kind": "access"}, True),
        ({"access"}, ["registry.example.com/*"], {"kind": "access"}, False),
    ],
)
def test_which_events_a_hook_is_told(
    topics: set[str], names: list[str], event: dict[str, Any], *, wanted: bool
) -> None:
    hook = replace(HOOK, topics=frozenset(topics), names=tuple(names))
    assert hook.wants(event) is wanted


# --- where it may be -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "anywhere", "local", "plain"),
    [
        ("8.8.8.8", True, True, False),
        ("10.0.0.1", True, True, False),
        ("2600::1", True, True, False),
        ("127.0.0.1", False, True, True),
        ("127.9.9.9", False, True, True),
        ("::1", False, True, True),
        ("::ffff:127.0.0.1", False, True, True),
        ("::ffff:8.8.8.8", True, True, False),
        ("64:ff9b::7f00:1", False, True, True),
        ("64:ff9b:1::7f00:1", False, True, False),
        ("::7f00:1", False, True, False),
        ("2002:7f00:1::", False, True, True),
        ("0.0.0.0", False, True, False),
        ("::", False, True, False),
        ("169.254.169.254", False, True, False),
        ("::ffff:169.254.169.254", False, True, False),
        ("fe80::1", False, True, False),
        ("fd00:ec2::254", False, True, False),
        ("100.100.100.200", False, True, False),
        ("224.0.0.1", False, True, False),
        ("255.255.255.255", False, True, False),
    ],
)
def test_where_a_hook_may_be(address: str, *, anywhere: bool, local: bool, plain: bool) -> None:
    parsed = ipaddress.ip_address(address)
    allowed = replace(HOOK, allow_local=True)
    answers = [may_be_told(parsed, hook) for hook in (HOOK, allowed, replace(allowed, tls=False))]
    assert answers == [anywhere, local, plain]


# --- sending -------------------------------------------------------------------------------------------------


class Connection:
    """A connection whose other end says these pieces, each after so many seconds."""

    def __init__(self, pieces: Sequence[bytes], passing: Callable[[], object] = lambda: None) -> None:
        self.pieces = list(pieces)
        self.passing = passing
        self.sent = b""
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def sendall(self, request: bytes) -> None:
        self.sent += request

    def recv(self, most: int) -> bytes:
        self.passing()
        return self.pieces.pop(0)[:most] if self.pieces else b""


class Net:
    """Names, and what answers at their addresses."""

    def __init__(self, *pieces: bytes, addresses: Sequence[str] = ("127.0.0.1",), each_second: float = 0.0) -> None:
        self.connection = Connection(pieces, self.pass_time)
        self.addresses = list(addresses)
        self.asked: list[tuple[str, int]] = []
        self.at = 0.0
        self.each_second = each_second
        self.resolved = 0

    def pass_time(self) -> None:
        self.at += self.each_second

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.resolved += 1
        return self.addresses if self.resolved == 1 else ["127.0.0.99"]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.asked.append((address, port))
        if address.endswith(".66"):
            raise ConnectionRefusedError(111, "Connection refused")
        return cast("socket.socket", self.connection)

    def send(self, hook: Hook | None = None) -> None:
        sender = Sender(resolve=self.resolve, connect=self.connect, clock=lambda: self.at, seconds=10)
        sender.send(hook or replace(HOOK, tls=False, allow_local=True), b"POST")


def test_what_is_accepted_is_delivered_once_to_the_address_that_was_looked_at() -> None:
    net = Net(b"HTTP/1.1 204 No Content\r\n\r\n")
    net.send()
    assert (net.connection.sent, net.connection.closed) == (b"POST", True)
    assert (net.asked, net.resolved) == ([("127.0.0.1", 443)], 1), "nobody can answer the name differently afterwards"


def test_the_next_address_is_tried_where_the_first_does_not_answer() -> None:
    net = Net(b"HTTP/1.0 200 OK\r\n", addresses=["127.0.0.66", "127.0.0.2"])
    net.send()
    assert [address for address, _ in net.asked] == ["127.0.0.66", "127.0.0.2"]


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (Net(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"), "answered 302"),
        (Net(b"HTTP/1.1 500 X\r\n"), "answered 500"),
        (Net(b"SSH-2.0\r\n"), "is not HTTP"),
        (Net(b"HTTP/1.1 " + b"2" * 5000), "is not HTTP"),
        (Net(*[b"H"] * 100, each_second=1.0), "timed out"),
        (Net(), "is not HTTP"),
        (Net(addresses=[]), "has no address"),
        (Net(addresses=["8.8.8.8"]), "is at an address that is told nothing: 8.8.8.8"),
        (Net(addresses=["127.0.0.66"]), "Connection refused"),
    ],
)
def test_what_is_not_accepted_is_told(net: Net, said: str) -> None:
    with pytest.raises(NotDelivered, match=said):
        net.send()


def test_a_name_that_leads_to_this_machine_is_not_connected_to() -> None:
    net = Net(b"HTTP/1.1 200 OK\r\n", addresses=["127.0.0.1", "169.254.169.254"])
    with pytest.raises(NotDelivered, match=r"is told nothing: 127\.0\.0\.1, 169.254.169.254"):
        net.send(HOOK)
    assert net.asked == []


# --- the outbox ----------------------------------------------------------------------------------------------


class Receiver:
    """Accepts what is sent to it, or not."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.accepts = True

    def send(self, hook: Hook, request: bytes) -> None:
        if not self.accepts:
            raise NotDelivered("down")
        self.requests.append(request)

    def numbers(self) -> list[int]:
        return [json.loads(request.partition(b"\r\n\r\n")[2])["event"]["number"] for request in self.requests]


class Scene:
    def __init__(self, hook: Hook = HOOK) -> None:
        self.store = MemoryStore()
        self.receiver = Receiver()
        self.seconds = 0.0
        self.hook = hook
        self.restart()

    def restart(self) -> None:
        self.outbox = Outbox(
            self.hook,
            self.store,
            self.receiver,
            uptime=lambda: self.seconds,
            clock=lambda: NOW + timedelta(seconds=self.seconds),
        )

    def change(self, gun: GUN = APP, **details: Any) -> None:
        event = NewEvent(kind=EventKind.PUBLISHED, at=NOW, by=ALICE, gun=gun, details=details)
        self.store.publish(publication(self.store.load(gun).revision + 1, gun=gun, event=event))

    def step(self) -> float:
        return self.outbox.step()


def test_a_new_hook_is_told_what_happens_from_now_on() -> None:
    scene = Scene()
    scene.change()
    assert scene.step() == IDLE_SECONDS
    scene.change()
    scene.change()
    assert (scene.step(), scene.receiver.numbers()) == (IDLE_SECONDS, [2, 3])
    scene.restart()
    assert (scene.step(), scene.receiver.numbers()) == (IDLE_SECONDS, [2, 3])


def test_nothing_is_lost_while_the_server_or_the_hook_is_down() -> None:
    scene = Scene()
    scene.step()
    scene.receiver.accepts = False
    scene.change()
    scene.change()
    assert [scene.step() for _ in range(4)] == [1.0, 2.0, 4.0, 8.0]
    assert [scene.step() for _ in range(10)][-1] == LONGEST_WAIT
    scene.restart()
    assert scene.step() == 1.0
    scene.receiver.accepts = True
    scene.change()
    assert (scene.step(), scene.receiver.numbers()) == (IDLE_SECONDS, [1, 2, 3])
    scene.receiver.accepts = False
    scene.change()
    assert scene.step() == 1.0, "and the waits begin anew"


def test_each_event_is_noted_when_it_was_accepted() -> None:
    class Ending(Receiver):
        def send(self, hook: Hook, request: bytes) -> None:
            if len(self.requests) == 2:
                raise KeyboardInterrupt
            super().send(hook, request)

    scene = Scene()
    scene.step()
    scene.receiver = Ending()
    scene.restart()
    for _ in range(3):
        scene.change()
    with pytest.raises(KeyboardInterrupt):
        scene.step()
    assert scene.store.hook_cursor("ci") == 2


def test_an_event_that_is_not_taken_for_days_makes_room_for_the_next() -> None:
    scene = Scene()
    scene.step()
    scene.change()
    scene.receiver.accepts = False
    scene.step()
    scene.seconds = GIVE_UP_SECONDS - 1
    scene.step()
    scene.seconds = GIVE_UP_SECONDS
    assert scene.step() == IDLE_SECONDS
    scene.receiver.accepts = True
    scene.change()
    scene.step()
    assert scene.receiver.numbers() == [2]


def test_what_a_hook_does_not_want_is_passed_over() -> None:
    scene = Scene(replace(HOOK, names=(OTHER,)))
    scene.step()
    for _ in range(150):
        scene.change()
    scene.change(OTHER)
    assert [scene.step(), scene.step()] == [0.0, IDLE_SECONDS]
    assert scene.receiver.numbers() == [151]
    assert scene.store.hook_cursor("ci") == 151


def test_a_receiver_can_prove_who_sent_it_and_when() -> None:
    scene = Scene()
    scene.step()
    scene.change()
    scene.step()
    head, _, body = scene.receiver.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "POST /trust?x=1 HTTP/1.1"
    assert (headers["Host"], headers["Trust-Event"]) == ("hooks.example.com:443", "1")
    assert int(headers["Content-Length"]) == len(body)
    said = dict(part.split("=", 1) for part in headers["Trust-Signature"].split(","))
    assert int(said["t"]) == int(NOW.timestamp())
    assert said["v1"] == hmac.new(SECRET, said["t"].encode() + b"." + body, sha256).hexdigest()
    assert signature(b"another secret...", body, NOW) != headers["Trust-Signature"]


def test_people_are_told_to_those_who_are_meant_to_know() -> None:
    scene = Scene()
    scene.change()
    (event,) = scene.store.events(None, after=0, limit=1)
    silent, told = (message_of(hook, event) for hook in (HOOK, replace(HOOK, people=True)))
    assert json.loads(silent.body).keys() == {"event", "hook"}
    assert b"alice" not in silent.body
    assert json.loads(told.body)["by"]["subject"] == "token:alice"


@pytest.mark.parametrize(
    ("error", "said"),
    [(NotStored(reason="gone"), "wait for the database"), (ZeroDivisionError(), "in a way that nobody expected")],
)
def test_what_fails_ends_no_thread(error: Exception, said: str, caplog: pytest.LogCaptureFixture) -> None:
    tried = Event()

    class Failing(MemoryStore):
        def hook_cursor(self, name: str) -> int | None:
            del name
            tried.set()
            raise error

    outbox = Outbox(HOOK, Failing(), Receiver(), uptime=lambda: 0.0, clock=lambda: NOW)
    thread = OutboxThread(outbox)
    assert tried.wait(60)
    thread.end()
    thread.join()
    assert thread.has_ended
    assert said in caplog.text
