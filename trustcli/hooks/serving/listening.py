"""Read the address of `--listen`, and run a server until a signal ends it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from keys.record import record
from trustcli.errors import UsageError

if TYPE_CHECKING:
    from trustcli.hooks.serving.server import Server


@record
class Listen:
    """Where a server listens. `host`: a name or an address, without brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """Return the address that `HOST:PORT` means; IPv6 in brackets. Raises: UsageError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        raise UsageError(f"--listen is {text}, but wants HOST:PORT, such as 127.0.0.1:5443 or [::1]:5443")
    return Listen(host=host, port=int(port))


@contextmanager
def stopped_by_signals(server: Server) -> Iterator[None]:
    """Let SIGTERM and SIGINT stop the server in order while the block runs; for the main thread alone."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
