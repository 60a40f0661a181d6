"""`trust-server serve` whose minute, for the rates of publishes, is a day: who is turned away would wait for hours."""

from __future__ import annotations

from trustserver.__main__ import main
from trustserver.api import publish_rates

vars(publish_rates)["_MINUTE"] = 86_400.0
main()
