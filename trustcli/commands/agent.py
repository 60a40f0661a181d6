"""`trust agent`: the resident verifier of a node. It runs until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from trustcli.commands.support.operator_address import MetricsAddress, answered_at, metrics_option
from trustcli.commands.support.resident import (
    DEFAULT_REFRESH,
    Refresh,
    SettingsFile,
    StateFolder,
    refresh_option,
    resident_source,
)
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.hooks.agent.answers import Answers
from trustcli.hooks.agent.place import OFF, VARIABLE, own_socket
from trustcli.hooks.agent.server import AgentServer
from trustcli.hooks.resident.decider import resident_decider
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.hooks.serving.listening import stopped_by_signals
from trustcli.hooks.serving.operator_pages import OperatorPages
from trustcli.session import Session, wall_clock

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MODES: Final = {"600": 0o600, "660": 0o660, "666": 0o666}


@app.command("agent")
def command(
    ctx: typer.Context,
    socket: Annotated[
        Path | None, typer.Option("--socket", metavar="SOCKET", help="where to listen; a Unix socket")
    ] = None,
    socket_mode: Annotated[
        str, typer.Option("--socket-mode", metavar="MODE", help="who may ask: 600 its user, 660 its group, 666 all")
    ] = "600",
    config: SettingsFile = None,
    state: StateFolder = None,
    refresh: Refresh = DEFAULT_REFRESH,
    metrics: MetricsAddress = None,
) -> int:
    """Answer `trust-image-verifier` and `trust verify` from memory, until it is stopped."""
    session: Session = ctx.obj
    limits = ResidentLimits(refresh=refresh_option(refresh))
    if socket_mode not in _MODES:
        raise UsageError(f"--socket-mode is {socket_mode}, but must be one of {', '.join(_MODES)}")
    listen = metrics_option(metrics)
    source = resident_source(session, config=config, state=state, default="agent")
    given = session.environ.get(VARIABLE, "")
    path = (socket or Path(given if given not in {"", OFF} else own_socket(session.environ))).absolute()
    with resident_decider(source, limits=limits) as decider:
        server = AgentServer(path, Answers(decider, now=wall_clock), mode=_MODES[socket_mode])
        pages = OperatorPages(why_not_ready=decider.why_not_ready, metrics=decider.metrics.text)
        with answered_at(listen, pages), stopped_by_signals(server.stop):
            session.output.notice(f"listening at {path}")
            if reason := decider.why_not_ready():
                session.output.notice(f"warning: {reason}")
            server.run()
    session.output.document({"socket": str(path), "exit": DONE})
    return DONE
