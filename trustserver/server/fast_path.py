"""Answer plain reads from the bytes of the request: hot ones at once, others when the store has been asked.

A cached response is ready before it is asked for, and an HTTP server around it costs several times as much (ADR 0017).
So a request that is nothing but a cached path and headers that cannot change the response is answered from its bytes.
If the path is not cached, reading it costs a tenth of what the HTTP server costs: so that is done here, too (ADR 0079).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import Final, Protocol, TypeAlias

from trustserver.responses.conditional_get import select
from trustserver.responses.ready import PIECES_FROM, ReadyResponse

LONGEST_REQUEST: Final = 4096
"""Longest request, in bytes, that is read here."""
COLD_READS: Final = 8
"""How many reads of the store may be under way here: as many as there are threads. Others go to the server behind,
where clients take turns."""

# Headers that change no cached response, except accept-encoding and the simplest condition. Everything else is for the
# server behind: other conditions, ranges, bodies.
_HOT: Final = re.compile(
    rb"GET (/[!-~]*) HTTP/1\.1\r\n"
    rb"((?:(?i:(?:host|user-agent|accept|accept-encoding|accept-language|cache-control|pragma):[ -~]*|"
    rb"connection: ?(?:keep-alive|close)|"
    rb'if-none-match: ?(?-i:"[0-9a-f]{64}"))\r\n)+)\r\n'
)
_HOST: Final = b"\r\nhost:"
_CONDITION: Final = b"\r\nif-none-match:"
_CLOSE: Final = re.compile(rb"\r\nconnection: ?close\r")
_CODING: Final = b"\r\naccept-encoding:"


def hot_request(request: bytes) -> tuple[bytes, bytes] | None:
    """Return path and headers of one complete GET without body or range; None for anything else.

    The headers are in lower case, and each begins with CR LF.
    """
    found = _HOT.fullmatch(request) if len(request) <= LONGEST_REQUEST else None
    if found is None:
        return None
    headers = b"\r\n" + found[2].lower()
    if headers.count(_HOST) != 1 or headers.count(_CONDITION) > 1:
        return None
    return found[1], headers


Answer: TypeAlias = tuple[bytes, bytes, bool]
"""Head and body of a response, and whether the connection is to be closed then."""
StoredAnswer: TypeAlias = tuple[Answer, ReadyResponse]
"""An answer, and the response that was read: as long as somebody holds it, others who ask for it get the same."""


class HotReads(Protocol):
    """The reads that can be answered at once. `answered` counts them, on one event loop."""

    answered: int

    @property
    def seconds(self) -> Callable[[], float]:
        """The clock: seconds since 1970."""

    def ready(self, path: bytes) -> ReadyResponse | None:
        """Return the response that may be given now under this raw path; None if there is none."""

    def may_be_stored(self, path: bytes) -> bool:
        """Return whether the store may have a response for this raw path that everybody may get."""

    async def read(self, path: bytes) -> ReadyResponse | None:
        """Read the response from the store; None if the server behind has to answer."""

    def count(self, path: bytes, status: int) -> None:
        """Count a read of the store that is answered with this status."""


class HotAnswers:
    """Answers the requests that are hot reads.

    `may_hold`: whether there is memory for a large body until it is sent.
    """

    def __init__(self, reads: HotReads, *, may_hold: Callable[[bytes], bool]) -> None:
        self._reads = reads
        self._may_hold = may_hold
        self._second = 0
        self._date = b""
        self._under_way = 0

    def answer(self, request: bytes) -> Answer | None:
        """Return the response; None if the request is not one that is answered at once."""
        hot = hot_request(request)
        answer = None if hot is None else self._reads.ready(hot[0])
        chosen = None if hot is None or answer is None else self._choose(answer, hot[1])
        if hot is None or chosen is None:
            return None
        self._reads.answered += 1
        return self._form(chosen, hot[1])

    def begin(self, request: bytes) -> asyncio.Task[StoredAnswer | None] | None:
        """Begin to read the response from the store; None if the request is not one for which that is done here.

        The result is None if the server behind has to answer after all.
        """
        hot = hot_request(request)
        if hot is None or self._under_way >= COLD_READS or not self._reads.may_be_stored(hot[0]):
            return None
        self._under_way += 1
        reading = asyncio.create_task(self._read(*hot))
        reading.add_done_callback(self._ended)
        return reading

    def _ended(self, _: asyncio.Task[StoredAnswer | None]) -> None:
        self._under_way -= 1

    async def _read(self, path: bytes, headers: bytes) -> StoredAnswer | None:
        answer = await self._reads.read(path)
        chosen = None if answer is None else self._choose(answer, headers)
        if answer is None or chosen is None:
            return None
        self._reads.count(path, chosen.status)
        return self._form(chosen, headers), answer

    def _choose(self, answer: ReadyResponse, headers: bytes) -> ReadyResponse | None:
        """Return the form of a response that these headers ask for; None if it must be made or sent behind."""
        if answer.packable and headers.count(_CODING) > 1:
            return None
        codings = _value(headers, _CODING) if answer.packable else b""
        chosen = select(answer, _value(headers, _CONDITION), codings)
        if chosen is None:
            return None  # the server behind has to make it first
        if chosen.size >= PIECES_FROM and not self._may_hold(chosen.body["body"]):
            return None  # the server behind can send it in pieces from the store
        return chosen

    def _form(self, chosen: ReadyResponse, headers: bytes) -> Answer:
        second = int(self._reads.seconds())
        if second != self._second:
            self._second, self._date = second, b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n\r\n"
        if _CLOSE.search(headers) is not None:
            return chosen.head + b"connection: close\r\n" + self._date, chosen.body["body"], True
        return chosen.head + self._date, chosen.body["body"], False


def _value(headers: bytes, name: bytes) -> bytes:
    """Return the value of a header; empty if there is none."""
    return headers.partition(name)[2].partition(b"\r\n")[0].strip()
