"""How much the log of a run tells (docs/adr/0077); apart from the log: a start that writes none need not load it."""

from __future__ import annotations

from typing import Final

LEVELS: Final = ("info", "debug")
