"""Ask a service within a time limit of ours, and again where that helps: a few times, with pauses.

The libraries of the providers have limits of their own, but none for the whole: name servers, credentials, a server
that sends a byte now and then. So each try runs in a thread of its own, which is left behind when its time is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar

from keys.kms.errors import KeyServiceError, KeyServiceLate
from keys.record import record

SECONDS: Final = 60.0
"""How long a request may take with all its tries."""
REQUEST_SECONDS: Final = 20.0
"""How long a connection may be silent."""
_PAUSES: Final = (0.5, 1.0, 2.0)

_Answer = TypeVar("_Answer")


@record
class Patience:
    """How long a service is waited for. Only tests have another one.

    `pauses`: seconds between the tries. `clock`: monotonic seconds. `sleep`: waits for some of them.
    """

    seconds: float = SECONDS
    pauses: tuple[float, ...] = _PAUSES
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def asked(request: Callable[[], _Answer], patience: Patience, *, service: str, key: str) -> _Answer:
    """Return what the request returns. Raises: KeyServiceLate; what the last try raised."""
    end = patience.clock() + patience.seconds
    for pause in patience.pauses:
        try:
            return _within(end - patience.clock(), request, patience, service=service, key=key)
        except KeyServiceError as error:
            if not error.again or patience.clock() + pause >= end:
                raise
        patience.sleep(pause)
    return _within(end - patience.clock(), request, patience, service=service, key=key)


def _within(seconds: float, request: Callable[[], _Answer], patience: Patience, *, service: str, key: str) -> _Answer:
    answers: SimpleQueue[tuple[_Answer] | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((request(),))
        except BaseException as error:  # noqa: BLE001 - it is raised again, where it is waited for
            answers.put(error)

    Thread(target=run, name="key service", daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, seconds))
    except Empty as error:
        reason = f"it did not answer within {patience.seconds:g} seconds"
        raise KeyServiceLate(service=service, key=key, reason=reason) from error
    if isinstance(answer, BaseException):
        raise answer
    return answer[0]
