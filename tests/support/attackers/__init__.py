"""Attackers of a running server, for the journeys and for `make bench`: one module for each kind.

An attacker is a function (Target, Event) -> None. It attacks at a fixed rate until the event is set, gives back what it
holds, and returns. What the server does to it is no error: refusals, resets and timeouts are expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is attacked. `ca`: PEM file of the certificate's authority; None: plain HTTP.

    `source`: the address that the attacker binds. `gun`: a name that the attacker may publish to. `token`: what it
    may do so with; empty: nobody needs one.
    """

    host: str
    port: int
    ca: Path | None = None
    source: str = "127.0.0.2"
    gun: str = "attacker/app"
    token: str = ""


Attacker: TypeAlias = Callable[[Target, Event], None]
