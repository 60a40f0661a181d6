"""Attackers that guess passwords: those of a user who is there, at the route that gives sessions."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from typing import Final

from tests.support.attackers import Target
from tests.support.attackers.common_pots import Asked, ask_at_a_rate

GUESSED: Final = "alice"
"""Whose password is guessed."""
LOGIN: Final = "/api/v1/token"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def passwords(target: Target, stop: Event) -> None:
    """Guess a hundred passwords a second, each another one."""
    ask_at_a_rate(target, stop, _guesses())


def _guesses() -> Iterator[Asked]:
    return (("GET", LOGIN, b"", basic(GUESSED, f"guess-{number}")) for number in itertools.count())
