"""Read collections from memory: refreshed in the background while they are in use, and once for all who wait.

Whoever asks gets data that is at most `refresh` seconds old. Only if the server cannot be reached is older data used,
as far as the rule allows and nothing has expired; a refusal is never covered by older data.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from keys.record import record
from trustcli.errors import VerdictTooLate, VerifierBusy
from trustcli.hooks.deciding.ports import DenyListRead, Reading, ReleasedTags
from trustcli.hooks.resident.clocks import Clocks, Moment
from trustcli.hooks.resident.kept import CollectionSource, Failed, Flight, KeptCollection, Verified, apart
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.hooks.resident.rate import Rate
from trustcli.hooks.resident.workers import Workers
from trustdata.denied import deny_list
from trustdata.errors import NotSigned, PolicyRefused, TagMismatch, TrustError
from trustdata.judgement import Question, candidates, refused
from trustdata.roles import TARGETS, RoleName

if TYPE_CHECKING:
    from trustcli.client.verified_roles import VerifiedRoles
    from trustdata.gun import GUN
    from trustdata.policy import Rule
    from trustdata.verification.target_lookup import Target

_PERHAPS_SIGNED_MEANWHILE: Final = (NotSigned, TagMismatch, PolicyRefused)
"""The refusals that a newer signature would change."""
_TRIES: Final = 3
_BACKGROUND_OF_A_SERVER: Final = 2
"""How many threads of the background ask one server at one time."""
Needed = Callable[["VerifiedRoles"], Iterable[RoleName]]
"""Returns the delegations that a question needs."""
_log = logging.getLogger(__name__)


class ReaderObserver(Protocol):
    """Is told of each refresh, for metrics. Safe for threads."""

    def refreshed(self, failure: TrustError | None) -> None:
        """Note a refresh, and why it failed if it did."""


@record
class Holdings:
    """What a reader has in memory. `oldest`: seconds since the refresh of the oldest collection in use, or 0."""

    collections: int
    file_bytes: int
    oldest: float


@record
class _State:
    """What a question is answered from: verified data, or the failure instead of it."""

    verified: Verified | None = None
    failure: TrustError | None = None
    stale: bool = False
    away: TrustError | None = None


class ResidentReader:
    """A `TrustDataReader` for processes that stay. Safe for threads."""

    def __init__(
        self, source: CollectionSource, *, clocks: Clocks, observer: ReaderObserver, limits: ResidentLimits
    ) -> None:
        self._source = source
        self._clocks = clocks
        self._observer = observer
        self._limits = limits
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, KeptCollection] = OrderedDict()
        self._strangers: OrderedDict[Hashable, KeptCollection] = OrderedDict()
        self._unknown = Rate(limits.unknown_rate)
        self._unknown_again = Rate(limits.unknown_rate / 2)
        self._workers = Workers(
            limits.workers, "refresh", waiting=limits.waiting, per_share=min(limits.per_server, limits.workers)
        )
        self._stranger_workers = Workers(
            limits.stranger_workers,
            "refresh-stranger",
            waiting=limits.waiting,
            per_share=max(limits.stranger_workers // 2, 1),
        )
        self._asked_in_background: Counter[str] = Counter()
        self._background: list[threading.Thread] = []
        self._stopping = threading.Event()

    # --- TrustDataReader

    def judge(self, gun: GUN, rule: Rule | None, questions: Sequence[Question]) -> Reading:
        """Judge questions about one collection, as `TrustDataReader.judge` promises."""
        arrived = self._clocks.moment()
        kept = self._collection(gun, rule, arrived)
        needed = _needed_by(questions)
        state = self._state(kept, rule, needed)
        reading = self._reading(kept, state, questions, self._clocks.moment())
        if self._earns_refresh(kept, state, reading, arrived):
            self._refresh_since(kept, arrived)
            state = self._state(kept, rule, needed)
            reading = self._reading(kept, state, questions, self._clocks.moment())
            kept.in_vain = _lacks_something(reading)
        return reading

    def released(self, gun: GUN, rule: Rule | None) -> ReleasedTags:
        """Return all tags that the rule may allow, as `TrustDataReader.released` promises."""
        kept = self._collection(gun, rule, self._clocks.moment())
        requirements = rule.requirements if rule is not None else ()

        def needed(roles: VerifiedRoles) -> Iterable[RoleName]:
            return roles.needed(Question(gun=gun, tag=None, digest=None, policy=requirements))

        state = self._state(kept, rule, needed)
        now, verified = self._clocks.moment(), state.verified
        if verified is None:
            return ReleasedTags(targets=(), refusal=state.failure)
        targets: tuple[Target, ...] = ()
        refusal: TrustError | None = None
        try:
            roles, _ = verified.roles.valid(needed(verified.roles), verified.age(now).latest)
            targets = tuple(candidates(requirements, roles))
        except TrustError as error:
            refusal = error
        refreshed = _refreshed(state, now)
        return ReleasedTags(targets=targets, refusal=refusal, refreshed=refreshed, stale=state.stale)

    def denied(self, gun: GUN, rule: Rule | None) -> DenyListRead:
        """Return what a collection denies, as `TrustDataReader.denied` promises."""
        kept = self._collection(gun, rule, self._clocks.moment())
        return self._denied(gun, self._state(kept, rule, lambda _: ()))

    def _denied(self, gun: GUN, state: _State) -> DenyListRead:
        now, verified = self._clocks.moment(), state.verified
        if verified is None:
            return DenyListRead(refusal=state.failure)
        try:
            roles, _ = verified.roles.valid((), verified.age(now).latest)
        except TrustError as refusal:
            return DenyListRead(refusal=refusal)
        denied = deny_list(gun, roles[TARGETS].targets)
        return DenyListRead(denied=denied, refreshed=_refreshed(state, now), stale=state.stale)

    # --- for callers that cannot wait

    def judged_at_once(self, gun: GUN, rule: Rule | None, questions: Sequence[Question]) -> Reading | None:
        """Judge questions as `judge` does; None if that would ask a server, or wait for a thread that does."""
        needed = _needed_by(questions)
        now = self._clocks.moment()
        kept = self._collection(gun, rule, now)
        state = self._fresh(kept, needed, now)
        reading = self._reading(kept, state, questions, now) if state is not None else None
        return None if reading is None or _lacks_something(reading) else reading

    def denied_at_once(self, gun: GUN, rule: Rule | None) -> DenyListRead | None:
        """Return what a collection denies, as `denied` does; None if that would ask somebody, or wait."""
        now = self._clocks.moment()
        state = self._fresh(self._collection(gun, rule, now), lambda _: (), now)
        return None if state is None else self._denied(gun, state)

    def _fresh(self, kept: KeptCollection, needed: Needed, now: Moment) -> _State | None:
        verified, _ = kept.state()
        if verified is None or _lacking(verified, needed) or not self._is_fresh(verified, now):
            return None
        return _State(verified=verified)

    # --- in the background

    def start(self) -> None:
        """Begin to refresh in the background what is in use."""
        for number in range(self._limits.background_workers):
            thread = threading.Thread(target=self._keep_fresh, name=f"refresh-background-{number}", daemon=True)
            thread.start()
            self._background.append(thread)

    def stop(self, *, wait: float = 0.0) -> None:
        """Stop asking servers. `wait`: seconds in which the background may end what it has begun."""
        self._stopping.set()
        for pool in (self._workers, self._stranger_workers):
            pool.stop()
        with self._lock:
            waited_for = [*self._kept.values(), *self._strangers.values()]
        for kept in waited_for:
            kept.abandon(VerifierBusy(waiting=0))
        for thread in self._background:
            thread.join(wait)

    def refresh_due(self) -> int:
        """Refresh, one after the other, all collections in use whose time has come; return how many."""
        done = 0
        while not self._stopping.is_set() and (due := self._next_due()) is not None:
            kept, server = due
            try:
                self._run(kept)
            finally:
                self._ended_in_background(server)
            done += 1
        return done

    def _keep_fresh(self) -> None:
        while not self._stopping.is_set():
            try:
                self.refresh_due()
            except Exception:  # noqa: BLE001 - the thread must outlive it
                _log.exception("a refresh in the background failed")
            self._stopping.wait(min(1.0, self._limits.refresh / 10))

    def _next_due(self) -> tuple[KeptCollection, str] | None:
        """Return the collection whose latest refresh is longest ago, if it is due, and its server; it is begun.

        No server gets all threads: one that does not answer would hold up the collections of others.
        """
        now = self._clocks.ticks()
        due = [
            kept
            for kept in self._all()
            if now - kept.used < self._limits.in_use and now - kept.attempted >= self._limits.background
        ]
        for kept in sorted(due, key=lambda kept: kept.attempted):
            server = self._source.server(kept.gun, kept.rule)
            with self._lock:
                if self._asked_in_background[server] >= _BACKGROUND_OF_A_SERVER:
                    continue
                self._asked_in_background[server] += 1
            if kept.begin()[1]:
                return kept, server
            self._ended_in_background(server)
        return None

    def _ended_in_background(self, server: str) -> None:
        with self._lock:
            self._asked_in_background[server] -= 1
            self._asked_in_background += Counter()  # drops those that have none

    def _all(self) -> list[KeptCollection]:
        with self._lock:
            return list(self._kept.values())

    def use(self, source: CollectionSource) -> None:
        """Forget all collections, and open them anew elsewhere: servers or pins were changed.

        What is being refreshed ends, and is dropped.
        """
        with self._lock:
            self._source = source
            self._kept.clear()
            self._strangers.clear()

    def holdings(self) -> Holdings:
        """Return what is in memory now."""
        now, oldest = self._clocks.moment(), 0.0
        collections = self._all()
        for kept in collections:
            verified, _ = kept.state()
            if verified is not None and now.ticks - kept.used < self._limits.in_use:
                oldest = max(oldest, verified.age(now).seconds)
        return Holdings(
            collections=len(collections), file_bytes=sum(kept.file_bytes for kept in collections), oldest=oldest
        )

    def waiting(self) -> int:
        """Return how many refreshes wait for a thread."""
        return self._workers.waiting + self._stranger_workers.waiting

    # --- one question

    def _reading(self, kept: KeptCollection, state: _State, questions: Sequence[Question], now: Moment) -> Reading:
        if state.verified is None:
            failure = state.failure or self._too_late(kept)
            return Reading(judgements=tuple(refused(question, failure) for question in questions))
        answers = tuple(apart(kept.judge(state.verified, question, now)) for question in questions)
        return Reading(judgements=answers, refreshed=_refreshed(state, now), stale=state.stale, away=state.away)

    def _state(self, kept: KeptCollection, rule: Rule | None, needed: Needed) -> _State:
        """Return data that is young enough, refreshed if need be; or older data, or the failure."""
        hindrance: TrustError | None = None
        for _ in range(_TRIES):
            verified, failed = kept.state()
            now = self._clocks.moment()
            lacking = _lacking(verified, needed)
            if verified is not None and not lacking and self._is_fresh(verified, now):
                return _State(verified=verified)
            if hindrance is not None or (failed is not None and not self._is_retried(failed, now)):
                break
            flight = self._begin(kept, lacking)
            if failed is not None and failed.server_is_away and self._has_older(kept, rule, needed):
                break  # known to be away: who asks does not wait for the next try
            hindrance = self._wait_for(flight, kept, has_older=lambda: self._has_older(kept, rule, needed))
        return self._older_or_failure(kept, rule, needed, hindrance)

    def _older_or_failure(
        self, kept: KeptCollection, rule: Rule | None, needed: Needed, hindrance: TrustError | None
    ) -> _State:
        """Answer without fresh data. `hindrance`: why the wait for it ended. No answer in time is no server."""
        verified, failed = kept.state()
        away = isinstance(hindrance, VerdictTooLate) or (failed is not None and failed.server_is_away)
        if away and self._has_older(kept, rule, needed):
            return _State(verified=verified, stale=True, away=failed.error if failed is not None else hindrance)
        if hindrance is None and failed is not None:
            return _State(failure=copy.copy(failed.error))
        return _State(failure=hindrance or self._too_late(kept))

    def _is_fresh(self, verified: Verified, now: Moment) -> bool:
        age = verified.age(now)
        return not age.went_back and age.seconds <= self._limits.refresh

    def _is_retried(self, failed: Failed, now: Moment) -> bool:
        """Return whether a failed refresh is so long ago that the next question may try again."""
        return now.ticks - failed.at.ticks >= self._limits.failure

    def _has_older(self, kept: KeptCollection, rule: Rule | None, needed: Needed) -> bool:
        """Return whether what is known now answers the question if the server is away."""
        verified, _ = kept.state()
        return not _lacking(verified, needed) and self._may_use_older(verified, rule, self._clocks.moment())

    def _may_use_older(self, verified: Verified | None, rule: Rule | None, now: Moment) -> bool:
        """Return whether a server that is away leaves this data usable; expiry is judged with each answer."""
        bound = rule.max_staleness if rule is not None else None
        if verified is None or bound is None:
            return False
        age = verified.age(now)
        return not age.went_back and timedelta(seconds=age.seconds) <= bound

    def _earns_refresh(self, kept: KeptCollection, state: _State, reading: Reading, arrived: Moment) -> bool:
        """Return whether what is unknown may have been signed since the latest refresh, and one is not too dear."""
        if state.verified is None or state.stale or state.verified.asked.ticks >= arrived.ticks:
            return False
        if not _lacks_something(reading):
            return False
        # Callers that ask again and again for what is not there would take the refreshes that new tags of others
        # have earned: collections of which the last one was in vain compete with each other.
        rate = self._unknown if not kept.in_vain else self._unknown_again
        with self._lock:
            if arrived.ticks - kept.earned < self._limits.unknown or not rate.allows(arrived.ticks):
                return False
            kept.earned = arrived.ticks
            return True

    # --- refreshing

    def _refresh_since(self, kept: KeptCollection, since: Moment) -> None:
        """Wait for a refresh that began after a moment; the one that is going on may have begun earlier."""
        for _ in range(_TRIES):
            verified, failed = kept.state()
            if verified is not None and verified.asked.ticks >= since.ticks:
                return
            if failed is not None and failed.at.ticks >= since.ticks:
                return
            if self._wait_for(self._begin(kept, frozenset()), kept, has_older=lambda: True) is not None:
                return

    def _begin(self, kept: KeptCollection, wanted: frozenset[RoleName]) -> Flight:
        """Return the refresh that is going on, or begin one."""
        flight, is_new = kept.begin(wanted)
        if is_new:
            known = kept.state()[0] is not None or self._is_known(kept)
            workers = self._workers if known else self._stranger_workers
            try:
                workers.submit(lambda: self._run(kept), share=self._source.server(kept.gun, kept.rule))
            except VerifierBusy as busy:
                kept.abandon(busy)
        return flight

    def _is_known(self, kept: KeptCollection) -> bool:
        try:
            return self._source.knows(kept.gun, kept.rule)
        except TrustError:
            return False

    def _run(self, kept: KeptCollection) -> None:
        failure = kept.run()
        self._observer.refreshed(failure)
        if failure is not None:
            _log.info("%s could not be refreshed: %s", kept.gun, failure)
        self._make_room(kept)

    def _wait_for(self, flight: Flight, kept: KeptCollection, *, has_older: Callable[[], bool]) -> TrustError | None:
        """Wait until a refresh is over; return what keeps it from being over.

        `has_older`: says whether older data may be used, which the refresh itself may have found in the cache.
        """
        first = min(self._limits.wait, self._limits.wait_with_older)
        for seconds in (first, self._limits.wait - first):
            try:
                return flight.result(seconds)
            except FutureTimeout:
                if flight.done():
                    return None
            if has_older():
                break
        return self._too_late(kept)

    def _too_late(self, kept: KeptCollection) -> VerdictTooLate:
        return VerdictTooLate(seconds=round(self._limits.wait), doing=f"asking the trust server of {kept.gun}")

    # --- what is kept

    def _collection(self, gun: GUN, rule: Rule | None, now: Moment) -> KeptCollection:
        key = _way(gun, rule)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            else:
                kept = self._strangers.get(key)
                if kept is None:
                    kept = KeptCollection(
                        gun, rule, self._source, clocks=self._clocks, verdicts=self._limits.verdicts, key=key
                    )
                    self._strangers[key] = kept
                self._strangers.move_to_end(key)
                while len(self._strangers) > self._limits.strangers:
                    self._strangers.popitem(last=False)
            kept.used = now.ticks
            return kept

    def _make_room(self, kept: KeptCollection) -> None:
        """Move what was verified for the first time among what is kept, and forget what was not used for longest."""
        with self._lock:
            if kept.state()[0] is not None and self._strangers.get(kept.key) is kept:
                del self._strangers[kept.key]
                self._kept[kept.key] = kept
            file_bytes = sum(other.file_bytes for other in self._kept.values())
            if sum(other.verdicts for other in self._kept.values()) > self._limits.verdicts_in_all:
                for other in self._kept.values():
                    other.forget_verdicts()
            while len(self._kept) > 1 and (
                len(self._kept) > self._limits.collections or file_bytes > self._limits.file_bytes
            ):
                _, oldest = self._kept.popitem(last=False)
                file_bytes -= oldest.file_bytes


def _needed_by(questions: Sequence[Question]) -> Needed:
    """Return a function that says which delegations these questions need."""
    return lambda roles: (role for question in questions for role in roles.needed(question))


def _lacks_something(reading: Reading) -> bool:
    """Return whether something was asked for that may have been signed meanwhile."""
    return any(isinstance(answer.refusal, _PERHAPS_SIGNED_MEANWHILE) for answer in reading.judgements)


def _lacking(verified: Verified | None, needed: Needed) -> frozenset[RoleName]:
    """Return the delegations that are needed and that were not read yet."""
    return frozenset() if verified is None else frozenset(needed(verified.roles)) - verified.roles.wanted


def _way(gun: GUN, rule: Rule | None) -> Hashable:
    """Return what tells apart how a collection is read: by other pins it is another one."""
    if rule is None:
        return gun, (), None, ""
    return gun, tuple(rule.sourced_pins()), rule.max_life, rule.server


def _refreshed(state: _State, now: Moment) -> datetime | None:
    """Return when the server confirmed the data, by what the wall clock says now: it may have been set since."""
    verified = state.verified
    return None if verified is None else now.wall - timedelta(seconds=verified.age(now).seconds)
