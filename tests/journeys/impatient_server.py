"""`trust-server serve` that waits half a second for the head of a request and for a piece of an answer to be taken,
and a second at its stop, so that tests need not wait for thirty.
"""

from __future__ import annotations

from typing import Final

from trustserver.__main__ import main
from trustserver.api import sending
from trustserver.server import serving

MILLISECONDS: Final = 500

vars(serving)["HEADER_MILLISECONDS"] = MILLISECONDS
vars(serving)["STOP_SECONDS"] = 1
vars(sending)["PIECE_SECONDS"] = MILLISECONDS / 1000
main()
