"""One thread at a time for each name, and any number for different names."""

from __future__ import annotations

import threading

import pytest

from tests.support.served_door import SECONDS
from tests.support.set_decider import SetDecider
from trustcli.hooks.deciding.decision import SignedTags
from trustcli.hooks.proxy.signed_lists import SignedLists
from trustcli.hooks.proxy.turns import Turns
from trustdata.gun import GUN, parse_gun


def test_a_name_has_one_turn_at_a_time() -> None:
    turns = Turns()
    with turns.of("app") as first:
        with turns.of("app", seconds=0) as second:
            assert (first, second) == (True, False)
        with turns.of("other", seconds=0) as other:
            assert other
        assert len(turns) == 1
    with turns.of("app", seconds=0) as again:
        assert again
    assert len(turns) == 0, "names that nobody waits for are forgotten"


def test_a_turn_ends_with_an_error() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="a test"), turns.of("app"):
        raise ValueError("a test")
    with turns.of("app", seconds=0) as has_come:
        assert has_come


def test_who_waits_gets_the_next_turn() -> None:
    turns, came = Turns(), threading.Event()

    def wait() -> None:
        with turns.of("app"):
            came.set()

    with turns.of("app"):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not came.is_set()
    thread.join(SECONDS)
    assert came.is_set()
    assert len(turns) == 0


class Hanging(SetDecider):
    """Waits for the trust server of one name. `reached`, `opened`: it waits, and may go on."""

    def __init__(self, name: GUN) -> None:
        super().__init__()
        self._name = name
        self.reached, self.opened = threading.Event(), threading.Event()

    def signed_tags(self, gun: GUN) -> SignedTags:
        if gun == self._name:
            self.reached.set()
            assert self.opened.wait(SECONDS)
        return super().signed_tags(gun)


def test_a_trust_server_that_hangs_holds_up_no_list_of_others() -> None:
    hanging = parse_gun("registry.example.com/hanging")
    decider = Hanging(hanging)
    lists = SignedLists(decider)
    thread = threading.Thread(target=lists.of, args=(hanging,))
    thread.start()
    try:
        assert decider.reached.wait(SECONDS)
        for number in range(300):
            assert lists.of(parse_gun(f"registry.example.com/app{number}")).refusal is None
    finally:
        decider.opened.set()
        thread.join(SECONDS)
