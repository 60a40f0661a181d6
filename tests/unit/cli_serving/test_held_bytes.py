"""Who is slow keeps bytes in memory: so many in all, and those of one network give way first."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from trustcli.hooks.serving.held_bytes import UNCOUNTED, HeldAnswers, HeldRequests, NoRoom

SIZE = 1_000_000


class Hands:
    """Answers that are being sent, by a clock that a test moves."""

    def __init__(self, stack: ExitStack, *, most: int = 4 * SIZE) -> None:
        self.now = 100.0
        self.ended: list[str] = []
        self._stack = stack
        self._held = HeldAnswers(most, patience=1.0, clock=lambda: self.now)

    def take(self, name: str, group: str, size: int = SIZE) -> bool:
        return self._stack.enter_context(self._held.room(size, group=group, end=lambda: self.ended.append(name)))


def test_the_network_that_has_the_most_gives_way() -> None:
    with ExitStack() as stack:
        hands = Hands(stack)
        assert hands.take("honest", "b")
        assert [hands.take(f"slow {number}", "a") for number in range(3)] == [True] * 3
        hands.now += 1.5
        assert hands.take("another", "c")
        assert hands.ended == ["slow 0"], "not the one that had it first"
        assert hands.take("more", "a")
        assert hands.ended == ["slow 0", "slow 1"], "their own"


def test_nobody_loses_it_at_once_and_then_there_is_no_room() -> None:
    with ExitStack() as stack:
        hands = Hands(stack)
        assert [hands.take(f"slow {number}", "a") for number in range(4)] == [True] * 4
        assert not hands.take("another", "b")
        assert hands.ended == []
        assert hands.take("small", "b", UNCOUNTED), "small ones are not counted"
        assert not hands.take("too large", "b", 5 * SIZE)


def test_what_is_taken_is_given_back() -> None:
    with ExitStack() as outer:
        hands = Hands(outer, most=SIZE)
        for _ in range(3):
            with ExitStack() as inner:
                hands._stack = inner
                assert hands.take("one", "a")
        with ExitStack() as inner:
            hands._stack = inner
            assert hands.take("one", "a")
            hands.now += 2.0
            with ExitStack() as other:
                hands._stack = other
                assert hands.take("two", "a")
                assert hands.ended == ["one"]
        hands._stack = outer
        assert hands.take("three", "a")


def test_requests_take_room_as_they_come() -> None:
    room = HeldRequests(4 * SIZE, of_one=3 * SIZE, clock=lambda: 0.0)
    with (
        room.taking("a", free=SIZE, deadline=0.0) as first,
        room.taking("a", free=SIZE, deadline=0.0) as second,
        room.taking("b", free=SIZE, deadline=0.0) as third,
    ):
        first(SIZE)  # is not counted yet
        second(2 * SIZE)
        third(2 * SIZE)
        with pytest.raises(NoRoom):
            first(1)
        with pytest.raises(NoRoom):
            second(SIZE)
    with room.taking("a", free=0, deadline=0.0) as again:
        again(3 * SIZE)
