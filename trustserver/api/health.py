"""Health checks: /healthz says that the process answers, /readyz that its database does and that it is not stopping.

A server that cannot write is still ready, because it answers reads, and a load balancer that removed it would stop
those too. The member `warnings` tells the operator what to repair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Response

from trustdata.errors import NotStored
from trustserver.responses import cache_control
from trustserver.storage.ports import MetadataStore


def health_router(
    store: MetadataStore, *, is_stopping: Callable[[], bool], warnings: Callable[[], list[str]]
) -> APIRouter:
    """Make the routes /healthz and /readyz. `warnings`: returns what is wrong although the server is ready."""
    router = APIRouter()

    @router.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", include_in_schema=False)
    async def readyz(response: Response) -> dict[str, str | list[str]]:
        response.headers["cache-control"] = cache_control.NOTHING.decode()
        if is_stopping():
            response.status_code = 503
            return {"status": "stopping"}
        try:
            await asyncio.to_thread(store.ping)
        except NotStored:
            response.status_code = 503
            return {"status": "the database does not answer"}
        found = warnings()
        return {"status": "ready", "warnings": found} if found else {"status": "ready"}

    return router
