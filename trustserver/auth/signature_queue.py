"""Check the signatures of tokens beside the event loop, a bounded number at a time.

Whoever sends a token is not known until its signature has been checked, so this work is what a stranger can cause. It
has a thread of its own: uploads and reads do not wait for it, nor does it wait for them. Nobody waits long: if too many
tokens wait already, the newest one is turned away.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from trustserver.auth.tokens import Grant, TokenVerifier, UnverifiedToken
from trustserver.errors import Overloaded, TokenRefused

MAX_WAITING: Final = 256
"""How many tokens may wait for the check of their signatures, in all: together they take less than 0.3 seconds."""
MAX_WAITING_OF_ONE: Final = 32
"""How many tokens of one client address may wait: as many as it may have requests worked on."""
MAX_REFUSED: Final = 4096
"""How many refused tokens are remembered; the least recently used is dropped first."""


class SignatureQueue:
    """Checks signatures for one event loop. A token that many requests bring at one time is checked once."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="token")
        self._running: dict[bytes, asyncio.Task[Grant]] = {}
        self._by_address: Counter[str] = Counter()
        self._refused: OrderedDict[bytes, str] = OrderedDict()

    def close(self) -> None:
        """End the thread, once it has nothing to do."""
        self._thread.shutdown(wait=False)

    async def check(self, token: UnverifiedToken, at: datetime, *, address: str | None) -> Grant:
        """Return what a token allows, if its signature holds. `address`: the client's, if it is known.

        Raises: TokenRefused; Overloaded if too many tokens wait.
        """
        reason = self._refused.get(token.digest)
        if reason is not None:
            self._refused.move_to_end(token.digest)
            raise TokenRefused(reason=reason, lasting=True)
        task = self._running.get(token.digest)
        if task is None:
            task = self._begin(token, at, address)
        return await asyncio.shield(task)  # others may wait for it too, if this client leaves

    def _begin(self, token: UnverifiedToken, at: datetime, address: str | None) -> asyncio.Task[Grant]:
        if len(self._running) >= MAX_WAITING or (address and self._by_address[address] >= MAX_WAITING_OF_ONE):
            raise Overloaded(what="tokens wait for the check of their signatures")
        task = asyncio.create_task(self._check(token, at))
        self._running[token.digest] = task
        if address:
            self._by_address[address] += 1

        def ended(done: asyncio.Task[Grant]) -> None:
            del self._running[token.digest]
            if address:
                self._by_address[address] -= 1
                self._by_address += Counter()  # drops the addresses that have none
            if not done.cancelled():
                done.exception()  # whoever waited has got it; without this, asyncio logs one that nobody waited for

        task.add_done_callback(ended)
        return task

    async def _check(self, token: UnverifiedToken, at: datetime) -> Grant:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._verifier.verify_signature, token, at)
        except TokenRefused as error:
            if error.lasting:
                self._refused[token.digest] = error.reason
                if len(self._refused) > MAX_REFUSED:
                    self._refused.popitem(last=False)
            raise
