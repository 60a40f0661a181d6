"""Serving: the application on a socket, under granian, in this process, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import uvloop
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from trustserver.errors import StartRefused
from trustserver.process.tls import TlsFiles
from trustserver.server.fast_path import IDLE_SWEEPS, Front, HotReads
from trustserver.server.tunnel import BACKLOG, inner_socket
from trustserver.settings import Listen

WORKER_THREADS: Final = 8
"""Uploads judged and reads from the database at one time."""
STOP_SECONDS: Final = 30
"""How long a stop waits for what began, answers read to their end among it; an upload that takes longer is cut off, and
stored wholly or not at all."""
LEAST_STOP_SECONDS: Final = 1
"""For what is still to be sent then, whatever the rest took."""
HEADER_MILLISECONDS: Final = 30_000
"""For the head of a request, and so for an idle connection too: people type passphrases between two requests."""
UNREAD_MILLISECONDS: Final = 30_000
"""How long the kernel keeps what a client does not take, before it ends the connection (tcp(7), TCP_USER_TIMEOUT).
Under TLS nothing else does: the HTTP server waits without any limit, with some megabytes for each connection."""
CONNECTIONS: Final = 1_000_000
"""More than open files allow. granian's own bound is the backlog: a thousand connections that say nothing would keep
everybody else waiting, publishers too, until the time for the head of a request is over, and then again."""
GARBAGE_THRESHOLD: Final = 100_000
"""Objects made, less those gone, between two rounds of the cycle collector."""

_log = logging.getLogger(__name__)


class AsgiApplication(HotReads, Protocol):
    """What answers requests: ASGI, and the hot reads by themselves."""

    @property
    def is_open(self) -> bool:
        """Whether everybody may read everything."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3."""


class OpenRequests(Protocol):
    """The requests that are under way."""

    async def stop(self, *, seconds: float) -> bool:
        """Take no more changes; True when everything that began is finished, False if that takes longer."""


class ServedApplication(Protocol):
    """What is put on a socket (`trustserver.app.Application`)."""

    @property
    def asgi(self) -> AsgiApplication:
        """What answers requests."""

    @property
    def in_flight(self) -> OpenRequests:
        """What is under way."""

    async def upkeep(self, stopping: asyncio.Event) -> None:
        """Renew and clean up until `stopping` is set."""


class _BoundServer(Server):
    """granian on a socket of ours.

    granian's own would be made with SO_REUSEPORT: a second server on the same address would start without a word and
    take half of the connections; and port 0 could not be told.
    """

    def __init__(self, bound: socket.socket, target: Any, **options: Any) -> None:
        super().__init__(target, **options)
        self._bound = bound

    def _init_shared_socket(self) -> None:
        self._ssp = None
        holder: Any = SocketHolder  # its stub lacks the arguments
        # granian closes what it is given, hence the copy.
        self._shd = holder(os.dup(self._bound.fileno()), self._bound.family == socket.AF_UNIX, BACKLOG)


def bind(listen: Listen) -> socket.socket:
    """A listening socket. Raises: StartRefused."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        bound = socket.create_server((listen.host, listen.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartRefused(what=f"--listen {listen}", reason=f"cannot be used: {error.strerror}") from error
    bound.setblocking(False)
    if sys.platform == "linux":  # who is accepted inherits it
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
    return bound


def allow_open_files() -> None:
    """As many open files as the system lets this process have: every idle connection takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # systems whose hard limit is more than they allow
        _log.warning("the limit of open files stays", extra={"reason": str(error)})


def serve(
    application: ServedApplication, bound: socket.socket, tls: TlsFiles | None, *, ready: Callable[[], None]
) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish what began. `ready` is called once connections are taken.

    Raises: StartRefused if the server ends by itself.
    """
    allow_open_files()
    # A read costs less than the event loop around it: uvloop's is a third cheaper than asyncio's own.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(application, bound, tls, ready))


async def _serve(
    application: ServedApplication, bound: socket.socket, tls: TlsFiles | None, ready: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="work"))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # The front looks at no Authorization: it is for what everybody may read.
    may_front = tls is None and sys.platform == "linux" and application.asgi.is_open
    front, inner = _front(application) if may_front else (None, bound)
    server: Any = _BoundServer(  # granian's embedded server has no types
        inner,
        application.asgi,
        interface=Interfaces.ASGINL,
        # Where granian may speak HTTP/2 too, it waits for the first bytes without any limit.
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS),
        log_enabled=False,
        ssl_cert=tls.certificate if tls else None,
        ssl_key=tls.key if tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    # A large upload makes some hundred thousand objects, none of them garbage yet: with the default thresholds the
    # collector would walk the whole heap again and again meanwhile.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)
    upkeep = [asyncio.create_task(application.upkeep(stopping))]
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(stopping.wait())
    if front is not None:
        await front.start(bound)
        upkeep.append(asyncio.create_task(_sweep(front, stopping)))
    ready()
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    _log.info("stopping")
    until = loop.time() + STOP_SECONDS
    if not await application.in_flight.stop(seconds=STOP_SECONDS):
        _log.warning("stopped before every request was finished")
    ended_by_itself = serving.done()
    if front is not None:
        front.stop()
    server.stop()
    until = max(until, loop.time() + LEAST_STOP_SECONDS)
    # granian waits for readers of its answers without any limit, and one of them may never read.
    _, waits = await asyncio.wait({serving}, timeout=until - loop.time())
    if waits:
        _log.warning("stopped before every answer was read")
    if front is not None:
        await front.ended(seconds=until - loop.time())
    if waits:  # without its clients it mostly ends by itself
        await asyncio.wait({serving}, timeout=LEAST_STOP_SECONDS)
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await asyncio.gather(*upkeep, waiting)
    if ended_by_itself:
        raise StartRefused(what="the HTTP server", reason="ended by itself; the log says more")


def _front(application: ServedApplication) -> tuple[Front, socket.socket]:
    """Who takes the connections of plain HTTP, and the socket of the server behind."""
    inner, address = inner_socket()
    return Front(reads=application.asgi, behind=address), inner


async def _sweep(front: Front, stopping: asyncio.Event) -> None:
    """End idle connections until `stopping` is set."""
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEADER_MILLISECONDS / 1000 / IDLE_SWEEPS):
                await stopping.wait()
        front.sweep()
