"""Open the socket that the server listens on: TCP, or a Unix socket for a proxy on this machine.

The file of a Unix socket stays where a server was killed. It is replaced then; that of a server that lives never is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keys.file_access import unguarded
from trustserver.errors import StartRefused
from trustserver.server import connection_timeouts as timeouts
from trustserver.server.tunnel import BACKLOG
from trustserver.settings import Listen, UnixSocket

_SOCKET_MODE: Final = 0o660
"""Whoever may write to the file may connect: the user of this process, and the members of its group."""
_ANY_ADDRESS: Final = "::"


@contextmanager
def listening(listen: Listen | UnixSocket) -> Iterator[socket.socket]:
    """Listen on this address until the end of the block. Raises: StartRefused if it cannot be used."""
    if isinstance(listen, UnixSocket):
        with _unix(listen) as bound:
            yield bound
        return
    with _tcp(listen) as bound:
        yield bound


def url_of(bound: socket.socket, listen: Listen | UnixSocket, *, tls: bool) -> str:
    """Return where the server is, for people: with the port that it got, if it was to be any."""
    if isinstance(listen, UnixSocket):
        return str(listen)
    return f"{'https' if tls else 'http'}://{Listen(host=listen.host, port=bound.getsockname()[1])}"


def _tcp(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    # All addresses are those of both kinds, since there is one --listen.
    both = listen.host == _ANY_ADDRESS and socket.has_dualstack_ipv6()
    try:
        bound = socket.create_server((listen.host, listen.port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise StartRefused(what=f"--listen {listen}", reason=f"cannot be used: {error.strerror}") from error
    bound.setblocking(False)
    if sys.platform == "linux":  # accepted connections inherit the option
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(timeouts.UNREAD_SECONDS * 1000))
    return bound


@contextmanager
def _unix(listen: UnixSocket) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as bound:
        try:
            _bind(bound, listen)
        except OSError as error:
            raise StartRefused(what=f"--listen {listen}", reason=f"cannot be used: {error.strerror}") from error
        try:
            yield bound
        finally:
            bound.close()
            # A server that was started since this one takes no connections may have put its own file there.
            with contextlib.suppress(OSError, StartRefused), _nobody_else_starts(listen):
                _remove_left_over(listen)


def _bind(bound: socket.socket, listen: UnixSocket) -> None:
    exposed = unguarded(listen.path)
    if exposed is not None:
        raise StartRefused(what=exposed.path, reason=exposed.refusal)
    with _nobody_else_starts(listen):
        _remove_left_over(listen)
        bound.bind(str(listen.path))
        listen.path.chmod(_SOCKET_MODE)
        bound.listen(BACKLOG)
    bound.setblocking(False)


@contextmanager
def _nobody_else_starts(listen: UnixSocket) -> Iterator[None]:
    """Lock the folder, so that of two servers that find a file left over the second does not remove the first one's."""
    folder = os.open(listen.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            reason = f"{listen.path.parent} is locked, as while another server starts there; try again"
            raise StartRefused(what=f"--listen {listen}", reason=reason) from error
        yield
    finally:
        os.close(folder)


def _remove_left_over(listen: UnixSocket) -> None:
    """Remove the file of a socket on which nobody listens. Raises: StartRefused (it is something else), OSError."""
    try:
        kind = listen.path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise StartRefused(what=f"--listen {listen}", reason="is there and is no socket; remove it, or name another")
    if _somebody_listens(listen.path):
        raise StartRefused(
            what=f"--listen {listen}", reason="another program listens there; stop that one, or name another path"
        )
    listen.path.unlink()


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            pass  # with so many callers waiting that there is no place for one more
    return True
