"""The request that ends a server: it may come at any moment, from anybody, more than once."""

from __future__ import annotations

import os
import select
import signal
import threading

import pytest

from trustcli.hooks.serving.stop_request import StopRequest


def test_it_wakes_who_waits_once_and_is_remembered() -> None:
    stop = StopRequest()
    assert not stop.made
    assert select.select([stop], [], [], 0) == ([], [], [])
    stop.make()
    stop.make()
    assert stop.made
    assert select.select([stop], [], [], 0)[0] == [stop]
    assert os.read(stop.fileno(), 8) == b"."
    stop.close()


def test_who_asks_after_the_end_writes_to_nobody() -> None:
    """The descriptor's number may belong to somebody else by then."""
    stop = StopRequest()
    stop.close()
    assert stop.made
    stop.make()


def test_the_pipe_is_not_closed_under_who_is_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a server sees that it was asked, and ends, before the thread that asks has written."""
    stop = StopRequest()
    closer = threading.Thread(target=stop.close)
    order: list[str] = []
    write, close = os.write, os.close

    def written(descriptor: int, data: bytes) -> int:
        closer.start()
        order.append("written")
        return write(descriptor, data)

    def closed(descriptor: int) -> None:
        order.append("closed")
        close(descriptor)

    monkeypatch.setattr(os, "write", written)
    monkeypatch.setattr(os, "close", closed)
    stop.make()
    closer.join()
    assert order == ["written", "closed", "closed"]


def test_a_signal_handler_asks_while_its_thread_does(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopRequest()
    write = os.write

    def interrupted(descriptor: int, data: bytes) -> int:
        signal.raise_signal(signal.SIGUSR1)
        return write(descriptor, data)

    before = signal.signal(signal.SIGUSR1, lambda *_: stop.make())
    try:
        monkeypatch.setattr(os, "write", interrupted)
        stop.make()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert os.read(stop.fileno(), 8) == b"."
    stop.close()
