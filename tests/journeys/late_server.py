"""`trust-server serve` with a clock that is DAYS ahead: what is due for renewal then is renewed now.

Its kernel says that the clock is synchronised, or the server would take that for a jump.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from trustserver import app
from trustserver.__main__ import main
from trustserver.process import kernel_clock

AHEAD = timedelta(days=int(os.environ["DAYS"]))


def later() -> datetime:
    return datetime.now(UTC) + AHEAD


assert app.compose.__kwdefaults__ is not None
app.compose.__kwdefaults__["clock"] = later
kernel_clock.is_synchronised = lambda: True
# The front, which answers what is in memory, reads this clock.
vars(app)["time"] = SimpleNamespace(time=lambda: time.time() + AHEAD.total_seconds(), monotonic=time.monotonic)
main()
