"""One collection in memory: what was verified of it, when, and how the latest refresh ended."""

from __future__ import annotations

import copy
import threading
from collections.abc import Hashable, Iterable
from concurrent.futures import Future
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from keys.record import record
from trustcli.client.verified_roles import VerifiedRoles
from trustcli.hooks.deciding.once import is_away
from trustcli.hooks.resident.clocks import Clocks, Elapsed, Moment, elapsed
from trustdata.errors import TrustError
from trustdata.judgement import refused
from trustdata.roles import RELEASES

if TYPE_CHECKING:
    from trustcli.client.collection import Collection
    from trustdata.gun import GUN
    from trustdata.judgement import Judgement, Question
    from trustdata.policy import Rule
    from trustdata.roles import RoleName

Flight = Future["TrustError | None"]
"""A refresh that is going on. Its result: why it could not even begin; None once it has ended, in whichever way."""


class CollectionSource(Protocol):
    """Opens collections, and knows whether anything is known of a name. Safe for threads."""

    def collection(self, gun: GUN, rule: Rule | None) -> Collection:
        """Return the collection, with rollback memory that is required. Raises: TrustError."""

    def server(self, gun: GUN, rule: Rule | None) -> str:
        """Return the URL of its trust server; empty if none is known."""

    def knows(self, gun: GUN, rule: Rule | None) -> bool:
        """Return whether a pin names it, so that hostile names do not come before it. Raises: TrustError."""


@record
class Verified:
    """What was verified, and the moment at which the server was asked for it."""

    roles: VerifiedRoles
    asked: Moment

    def age(self, now: Moment) -> Elapsed:
        """Return how long ago the server was asked."""
        return elapsed(self.asked, now)


@record
class Failed:
    """A refresh that failed. `at`: when it began."""

    error: TrustError
    at: Moment

    @property
    def server_is_away(self) -> bool:
        """Whether the server could not be reached: the only failure in which older data may be used."""
        return is_away(self.error)


class KeptCollection:
    """One collection, read in one way: server, pins and limits of its rule.

    At most one refresh runs at a time, and all who wait for one get what it brings. Safe for threads.
    """

    def __init__(
        self, gun: GUN, rule: Rule | None, source: CollectionSource, *, key: Hashable, clocks: Clocks, verdicts: int
    ) -> None:
        self.gun = gun
        self.rule = rule
        self.key = key
        self._source = source
        self._clocks = clocks
        self._most_verdicts = verdicts
        self._lock = threading.Lock()
        self._flight: Flight | None = None
        self._collection: Collection | None = None
        self._wanted: frozenset[RoleName] = frozenset({RELEASES})
        self._verified: Verified | None = None
        self._failed: Failed | None = None
        self._voided = False
        self._verdicts: dict[Question, Judgement] = {}
        self.used = self.attempted = clocks.ticks()
        """When it was last asked for, and last refreshed or tried to, in ticks."""
        self.earned = float("-inf")
        """When an unknown tag or digest last earned a refresh, in ticks."""
        self.in_vain = False
        """Whether the refresh that was earned last has not found what was asked for."""

    # --- what is known now

    def state(self) -> tuple[Verified | None, Failed | None]:
        """Return what was verified, and how the latest refresh failed if it did."""
        with self._lock:
            return self._verified, self._failed

    @property
    def file_bytes(self) -> int:
        """The size of all verified files."""
        verified = self._verified
        return verified.roles.size if verified is not None else 0

    def judge(self, verified: Verified, question: Question, now: Moment) -> Judgement:
        """Judge a question by what was verified; a verdict is remembered as long as nothing that it needs expires."""
        at = verified.age(now).latest
        with self._lock:
            known = self._verdicts.get(question) if verified.roles is self._current_roles() else None
        if known is not None and at < verified.roles.first_end():
            return known
        answer = apart(verified.roles.judge(question, at))
        with self._lock:
            if verified.roles is self._current_roles():
                if len(self._verdicts) >= self._most_verdicts:
                    del self._verdicts[next(iter(self._verdicts))]
                self._verdicts[question] = answer
        return answer

    @property
    def verdicts(self) -> int:
        """How many verdicts are remembered."""
        return len(self._verdicts)

    def forget_verdicts(self) -> None:
        """Judge everything anew that is asked from now on."""
        with self._lock:
            self._verdicts = {}

    def _current_roles(self) -> VerifiedRoles | None:
        return self._verified.roles if self._verified is not None else None

    # --- refreshing

    def begin(self, wanted: Iterable[RoleName] = ()) -> tuple[Flight, bool]:
        """Return the refresh that is going on, or a new one, and whether it is new: then the caller lets it `run`.

        `wanted`: delegations of signers that it shall read; the one that is going on may know nothing of them.
        """
        with self._lock:
            self._wanted |= frozenset(wanted)
            if self._flight is not None:
                return self._flight, False
            self._flight = Future()
            return self._flight, True

    def run(self) -> TrustError | None:
        """Refresh; all who wait are told when it is over. Return why it failed, if it did."""
        failure: TrustError | None = None
        unexpected: BaseException | None = None
        began = self._clocks.moment()
        try:
            self._take(self._read(began))
        except TrustError as error:
            failure = error
            self._fail(Failed(error=copy.copy(error), at=began))
        except BaseException as error:
            unexpected = error
            raise
        finally:
            self._end(unexpected)
        return failure

    def abandon(self, reason: TrustError) -> None:
        """End a refresh that was begun and is not run. Those who wait get the reason; what was verified counts."""
        self._end(None, reason)

    def _end(self, unexpected: BaseException | None, reason: TrustError | None = None) -> None:
        with self._lock:
            flight, self._flight = self._flight, None
            self.attempted = self._clocks.ticks()
        if flight is None:
            return
        if unexpected is None:
            flight.set_result(reason)
        else:
            flight.set_exception(unexpected)

    def _read(self, began: Moment) -> Verified:
        """Ask the server; where nothing is in memory, as after a restart, read the cache before.

        So whoever waits has it while the server hangs. Raises: TrustError.
        """
        collection = self._collection
        if collection is None:
            collection = self._source.collection(self.gun, self.rule)
        collection.at = began.wall
        wanted = self._wanted
        cached = self._from_cache(collection, began, wanted)
        if cached is not None:
            self._take(cached)
        self._collection = None  # after a failure it is opened anew: it may not have learned which format there is
        roles = collection.read(wanted)
        self._collection = collection
        return Verified(roles=roles, asked=began)

    def _from_cache(self, collection: Collection, now: Moment, wanted: frozenset[RoleName]) -> Verified | None:
        """Return what the cache has, unless something newer is in memory or a refusal stands."""
        if self._verified is not None or self._voided:
            return None
        try:
            roles = collection.read_offline(wanted)
        except TrustError:
            return None
        since = (now.wall - roles.refreshed) / timedelta(seconds=1)
        return Verified(roles=roles, asked=Moment(wall=roles.refreshed, ticks=now.ticks - since))

    def _take(self, new: Verified) -> None:
        with self._lock:
            before = self._current_roles()
            if before is None or not before.same_files(new.roles) or before.wanted != new.roles.wanted:
                self._verdicts = {}
            else:
                new = Verified(roles=before, asked=new.asked)
            self._verified, self._failed, self._voided = new, None, False

    def _fail(self, failed: Failed) -> None:
        """Note a failure. After a refusal nothing older counts, until a refresh succeeds."""
        with self._lock:
            self._failed = failed
            if not failed.server_is_away:
                self._verified, self._voided = None, True
                self._verdicts = {}


def apart(answer: Judgement) -> Judgement:
    """Return a verdict with an error of its own, which nobody has raised.

    A raised error holds the calls that it came through, and all that they had.
    """
    return answer if answer.refusal is None else refused(answer.question, copy.copy(answer.refusal))
