"""Health checks: /healthz says that the process answers, /readyz that its database does and that it is not stopping.

A server that cannot write is still ready, because it answers reads, and a load balancer that removed it would stop
those too. The member `warnings` tells the operator what to repair.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from trustdata.errors import NotStored
from trustserver.api.route_context import context_of
from trustserver.responses import cache_control

router = APIRouter()


@router.get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request, response: Response) -> dict[str, str | list[str]]:
    context = context_of(request)
    response.headers["cache-control"] = cache_control.NOTHING.decode()
    if context.is_stopping():
        response.status_code = 503
        return {"status": "stopping"}
    try:
        await asyncio.to_thread(context.services.store.ping)
    except NotStored:
        response.status_code = 503
        return {"status": "the database does not answer"}
    found = context.warnings()
    return {"status": "ready", "warnings": found} if found else {"status": "ready"}
