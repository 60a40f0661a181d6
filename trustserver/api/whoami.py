"""The route GET /api/v1/access/whoami: who the server takes the sender of a request for, and what they may do."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from keys.rfc3339 import to_rfc3339
from trustdata.gun import parse_notary_gun
from trustserver.api.client_address import sender_of
from trustserver.api.route_context import context_of
from trustserver.responses import cache_control


class RightView(BaseModel):
    """Whether somebody has a right. `why`: in words, with the rule that decides."""

    allowed: bool
    why: str


class WhoamiView(BaseModel):
    """Who sent a request. `authenticated`: by what kind of credential; null for anonymous.

    `expires`: when the credential ends, RFC 3339; null: at no set time. `rights`: on `name`, or on every name if null.
    """

    subject: str
    authenticated: str | None
    expires: str | None
    name: str | None
    rights: dict[str, RightView]


router = APIRouter()


@router.get("/api/v1/access/whoami")
async def whoami(request: Request, response: Response, name: str | None = None) -> WhoamiView:
    """Say who sent this request, and which rights they have on a name, or without one on every name."""
    gun = None if name is None else parse_notary_gun(name)
    standing = await context_of(request).services.authorizer.who_is(sender_of(request.scope), gun)
    response.headers["cache-control"] = cache_control.NOTHING.decode()
    if standing.challenge:  # nobody is refused here, so how to log in stands beside the answer: RFC 9110, 11.6.1
        response.headers["www-authenticate"] = standing.challenge
    return WhoamiView(
        subject=str(standing.subject),
        authenticated=str(standing.subject.kind) if standing.subject.authenticated else None,
        expires=None if standing.expires is None else to_rfc3339(standing.expires),
        name=gun,
        rights={right: RightView(allowed=held.allowed, why=held.why) for right, held in standing.rights.items()},
    )
