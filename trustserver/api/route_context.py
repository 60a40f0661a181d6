"""What the routes of FastAPI answer from: each request brings it in its scope, so that routes belong to no server.

FastAPI reads the signatures of all routes when it is made, which takes as long as hundreds of answers. So there is one
in a process (`routes.py`), whatever servers there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from fastapi import Request

from trustserver.api.fair_queue import FairQueue
from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.metrics import SharedPages
from trustserver.api.services import Services
from trustserver.repository.collection_import import CollectionImport

_KEY: Final = "content_trust.context"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteContext:
    """The parts of one server that its routes use.

    `event_pages`: how many pages of the record are read at one time. `warnings`: returns what is wrong although the
    server is ready.
    """

    services: Services
    collection_import: CollectionImport
    event_pages: FairQueue
    metrics_pages: SharedPages
    is_stopping: Callable[[], bool]
    warnings: Callable[[], list[str]]


def context_of(request: Request) -> RouteContext:
    """Return the parts of the server that a request has come to."""
    return cast("RouteContext", request.scope[_KEY])


def with_context(app: App, context: Callable[[], RouteContext]) -> App:
    """Return an ASGI application that gives each request of another the parts of this server.

    They are asked for with each request, since some of them stand in front of the routes, and are made after them.
    """

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, _KEY: context()}, receive, send)

    return called
