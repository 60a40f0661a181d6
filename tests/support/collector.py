"""Python's garbage collector, out of the way of tests that ask what is left without it."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Collect nothing meanwhile, with nothing left to collect at the beginning.

    What is there already is not seen by `gc.get_objects` any more, nor by any later collection: some million objects
    of pytest's own, which take seconds to look through.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
