"""Wall time of whole commands: the median of many runs, the two sides in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(ours: Callable[[], None], peer: Callable[[], None], *, rounds: int) -> tuple[float, float]:
    """Milliseconds. One run of each before counting, so that caches are warm."""
    ours()
    peer()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, found in zip((ours, peer), times, strict=True):
            start = time.perf_counter()
            run()
            found.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])
