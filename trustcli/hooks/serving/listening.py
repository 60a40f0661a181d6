"""Read the address of `--listen`, and run a server until a signal ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from trustcli.errors import UsageError


class Listen(NamedTuple):
    """Where a server listens. `host`: a name or an address, without brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def listen_option(text: str, *, option: str = "--listen", port_as: int = 5443) -> Listen:
    """Return the address that an option says as `HOST:PORT`; IPv6 in brackets. Raises: UsageError.

    `port_as`: the port in the examples of the error.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        examples = f"127.0.0.1:{port_as} or [::1]:{port_as}"
        raise UsageError(f"{option} is {text}, but must be HOST:PORT, such as {examples}")
    return Listen(host=host, port=int(port))


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and SIGINT stop a server in order while the block runs; for the main thread alone."""

    def stopped(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, stopped) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
