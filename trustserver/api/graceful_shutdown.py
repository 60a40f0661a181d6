"""Count the requests that are being answered, so that a stop can wait for them; and answer unexpected failures.

How long it waits: STOP_SECONDS in server/serving.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

from trustserver.api.gun_path import App, Receive, Scope, Send
from trustserver.api.origin_check import READING
from trustserver.api.problems import send_problem
from trustserver.errors import Stopping

_log = logging.getLogger(__name__)


class GracefulShutdown:
    """An ASGI application in front of another. After `stop` it refuses new changes; reads are still answered."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self.stopping and scope["method"] not in READING:
            await send_problem(send, Stopping())
            return
        started = False

        async def watched(event: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(event)

        self._count += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - logged with its traceback; the caller gets a 500 without text
            _log.exception("request failed", extra={"method": scope["method"]})
            if not started:
                await send_problem(send, error, head=scope["method"] == "HEAD")
        finally:
            self._count -= 1
            if self._count == 0:
                self._idle.set()

    async def stop(self, *, seconds: float) -> bool:
        """Refuse new changes and wait for the requests that have begun. Return False if they take longer than that."""
        self.stopping = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
