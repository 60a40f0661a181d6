"""What each test of keys begins with."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_pin_was_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin as a process does: a PIN that a token has refused is remembered until the process ends."""
    monkeypatch.setattr("keys.pkcs11.pin._wrong", set())
