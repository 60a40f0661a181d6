"""A server without a socket: the composed application over a store in memory, with a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import httpx

from tests.simulator.memory_store import MemoryStore
from tests.support.json_schema import faults
from tests.support.server_owner import NOW, Owner
from trustdata.gun import GUN
from trustdata.roles import ONLINE
from trustserver.app import Application, compose
from trustserver.auth.authorizer import Authorizer
from trustserver.repository.commit import PublishedLog
from trustserver.repository.judge_apart import Asked
from trustserver.settings import Settings
from trustserver.storage.ports import KeySealer, MetadataStore
from trustserver.storage.sealed_keys import SealedKeys

GUN_A = GUN("registry.example.com/team/app")
_PLAIN = {"Accept-Encoding": "identity"}
"""httpx would ask for gzip, and unpack it without a word."""


def _check_answer(method: str, path: str, answer: httpx.Response) -> None:
    """Demand that a refusal, and what `/api/v1` answers, are what their schemas say."""
    if method == "HEAD":
        return
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        document = answer.json()
        assert faults(document, "problem") == []
        assert document["status"] == answer.status_code
    elif path.startswith("/api/v1/collections") and answer.status_code == 200:
        whole = path.partition("?")[0] == "/api/v1/collections"
        assert faults(answer.json(), "api-collections" if whole else "api-collection") == []
    elif path.startswith("/api/v1/events") and answer.status_code == 200:
        assert faults(answer.json(), "api-events") == []
    elif path.startswith("/api/v1/access/whoami") and answer.status_code == 200:
        assert faults(answer.json(), "api-whoami") == []


class Site:
    """The application, and requests to it."""

    def __init__(
        self,
        store: MetadataStore | None = None,
        *,
        sealer: KeySealer | None = None,
        witness: PublishedLog | None = None,
        authorizer: Authorizer | None = None,
        helper: Asked | None = None,
        **settings: Any,
    ) -> None:
        self.at = NOW
        self.jumped = timedelta()
        self.synchronised = True
        self.store = store or MemoryStore()
        self.sealer = sealer or SealedKeys(bytes(32))
        self.app: Application = compose(
            store=self.store,
            sealer=self.sealer,
            settings=Settings(**settings),
            clock=self.now,
            uptime=self.uptime,
            is_synchronised=lambda: self.synchronised,
            published_log=witness,
            authorizer=authorizer,
            helper=helper,
        )

    def now(self) -> datetime:
        return self.at

    def uptime(self) -> float:
        """Seconds of the clock that nobody sets."""
        return (self.at - self.jumped).timestamp()

    def later(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        return self.at

    def jump(self, **span: float) -> datetime:
        """Set the clock forward or back, while no time passes."""
        self.jumped += timedelta(**span)
        return self.later(**span)

    def upkeep(self) -> None:
        """One round, as once a minute."""
        asyncio.run(self.app.upkeep_round())

    async def served(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, as who connects meets it."""
        await self.app.asgi(scope, receive, send)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.served)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=_PLAIN) as client:
                return await client.request(method, path, **options)

        answer = asyncio.run(ask())
        _check_answer(method, path, answer)
        return answer

    def together(self, *requests: Mapping[str, Any]) -> list[httpx.Response]:
        """Requests of one moment, begun in this order."""

        async def ask() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app.asgi)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await asyncio.gather(*(client.request(**options) for options in requests))

        return asyncio.run(ask())

    def raw(self, method: str, raw_path: bytes) -> int:
        """The status for a path that HTTP libraries would tidy up."""
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {"type": "http", "method": method, "path": unquote(raw_path.decode()), "raw_path": raw_path}
        asyncio.run(self.app.asgi({**scope, "headers": [], "query_string": b""}, receive, send))
        status: int = sent[0]["status"]
        return status

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def file(self, name: str, gun: str = GUN_A, **options: Any) -> httpx.Response:
        return self.get(f"/tuf/{gun}/metadata/{name}", **options)

    def publish(self, files: Mapping[Any, bytes], gun: str = GUN_A) -> httpx.Response:
        parts = [("files", (quote(role, safe=""), raw)) for role, raw in files.items()]
        return self.request("POST", f"/api/v1/collections/{gun}/publish", files=parts)

    def learn_keys(self, owner: Owner, gun: str = GUN_A) -> None:
        for role in ONLINE:
            owner.learn(role, self.get(f"/api/v1/collections/{gun}/keys/{role}").raise_for_status().json())

    def begin(self, gun: str = GUN_A, *, signers: tuple[str, ...] = ()) -> Owner:
        """A new collection with one tag; its owner."""
        owner = Owner(self.at)
        owner.tags = {"1.0": "ab" * 32}
        self.learn_keys(owner, gun)
        for name in signers:
            owner.add_signer(name)
        assert self.publish(owner.first_upload(), gun).status_code == 200
        return owner

    def app_publish(self, files: Mapping[Any, bytes], gun: str = GUN_A) -> None:
        """Publish beside a request that is under way, through another application on the same store."""
        beside = Site(self.store)
        beside.app.publishing.publish(GUN(gun), files, at=self.at)
