"""Run the webhooks of a file, and take the file again when it has changed, or a secret that it names.

A thread of its own looks every second. A file with a mistake in it changes nothing, and the server says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Final, Self

from trustdata.errors import TrustError
from trustserver.guarded_files import mark_of
from trustserver.webhooks.hooks import Hook, read_hooks
from trustserver.webhooks.outbox import Outbox, OutboxThread

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks."""

_log = logging.getLogger(__name__)


class Webhooks:
    """The webhooks of a server. They run until the end of the block for which this is entered.

    `file`: where they stand; None: there are none. `open_outbox`: makes the outbox of a hook.
    """

    def __init__(self, file: Path | None, open_outbox: Callable[[Hook], Outbox]) -> None:
        """Read the file for the first time. Raises: StartRefused, FileNewer."""
        self._file = file
        self._open_outbox = open_outbox
        self._hooks = () if file is None else read_hooks(file)
        self._seen: dict[Path, object] = {}
        self._failure = ""
        self._reason = ""
        self._threads: dict[str, OutboxThread] = {}
        self._wake = Event()
        self._closed = False
        self._looking = Thread(target=self._look_on, name="webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._run(self._hooks)
        if self._file is not None:
            self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._wake.set()
        if self._file is not None:
            self._looking.join()
        for thread in self._threads.values():
            thread.end()
        for thread in self._threads.values():
            thread.join()

    def look_now(self) -> None:
        """Have the file looked at at once, without waiting for it, as at SIGHUP."""
        self._wake.set()

    def warnings(self) -> list[str]:
        """Return that the hooks are not those of the file; nothing if they are.

        Anybody may read this at /readyz, so the reason, which names files, stands in the log alone.
        """
        return [self._failure] if self._failure else []

    def refresh(self) -> None:
        """Look whether anything has changed, and take it."""
        if self._file is None:
            return
        seen = self._marks(self._file)
        if seen == self._seen and not self._failure:
            return
        try:
            hooks = read_hooks(self._file)
        except TrustError as error:
            if str(error) != self._reason:
                _log.error("the webhooks stay as they were: the new file does not count", extra={"reason": str(error)})
            self._failure, self._reason = "the webhooks are older than their file", str(error)
            return
        self._failure = self._reason = ""
        if hooks != self._hooks:
            _log.warning("other webhooks", extra={"hooks": [hook.name for hook in hooks]})
        self._hooks = hooks
        # What was looked at before it was read: a change in between is seen the next time. So is a secret's new place.
        self._seen = seen if self._run(hooks) else {}

    def _marks(self, file: Path) -> dict[Path, object]:
        files = {file, *(hook.secret_file for hook in self._hooks if hook.secret_file is not None)}
        return {each: mark_of(each) for each in files}

    def _run(self, hooks: tuple[Hook, ...]) -> bool:
        """Have these hooks told, and no others. Return False if one must wait for the end of the last of its name."""
        self._threads = {name: thread for name, thread in self._threads.items() if not thread.has_ended}
        for name in self._threads.keys() - {hook.name for hook in hooks}:
            self._threads[name].end()
        done = True
        for hook in hooks:
            thread = self._threads.get(hook.name)
            if thread is None:
                self._threads[hook.name] = OutboxThread(self._open_outbox(hook))
            elif thread.is_ending:  # two at a time would each move the cursor
                done = False
            elif thread.hook != hook:
                thread.change(hook)
        return done

    def _look_on(self) -> None:
        while not self._closed:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            if not self._closed:
                self._look()

    def _look(self) -> None:
        """Look once. Whatever happens, the thread goes on."""
        try:
            self.refresh()
        except Exception:  # noqa: BLE001 - see above
            self._failure = "the webhooks are not looked at"
            _log.exception("looking for changes of the webhooks failed")
