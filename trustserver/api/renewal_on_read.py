"""Renew a role that is due when a client reads it. All who read the same collection wait for one renewal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from keys.errors import KeysError
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustserver.api.fair_queue import FairQueue
from trustserver.errors import ClockJumped
from trustserver.repository.renewal import Renewal
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache

AT_ONE_TIME: Final = 4
"""How many collections are renewed at one time, so that other reads have threads, too."""
RENEWAL_PAUSE: Final = timedelta(seconds=30)
"""How long to wait after a failed renewal before trying again. Clients get the old response meanwhile."""

_log = logging.getLogger(__name__)


class RenewalOnRead:
    """Renews the collections that clients read, for both formats, on one event loop."""

    def __init__(self, renewal: Renewal, cache: ResponseCache, clock: Callable[[], datetime]) -> None:
        self._renewal = renewal
        self._cache = cache
        self._clock = clock
        self._turns = FairQueue(AT_ONE_TIME, what="renewals")
        self._renewing: dict[GUN, asyncio.Task[None]] = {}

    def is_due(self, answer: ReadyResponse) -> bool:
        """Return whether a response must be renewed before it is sent."""
        return not answer.renew_before <= self._clock().timestamp() < answer.renew_at

    async def renew(self, gun: GUN, path: bytes, old: ReadyResponse) -> None:
        """Renew the roles of a collection that are due; read the collection again afterwards.

        If none is due, somebody else has renewed them: a round that has not told the response cache yet, or another
        process. What the cache keeps, and what `SharedReads` shares, is then older than the store, and dropped. If
        the renewal fails, the response cache keeps `old` under `path` for RENEWAL_PAUSE.
        """
        task = self._renewing.get(gun)
        if task is None:
            task = asyncio.create_task(self._renew(gun, path, old))
            self._renewing[gun] = task
            task.add_done_callback(lambda _: self._renewing.pop(gun, None))
        await asyncio.shield(task)

    async def _renew(self, gun: GUN, path: bytes, old: ReadyResponse) -> None:
        ticket = self._cache.ticket(gun)
        try:
            async with self._turns.place(gun):
                renewed = await asyncio.to_thread(self._renewal.renew, gun, at=self._clock())
            if not renewed:
                self._cache.drop(gun)
        except (TrustError, KeysError) as error:
            if not isinstance(error, ClockJumped):  # the rounds of upkeep report that once for all collections
                _log.error("renewal failed", extra={"gun": gun, "code": error.code, "reason": str(error)})
            later = int((self._clock() + RENEWAL_PAUSE).timestamp())
            self._cache.offer(gun, path, replace(old, renew_before=0, renew_at=later), ticket=ticket)
