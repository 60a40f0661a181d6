"""The least cost that scrypt has: tests of what is sealed need not wait for what is expensive by design."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from keys import envelope, recovery
from keys.envelope import ScryptCost
from keys.filestore import FileKeyStore

CHEAP: Final = ScryptCost(n=2, r=1, p=1)


@contextlib.contextmanager
def cheap_sealing() -> Iterator[None]:
    """Seal every key cheaply whose caller names no cost."""
    sealers: tuple[Any, ...] = (envelope.seal, recovery.create, FileKeyStore.__init__)
    before = [dict(sealer.__kwdefaults__) for sealer in sealers]
    for sealer in sealers:
        sealer.__kwdefaults__["cost"] = CHEAP
    try:
        yield
    finally:
        for sealer, defaults in zip(sealers, before, strict=True):
            sealer.__kwdefaults__ = defaults
