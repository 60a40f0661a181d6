"""Pins: where trust in a collection begins (specification 5.2: a root delivered out of band).

A pin is `sha256:HEX` of a root file, of whatever version, or `key:HEX`, a root key id that must have signed version 1.
Pins agree when one verified root chain holds them all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trustdata.envelope import Envelope
from trustdata.errors import InvalidName, PinsDisagree, RootNotPinned, Unpinned
from trustdata.gun import GUN
from trustdata.roles import ROOT

_REFERENCE: Final = re.compile(r"(sha256|key):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """`digest` is 64 lower-case hexadecimal digits."""

    kind: Literal["sha256", "key"]
    digest: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedPin:
    """A pin and who said so: `the command line`, `pins.toml`, `trust.lock`..."""

    pin: Pin
    source: str


def parse_pin(text: str) -> Pin:
    """Raises: InvalidName."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidName(kind="pin", name=text, reason="must be sha256:HEX of a root file or key:HEX of a root key")
    return Pin("sha256" if match[1] == "sha256" else "key", match[2])


def fingerprint(root: Envelope) -> Pin:
    """What `trust init` and `--tofu` record: the SHA-256 of the root file."""
    return Pin("sha256", root.sha256)


def chain_holds(pin: Pin, chain: Sequence[Envelope]) -> bool:
    """Whether the verified root chain (ascending, without gaps) holds the pin."""
    if pin.kind == "sha256":
        return any(root.sha256 == pin.digest for root in chain)
    first = chain[0]
    if first.version != 1 or pin.digest not in first.root.roles[ROOT].keyids:
        return False
    return pin.digest in first.root.get_verification_result(ROOT, first.payload, dict(first.signatures)).signed


def check_pins(gun: GUN, pins: Sequence[SourcedPin], chain: Sequence[Envelope]) -> None:
    """Raises: Unpinned (no pin at all), RootNotPinned (none is held), PinsDisagree (one is, another is not)."""
    found = fingerprint(chain[0])
    if not pins:
        raise Unpinned(gun=gun, found=str(found))
    held = [pinned for pinned in pins if chain_holds(pinned.pin, chain)]
    missed = [pinned for pinned in pins if pinned not in held]
    if not missed:
        return
    if not held:
        raise RootNotPinned(gun=gun, pin=str(missed[0].pin), pin_source=missed[0].source, found=str(found))
    raise PinsDisagree(
        gun=gun,
        pin=str(held[0].pin),
        pin_source=held[0].source,
        other=str(missed[0].pin),
        other_source=missed[0].source,
    )
