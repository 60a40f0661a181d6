"""/healthz: the process answers. /readyz: it can do its work, that is, its database answers and it is not stopping.

A server that cannot write any more is still ready: clients are answered, and taken out of service it would answer
nobody. `warnings` says what its operator must mend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Response

from trustdata.errors import NotStored
from trustserver.storage.ports import MetadataStore


def health_router(
    store: MetadataStore, *, is_stopping: Callable[[], bool], warnings: Callable[[], list[str]]
) -> APIRouter:
    """The two pages."""
    router = APIRouter()

    @router.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", include_in_schema=False)
    async def readyz(response: Response) -> dict[str, str | list[str]]:
        response.headers["cache-control"] = "no-store"
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
