"""Work that is spread over the rounds of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from trustserver.api.rounds import Rounds


async def begun(rounds: Rounds, clients: Sequence[str]) -> list[tuple[str, int]]:
    """Ask for a piece of work for each client at one time. Return in which order, and in which round, they began."""
    round_number = 0
    found: list[tuple[str, int]] = []

    async def work(client: str) -> None:
        await rounds.begin(client)
        found.append((client, round_number))

    tasks = [asyncio.create_task(work(client)) for client in clients]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        round_number += 1
    return found


@pytest.mark.parametrize("every", [1, 4])
def test_one_begins_in_so_many_rounds(every: int) -> None:
    found = [at for _, at in asyncio.run(begun(Rounds(every=every), ["a"] * 50))]
    assert len(found) == 50
    assert all(later - earlier >= every for earlier, later in pairwise(found))
    assert found[-1] - found[0] <= 50 * every + 2, "and no more than that"


def test_clients_take_turns() -> None:
    found = asyncio.run(begun(Rounds(), ["many"] * 20 + ["one", "other"]))
    assert [client for client, _ in found[:4]] == ["many", "many", "one", "other"]
    assert len(found) == 22


def test_who_has_gone_is_passed_over_and_nothing_is_kept() -> None:
    async def scene() -> None:
        rounds = Rounds()
        tasks = [asyncio.create_task(rounds.begin("a")) for _ in range(5)]
        await asyncio.sleep(0)
        for task in tasks[1:4]:
            task.cancel()
        await asyncio.wait_for(tasks[4], 5)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not rounds._waiting
        assert not rounds._is_taken
        await rounds.begin("b")

    asyncio.run(scene())
