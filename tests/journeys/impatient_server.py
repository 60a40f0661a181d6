"""`trust-server serve` that waits half a second for the head of a request, and a second at its stop, so that tests need
not wait for thirty.
"""

from __future__ import annotations

from typing import Final

from trustserver import serving
from trustserver.__main__ import main

MILLISECONDS: Final = 500

vars(serving)["HEADER_MILLISECONDS"] = MILLISECONDS
vars(serving)["STOP_SECONDS"] = 1
main()
