"""Run the application on a socket, with granian as HTTP server, in this process, until SIGTERM or SIGINT."""

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
from trustserver.process.addresses import is_in
from trustserver.process.proxy_certificate import ProxyCertificate, read_secret
from trustserver.process.tls import ServedCertificate
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.server import connection_timeouts as timeouts
from trustserver.server.clients import AsgiApp, CertificateOfProxy, ClientAddresses, TunnelNames, usual_folders
from trustserver.server.connection_limits import SHARE, ConnectionLimits
from trustserver.server.fast_path import HotAnswers, HotReads
from trustserver.server.front import Front
from trustserver.server.tunnel import BACKLOG, inner_socket
from trustserver.settings import Settings, UnixSocket

WORKER_THREADS: Final = 8
"""How many uploads are checked, or reads done in the database, at one time."""
STOP_SECONDS: Final = 30
"""How long the server waits, when it stops, for requests to finish and for clients to receive the responses. An upload
that takes longer is cut off; it is stored as a whole or not at all."""
LEAST_STOP_SECONDS: Final = 1
"""The least time for responses that are still being sent, even if STOP_SECONDS are over."""
CONNECTIONS: Final = 1_000_000
"""More connections than a process can have open files, so that granian sets no limit of its own. By default it accepts
as many as the backlog: a thousand silent connections would make all others wait until HEADER_SECONDS are over."""
MOST_CONNECTIONS: Final = 1024
"""How many connections there may be by default. Each may hold a quarter of a megabyte, if its client reads slowly."""
FILES_OF_A_CONNECTION: Final = 3
"""How many files a connection takes: its own, and the two ends of its tunnel."""
OTHER_FILES: Final = 80
"""How many files are kept for what is no connection: database, log, event loops."""
HEAD_BYTES: Final = 65_536
"""The highest number of bytes that granian keeps of a request's head, and of an answer that is not read."""
GARBAGE_THRESHOLD: Final = 100_000
"""How many objects may be made, minus those freed, before Python's garbage collector runs."""

_log = logging.getLogger(__name__)


class AsgiApplication(HotReads, Protocol):
    """An ASGI application that also gives the fast path the responses to frequent reads."""

    @property
    def bodies(self) -> BodiesInFlight:
        """The large bodies that are being sent."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, as ASGI 3 describes."""


class OpenRequests(Protocol):
    """The requests that have begun and are not finished."""

    async def stop(self, *, seconds: float) -> bool:
        """Refuse new changes and wait for the requests that have begun. Return False if they take longer than that."""


class ServedApplication(Protocol):
    """What this module needs of the application. trustserver.app.Application provides it."""

    @property
    def asgi(self) -> AsgiApplication:
        """The application that answers requests."""

    @property
    def in_flight(self) -> OpenRequests:
        """The requests that have begun and are not finished."""

    def look_again(self) -> None:
        """Look at once for what is otherwise looked for from time to time."""

    async def upkeep(self, stopping: asyncio.Event) -> None:
        """Renew expiring roles and clean up, until `stopping` is set."""


class _BoundServer(Server):
    """granian on a socket that is bound already.

    granian would make its own socket with SO_REUSEPORT: a second server on the same address would start without an
    error and get half of the connections. And with port 0 nobody could find out which port it got.
    """

    def __init__(self, bound: socket.socket, target: Any, **options: Any) -> None:
        super().__init__(target, **options)
        self._bound = bound

    def _init_shared_socket(self) -> None:
        self._ssp = None
        holder: Any = SocketHolder  # its type stub does not have these arguments
        # A copy, because granian closes the descriptor that it gets.
        self._shd = holder(os.dup(self._bound.fileno()), self._bound.family == socket.AF_UNIX, BACKLOG)


def allow_open_files() -> None:
    """Raise the limit of open files to the system's maximum, because every connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # some systems report a hard limit that they do not accept
        _log.warning("the limit of open files stays", extra={"reason": str(error)})


def connection_limits(settings: Settings, files: int) -> ConnectionLimits:
    """Return the limits on connections for a process that may open so many files."""
    room = max((files - OTHER_FILES) // FILES_OF_A_CONNECTION, 1)
    total = min(settings.connections or MOST_CONNECTIONS, room)
    if total < settings.connections:
        _log.warning(
            "fewer connections than wanted: the system allows too few open files", extra={"connections": total}
        )
    over_unix = isinstance(settings.listen, UnixSocket)
    return ConnectionLimits(
        total=total,
        share=settings.connections_per_address or -(-total // SHARE),
        is_trusted=lambda address: over_unix or is_in(address, settings.trusted_proxy),
    )


def serve(
    application: ServedApplication,
    bound: socket.socket,
    tls: ServedCertificate | None,
    *,
    settings: Settings,
    ready: Callable[[], None],
    is_proxy: Callable[[bytes], bool] | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish those that have begun.

    `ready`: called once connections are accepted. `is_proxy`: says whether a certificate is that of the proxy whose
    word about certificates is taken. Raises: StartRefused if the HTTP server ends by itself.
    """
    allow_open_files()
    # For a read, the event loop costs more than the answer. uvloop's costs a third less than asyncio's.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(application, bound, tls, settings=settings, ready=ready, is_proxy=is_proxy))


async def _serve(
    application: ServedApplication,
    bound: socket.socket,
    tls: ServedCertificate | None,
    *,
    settings: Settings,
    ready: Callable[[], None],
    is_proxy: Callable[[bytes], bool] | None,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="work"))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, application.look_again)
    names = TunnelNames(usual_folders(settings.data)) if sys.platform == "linux" else None
    front, inner = (None, bound) if names is None else _front(application, names, settings, tls)
    server: Any = _BoundServer(  # granian's embedded server has no types
        inner,
        ClientAddresses(
            _certified(application.asgi, settings, is_proxy),
            names,
            settings.trusted_proxy,
            over_unix=isinstance(settings.listen, UnixSocket),
        ),
        interface=Interfaces.ASGINL,
        # If HTTP/2 is allowed too, granian waits for the first bytes of a connection without any limit.
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(timeouts.HEADER_SECONDS * 1000), max_buffer_size=HEAD_BYTES
        ),
        log_enabled=False,
        # Where there is a front, TLS ends there.
        ssl_cert=tls.files.certificate if tls and front is None else None,
        ssl_key=tls.files.key if tls and front is None else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    # A large upload makes some hundred thousand objects, and all of them are in use. With the default thresholds the
    # garbage collector would search them again and again.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)
    upkeep = [asyncio.create_task(application.upkeep(stopping))]
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(stopping.wait())
    if front is not None:
        await front.start(bound)
        upkeep.append(asyncio.create_task(_sweep(front, stopping)))
        upkeep.append(asyncio.create_task(_expire(front, stopping)))
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
    # granian waits without limit until its clients have received the responses, and a client may never do so.
    _, unfinished = await asyncio.wait({serving}, timeout=until - loop.time())
    if unfinished:
        _log.warning("stopped before every answer was read")
    if front is not None:
        await front.ended(seconds=until - loop.time())
    if unfinished:  # without clients it mostly ends by itself
        await asyncio.wait({serving}, timeout=LEAST_STOP_SECONDS)
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await asyncio.gather(*upkeep, waiting)
    if ended_by_itself:
        raise StartRefused(what="the HTTP server", reason="ended by itself; the log says more")


def _certified(asgi: AsgiApplication, settings: Settings, is_proxy: Callable[[bytes], bool] | None) -> AsgiApp:
    """Return the application, behind what takes a proxy's word about certificates if the settings say so."""
    if not settings.certificate_header:
        return asgi
    secret = None
    if settings.proxy_secret is not None:
        secret = read_secret(settings.proxy_secret, platform_secrets=settings.platform_secrets)
    return CertificateOfProxy(asgi, ProxyCertificate(settings.certificate_header, secret, shows=is_proxy))


def _front(
    application: ServedApplication, names: TunnelNames, settings: Settings, tls: ServedCertificate | None
) -> tuple[Front, socket.socket]:
    """Make the front, which accepts the connections, and the socket of the HTTP server behind it."""
    inner, address = inner_socket()
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    bodies = application.asgi.bodies
    front = Front(
        # The fast path ignores the Authorization header: the application gives it nothing unless everybody may read
        # everything, which rules may change at any time.
        answers=HotAnswers(application.asgi, may_hold=bodies.may_hold),
        tls=None if tls is None else tls.context,
        behind=address,
        limits=connection_limits(settings, files),
        names=names,
        bodies=bodies,
        head_seconds=settings.head_seconds,
        files=files,
    )
    return front, inner


async def _sweep(front: Front, stopping: asyncio.Event) -> None:
    """End idle connections and those of slow readers, until `stopping` is set."""
    while not await _is_set(stopping, seconds=timeouts.IDLE_SECONDS / timeouts.IDLE_SWEEPS):
        front.sweep()


async def _expire(front: Front, stopping: asyncio.Event) -> None:
    """End connections whose client asks nothing in time, until `stopping` is set."""
    while not await _is_set(stopping, seconds=timeouts.EXPIRY_SECONDS):
        front.expire(at=asyncio.get_running_loop().time())


async def _is_set(event: asyncio.Event, *, seconds: float) -> bool:
    """Wait until an event is set, or for so many seconds. Return whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
