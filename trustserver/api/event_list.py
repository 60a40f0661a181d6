"""The route GET /api/v1/events: the record in pages, of all names, or of one for those who may audit that one."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from trustdata.gun import GUN, parse_gun
from trustserver.api.client_address import sender_of
from trustserver.api.pages import page_size
from trustserver.api.route_context import context_of
from trustserver.errors import BadRequest
from trustserver.responses.recorded import event_json
from trustserver.storage.ports import MetadataStore

MAX_PAGE: Final = 100
"""Events in a page. Each may have some ten kilobytes."""
PAGE_BYTES: Final = 512 * 1024
"""A page ends before the event with which it would have more; it has at least one event."""
PAGES_AT_ONCE: Final = 2
"""How many pages are read at one time: each may be a hundred large events."""
_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


class PersonView(BaseModel):
    """Somebody in an event. `salt`: the key of the HMAC-SHA256 by which the event names them, in hex."""

    subject: str
    kind: str
    address: str
    client: str
    salt: str


class EventView(BaseModel):
    """An event as it is stored, and who made the change; null if that was erased. `about`: whose access was changed."""

    event: dict[str, Any]
    by: PersonView | None
    about: PersonView | None


class EventsView(BaseModel):
    """A page of events. `next`: the value of `after` for the page behind it; null behind the last one."""

    events: list[EventView]
    next: int | None


router = APIRouter()


@router.get("/api/v1/events", response_model=EventsView)
async def events(request: Request, name: str | None = None, after: str = "0", limit: str = str(MAX_PAGE)) -> Response:
    """List the events after a number, of one name or of all, in order.

    `next` is the last of a page that is full, of events or of bytes.
    """
    context = context_of(request)
    services, gun = context.services, None if name is None else parse_gun(name)
    subject = await services.authorizer.authorize_catalog(sender_of(request.scope), only=gun)
    size, number = page_size(limit, most=MAX_PAGE), _number(after)
    async with context.event_pages.place(services.address_of(request.scope) or subject.name):
        body = await asyncio.to_thread(_page, services.store, gun, after=number, limit=size)
    return Response(body, media_type="application/json")


def _page(store: MetadataStore, gun: GUN | None, *, after: int, limit: int) -> bytes:
    """Return an `EventsView` as JSON. It is no work for the event loop: a page may have many bytes."""
    found = store.events(gun, after=after, limit=limit)
    rows: list[bytes] = []
    size = 0
    for event in found:
        row = event_json(event)
        size += len(row)
        if rows and size > PAGE_BYTES:
            break
        rows.append(row)
    is_last = len(rows) == len(found) < limit
    behind = b"null" if is_last else b"%d" % found[len(rows) - 1].number
    return b'{"events":[%b],"next":%b}' % (b",".join(rows), behind)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise BadRequest(place="after", reason="must be the number of an event, or 0")
    return int(text)
