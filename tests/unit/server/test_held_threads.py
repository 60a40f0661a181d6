"""Requests that may be slow hold few of the threads that all requests share."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest

from tests.support.notary_site import GUN_N, NotarySite
from trustserver.api import metrics
from trustserver.api.changefeed import FeedQuery
from trustserver.repository.renewal import Renewal


class Held:
    """Stands for a slow function: it holds its thread until the test lets go, and counts how many are held.

    `enough`: set as soon as so many are held.
    """

    def __init__(self, answer: object, *, enough: int) -> None:
        self.let_go = threading.Event()
        self.enough = threading.Event()
        self._wanted = enough
        self.most = 0
        self._answer = answer
        self._held = 0
        self._lock = threading.Lock()

    def __call__(self, *_: object, **__: object) -> Any:
        with self._lock:
            self._held += 1
            self.most = max(self.most, self._held)
            if self._held == self._wanted:
                self.enough.set()
        assert self.let_go.wait(timeout=5)
        with self._lock:
            self._held -= 1
        return self._answer


async def read_beside(site: NotarySite, slow: list[str], held: Held) -> list[int]:
    """Ask for the slow paths, then for a file that no cache has; let go when that is answered."""
    asking, honest = (httpx.ASGITransport(site.app.asgi, client=(f"192.0.2.{number}", 1)) for number in (1, 2))
    async with (
        httpx.AsyncClient(transport=asking, base_url="http://test") as client,
        httpx.AsyncClient(transport=honest, base_url="http://test") as other,
    ):
        waiting = [asyncio.create_task(client.get(path)) for path in slow]
        assert await asyncio.to_thread(held.enough.wait, 5)
        cold = await other.get(f"/v2/{GUN_N}/_trust/tuf/targets.json")
        for _ in range(1000):  # each request begins in a round of the event loop of its own
            await asyncio.sleep(0)
        held.let_go.set()
        answers = await asyncio.gather(*waiting)
    return [cold.status_code, *(answer.status_code for answer in answers)]


def test_reads_of_the_change_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    site = NotarySite()
    site.begin_notary()
    held = Held(b"{}", enough=2)
    monkeypatch.setattr(FeedQuery, "read", held)
    slow = ["/v2/_trust/changefeed?records=1"] * 12
    statuses = asyncio.run(read_beside(NotarySite(site.store), slow, held))
    assert statuses == [200] * 13
    assert held.most == 2


def test_renewals_of_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    site = NotarySite()
    names = [GUN_N, *(f"example.com/{number}" for number in range(12))]
    for name in names:
        site.begin_notary(name)
    late = NotarySite(site.store, sealer=site.sealer)
    late.at = site.later(days=8)
    held = Held(answer=True, enough=4)
    monkeypatch.setattr(Renewal, "renew", held)
    slow = [f"/v2/{name}/_trust/tuf/timestamp.json" for name in names[1:]]
    statuses = asyncio.run(read_beside(late, slow, held))
    assert statuses == [200] * 13
    assert held.most == 4


def test_pages_of_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to have a token for them, and they are work of Python: one at a time, and one for all who wait."""
    site = NotarySite()
    site.begin_notary()
    held = Held(b"", enough=1)
    made: list[object] = []

    def make(registry: object) -> object:
        made.append(registry)
        return held()

    monkeypatch.setattr(metrics, "generate_latest", make)
    statuses = asyncio.run(read_beside(NotarySite(site.store), ["/metrics"] * 20, held))
    assert statuses == [200] * 21
    assert held.most == 1
    assert 1 <= len(made) <= 2
