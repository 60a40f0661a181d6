"""Costly work in turns: whose comes when."""

from __future__ import annotations

import asyncio
from functools import partial

from trustserver.server.turns import Turns


def test_one_piece_in_each_round_of_the_loop_and_another_address_each_time() -> None:
    async def scene() -> list[str]:
        turns, done = Turns(), list[str]()
        for name in ("a1", "a2", "a3", "b1", "c1"):
            turns.add(name[0], partial(done.append, name))
        for rounds in range(1, 6):
            await asyncio.sleep(0)
            assert len(done) == rounds
        turns.add("b", partial(done.append, "b2"))
        await asyncio.sleep(0)
        return done

    assert asyncio.run(scene()) == ["a1", "b1", "c1", "a2", "a3", "b2"]
