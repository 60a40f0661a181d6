"""Hand a blob on as it comes, in memory that does not grow with it.

Between two plain sockets the kernel moves it (`splice`), so that no byte passes through this program. Otherwise it is
copied in pieces. Its hash is checked by the client, which has asked for it by its digest.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from typing import Final

from trustcli.hooks.serving.messages import Peer
from trustcli.http.streams import StreamedAnswer

_PIPE: Final = 1024 * 1024
"""Bytes of a pipe between two sockets, where the system allows it: the most for those who are not root."""
_PIECE: Final = 256 * 1024
_SET_PIPE_SIZE: Final = getattr(fcntl, "F_SETPIPE_SZ", 1031)
_CAN_SPLICE: Final = hasattr(os, "splice")
_SPLICE_FLAGS: Final = getattr(os, "SPLICE_F_MOVE", 1) | getattr(os, "SPLICE_F_NONBLOCK", 2)


class RelayedBlob:
    """The body of an answer whose length is known, as a `Relay`."""

    def __init__(self, answer: StreamedAnswer, length: int) -> None:
        self.length = length
        self._answer = answer

    def write_to(self, peer: Peer) -> int:
        """Write the body and return how many bytes were written.

        Raises: RemoteUnreachable, RemoteMisbehaved (upstream); OSError (the client).
        """
        target = peer.plain_socket() if _CAN_SPLICE else None
        source = self._answer.descriptor() if target is not None else None
        if target is None or source is None:
            return self._copy(peer)
        begun = self._answer.received()
        peer.send(begun)
        left = self.length - len(begun)
        if left and self._splice(source, peer, left) == left:
            self._answer.moved(left)
        elif left:
            return len(begun)  # upstream closed: the client learns it by a connection that ends
        return self.length

    def close(self) -> None:
        """Give the connection to upstream back, or close it if the blob was not read to its end."""
        self._answer.finish()

    def _copy(self, peer: Peer) -> int:
        buffer = memoryview(bytearray(_PIECE))
        written = 0
        while count := self._answer.read_into(buffer):
            peer.send(buffer[:count])
            written += count
        return written

    def _splice(self, source: int, peer: Peer, left: int) -> int:
        """Move bytes from socket to socket through a pipe, and return how many."""
        target = peer.plain_socket()
        if target is None:
            return 0
        pipe_out, pipe_in = os.pipe()
        try:
            with contextlib.suppress(OSError):  # the system's bound for this user is reached: a small one does
                fcntl.fcntl(pipe_in, _SET_PIPE_SIZE, _PIPE)
            moved = 0
            while moved < left:
                count = self._from_upstream(source, pipe_in, left - moved)
                if not count:
                    break
                _to_client(pipe_out, target, peer, count)
                moved += count
            return moved
        finally:
            os.close(pipe_out)
            os.close(pipe_in)

    def _from_upstream(self, source: int, pipe: int, most: int) -> int:
        """Move what is there into an empty pipe; wait for it within upstream's time. Return 0 at the end."""
        while True:
            try:
                return os.splice(source, pipe, min(most, _PIPE), flags=_SPLICE_FLAGS)
            except BlockingIOError:
                if not _ready(source, select.POLLIN, self._answer.stall):
                    raise TimeoutError("upstream sends nothing") from None


def _to_client(pipe: int, target: int, peer: Peer, count: int) -> None:
    while count:
        try:
            sent = os.splice(pipe, target, count, flags=_SPLICE_FLAGS)
        except BlockingIOError:
            peer.wait_writable()
            continue
        if not sent:
            raise ConnectionAbortedError
        count -= sent
        peer.sent(sent)


def _ready(descriptor: int, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(seconds * 1000))
