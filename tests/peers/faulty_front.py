"""Somebody between an old client and its server, over TLS: loses, delays and alters what passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import make_authority
from tests.support.hostile_server import HostileServer, Request, Wire, reply
from tests.support.trust_servers import Answer, PeerServer

Forward = Callable[[Request], Answer]
Trick = Callable[[Request, Forward], Answer | None]
"""Gets a request and the way to the true server; gives what the client gets, or None to hang up."""


def honest(request: Request, forward: Forward) -> Answer | None:
    """Change nothing."""
    return forward(request)


class FaultyFront:
    """`seen` is how clients see it: the same server at another address. Each request goes through `trick`."""

    def __init__(self, behind: PeerServer, folder: Path) -> None:
        folder.mkdir()
        authority = make_authority(folder)
        self.trick: Trick = honest
        self._behind = behind
        self._server = HostileServer(self._answer, tls=authority.server_context(folder))
        self.seen = dataclasses.replace(behind, url=self._server.url, ca=authority.file)

    @property
    def seen_requests(self) -> list[Request]:
        """Every request so far."""
        return list(self._server.requests)

    @property
    def requests(self) -> list[str]:
        """Method and target of each request so far."""
        return [f"{request.method} {request.target}" for request in self._server.requests]

    @property
    def uploads(self) -> list[Request]:
        """The POSTs among them."""
        return [request for request in self._server.requests if request.method == "POST"]

    def stop(self) -> None:
        """Nobody listens any more."""
        self._server.stop()

    def _answer(self, request: Request, wire: Wire) -> None:
        answer = self.trick(request, self._forward)
        if answer is not None:
            kind = {"Content-Type": answer.headers.get("content-type", "text/plain"), "Connection": "close"}
            wire.send(reply(answer.status, answer.body, kind))
        wire.close()

    def _forward(self, request: Request) -> Answer:
        headers = {"Content-Type": request.headers["content-type"]} if "content-type" in request.headers else {}
        return self._behind.request(request.target, method=request.method, headers=headers, body=request.body)


def altered(role: str, change: Callable[[bytes], bytes]) -> Trick:
    """A trick that changes every file of a role, however it is asked for."""

    def trick(request: Request, forward: Forward) -> Answer | None:
        answer = forward(request)
        name = request.target.rpartition("/_trust/tuf/")[2]
        if request.method != "GET" or role not in name.split(".") or answer.status != 200:
            return answer
        return dataclasses.replace(answer, body=change(answer.body))

    return trick


@pytest.fixture
def front(peer_server: PeerServer, tmp_path: Path) -> Iterator[FaultyFront]:
    """In front of the server of the test; honest until told otherwise."""
    faulty = FaultyFront(peer_server, tmp_path / "front")
    yield faulty
    faulty.stop()
