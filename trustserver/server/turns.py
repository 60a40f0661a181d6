"""Do costly work in turns: one piece in each round of the event loop, from another address each time.

A TLS handshake costs as much as many reads. So a flood of them delays the handshakes of others by one each, and reads
by one for all that are answered in a round.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable


class Turns:
    """Pieces of work on one event loop, by address."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()

    def add(self, address: str, work: Callable[[], None]) -> None:
        """Have `work` done when it is this address's turn, after what was added for it before."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._do_one)
        self._waiting.setdefault(address, deque()).append(work)

    def _do_one(self) -> None:
        address, queue = self._waiting.popitem(last=False)
        work = queue.popleft()
        if queue:
            self._waiting[address] = queue  # behind all others
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._do_one)
        work()
