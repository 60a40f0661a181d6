"""The route GET /api/v1/events: the record in pages, of all names, or of one for those who may audit that one."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel

from trustdata.gun import parse_gun
from trustserver.api.client_address import sender_of
from trustserver.api.services import Services
from trustserver.errors import BadRequest
from trustserver.responses.recorded import event_row

MAX_PAGE: Final = 100
"""Events in a page. Each may have some ten kilobytes."""
_LIMIT: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
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


def event_list_router(services: Services) -> APIRouter:
    """Make the route."""
    router = APIRouter()

    @router.get("/api/v1/events")
    async def events(
        request: Request, name: str | None = None, after: str = "0", limit: str = str(MAX_PAGE)
    ) -> EventsView:
        """List the events after a number, of one name or of all, in order; `next` is the last of a full page."""
        gun = None if name is None else parse_gun(name)
        await services.authorizer.authorize_catalog(sender_of(request.scope), only=gun)
        size, number = _page_size(limit), _number(after)
        found = await asyncio.to_thread(services.store.events, gun, after=number, limit=size)
        last = found[-1].number if len(found) == size else None
        return EventsView(events=[EventView.model_validate(event_row(each)) for each in found], next=last)

    return router


def _page_size(text: str) -> int:
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= MAX_PAGE:
        raise BadRequest(place="limit", reason=f"must be a number from 1 to {MAX_PAGE}")
    return int(text)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise BadRequest(place="after", reason="must be the number of an event, or 0")
    return int(text)
