"""Renewal because somebody reads: one at a time for each collection; everybody who reads meanwhile waits for it."""

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
from trustserver.repository.renewal import Renewal
from trustserver.responses.cache import Answer, View

RENEWAL_PAUSE: Final = timedelta(seconds=30)
"""After a renewal that failed, readers get what there is, and the next attempt waits this long."""

_log = logging.getLogger(__name__)


class RenewalOnRead:
    """On one event loop, for both formats."""

    def __init__(self, renewal: Renewal, view: View, clock: Callable[[], datetime]) -> None:
        self._renewal = renewal
        self._view = view
        self._clock = clock
        self._renewing: dict[GUN, asyncio.Task[None]] = {}

    def is_due(self, answer: Answer) -> bool:
        """Whether an answer must not be given without a renewal."""
        return answer.renew_at <= self._clock().timestamp()

    async def renew(self, gun: GUN, place: bytes, old: Answer) -> None:
        """Renew what is due. Where that fails, `old` is kept under its place for a while."""
        task = self._renewing.get(gun)
        if task is None:
            task = asyncio.create_task(self._renew(gun, place, old))
            self._renewing[gun] = task
            task.add_done_callback(lambda _: self._renewing.pop(gun, None))
        await asyncio.shield(task)

    async def _renew(self, gun: GUN, place: bytes, old: Answer) -> None:
        ticket = self._view.ticket(gun)
        try:
            await asyncio.to_thread(self._renewal.renew, gun, at=self._clock())
        except (TrustError, KeysError) as error:
            _log.error("renewal failed", extra={"gun": gun, "code": error.code, "reason": str(error)})
            later = int((self._clock() + RENEWAL_PAUSE).timestamp())
            self._view.offer(gun, place, replace(old, renew_at=later), ticket=ticket)
