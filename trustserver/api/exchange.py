"""The route POST /api/v1/access/exchange: the token of a CI job or a service account for a token of this server."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from keys.rfc3339 import to_rfc3339
from trustserver.api.route_context import context_of
from trustserver.auth.authorizer import Subject, SubjectKind
from trustserver.auth.credentials import authorizations
from trustserver.errors import BadRequest, TokenRefused
from trustserver.responses import cache_control


class ExchangeView(BaseModel):
    """A token of this server. `subject`: whom it names. `expires`: RFC 3339."""

    token: str
    subject: str
    expires: str


router = APIRouter()


@router.post("/api/v1/access/exchange")
async def exchange(request: Request, response: Response) -> ExchangeView:
    """Exchange a token that a CI platform or Kubernetes gave; each counts once."""
    services = context_of(request).services
    address = services.address_of(request.scope)
    token, given = await services.authorizer.exchange(_shown(request), address=address)
    response.headers["cache-control"] = cache_control.NOTHING.decode()
    subject = Subject(name=given.workload, kind=SubjectKind.WORKLOAD)
    return ExchangeView(token=token, subject=str(subject), expires=to_rfc3339(given.expires))


def _shown(request: Request) -> bytes:
    """Return the token that a request shows. Raises: BadRequest, TokenRefused."""
    found = authorizations(request.scope["headers"])
    if len(found) != 1:
        raise BadRequest(place="Authorization", reason="must be one header: Bearer and the token of the job")
    scheme, _, token = found[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise TokenRefused(reason="it is no Bearer token")
    return token.strip()
