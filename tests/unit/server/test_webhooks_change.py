"""Webhooks whose file changes while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Semaphore

import pytest

from tests.simulator.memory_store import MemoryStore
from tests.support.server_owner import NOW
from trustserver.errors import StartRefused
from trustserver.storage.events import Actor, EventKind, NewEvent
from trustserver.webhooks import outbox, running
from trustserver.webhooks.hooks import Hook
from trustserver.webhooks.one_request import NotDelivered
from trustserver.webhooks.outbox import Outbox
from trustserver.webhooks.running import Webhooks

ALICE = Actor(subject="token:alice", kind="token")
WAIT = 60


class Receivers:
    """All receivers there are. `told`: which hook was told of which event, where it is, and with which secret."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bytes, int]] = []
        self.refuses: set[str] = set()
        self.refused = Semaphore(0)
        self.had = Semaphore(0)
        self.goes_on = Event()
        self.goes_on.set()
        self.asked = Semaphore(0)

    def send(self, hook: Hook, request: bytes) -> None:
        self.asked.release()
        assert self.goes_on.wait(WAIT)
        if hook.host in self.refuses:
            self.refused.release()
            raise NotDelivered("no")
        number = int(request.split(b"Trust-Event: ")[1].split(b"\r\n")[0])
        self.told.append((hook.name, hook.host, hook.secret, number))
        self.had.release()


class Scene:
    """A server without events, its file of webhooks, and their receivers."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.receivers = Receivers()
        self.file = folder / "webhooks.toml"
        self.folder = folder

    def write(self, **hooks: str) -> None:
        """Write hooks by name, with their hosts; each has a secret of its own."""
        tables = []
        for name, host in hooks.items():
            self.secret(name)
            tables.append(f'[[webhook]]\nname = "{name}"\nurl = "https://{host}/"\nsecret_file = "{name}.secret"\n')
        self.text("".join(tables))

    def text(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def secret(self, name: str, secret: str = "0123456789abcdef") -> None:
        file = self.folder / f"{name}.secret"
        file.write_text(secret)
        file.chmod(0o600)

    def open(self, file: Path | None) -> Webhooks:
        def open_outbox(hook: Hook) -> Outbox:
            return Outbox(hook, self.store, self.receivers, uptime=lambda: 0.0, clock=lambda: NOW)

        return Webhooks(file, open_outbox)

    def happens(self) -> None:
        self.store.record(NewEvent(kind=EventKind.ACCESS, at=NOW, by=ALICE))

    def told(self, count: int = 1) -> list[tuple[str, str, int]]:
        """What was told since, in so many requests: to whom, where, and the event's number."""
        for _ in range(count):
            assert self.receivers.had.acquire(timeout=WAIT)
        found, self.receivers.told = self.receivers.told, []
        return sorted((name, host, number) for name, host, _, number in found)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(outbox, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(running, "LOOK_SECONDS", 3600.0)
    found = Scene(tmp_path)
    yield found
    found.store.close()


def test_hooks_come_move_and_go_while_the_server_runs(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.write(ci="one.example.com")
    with scene.open(scene.file) as webhooks:
        webhooks.refresh()
        while scene.store.hook_cursor("ci") is None:
            pass
        scene.happens()
        assert scene.told() == [("ci", "one.example.com", 1)]
        scene.write(ci="two.example.com", chat="chat.example.com")
        webhooks.refresh()
        while scene.store.hook_cursor("chat") is None:
            pass
        scene.happens()
        assert scene.told(2) == [("chat", "chat.example.com", 2), ("ci", "two.example.com", 2)]
        scene.write(chat="chat.example.com")
        webhooks.refresh()
        scene.happens()
        assert scene.told() == [("chat", "chat.example.com", 3)]
        assert webhooks.warnings() == []
    assert scene.receivers.told == []
    assert [record.message for record in caplog.records] == ["other webhooks"] * 2


def test_another_secret_counts_although_the_file_is_as_it_was(scene: Scene) -> None:
    scene.write(ci="one.example.com")
    with scene.open(scene.file) as webhooks:
        webhooks.refresh()
        while scene.store.hook_cursor("ci") is None:
            pass
        scene.secret("ci", "another secret of both")
        webhooks.refresh()
        scene.happens()
        assert scene.receivers.had.acquire(timeout=WAIT)
    assert [secret for _, _, secret, _ in scene.receivers.told] == [b"another secret of both"]


def test_a_hook_that_was_waiting_is_tried_at_its_new_place_at_once(scene: Scene) -> None:
    scene.receivers.refuses.add("down.example.com")
    scene.write(ci="down.example.com")
    with scene.open(scene.file) as webhooks:
        while scene.store.hook_cursor("ci") is None:
            pass
        scene.happens()
        assert scene.receivers.refused.acquire(timeout=WAIT)
        scene.write(ci="up.example.com")
        webhooks.refresh()
        assert scene.told() == [("ci", "up.example.com", 1)]


def test_a_file_with_a_mistake_changes_nothing_and_is_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.write(ci="one.example.com")
    with scene.open(scene.file) as webhooks:
        while scene.store.hook_cursor("ci") is None:
            pass
        scene.text("[[webhook]]\nname = 7\n")
        for _ in range(3):
            webhooks.refresh()
            assert webhooks.warnings() == ["the webhooks are older than their file"]
        assert len(caplog.records) == 1
        scene.happens()
        assert scene.told() == [("ci", "one.example.com", 1)]
        scene.text('[[webhook]]\nname = "ci"\nurl = "https://two.example.com/"\nsecret_file = "new.secret"\n')
        webhooks.refresh()
        assert webhooks.warnings() == ["the webhooks are older than their file"]
        assert "new.secret: the secret cannot be read" in vars(caplog.records[-1])["reason"]
        scene.secret("new")  # the file itself is as it was
        webhooks.refresh()
        assert webhooks.warnings() == []
        scene.happens()
        assert scene.told() == [("ci", "two.example.com", 2)]


def test_a_hook_that_comes_back_waits_until_the_last_of_its_name_has_ended(scene: Scene) -> None:
    """Two at one time would each move the cursor."""
    scene.write(ci="one.example.com")
    with scene.open(scene.file) as webhooks:
        while scene.store.hook_cursor("ci") is None:
            pass
        scene.receivers.goes_on.clear()
        scene.happens()
        assert scene.receivers.asked.acquire(timeout=WAIT)
        scene.text("")
        webhooks.refresh()
        scene.write(ci="two.example.com")
        webhooks.refresh()
        scene.happens()
        assert not scene.receivers.asked.acquire(blocking=False)
        scene.receivers.goes_on.set()
        assert scene.told() == [("ci", "one.example.com", 1)]
        while not scene.receivers.asked.acquire(blocking=False):
            webhooks.refresh()
        assert scene.told() == [("ci", "two.example.com", 2)]


def test_a_hook_that_goes_is_told_no_more_of_what_was_read_for_it(scene: Scene) -> None:
    hook = Hook(name="ci", host="one.example.com", port=443, path="/", tls=True, secret=b"0123456789abcdef")

    class LastOne(Receivers):
        def send(self, hook: Hook, request: bytes) -> None:
            super().send(hook, request)
            going.ending = True

    receivers = LastOne()
    going = Outbox(hook, scene.store, receivers, uptime=lambda: 0.0, clock=lambda: NOW)
    going.step()
    for _ in range(3):
        scene.happens()
    going.step()
    assert [number for *_, number in receivers.told] == [1]
    assert scene.store.hook_cursor("ci") == 1


def test_it_looks_by_itself_when_told_to_and_goes_on_after_a_failure(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write(ci="one.example.com")
    failed = Event()
    with scene.open(scene.file) as webhooks:

        def fail(_: Path) -> tuple[Hook, ...]:
            failed.set()
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(running, "read_hooks", fail)
            webhooks.look_now()
            assert failed.wait(WAIT)
            while not webhooks.warnings():
                pass
            assert webhooks.warnings() == ["the webhooks are not looked at"]
        webhooks.look_now()
        while webhooks.warnings():
            pass


def test_without_a_file_there_is_nothing_to_look_at(scene: Scene) -> None:
    with scene.open(None) as webhooks:
        webhooks.look_now()
        webhooks.refresh()
        assert webhooks.warnings() == []
    with pytest.raises(StartRefused):
        scene.open(scene.file)
