"""Measure how long requests take that are not answered from memory, for /metrics."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

from trustserver.api.gun_path import App, Receive, Scope, Send

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds: from a read of the store to an upload that takes all the time that it may."""
_READS: Final = frozenset({"GET", "HEAD"})


class RequestTimes:
    """Measures the requests that reach the application (ASGI), until the last byte of the answer is handed on.

    What is answered from memory does not get here: it takes microseconds, and counting its time would take as long.
    """

    def __init__(self, behind: App, registry: CollectorRegistry) -> None:
        times = Histogram(
            "trust_server_request_seconds",
            "Seconds that requests took which were not answered from memory; reads, and all that changes something.",
            ["kind"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._behind = behind
        self._reads = times.labels("read")
        self._changes = times.labels("change")

    def observe_read(self, seconds: float) -> None:
        """Count a read of the store that was answered in front of the application."""
        self._reads.observe(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        began = time.perf_counter()
        try:
            await self._behind(scope, receive, send)
        finally:
            kind = self._reads if scope["method"] in _READS else self._changes
            kind.observe(time.perf_counter() - began)
