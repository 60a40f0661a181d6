"""The least cost that scrypt has: tests of what is sealed need not wait for what is expensive by design."""

from __future__ import annotations

from typing import Final

from keys.envelope import ScryptCost

CHEAP: Final = ScryptCost(n=2, r=1, p=1)
