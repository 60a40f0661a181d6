"""Decide within the time that a review has, so that what is slow is refused with a sentence and holds up nothing else.

A decision that needs no server takes a fraction of a millisecond, and is made at once. One that does may hang as long
as the server hangs, and whose server that is may be up to whoever names the image. So these run on threads of their
own, of which each namespace has a share, and the names of each registry and of each trust server, whoever asks for
them; a question that is being answered already is not asked again; and whoever does not get an answer in time is told
so, while the API server still listens.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from trustcli.errors import VerdictTooLate
from trustcli.hooks.kubernetes.judging import Asked, ask
from trustcli.registry.reference import parse_reference
from trustdata.errors import TrustError

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision
    from trustcli.hooks.deciding.ports import Decider

_log = logging.getLogger(__name__)
THREADS: Final = 64
"""Decisions at one time."""
OF_ONE_NAMESPACE: Final = 16
"""How many of these one namespace may have."""
OF_ONE_REGISTRY: Final = 24
"""How many of these may be for images of one registry: their trust data mostly is in one place, which may hang."""
OF_ONE_SERVER: Final = 32
"""How many of these may need one trust server, whichever registries it serves."""
DEFAULT_TIMEOUT: Final = 10.0
"""Seconds, where the request names none: the default of `timeoutSeconds`."""
MAX_TIMEOUT: Final = 30.0
"""Seconds: the highest `timeoutSeconds`."""
_SHARE: Final = 0.8
"""How much of the API server's time is ours; the rest is for the way there and back."""
_TIMEOUT: Final = re.compile(r"(?:^|&)timeout=([0-9]{1,4})(ms|s)(?:&|$)")


_Shares = tuple[str, str, str]
"""Whose threads a decision takes: those of a namespace, of a registry, and of a trust server."""
_Work = tuple[Asked, _Shares, "Future[Decision]"]


def seconds_for(query: str) -> float:
    """Return how long a verdict may take. `query`: of the request, in which the API server says `timeout=10s`."""
    found = _TIMEOUT.search(query)
    asked = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else DEFAULT_TIMEOUT
    return min(asked or DEFAULT_TIMEOUT, MAX_TIMEOUT) * _SHARE


class LimitedTime:
    """Asks the deciders of a cluster. `deciders`: by namespace; "" is the policy of the whole cluster. Thread-safe.

    Its threads keep no process from ending: one may hang in a request to a server that does not answer.
    """

    def __init__(
        self,
        deciders: Mapping[str, Decider],
        *,
        threads: int = THREADS,
        of_one_namespace: int = OF_ONE_NAMESPACE,
        of_one_registry: int = OF_ONE_REGISTRY,
        of_one_server: int = OF_ONE_SERVER,
        server_of: Callable[[Asked], str] | None = None,
        at_once: Callable[[Asked], Decision | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`server_of`: the URL of the trust server that a question may need, or its registry where none is known.

        `at_once`: the decision of a question that needs no server and no waiting; None if it does.
        """
        self._deciders = deciders
        self._at_once = at_once or (lambda _: None)
        self._server_of = server_of or (lambda question: parse_reference(question.image).host)
        self._threads = threads
        self._of_one_namespace = of_one_namespace
        self._of_one_registry = of_one_registry
        self._of_one_server = of_one_server
        self._clock = clock
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._begun = 0
        self._running: dict[Asked, Future[Decision]] = {}
        self._namespaces: Counter[str] = Counter()
        self._registries: Counter[str] = Counter()
        self._servers: Counter[str] = Counter()
        self._ended = threading.Condition()

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces with policies of their own."""
        return frozenset(self._deciders) - {""}

    def decide(
        self, questions: Sequence[Asked], *, namespace: str, seconds: float
    ) -> Mapping[Asked, Decision | TrustError]:
        """Return an answer to each question within so many seconds. `namespace`: who asks. Raises: InvalidName."""
        deadline = self._clock() + seconds
        answers: dict[Asked, Decision | TrustError] = {}
        begun: dict[Asked, Future[Decision] | None] = {}
        for question in questions:
            known = self._at_once(question) if self._clock() < deadline else None
            if known is not None:
                answers[question] = known
            else:
                begun[question] = self._begin(question, namespace, deadline)
        if not begun:
            return answers
        late = VerdictTooLate(seconds=max(1, round(seconds)), doing="asking the trust server, or waiting to ask it")
        for question, future in begun.items():
            try:
                answers[question] = late if future is None else future.result(max(0.0, deadline - self._clock()))
            except FutureTimeout:
                answers[question] = late
            except TrustError as refusal:
                answers[question] = refusal
        return answers

    def close(self) -> None:
        """Let the threads end when they have nothing to do. Whoever still asks gets no answer in time."""
        with self._ended:
            for _ in range(self._begun):
                self._work.put(None)

    def _begin(self, question: Asked, namespace: str, deadline: float) -> Future[Decision] | None:
        """Return the decision that is being made; None if no thread was free in time."""
        shares = (namespace, parse_reference(question.image).host, self._server_of(question))
        with self._ended:
            while (running := self._running.get(question)) is None and self._is_full(*shares):
                if not self._ended.wait(max(0.0, deadline - self._clock())) and self._clock() >= deadline:
                    return None
            if running is not None:
                return running
            if self._begun <= self._namespaces.total() and not self._begin_thread() and not self._begun:
                return None
            self._count(shares, 1)
            future: Future[Decision] = Future()
            self._running[question] = future
            self._work.put((question, shares, future))
        return future

    def _begin_thread(self) -> bool:
        """Begin one more thread, and return whether the system lets us: if it does not now, it may later."""
        thread = threading.Thread(target=self._decide, name=f"deciding-{self._begun + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            _log.warning("the system has no room for another thread; %d decide", self._begun)
            return False
        self._begun += 1
        return True

    def _is_full(self, namespace: str, registry: str, server: str) -> bool:
        return (
            self._namespaces.total() >= self._threads
            or self._namespaces[namespace] >= self._of_one_namespace
            or self._registries[registry] >= self._of_one_registry
            or self._servers[server] >= self._of_one_server
        )

    def _count(self, shares: _Shares, change: int) -> None:
        for held, name in zip((self._namespaces, self._registries, self._servers), shares, strict=True):
            held[name] += change
            if held[name] <= 0:
                del held[name]

    def _decide(self) -> None:
        """Be one of the threads."""
        while (work := self._work.get()) is not None:
            question, shares, future = work
            try:
                decision = ask(self._deciders[question.namespace], question.image)
            except BaseException as error:  # noqa: BLE001 - whoever waits is told
                self._end(question, shares)
                future.set_exception(error)
            else:
                self._end(question, shares)
                future.set_result(decision)

    def _end(self, question: Asked, shares: _Shares) -> None:
        with self._ended:
            self._running.pop(question, None)
            self._count(shares, -1)
            self._ended.notify_all()
