"""The reason and the end of a rule that lets images run whatever their signatures say (`allow`, `audit`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from keys.record import record
from keys.rfc3339 import to_rfc3339

MAX_BREAK_GLASS: Final = timedelta(days=7)
"""The longest time of an exemption that was made in an emergency."""


@record
class Exemption:
    """Why a rule verifies nothing (`allow`) or only watches (`audit`), and how long. Times are in UTC.

    `since`: from when on it counts; None: at once. `break_glass`: it was made in an emergency; then `since` is given,
    and `until` is at most MAX_BREAK_GLASS after it, so that a file says by itself that it will end soon.
    """

    reason: str
    until: datetime
    since: datetime | None = None
    break_glass: bool = False

    def counts(self, at: datetime) -> bool:
        """Return whether the exemption counts at this time."""
        return at < self.until and (self.since is None or self.since <= at)

    def __str__(self) -> str:
        kind = "break glass, " if self.break_glass else ""
        return f"{kind}until {to_rfc3339(self.until)}: {self.reason}"


def joined(exemptions: Sequence[Exemption]) -> Exemption | None:
    """Return one exemption with every reason, which ends with the first of them; None if there are none."""
    if len(exemptions) < 2:
        return exemptions[0] if exemptions else None
    return Exemption(
        reason="; ".join(dict.fromkeys(each.reason for each in exemptions)),
        until=min(each.until for each in exemptions),
        break_glass=any(each.break_glass for each in exemptions),
    )
