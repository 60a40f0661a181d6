"""Trust on first use: take the root that the server shows as the pin, and record it (ADR 0032).

Only where the user asked for it (`--tofu`), and only for a name of which nothing is known here: no pin, no rollback
memory, no lock entry. `collection` calls this after a refresh ended with Unpinned, which it does for no other name.
"""

from __future__ import annotations

from trustcli.client.local_state import LocalState
from trustdata.errors import Unpinned
from trustdata.gun import GUN
from trustdata.verification.trust_pinning import SourcedPin, parse_pin


def pin_on_first_use(unpinned: Unpinned) -> SourcedPin:
    """Return the fingerprint that the refresh found, as a pin."""
    return SourcedPin(pin=parse_pin(unpinned.found), source="trust on first use")


def record_first_use(gun: GUN, pin: SourcedPin, local: LocalState) -> str:
    """Record the pin after a refresh that verified it, if local state is kept; return the warning for the user.

    Raises: PinsDisagree, SettingsUnusable, MemoryUnwritable.
    """
    if local.record_pin is None:
        return f"trusting {gun} this once: its root of trust is {pin.pin}, which is not recorded"
    local.record_pin(pin.pin, "tofu")
    return f"trusting {gun} on first use: its root of trust is {pin.pin}, recorded from now on"
