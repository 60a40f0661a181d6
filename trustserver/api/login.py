"""The route GET /api/v1/token: a login for a session token, as the token servers of registries give them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from trustserver.api.client_address import sender_of
from trustserver.api.route_context import context_of
from trustserver.auth.sessions import SESSION_SECONDS
from trustserver.responses import cache_control


class TokenView(BaseModel):
    """A session token. `expires_in`: seconds."""

    token: str
    access_token: str
    expires_in: int


router = APIRouter()


@router.get("/api/v1/token", include_in_schema=False)
async def token(request: Request, response: Response) -> TokenView:
    """Exchange a user's name and password, or nothing, for a token. Scopes are ignored: rules decide later."""
    made = await context_of(request).services.authorizer.log_in(sender_of(request.scope))
    response.headers["cache-control"] = cache_control.NOTHING.decode()
    return TokenView(token=made, access_token=made, expires_in=SESSION_SECONDS)
