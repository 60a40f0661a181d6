"""Choose the trust server of commands that are about a server, such as `trust login`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from trustcli.errors import UsageError
from trustcli.http.messages import Origin, parse_url
from trustcli.session import Session
from trustdata.errors import InvalidName

ServerArgument: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="[SERVER]", help="Host or URL. [the trust server of --server or settings]")
]


def chosen_server(session: Session, named: str | None) -> tuple[str, Origin]:
    """Return the URL of a server and its origin; a host without a scheme is asked over https.

    `named`: host or URL; None for the one of `--server` and its like. Raises: UsageError, InvalidName.
    """
    given = named or session.settings.server
    if not given:
        raise UsageError("name the trust server, or give --server or TRUST_SERVER")
    url = given if "://" in given else f"https://{given}"
    try:
        origin, _ = parse_url(url, kind="trust server")
    except InvalidName as error:
        error.reason += "" if named else f" (it was given by {session.settings.server_source})"
        raise
    return url, origin
