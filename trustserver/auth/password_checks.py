"""Check passwords in threads, few at a time, and limit how many wrong ones a user or an address may try.

A check takes a tenth of a second and 19 MiB on purpose. So its result is remembered for some minutes, under a keyed
hash of name, password and what they were checked against: clients send their password with every request. Guessing is
bounded for each address, and for each user from all addresses from which that user has not logged in lately, so that
whoever guesses from many addresses locks nobody out of where they work (docs/adr/0081). For the same reason whoever
logs in from where they did before has a thread and a queue beside those of strangers. Where no address is known there
is no bound: all would be locked out.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from trustserver.auth.passwords import MAX_PASSWORD, NOBODYS, check_password, hash_password, is_bcrypt
from trustserver.auth.places import Places
from trustserver.auth.recent_failures import Failures
from trustserver.errors import Overloaded

REMEMBERED_SECONDS: Final = 300.0
"""How long the result of a check is remembered."""
MAX_REMEMBERED: Final = 4096
"""How many good results are remembered, and how many bad ones; the oldest is dropped first."""
MAX_WAITING: Final = 32
"""How many checks of strangers may wait, and how many of others: together they take three seconds."""
FAILURES: Final = 10
"""How many wrong passwords one address may send in FAILURES_SECONDS; those that are being checked count as wrong."""
FAILURES_OF_USER: Final = 60
"""How many wrong passwords for one user are taken in FAILURES_SECONDS from where that user has not logged in lately."""
FAILURES_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """What is checked. `against`: what is stored for the user. `address`: of the client; None if it is not known."""

    user: str
    password: bytes = field(repr=False)
    against: str = field(repr=False)
    address: str | None


class PasswordChecks:
    """Checks passwords for one event loop."""

    def __init__(self, seconds: Callable[[], float], *, upgrade: Callable[[str, str, str], None]) -> None:
        """Make it. `seconds`: a clock that only goes forward. `upgrade`: stores a better hash (user, before, after)."""
        self._seconds = seconds
        self._upgrade = upgrade
        self._threads = {
            is_stranger: ThreadPoolExecutor(max_workers=1, thread_name_prefix="password")
            for is_stranger in (False, True)
        }
        self._key = os.urandom(32)
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._bad: OrderedDict[bytes, float] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._waiting = {False: 0, True: 0}
        """How many checks wait: of strangers (True), and of others."""
        self._running_by: Counter[str] = Counter()
        self._running_for: Counter[str] = Counter()
        self._failures = Failures(seconds, limit=FAILURES, within=FAILURES_SECONDS)
        self._failures_for = Failures(seconds, limit=FAILURES_OF_USER, within=FAILURES_SECONDS)
        self._places = Places()

    def close(self) -> None:
        """End the threads, once they have nothing to do."""
        for thread in self._threads.values():
            thread.shutdown(wait=False)

    def is_known(self, user: str, password: bytes, stored: str, *, address: str | None) -> bool:
        """Return whether it was found out lately that a password is the one that is stored.

        If so, the user has logged in from this address, wherever it was found out.
        """
        until = self._good.get(self._mark(user, password, stored))
        known = until is not None and self._seconds() < until
        if known:
            self._places.add(user, address)
        return known

    async def check(self, user: str, password: bytes, stored: str | None, *, address: str | None) -> bool:
        """Return whether a password is the one that is stored. `stored`: None if there is no such user.

        Raises: Overloaded if the address has sent too many wrong ones, if too many came for this user from elsewhere,
        or if too many checks wait.
        """
        against = NOBODYS if stored is None else stored
        mark, now = self._mark(user, password, against), self._seconds()
        if stored is not None and self.is_known(user, password, stored, address=address):
            return True
        if self._bad.get(mark, now) > now or len(password) > MAX_PASSWORD:
            return False
        task = self._running.get(mark)
        if task is None:
            task = self._begin(mark, _Attempt(user=user, password=password, against=against, address=address))
        good = await asyncio.shield(task)  # others may wait for it too, if this client leaves
        return good and stored is not None

    def _begin(self, mark: bytes, attempt: _Attempt) -> asyncio.Task[bool]:
        counted = () if attempt.address is None else (attempt.address,)
        # For everybody alike, also users who are not there: nobody can learn here who is.
        is_stranger = not self._places.has(attempt.user, attempt.address)
        stranger = (attempt.user,) if counted and is_stranger else ()
        self._turn_away(counted, stranger)
        if self._waiting[is_stranger] >= MAX_WAITING:
            raise Overloaded(what="passwords wait for their check")
        task = asyncio.create_task(self._check(mark, attempt, self._threads[is_stranger]))
        self._running[mark] = task
        self._waiting[is_stranger] += 1
        self._running_by.update(counted)
        self._running_for.update(stranger)

        def ended(done: asyncio.Task[bool]) -> None:
            del self._running[mark]
            self._waiting[is_stranger] -= 1
            for running, keys in ((self._running_by, counted), (self._running_for, stranger)):
                running.subtract(keys)
                for each in keys:
                    if not running[each]:
                        del running[each]
            if not done.cancelled():
                done.exception()  # whoever waited has got it; without this, asyncio logs one that nobody waited for

        task.add_done_callback(ended)
        return task

    def _turn_away(self, addresses: Iterable[str], users: Iterable[str]) -> None:
        """Refuse a check beyond the bounds on wrong passwords. `users`: for whom strangers try. Raises: Overloaded."""
        seconds = int(FAILURES_SECONDS)
        if any(self._failures.too_many(each, pending=self._running_by[each]) for each in addresses):
            raise Overloaded(what="wrong passwords from this address", seconds=seconds)
        if any(self._failures_for.too_many(each, pending=self._running_for[each]) for each in users):
            raise Overloaded(what="wrong passwords for this user from elsewhere", seconds=seconds)

    async def _check(self, mark: bytes, attempt: _Attempt, thread: ThreadPoolExecutor) -> bool:
        user, address = attempt.user, attempt.address
        good = await asyncio.get_running_loop().run_in_executor(thread, self._check_in_thread, attempt)
        remembered = self._good if good else self._bad
        remembered[mark] = self._seconds() + REMEMBERED_SECONDS
        if len(remembered) > MAX_REMEMBERED:
            remembered.popitem(last=False)
        if good:
            self._places.add(user, address)
            return True
        _log.warning("wrong name or password", extra={"user": user[:64], "client": address})
        if address is not None:
            self._failures.count(address)
            if not self._places.has(user, address):
                self._failures_for.count(user)
        return False

    def _check_in_thread(self, attempt: _Attempt) -> bool:
        good = check_password(attempt.password, attempt.against)
        if good and is_bcrypt(attempt.against):
            self._upgrade(attempt.user, attempt.against, hash_password(attempt.password))
        return good

    def _mark(self, user: str, password: bytes, against: str) -> bytes:
        """Return what a result is remembered under: it says nothing of the password without this process's key."""
        parts = (user.encode(), password, against.encode())
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, message, hashlib.sha256)
