"""The route /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from trustserver.api.route_context import context_of

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
async def page(request: Request) -> Response:
    return Response(await context_of(request).metrics_pages.page(), media_type=CONTENT_TYPE_LATEST)
