"""Tell a webhook each event of the record in order: again after a failure, until the event is given up.

The cursor is in the database, so nothing is lost when the server ends: what was sent and not noted is sent again. A
publish waits for none of this, since each outbox has a thread of its own that reads the record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from threading import Event, Thread
from typing import Final, Protocol

import orjson

from trustdata.errors import NotStored
from trustserver.storage.events import StoredEvent
from trustserver.storage.ports import MetadataStore
from trustserver.webhooks.hooks import Hook
from trustserver.webhooks.message import message_of
from trustserver.webhooks.one_request import NotDelivered

IDLE_SECONDS: Final = 1.0
"""Seconds after which the record is looked at again."""
LONGEST_WAIT: Final = 600.0
"""Seconds between two attempts at most; the first is after one second, and each wait is twice the one before."""
GIVE_UP_SECONDS: Final = 3 * 24 * 3600.0
"""Seconds after which an event is given up, so that the next ones have their turn."""
_BATCH: Final = 100
_END_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Sends(Protocol):
    """Something that sends requests."""

    def send(self, hook: Hook, request: bytes) -> None:
        """Send a request, and return if it was accepted. Raises: NotDelivered."""


class Outbox:
    """What one hook is still to be told. Used from one thread.

    `hook`: may be replaced by another one of its name, from any thread. `ending`: nothing more is to be told.
    """

    def __init__(
        self,
        hook: Hook,
        store: MetadataStore,
        sender: Sends,
        *,
        uptime: Callable[[], float],
        clock: Callable[[], datetime],
    ) -> None:
        self.hook = hook
        self.ending = False
        self._store = store
        self._sender = sender
        self._uptime = uptime
        self._clock = clock
        self._failures = 0
        self._first_failure = 0.0

    def step(self) -> float:
        """Tell the hook what it has not been told. Return after how many seconds to come again. Raises: NotStored."""
        noted = told = self._cursor()
        try:
            found = self._store.events(None, after=told, limit=_BATCH)
            for event in found:
                if self.ending:
                    break
                if self.hook.wants(orjson.loads(event.body)):
                    if not self._deliver(event):
                        return min(2.0 ** (self._failures - 1), LONGEST_WAIT)
                    noted = self._note(event.number)  # at once: an end of the server must not send all of them again
                told = event.number
        finally:
            if told > noted:
                self._note(told)
        return 0.0 if len(found) == _BATCH else IDLE_SECONDS

    def _note(self, number: int) -> int:
        """Note which event the hook has had, and return its number. Raises: NotStored."""
        self._store.move_hook_cursor(self.hook.name, number)
        return number

    def _cursor(self) -> int:
        """Return the number of the last event that the hook has had. A new hook is told what happens from now on."""
        cursor = self._store.hook_cursor(self.hook.name)
        if cursor is None:
            cursor = self._note(self._store.newest_event())
        return cursor

    def _deliver(self, event: StoredEvent) -> bool:
        """Send one event. Return whether the next one has its turn: it was accepted, or given up."""
        hook = self.hook
        request = message_of(hook, event).request(hook, self._clock())
        try:
            self._sender.send(hook, request)
        except NotDelivered as error:
            now = self._uptime()
            self._first_failure = self._first_failure if self._failures else now
            self._failures += 1
            given_up = now - self._first_failure >= GIVE_UP_SECONDS
            details = {"hook": hook.name, "number": event.number, "reason": str(error)}
            if not given_up:
                _log.warning("a webhook was not told", extra={**details, "attempt": self._failures})
                return False
            _log.error("a webhook was not told for days: the event is given up", extra=details)
        self._failures = 0
        return True


class OutboxThread:
    """An outbox at work in a thread of its own, until it is told to end."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._wake = Event()
        self._thread = Thread(target=self._run, name=f"webhook-{outbox.hook.name}", daemon=True)
        self._thread.start()

    @property
    def hook(self) -> Hook:
        """The hook that is told."""
        return self._outbox.hook

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end."""
        return self._outbox.ending

    @property
    def has_ended(self) -> bool:
        """Whether it does nothing any more."""
        return not self._thread.is_alive()

    def change(self, hook: Hook) -> None:
        """Tell the next event to a hook of this name that is elsewhere, or wants other things; try at once."""
        self._outbox.hook = hook
        self._wake.set()

    def end(self) -> None:
        """End after what is being sent, without waiting for it."""
        self._outbox.ending = True
        self._wake.set()

    def join(self) -> None:
        """Wait for the end, but not long: what is being sent then is sent again after the next start."""
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while not self._outbox.ending:
            try:
                wait = self._outbox.step()
            except NotStored as error:
                _log.error("webhooks wait for the database", extra={"reason": str(error)})
                wait = LONGEST_WAIT / 10
            except Exception:  # noqa: BLE001 - whatever an event makes fail, the thread goes on
                _log.exception("a webhook failed in a way that nobody expected")
                wait = LONGEST_WAIT
            self._wake.wait(wait)
            self._wake.clear()
