"""Answer what operators ask a resident hook at an address of its own, which those whom it serves need not reach."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trustcli.errors import UsageError

if TYPE_CHECKING:
    from trustcli.hooks.serving.listening import Listen
    from trustcli.hooks.serving.operator_pages import OperatorPages


def metrics_option(text: str) -> Listen:
    """Return the address that `--metrics` says. Raises: UsageError."""
    from trustcli.hooks.serving.listening import parse_listen

    try:
        return parse_listen(text)
    except UsageError as error:
        raise UsageError(f"--metrics is {text}, but wants HOST:PORT, such as 127.0.0.1:9469") from error


@contextmanager
def answered_at(listen: Listen | None, pages: OperatorPages) -> Iterator[str]:
    """Answer the pages over HTTP while the block runs; give the URL, or "" if there is no address.

    Raises: SettingsUnusable (the address cannot be used).
    """
    if listen is None:
        yield ""
        return
    from trustcli.hooks.serving.limits import Limits
    from trustcli.hooks.serving.listening import Listen as Address
    from trustcli.hooks.serving.messages import Request, Response, plain
    from trustcli.hooks.serving.server import Server

    def handle(request: Request) -> Response:
        return pages.answer(request) or plain(404, "there are /healthz, /readyz and /metrics")

    server = Server(listen=listen, handler=handle, limits=Limits(connections=32, per_address=32, stopping=1.0))
    host, port = server.address
    thread = threading.Thread(target=server.run, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{Address(host=host, port=port)}"
    finally:
        server.stop()
        thread.join(1.0)
