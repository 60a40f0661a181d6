"""The route GET /api/v1/collections: the names on this server, in pages, for those who may know all of them."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel

from trustserver.api.client_address import sender_of
from trustserver.api.pages import page_size
from trustserver.api.route_context import context_of
from trustserver.responses.overview import overview_row

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000


class TombstoneView(BaseModel):
    """What is left of a deleted collection. `root`: the fingerprint of its first root."""

    at: str
    by: str
    root: str


class OverviewView(BaseModel):
    """One name. `bytes`: of all stored versions. `published_at`: of the last change by owners, null if unknown.

    `tags`: how many the roles that release them list. `expires`: when the first of the current files does;
    `owner_expires`: of those that owners must renew.
    """

    gun: str
    format: str
    status: str
    revision: int
    tags: int
    bytes: int
    published_at: str | None
    published_by: str | None
    expires: str | None
    expires_role: str | None
    owner_expires: str | None
    owner_expires_role: str | None
    deleted: TombstoneView | None


class CollectionsView(BaseModel):
    """A page of names. `next`: the value of `after` for the page behind it; null behind the last one."""

    collections: list[OverviewView]
    next: str | None


router = APIRouter()


@router.get("/api/v1/collections")
async def collections(request: Request, after: str = "", limit: str = str(DEFAULT_PAGE)) -> CollectionsView:
    """List the collections and deleted names that come after a name, sorted; `next` is the last of a full page."""
    services = context_of(request).services
    await services.authorizer.authorize_catalog(sender_of(request.scope))
    size = page_size(limit, most=MAX_PAGE)  # a page costs three statements, whatever there is on the server
    found = await asyncio.to_thread(services.store.overviews, after=after, limit=size)
    last = found[-1].summary.gun if len(found) == size else None
    rows = [OverviewView.model_validate(overview_row(overview)) for overview in found]
    return CollectionsView(collections=rows, next=last)
