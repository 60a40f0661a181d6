"""How often may be published: only what was stored counts, for a collection and for a user."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.notary_site import EMPTY, NotarySite
from tests.support.server_owner import NOW, Owner
from tests.support.server_site import GUN_A, Site
from tests.unit.server.guarded_site import Guarded, bearer
from trustdata.roles import SNAPSHOT, TARGETS, TIMESTAMP
from trustserver.api import publish_rates
from trustserver.api.publish_rates import PublishRate
from trustserver.errors import Overloaded


def test_a_collection_is_published_to_so_often_in_a_minute() -> None:
    site = Site(publishes_per_collection=3)
    owner = site.begin()
    for _ in range(2):
        assert site.publish({TARGETS: owner.targets()}).status_code == 200
    before = site.store.load(GUN_A)
    raw = owner.targets()
    refused = site.publish({TARGETS: raw})
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "20")
    assert refused.json()["detail"] == "too many publishes of this collection in a minute; try again in 20 seconds"
    assert site.store.load(GUN_A) == before
    site.begin("example.com/another")
    site.later(seconds=20)
    assert site.publish({TARGETS: raw}).status_code == 200


def test_who_is_turned_away_while_sending_reads_the_answer() -> None:
    """What is still coming is read: a connection that ends with unread bytes is reset, and the answer lost."""
    site = Site(publishes_per_collection=1)
    site.begin()
    pieces = [b"x" * 1000] * 5
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    async def send(event: Any) -> None:
        assert pieces == [], "all of it was read before"
        sent.append(event)

    path = f"/api/v1/collections/{GUN_A}/publish"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    headers = [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"5000")]
    asyncio.run(site.app.asgi({**scope, "headers": headers}, receive, send))
    assert sent[0]["status"] == 503


def test_what_is_refused_does_not_count() -> None:
    site = Site(publishes_per_collection=2)
    owner = site.begin()
    for _ in range(9):
        assert site.publish({TARGETS: b"{}"}).status_code == 422
    assert site.publish({TARGETS: owner.targets()}).status_code == 200


def test_empty_uploads_that_change_nothing_count_too() -> None:
    site = NotarySite(publishes_per_collection=3)
    site.begin_notary()
    assert [site.post(EMPTY).status_code for _ in range(4)] == [200, 200, 503, 503]


def test_a_user_publishes_so_often_in_a_minute_whatever_to() -> None:
    site = Guarded(publishes_per_user=2)

    def begin(gun: str, user: str) -> int:
        rights = bearer("*", name=gun, sub=user)
        owner = Owner(site.at)
        for role in (SNAPSHOT, TIMESTAMP):
            owner.learn(role, site.get(f"/api/v1/collections/{gun}/keys/{role}", headers=rights).json())
        files = [("files", (role, raw)) for role, raw in owner.first_upload().items()]
        path = f"/api/v1/collections/{gun}/publish"
        return site.request("POST", path, files=files, headers=rights).status_code

    assert [begin(f"example.com/{name}", "mallory") for name in "abc"] == [200, 200, 503]
    assert begin("example.com/c", "alice") == 200


def test_counts_fall_with_time_and_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_rates, "_REMEMBERED", 2)
    at = NOW

    def clock() -> datetime:
        return at

    rate = PublishRate(60, what="publishes", clock=clock)
    for _ in range(60):
        rate.check("a")
        rate.count("a")
    with pytest.raises(Overloaded):
        rate.check("a")
    at = NOW - timedelta(days=1)
    with pytest.raises(Overloaded):
        rate.check("a")
    at = NOW + timedelta(seconds=1)
    rate.check("a")
    for owner in ("b", "c"):
        rate.count(owner)
    assert list(rate._spent) == ["b", "c"]
    PublishRate(0, what="publishes", clock=clock).check("a")
