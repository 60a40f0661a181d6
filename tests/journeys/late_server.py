"""`trust-server serve` with a clock that is DAYS ahead: what is due for renewal then is renewed now."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from trustserver import app
from trustserver.__main__ import main

AHEAD = timedelta(days=int(os.environ["DAYS"]))


def later() -> datetime:
    return datetime.now(UTC) + AHEAD


assert app.compose.__kwdefaults__ is not None
app.compose.__kwdefaults__["clock"] = later
main()
