"""Answer requests that this proxy refuses to everybody, before anything is looked up; say what failures mean."""

from __future__ import annotations

from trustcli.errors import RemoteMisbehaved, RemoteUnreachable
from trustcli.hooks.proxy.answers import failure, refused, unsupported
from trustcli.hooks.proxy.proxy_settings import ProxySettings
from trustcli.hooks.proxy.pushes import is_push
from trustcli.hooks.proxy.routes import Kind, Route, query_values
from trustcli.hooks.proxy.signed_search import SearchUnfinished
from trustcli.hooks.serving.messages import Request, Response
from trustdata.errors import InvalidName
from trustdata.hosts import normal_host


def first_answer(request: Request, route: Route, settings: ProxySettings) -> Response | None:
    """Return the answer to a request that goes no further; None for one that upstream is asked about."""
    if wrong := _malformed(request, settings):
        return wrong
    pushing = is_push(request, route)
    if pushing and settings.allow_push:
        return None
    if request.method not in {"GET", "HEAD"} or route.kind is Kind.UPLOAD:
        what = "nothing is pushed through this proxy" if pushing else "this proxy takes GET and HEAD alone"
        return unsupported(f"{what}: it verifies pulls of {settings.registry}, which takes pushes itself")
    if route.kind is Kind.CATALOG:
        return refused("this proxy does not list repositories")
    if route.kind is Kind.UNKNOWN:
        return failure(404, "UNSUPPORTED", "there is nothing of a registry at this path")
    return None


def _malformed(request: Request, settings: ProxySettings) -> Response | None:
    if len(request.every("authorization")) > 1:
        return failure(400, "UNAUTHORIZED", "the request has more than one Authorization")
    try:
        spaces = query_values(request.query, "ns")
    except ValueError:
        return failure(400, "UNSUPPORTED", "the query cannot be read")
    if any(normal_host(space) != settings.registry for space in spaces):
        return refused(f"this proxy verifies {settings.registry}, and is asked for another registry (ns=)")
    return None


def answer_to(error: Exception, route: Route) -> Response:
    """Return the answer when something was not possible: a refusal, unless asking again may help."""
    if isinstance(error, SearchUnfinished):
        sentence = f"not all signed images of {route.repository} were looked at yet; ask again"
        return failure(503, "UNAVAILABLE", sentence, (b"retry-after", b"1"))
    if isinstance(error, RemoteUnreachable | RemoteMisbehaved):  # upstream: a decision never raises
        return failure(502, "UNAVAILABLE", str(error))
    if isinstance(error, InvalidName):
        return failure(400, "NAME_INVALID", str(error))
    return refused(str(error))
