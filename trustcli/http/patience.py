"""Wait where a server says that it is busy, and ask it again: one rule for registries, token servers and trust servers.

A busy server answers with one of two statuses (`messages.Response.busy`). What is sent again does no harm if it was
received twice: requests without a body, and those for a token. Publishers repeat their uploads themselves, since what
they send may be outdated by then (`publish.publisher`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trustcli.http.messages import Origin, Response

MAX_WAITS: Final = 4
"""How often one request is sent again."""
COMMAND_SECONDS: Final = 60.0
"""How long one command waits for busy servers, all its requests together."""
LONGEST_DELAY: Final = 86_400
"""The longest Retry-After that is believed, in seconds. A server that asks for more gets this."""
_UNTOLD: Final = (1, 2, 4, 8)
"""Seconds to wait where a busy server does not say how long."""
_TOLD_FROM: Final = 2
"""The user is told of waits from this many seconds on."""
_OF_CREDENTIALS: Final = (
    "wrong passwords from this address",
    "wrong passwords for this user from elsewhere",
    "refused tokens from this address",
)
"""What a trust server has counted too much of, where it is not busy at all. No other words of its answer are
shown: a server may repeat what was sent to it."""
_FORM: Final = "application/x-www-form-urlencoded"


class Patience:
    """How long a command waits for busy servers. Not for threads.

    `seconds`: in all. `sleep`: what waits. `notice`: tells the user why.
    """

    def __init__(
        self,
        seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._left = seconds
        self._sleep = sleep
        self._notice = notice

    def waits(self, response: Response, place: Origin, *, sent: int) -> bool:
        """Wait as long as a busy server wants, and return True; False if the answer is to be taken as it is.

        `sent`: how often the request was sent.
        """
        if not response.busy or sent > MAX_WAITS:
            return False
        told = retry_after(response)
        seconds = _UNTOLD[sent - 1] if told is None else told
        if max(seconds, 1) > self._left:
            return False
        self._left -= max(seconds, 1)
        if seconds >= _TOLD_FROM:
            status = response.status
            of = next((what for what in _OF_CREDENTIALS if what.encode() in response.body), "")
            why = f"turns us away ({status}): too many {of}" if of else f"is busy ({status})"
            self._notice(f"{place} {why}; waiting {seconds} s")
        self._sleep(seconds)
        return True


def may_be_sent_again(headers: Mapping[str, str], body: bytes | None) -> bool:
    """Return whether a request does no harm if it is received twice: no upload, or a form for a token."""
    return not body or headers.get("Content-Type") == _FORM


def retry_after(response: Response) -> int | None:
    """Return after how many seconds a busy server wants the request again; None if it does not say so.

    A date is compared with the server's own (`Date`), not with the clock here. Source: RFC 9110, 10.2.3.
    """
    if not response.busy:
        return None
    text = response.first("retry-after").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:10]), LONGEST_DELAY)
    from email.utils import parsedate_to_datetime  # hardly ever: start-up time

    try:
        left = parsedate_to_datetime(text) - parsedate_to_datetime(response.first("date"))
    except (ValueError, TypeError, IndexError, OverflowError):  # a date with and one without a zone are not compared
        return None
    return min(max(int(left.total_seconds()), 0), LONGEST_DELAY)
