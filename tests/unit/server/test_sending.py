"""Large bodies: in pieces that add up, each to be taken in time."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from trustserver.api import sending
from trustserver.api.sending import PIECE, send_body
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.ready import plain_response

Event = MutableMapping[str, Any]


def sent(body: bytes) -> list[Event]:
    events: list[Event] = []

    async def send(event: Event) -> None:
        events.append(event)

    asyncio.run(send_body(send, plain_response(200, [], body), BodiesInFlight()))
    return events


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE - 1])
def test_the_pieces_are_the_body_and_only_the_last_one_ends_it(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    events = sent(body)
    assert b"".join(event["body"] for event in events) == body
    assert max(len(event["body"]) for event in events) <= PIECE
    assert [event.get("more_body", False) for event in events] == [True] * (len(events) - 1) + [False]


def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PIECE_SECONDS", 0.01)
    taken: list[int] = []

    async def send(event: Event) -> None:
        taken.append(len(event["body"]))
        if len(taken) == 2:
            await asyncio.Event().wait()

    asyncio.run(send_body(send, plain_response(200, [], bytes(5 * PIECE)), BodiesInFlight()))
    assert len(taken) == 2
