"""Where a redirect may lead: the one rule, for trust servers and registries."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin

from trustcli.errors import RemoteMisbehaved
from trustcli.http.messages import Origin, Response, parse_url
from trustcli.http.this_machine import names_this_machine
from trustdata.errors import InvalidName

MAX_REDIRECTS: Final = 3
"""The most redirects that one request follows."""


def follow(
    method: str, place: Origin, target: str, response: Response, *, count: int, within: Origin | None
) -> tuple[Origin, str]:
    """Return origin and target that a redirect leads to, if it may be followed.

    Only a GET is redirected, at most MAX_REDIRECTS times, never from https to http, and never from elsewhere to this
    machine. Here the last is judged by the name; `connection` judges the address that a name has.
    `count`: redirects of this request so far, this one included. `within`: the only origin that is allowed; None: any.
    Raises: RemoteMisbehaved.
    """
    remote = str(place)
    if method != "GET":
        raise RemoteMisbehaved(remote=remote, reason=f"it redirects a {method}")
    if count > MAX_REDIRECTS:
        raise RemoteMisbehaved(remote=remote, reason=f"more than {MAX_REDIRECTS} redirects")
    try:
        to, target = parse_url(urljoin(f"{place}{target}", response.first("location")), kind="redirect")
    except (InvalidName, ValueError) as error:
        raise RemoteMisbehaved(remote=remote, reason="it redirects to something that is no URL") from error
    if within is not None and to != within:
        raise RemoteMisbehaved(remote=remote, reason=f"it redirects to another server, {to}")
    if place.scheme == "https" and to.scheme != "https":
        raise RemoteMisbehaved(remote=remote, reason=f"it redirects from https to {to}")
    if names_this_machine(to.host) and not (place.is_loopback or response.from_here):
        raise RemoteMisbehaved(remote=remote, reason=f"it redirects to {to}, on this machine")
    return to, target
