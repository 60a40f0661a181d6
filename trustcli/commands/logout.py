"""`trust logout`: forget the login at a trust server."""

from __future__ import annotations

import typer

from trustcli.commands.support.trust_server_choice import ServerArgument, chosen_server
from trustcli.config.trust_logins import TrustLogins
from trustcli.console.exit_codes import DONE
from trustcli.session import Session

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("logout")
def command(
    ctx: typer.Context,
    server: ServerArgument = None,
) -> int:
    """Forget the login at a trust server; that of a registry on the same host stays."""
    session: Session = ctx.obj
    _, origin = chosen_server(session, server)
    removed = TrustLogins(session.environ).erase(origin.netloc)
    if removed:
        session.output.result(f"logged out of {origin}")
    else:
        session.output.notice(f"no login at {origin} is stored by trust login; nothing was changed")
    session.output.document({"server": str(origin), "removed": removed, "exit": DONE})
    return DONE
