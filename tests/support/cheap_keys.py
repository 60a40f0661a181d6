"""The least cost that scrypt has: tests of what is sealed need not wait for what is expensive by design."""

from __future__ import annotations

from typing import Any, Final

from keys import recovery_file, sealed_file
from keys.filestore import FileKeyStore
from keys.scrypt_cost import ScryptCost

CHEAP: Final = ScryptCost(n=2, r=1, p=1)


def seal_cheaply() -> None:
    """From now on seal every key cheaply, in this process, whose caller names no cost."""
    sealers: tuple[Any, ...] = (sealed_file.seal, recovery_file.create, FileKeyStore.__init__)
    for sealer in sealers:
        sealer.__kwdefaults__["cost"] = CHEAP
