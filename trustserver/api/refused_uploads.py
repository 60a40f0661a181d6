"""Slow down who has just sent many bytes of uploads that were refused: what they send next is read at a low rate.

To read and judge an upload costs as much whether or not it is good, and only its sender loses anything by waiting.
Small uploads never wait, so that a neighbour behind the same address publishes as ever.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from trustserver.errors import Overloaded

FREE: Final = 32 * 1024 * 1024
"""Bytes of refused uploads that slow nobody down: mistakes are made in rows."""
RATE: Final = 1024 * 1024
"""Bytes in a second that are read of a sender with more than that; and as many are forgotten in a second."""
NEVER_WAITS: Final = 256 * 1024
"""Bytes of an upload up to which it never waits: it costs milliseconds."""
LONGEST_WAIT: Final = 10.0
"""Seconds that an upload may have to wait; beyond that it is turned away at once."""
MOST: Final = FREE + int(LONGEST_WAIT * RATE)
"""The most bytes that are remembered of a sender: who stops is read as before when the longest wait is over."""
_REMEMBERED: Final = 10_000
"""For how many senders it is counted. The one that has sent least recently is forgotten first."""


class _Sender:
    """What counts of one sender, in bytes: `refused`, as of the time `at`; `coming`: of those that had to wait."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.refused = 0.0
        self.coming = 0

    def pass_time(self, at: float) -> None:
        self.refused = max(0.0, self.refused - max(0.0, at - self.at) * RATE)
        self.at = at


class CountedUpload:
    """One upload that is read. `arrived`: how many bytes of it have come."""

    def __init__(self) -> None:
        self.arrived = 0


class RefusedUploads:
    """Counts the bytes of refused uploads by sender, on one event loop. `seconds`: a clock that nobody sets."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._senders: OrderedDict[str, _Sender] = OrderedDict()

    def wait(self, owner: str, size: int) -> float:
        """Return the seconds that an upload of `size` bytes must wait before it is read.

        Raises: Overloaded if it would have to wait for too long.
        """
        sender = self._sender(owner)
        behind = sender.refused + sender.coming - FREE if sender.refused > FREE else 0.0
        wait = behind / RATE if size > NEVER_WAITS else 0.0
        if wait > LONGEST_WAIT:
            raise Overloaded(what="refused uploads of yours", seconds=math.ceil(wait))
        return wait

    @contextmanager
    def count(self, owner: str, size: int, *, is_fault: Callable[[Exception], bool]) -> Iterator[CountedUpload]:
        """Count what arrives of an upload in the block, if it ends with an exception that is the sender's fault.

        What it announces, `size`, keeps later ones waiting only if it had to wait itself.
        """
        sender, upload = self._sender(owner), CountedUpload()
        waits = size if sender.refused > FREE else 0
        sender.coming += waits
        refused = False
        try:
            yield upload
        except Exception as error:
            refused = is_fault(error)
            raise
        finally:
            sender.coming -= waits
            if refused:
                sender.pass_time(self._seconds())
                sender.refused = min(sender.refused + upload.arrived, MOST)

    def _sender(self, owner: str) -> _Sender:
        """Return what counts of a sender now."""
        sender = self._senders.setdefault(owner, _Sender(self._seconds()))
        sender.pass_time(self._seconds())
        self._senders.move_to_end(owner)
        if len(self._senders) > _REMEMBERED:
            self._senders.popitem(last=False)
        return sender
