"""All routes that FastAPI answers: what is no trust data."""

from __future__ import annotations

from functools import cache

from fastapi import FastAPI

from trustserver.api import collection_list, event_list, exchange, health, login, management, metrics_page, whoami
from trustserver.api.notary_errors import notary_error
from trustserver.api.problems import install_error_handlers
from trustserver.errors import NoSuchRoute


@cache
def routes() -> FastAPI:
    """Return the application that finds the route of a request, which must bring its `RouteContext`."""
    fastapi = FastAPI(
        title="content-trust", version="1", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    install_error_handlers(fastapi, elsewhere=notary_error(NoSuchRoute(what="such route"))[1])
    for of in (management, collection_list, event_list, login, exchange, whoami, health, metrics_page):
        fastapi.include_router(of.router)
    return fastapi
