"""The least cost that scrypt has: tests of what is sealed need not wait for what is expensive by design."""

from __future__ import annotations

from typing import Any, Final

import pytest

from keys import recovery_file, sealed_file
from keys.backup import archive
from keys.filestore import FileKeyStore
from keys.scrypt_cost import ScryptCost

CHEAP: Final = ScryptCost(n=2, r=1, p=1)


def seal_cheaply() -> None:
    """From now on seal every key cheaply, in this process, whose caller names no cost."""
    for sealer in _sealers():
        sealer.__kwdefaults__["cost"] = CHEAP


def sealing_cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal every key cheaply in this test."""
    for sealer in _sealers():
        monkeypatch.setitem(sealer.__kwdefaults__, "cost", CHEAP)


def _sealers() -> tuple[Any, ...]:
    return (sealed_file.seal, recovery_file.create, FileKeyStore.__init__, archive.seal_key)
