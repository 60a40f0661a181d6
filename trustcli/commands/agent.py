"""`trust agent`: the resident verifier of a node. It runs until it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from trustcli.commands.support.operator_address import answered_at, metrics_option
from trustcli.commands.support.resident import refresh_option, resident_source
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.hooks.agent.answers import Answers
from trustcli.hooks.agent.place import OFF, VARIABLE, own_socket
from trustcli.hooks.agent.server import AgentServer
from trustcli.hooks.resident.decider import resident_decider
from trustcli.hooks.resident.limits import ResidentLimits
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
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="the verifier's settings, a trust.toml")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="where memory and cache are kept, for it alone")
    ] = None,
    refresh: Annotated[
        str, typer.Option("--refresh", metavar="TIME", help="how old trust data in use may be (60s, 5m)")
    ] = "60s",
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="HOST:PORT", help="also answer /metrics, /healthz and /readyz")
    ] = None,
) -> int:
    """Answer `trust-image-verifier` and `trust verify` from memory, until it is stopped."""
    session: Session = ctx.obj
    limits = ResidentLimits(refresh=refresh_option(refresh))
    if socket_mode not in _MODES:
        raise UsageError(f"--socket-mode is {socket_mode}, but must be one of {', '.join(_MODES)}")
    listen = metrics_option(metrics) if metrics is not None else None
    source = resident_source(session, config=config, state=state, default="agent")
    given = session.environ.get(VARIABLE, "")
    path = (socket or Path(given if given not in {"", OFF} else own_socket(session.environ))).absolute()
    with resident_decider(source, limits=limits) as decider:
        server = AgentServer(path, Answers(decider, now=wall_clock), mode=_MODES[socket_mode])
        pages = OperatorPages(why_not_ready=decider.why_not_ready, metrics=decider.metrics.text)
        with answered_at(listen, pages), _stopped_by_signals(server.stop):
            session.output.notice(f"listening at {path}")
            if reason := decider.why_not_ready():
                session.output.notice(f"warning: {reason}")
            server.run()
    session.output.document({"socket": str(path), "exit": DONE})
    return DONE


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and SIGINT stop it in order while the block runs."""

    def stopped(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, stopped) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
