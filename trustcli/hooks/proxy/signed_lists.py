"""Keep lists of signed tags for a moment: a collection of thousands costs half a second, and a request a few bytes.

A list says where to look. Whether something may be handed out is decided anew each time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from trustcli.hooks.deciding.decision import SignedTags
from trustcli.hooks.proxy.turns import Turns

if TYPE_CHECKING:
    from trustcli.hooks.deciding.ports import Decider
    from trustdata.gun import GUN

_TIMES: Final = 10.0
"""How many times as long as it took to make it a list counts: so lists take a tenth of one processor at most."""
_LONGEST: Final = 5.0
"""Seconds that a list counts."""
_DEAR: Final = 0.005
"""Seconds from which on a list is kept at all: some fifty tags."""
_MOST_TAGS: Final = 100_000
"""In all lists that are kept."""
_MOST: Final = 1000
"""Lists that are kept."""


class SignedLists:
    """Lists of signed tags, each made once for all who ask. Safe for threads.

    `clock`: monotonic seconds. `cost`: seconds of a processor that this thread has used.
    """

    def __init__(
        self,
        decider: Decider,
        *,
        clock: Callable[[], float] = time.monotonic,
        cost: Callable[[], float] = time.thread_time,
    ) -> None:
        self._decider = decider
        self._clock = clock
        self._cost = cost
        self._turns = Turns()
        self._lock = threading.Lock()
        self._kept: OrderedDict[GUN, tuple[float, SignedTags]] = OrderedDict()

    def of(self, gun: GUN) -> SignedTags:
        """Return the signed tags of a name, as they were a moment ago at most. A refusal is never kept."""
        with self._turns.of(gun):
            with self._lock:
                until, known = self._kept.get(gun, (0.0, None))
            if known is not None and self._clock() < until:
                return known
            before = self._cost()
            made = self._decider.signed_tags(gun)
            cost = self._cost() - before
            with self._lock:
                self._kept.pop(gun, None)
                if made.refusal is None and cost >= _DEAR:
                    self._kept[gun] = (self._clock() + min(_LONGEST, _TIMES * cost), made)
                while sum(len(kept.tags) for _, kept in self._kept.values()) > _MOST_TAGS or len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
            return made
