"""`trust-server serve` that waits half a second for the head of a request and for a piece of an answer to be taken,
and a second at its stop, so that tests need not wait for thirty.
"""

from __future__ import annotations

from typing import Final

from trustserver.__main__ import main
from trustserver.api import sending
from trustserver.server import connection_timeouts, serving

SECONDS: Final = 0.5

vars(connection_timeouts).update(HEADER_SECONDS=SECONDS, IDLE_SECONDS=SECONDS)
vars(serving)["STOP_SECONDS"] = 1
vars(sending)["PIECE_SECONDS"] = SECONDS
main()
