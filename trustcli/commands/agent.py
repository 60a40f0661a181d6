"""`trust agent`: the resident verifier of a node. It runs until it is told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trustcli.commands.support.resident_hook import hook_source, refresh_option
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.hooks.agent.answers import Answers
from trustcli.hooks.agent.place import OFF, VARIABLE, own_socket
from trustcli.hooks.agent.server import AgentServer
from trustcli.hooks.resident.decider import resident_decider
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.session import Session, wall_clock

if TYPE_CHECKING:
    from trustcli.hooks.resident.decider import ResidentDecider
    from trustcli.hooks.serving.listening import Listen
    from trustcli.hooks.serving.server import Server

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
    listen = _listen(metrics) if metrics is not None else None
    source = hook_source(session, name="agent", config=config, state=state)
    given = session.environ.get(VARIABLE, "")
    path = (socket or Path(given if given not in {"", OFF} else own_socket(session.environ))).absolute()
    with resident_decider(source, limits=limits) as decider:
        server = AgentServer(path, Answers(decider, now=wall_clock), mode=_MODES[socket_mode])
        with _metrics(listen, decider), _stopped_by_signals(server.stop):
            session.output.notice(f"listening at {path}")
            if reason := decider.why_not_ready():
                session.output.notice(f"warning: {reason}")
            server.run()
    session.output.document({"socket": str(path), "exit": DONE})
    return DONE


def _listen(text: str) -> Listen:
    from trustcli.hooks.serving.listening import parse_listen

    try:
        return parse_listen(text)
    except UsageError as error:
        raise UsageError(f"--metrics is {text}, but wants HOST:PORT, such as 127.0.0.1:9469") from error


@contextmanager
def _metrics(listen: Listen | None, decider: ResidentDecider) -> Iterator[None]:
    """Answer what operators ask, over HTTP, while the block runs. Raises: SettingsUnusable (the address)."""
    if listen is None:
        yield
        return
    server = _metrics_server(listen, decider)
    thread = threading.Thread(target=server.run, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(1.0)


def _metrics_server(listen: Listen, decider: ResidentDecider) -> Server:
    from trustcli.hooks.serving.limits import Limits
    from trustcli.hooks.serving.messages import Request, Response, plain
    from trustcli.hooks.serving.operator_pages import OperatorPages
    from trustcli.hooks.serving.server import Server

    pages = OperatorPages(why_not_ready=decider.why_not_ready, metrics=decider.metrics.text)

    def handle(request: Request) -> Response:
        return pages.answer(request) or plain(404, "there are /healthz, /readyz and /metrics")

    return Server(listen=listen, handler=handle, limits=Limits(connections=32, per_address=32, stopping=1.0))


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
