"""Checks of passwords beside the event loop: what they cost, and who may guess."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from trustserver.auth import password_checks, places, recent_failures
from trustserver.auth.password_checks import FAILURES, FAILURES_OF_USER, MAX_WAITING, PasswordChecks
from trustserver.auth.passwords import NOBODYS
from trustserver.auth.places import Places
from trustserver.errors import Overloaded


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was checked against; a password fits if what is stored is `fits PASSWORD`."""
    checked: list[str] = []

    def check(password: bytes, stored: str) -> bool:
        checked.append(stored)
        return stored == f"fits {password.decode()}"

    monkeypatch.setattr(password_checks, "check_password", check)
    return checked


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def checks(clock: Clock) -> Iterator[PasswordChecks]:
    made = PasswordChecks(clock, upgrade=lambda *_: None)
    yield made
    made.close()


def test_a_result_is_remembered_until_the_hash_changes_or_time_is_up(
    checks: PasswordChecks, clock: Clock, cheap: list[str]
) -> None:
    async def ask(password: str, stored: str | None) -> bool:
        return await checks.check("alice", password.encode(), stored, address="192.0.2.1")

    async def story() -> None:
        for _ in range(3):
            assert await ask("x", "fits x")
            assert not await ask("y", "fits x")
            assert not await ask("x", None)
        assert cheap == ["fits x", "fits x", NOBODYS]
        assert checks.is_known("alice", b"x", "fits x", address=None)
        assert not checks.is_known("alice", b"x", "fits y", address=None)
        assert not checks.is_known("bob", b"x", "fits x", address=None)
        assert await ask("y", "fits y")
        clock.at += password_checks.REMEMBERED_SECONDS
        assert not checks.is_known("alice", b"x", "fits x", address=None)
        assert await ask("x", "fits x")
        assert len(cheap) == 5

    asyncio.run(story())


def test_guessing_is_bounded_for_each_address_and_known_pairs_go_on(
    checks: PasswordChecks, clock: Clock, cheap: list[str]
) -> None:
    async def ask(password: str, address: str) -> bool:
        return await checks.check("alice", password.encode(), "fits x", address=address)

    async def story() -> None:
        assert await ask("x", "192.0.2.1")
        guesses = await asyncio.gather(*(ask(f"{n}", "192.0.2.1") for n in range(100)), return_exceptions=True)
        assert [each for each in guesses if not isinstance(each, Overloaded)] == [False] * FAILURES
        assert len(cheap) == 1 + FAILURES
        assert await ask("x", "192.0.2.1")
        assert checks.is_known("alice", b"x", "fits x", address=None)
        assert not await ask("elsewhere", "192.0.2.2")
        with pytest.raises(Overloaded, match="wrong passwords from this address; try again in 60 seconds"):
            await ask("one more", "192.0.2.1")
        clock.at += password_checks.FAILURES_SECONDS
        assert not await ask("one more", "192.0.2.1")

    asyncio.run(story())


def test_a_user_is_not_guessed_from_many_addresses_and_is_not_locked_out_of_known_ones(
    checks: PasswordChecks, clock: Clock, cheap: list[str]
) -> None:
    async def ask(password: str, number: int, user: str = "alice") -> bool:
        return await checks.check(user, password.encode(), f"fits {user}", address=f"192.0.2.{number}")

    async def story() -> None:
        assert await ask("alice", 200)
        guesses = (ask(f"wrong {number}", number % 100) for number in range(3 * FAILURES_OF_USER))
        results = [await asyncio.gather(each, return_exceptions=True) for each in guesses]
        assert [each for (each,) in results if not isinstance(each, Overloaded)] == [False] * FAILURES_OF_USER
        assert len(cheap) == 1 + FAILURES_OF_USER
        assert not await ask("mistyped", 200)
        clock.at += password_checks.FAILURES_SECONDS
        assert not await ask("after a minute", 201)
        clock.at += password_checks.REMEMBERED_SECONDS - password_checks.FAILURES_SECONDS - 1
        for number in range(FAILURES_OF_USER):
            assert not await ask(f"again {number}", number)
        clock.at += 1  # what alice has shown is forgotten
        with pytest.raises(Overloaded, match="wrong passwords for this user from elsewhere; try again in 60 seconds"):
            await ask("alice", 201)
        assert await ask("alice", 200), "checked anew where alice has logged in before"
        assert await ask("bob", 1, "bob"), "others are not concerned"

    asyncio.run(story())


def test_a_user_is_known_wherever_they_have_worked_not_only_where_their_password_was_checked(
    checks: PasswordChecks, clock: Clock, cheap: list[str]
) -> None:
    async def ask(password: str, address: str) -> bool:
        return await checks.check("alice", password.encode(), "fits x", address=address)

    async def story() -> None:
        assert await ask("x", "192.0.2.1")
        assert checks.is_known("alice", b"x", "fits x", address="192.0.2.2")
        assert await ask("x", "192.0.2.3")
        assert len(cheap) == 1, "remembered"
        clock.at += password_checks.REMEMBERED_SECONDS
        for number in range(FAILURES_OF_USER):
            assert not await ask(f"guess {number}", f"203.0.113.{number}")
        with pytest.raises(Overloaded, match="wrong passwords for this user from elsewhere"):
            await ask("x", "192.0.2.4")
        for number in (2, 3, 1):
            assert await ask("x", f"192.0.2.{number}")

    asyncio.run(story())


def test_who_has_logged_in_from_there_waits_for_no_stranger(
    checks: PasswordChecks, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def check(password: bytes, stored: str) -> bool:
        assert password == b"x" or may_end.wait(10)
        return stored == "fits x" and password == b"x"

    monkeypatch.setattr(password_checks, "check_password", check)

    async def story() -> None:
        assert await checks.check("alice", b"x", "fits x", address="192.0.2.1")
        clock.at += password_checks.REMEMBERED_SECONDS
        strangers = [
            asyncio.create_task(checks.check(f"user {number}", b"guess", None, address=f"203.0.113.{number}"))
            for number in range(MAX_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="passwords wait for their check"):
            await checks.check("alice", b"x", "fits x", address="192.0.2.2")
        assert await checks.check("alice", b"x", "fits x", address="192.0.2.1"), "while all the others wait"
        assert not any(each.done() for each in strangers)
        may_end.set()
        assert not any(await asyncio.gather(*strangers))

    asyncio.run(story())


def test_places_are_bounded_and_nobody_makes_those_of_others_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_OF_ONE", 2)
    monkeypatch.setattr(places, "MAX_USERS", 2)
    known = Places()
    known.add("alice", "192.0.2.1")
    for number in range(100):
        known.add("mallory", f"203.0.113.{number}")
        known.add("mallory", None)
    assert known.has("alice", "192.0.2.1")
    assert not known.has("mallory", None)
    assert [number for number in range(100) if known.has("mallory", f"203.0.113.{number}")] == [98, 99]
    known.add("mallory", "203.0.113.98")
    known.add("mallory", "203.0.113.1")
    assert known.has("mallory", "203.0.113.98"), "the one that was used last is kept"
    known.add("alice", "192.0.2.1")
    known.add("bob", "192.0.2.9")
    assert known.has("alice", "192.0.2.1")
    assert not known.has("mallory", "203.0.113.1")


def test_guesses_that_are_being_checked_count_for_a_user_too(checks: PasswordChecks, cheap: list[str]) -> None:
    async def ask(number: int) -> bool:
        return await checks.check("alice", b"%d" % number, "fits x", address=f"192.0.2.{number}")

    async def story() -> None:
        for number in range(FAILURES_OF_USER - 1):
            assert not await ask(number)
        both = await asyncio.gather(ask(101), ask(102), return_exceptions=True)
        assert [type(each) for each in both] == [bool, Overloaded]
        assert not checks._running_for
        assert not checks._running_by

    asyncio.run(story())


def test_where_no_address_is_known_nobody_is_locked_out(checks: PasswordChecks, cheap: list[str]) -> None:
    async def story() -> None:
        for number in range(3 * FAILURES_OF_USER):
            assert not await checks.check("alice", b"%d" % number, "fits x", address=None)
        assert await checks.check("alice", b"x", "fits x", address=None)

    asyncio.run(story())


def test_few_wait_in_all_and_what_many_ask_is_checked_once(checks: PasswordChecks, cheap: list[str]) -> None:
    async def ask(password: str, number: int) -> bool:
        user = "alice" if password == "x" else f"user {number}"
        return await checks.check(user, password.encode(), "fits x", address=f"192.0.2.{number}")

    async def story() -> None:
        same = await asyncio.gather(*(ask("x", number) for number in range(100)))
        assert (same, cheap) == ([True] * 100, ["fits x"])
        many = await asyncio.gather(*(ask(f"{n}", n) for n in range(100)), return_exceptions=True)
        assert sum(isinstance(each, Overloaded) for each in many) == 100 - MAX_WAITING

    asyncio.run(story())


def test_what_is_remembered_is_bounded(
    checks: PasswordChecks, cheap: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password_checks, "MAX_REMEMBERED", 3)
    monkeypatch.setattr(recent_failures, "MAX_KEYS", 2)

    async def story() -> None:
        for number in range(10):
            await checks.check("alice", f"{number}".encode(), "fits x", address=f"{number}")
            await checks.check(f"{number}", b"x", "fits x", address=None)
            await checks.check("bob", b"x", "fits x", address=f"{number}")
        assert (len(checks._bad), len(checks._good)) == (3, 3)
        assert (len(checks._failures._times), len(checks._failures_for._times)) == (2, 1)
        assert not await checks.check("alice", b"x" * 513, "fits " + "x" * 513, address=None)

    asyncio.run(story())
