"""Serve /metrics, /healthz and /readyz of a resident hook to its operator, at another address than its clients use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from trustcli.hooks.serving.listening import Listen
    from trustcli.hooks.serving.operator_pages import OperatorPages


MetricsAddress: TypeAlias = Annotated[
    str | None, typer.Option("--metrics", metavar="HOST:PORT", help="answer /metrics, /healthz and /readyz there")
]


def metrics_option(text: str | None) -> Listen | None:
    """Return the address that `--metrics` says; None without it. Raises: UsageError."""
    from trustcli.hooks.serving.listening import listen_option

    return None if text is None else listen_option(text, option="--metrics", port_as=9469)


@contextmanager
def answered_at(listen: Listen | None, pages: OperatorPages) -> Iterator[str]:
    """Answer the pages over HTTP while the block runs; give the URL, or "" if there is no address.

    Raises: SettingsUnusable (the address cannot be used).
    """
    if listen is None:
        yield ""
        return
    from trustcli.hooks.serving.limits import Limits
    from trustcli.hooks.serving.messages import Request, Response, plain
    from trustcli.hooks.serving.server import Server

    def handle(request: Request) -> Response:
        return pages.answer(request) or plain(404, "there are /healthz, /readyz and /metrics")

    server = Server(listen=listen, handler=handle, limits=Limits(connections=32, per_address=32, stopping=1.0))
    thread = threading.Thread(target=server.run, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{server.address}"
    finally:
        server.stop()
        thread.join(1.0)
