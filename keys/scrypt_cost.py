"""What deriving a key with scrypt costs, and how much of it a file may ask for, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MAX_MEMORY: Final = 256 * 1024 * 1024  # bytes; eight times the memory of the files that we write
_MAX_WORK: Final = 1 << 22  # n * r * p; sixteen times the work of the files that we write


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptCost:
    """The cost parameters of scrypt (RFC 7914). It uses 128 * n * r bytes of memory."""

    n: int
    r: int
    p: int

    @property
    def valid(self) -> bool:
        """Whether scrypt has such parameters (RFC 7914, 2); of others the library says that memory is short."""
        return self.n > 1 and self.n.bit_count() == 1 and self.n.bit_length() <= 16 * self.r and self.p > 0

    @property
    def acceptable(self) -> bool:
        """Whether the parameters are valid, and small enough to be taken from a file that may be hostile."""
        if not self.valid:
            return False
        return 128 * self.n * self.r <= _MAX_MEMORY and self.n * self.r * self.p <= _MAX_WORK


PRODUCTION_COST: Final = ScryptCost(n=32768, r=8, p=1)
"""The cost of every key file that the programs write; only tests use a lower one."""
