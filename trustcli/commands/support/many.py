"""The rule of every command that changes several collections (docs/adr/0067).

1. check     with more than one name, each is read, edited, signed with promises and judged as for `--plan`, and the
             keys that will sign are opened; if one cannot be done, nothing is sent: that one has `failed`, the others
             are `not tried`
2. do        one after the other; one that fails does not keep the others from being done, unless the reason holds for
             them, too
3. tell      one line and one row for each name; the worst status counts

Run again, the same command finds `nothing to do` where it was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias

from keys.error_record import about
from keys.errors import (
    KeyNotFound,
    KeysError,
    KeyStoreInsecure,
    KeyStoreUnreadable,
    KeyStoreUnwritable,
    PassphraseMissing,
    PassphraseUnreadable,
    PassphraseWrong,
)
from trustcli.commands.support.planning import Planning, report
from trustcli.console.exit_codes import DONE, INTERRUPTED, OTHER, worst
from trustcli.console.failure_table import Failure
from trustcli.console.internal_error import internal_error
from trustcli.console.output import INTERRUPTION, failure_document, internal_document
from trustcli.console.progress import bar
from trustcli.errors import MemoryUnwritable, RemoteRefused, UsageError
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.errors import TrustError
from trustdata.gun import GUN

State: TypeAlias = Literal["done", "nothing to do", "failed", "not tried"]
PlanOne: TypeAlias = Callable[[Planning, GUN], Sequence[Plan]]
"""A function that plans what will be done in one collection. It may raise what the command itself would."""

Blank: TypeAlias = Callable[[Mapping[str, object] | None], Mapping[str, object]]
"""A function from the error of a name, if it has failed, to the members of a row that says nothing else."""

_OF_THE_STORE: Final = (KeyStoreInsecure, KeyStoreUnreadable, KeyStoreUnwritable, MemoryUnwritable, UsageError)
_OF_THIS_MACHINE: Final = (PassphraseMissing, PassphraseUnreadable, PassphraseWrong, *_OF_THE_STORE)
"""Failures that would be those of every other name, too."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one name. `failure`: why it failed, or failed in part. `error`: that, or any other, as in JSON."""

    gun: GUN
    state: State = "not tried"
    row: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    error: Mapping[str, object] | None = None


def carry_out(
    session: Session,
    guns: Sequence[GUN],
    *,
    check: PlanOne,
    do: Callable[[GUN], Done],
    checks_first: bool = True,
    blank: Blank = lambda _: {},
    counts: bool = True,
    each_with_its_keys: bool = False,
) -> Outcomes:
    """Check all names and do each of them; tell what becomes of each as it happens.

    `do`: does one and returns what it did; it raises TrustError, KeysError or UsageError. `checks_first`: False for a
    list that nobody has typed: one that cannot be done keeps nobody from the others. `blank`: members of the rows of
    names of which `do` has returned nothing. `counts`: say at the end how many names ended in which state; False for a
    plan, which ends in none of them. `each_with_its_keys`: a passphrase that is missing or wrong holds for the keys of
    one name, and keeps nobody from the others.

    Raises: UsageError, if nothing was done yet.
    """
    outcomes = Outcomes(session, guns, blank=blank, counts=counts, each_with_its_keys=each_with_its_keys)
    outcomes.told_whatever_happens(lambda: outcomes.carry_out(do, check=check if checks_first else None))
    return outcomes


def refused_beforehand(
    session: Session, guns: Sequence[GUN], check: PlanOne, *, blank: Blank = lambda _: {}
) -> Outcomes | None:
    """Check all names before the user is asked whether to begin; return the outcomes if one cannot be done, else None.

    `blank`: as for `carry_out`. Raises: TrustError, KeysError, why the only name cannot be done.
    """
    planning = Planning(session, shown=False)
    found = {gun: next((plan.refusal for plan in _plans(planning, gun, check) if plan.refusal), None) for gun in guns}
    refusals = {gun: _with_the_store(session, refusal) for gun, refusal in found.items() if refusal is not None}
    if not refusals:
        return None
    if len(guns) == 1:
        raise next(iter(refusals.values()))
    outcomes = Outcomes(session, guns, blank=blank)
    outcomes.hold_back(refusals)
    return outcomes


def read_each(
    session: Session, guns: Sequence[GUN], read: Callable[[GUN], Done], *, blank: Blank = lambda _: {}
) -> Outcomes:
    """Read each collection, also after one that cannot be read; nothing is changed. `blank`: as for `carry_out`.

    Raises: UsageError.
    """
    outcomes = Outcomes(session, guns, blank=blank)
    try:
        for gun in guns:
            outcomes.attempt(gun, read)
    except KeyboardInterrupt:
        outcomes.interrupt()
    return outcomes


def plan_each(session: Session, guns: Sequence[GUN], check: PlanOne) -> int:
    """Print the plan of each name, also after one that cannot be planned, and return the worst status.

    Raises: UsageError.
    """
    planning = Planning(session)
    plans: list[Plan] = []
    for gun in guns:
        plans += _plans(planning, gun, check)
    for plan in plans:
        if plan.refusal is not None:
            _with_the_store(session, plan.refusal)
    return report(session.output, plans)


def _plans(planning: Planning, gun: GUN, check: PlanOne) -> Sequence[Plan]:
    try:
        with about(gun):
            return check(planning, gun)
    except (TrustError, KeysError) as refusal:
        return [Plan(gun=gun, places={}, refusal=refusal)]


def _with_the_store(session: Session, failure: Failure) -> Failure:
    """Return the failure; if a key is missing where there is none at all, it says so."""
    if isinstance(failure, KeyNotFound) and not failure.named:
        failure.store_is_empty = not session.keystore.list()
    return failure


class Outcomes:
    """What becomes of each name of one command."""

    def __init__(
        self,
        session: Session,
        guns: Sequence[GUN],
        *,
        blank: Blank = lambda _: {},
        counts: bool = True,
        each_with_its_keys: bool = False,
    ) -> None:
        self._of_all = _OF_THE_STORE if each_with_its_keys else _OF_THIS_MACHINE
        self._blank = blank
        self._counts = counts
        self._session = session
        self._output = session.output
        self._all = {gun: Outcome(gun=gun) for gun in guns}
        self._several = len(guns) > 1
        self._held_back = False
        self._statuses = [DONE]
        self._errors: list[tuple[int, Mapping[str, object]]] = []
        self._begun: Outcome | None = None
        self._holds_for: Callable[[GUN], bool] = lambda _: False
        """Whether the reason why another name failed holds for this one, too."""

    @property
    def anything_done(self) -> bool:
        """Whether something was published or written for one of the names."""
        return any(outcome.state == "done" for outcome in self._all.values())

    def in_state(self, state: State) -> list[Outcome]:
        """Return what became of the names that ended so, in order."""
        return [outcome for outcome in self._all.values() if outcome.state == state]

    def rows(self, *states: State) -> list[Mapping[str, Any]]:
        """Return the rows of the names that ended so, without state and error."""
        return [outcome.row for outcome in self._all.values() if outcome.state in states]

    def add_status(self, status: int) -> None:
        """Count a status into the exit status, although nothing failed."""
        self._statuses.append(status)

    def carry_out(self, do: Callable[[GUN], Done], *, check: PlanOne | None) -> None:
        """Check all names, if there are several, and do each of them (steps 1 and 2).

        `check` None: one that cannot be done keeps nobody from the others. Raises: UsageError, if nothing was done yet.
        """
        if check is None or not self._several or self.check(check):
            for gun in self._all:
                if self.wanted(gun):
                    self.attempt(gun, do)

    def told_whatever_happens(self, carry_out: Callable[[], None]) -> None:
        """Call a function that does the names; if it is stopped, that is an outcome, once something was done."""
        try:
            carry_out()
        except KeyboardInterrupt:
            self.interrupt()
        except BrokenPipeError:
            raise
        except Exception as error:
            # What was done must be said, whatever has happened then.
            if not self.anything_done:
                raise
            self.break_off(error)

    # --- check

    def check(
        self,
        check: PlanOne,
        *,
        holds_back: bool = True,
        planned: Callable[[GUN, Sequence[Plan]], None] = lambda *_: None,
    ) -> bool:
        """Check each name, and then open the keys that will sign; return False if one holds back all (step 1).

        `holds_back`: False for a list that nobody has typed: what cannot be done keeps nobody from the others.
        `planned`: is given the plans of each name.
        """
        planning = Planning(self._session, shown=False)
        opened_later: dict[GUN, Callable[[], None]] = {}
        for number, gun in enumerate(self._all, 1):
            self._output.progress(bar("planning", number - 1, of=len(self._all)))
            plans = _plans(planning, gun, check)
            planned(gun, plans)
            refusals = [plan.refusal for plan in plans if plan.refusal is not None]
            open_keys = planning.keys.opening()
            if refusals:
                self._held_back = holds_back
                self.fail(gun, refusals[0])
            else:
                opened_later[gun] = open_keys
        self._output.progress("")
        for gun, open_keys in opened_later.items() if not self._held_back else ():
            if not self.wanted(gun):
                continue
            try:
                open_keys()
            except KeysError as failure:
                self._held_back = holds_back
                self.fail(gun, failure)
                if holds_back:
                    break
        return not self._held_back

    def hold_back(self, refusals: Mapping[GUN, Failure]) -> None:
        """Tell why names cannot be done, because of which nothing is."""
        self._held_back = True
        for gun, refusal in refusals.items():
            self.fail(gun, refusal)

    # --- do

    def wanted(self, gun: GUN) -> bool:
        """Return whether a name is to be done: nothing has failed for it, nor for a reason that holds for it."""
        return self._all[gun].state != "failed" and not self._holds_for(gun)

    def attempt(self, gun: GUN, do: Callable[[GUN], Done]) -> None:
        """Do one name (step 2). Raises: UsageError, if nothing was done yet."""
        self.settle(gun, lambda: do(gun))

    def settle(self, gun: GUN, ended: Callable[[], Done]) -> None:
        """Take what a name's doing returns or raises. Raises: UsageError, if nothing was done yet."""
        self._begun = self._all[gun]
        try:
            done = ended()
        except (TrustError, KeysError, UsageError) as failure:
            if isinstance(failure, UsageError) and not self.anything_done:
                raise
            self.fail(gun, failure)
        else:
            self._note(gun, done)
        self._begun = None

    def _note(self, gun: GUN, done: Done) -> None:
        outcome = self._all[gun]
        outcome.row = {**done.row, "next": done.next} if done.next else done.row
        outcome.state = "done" if done.changed else "nothing to do"
        for line in done.lines:
            self._output.result(line)
        if done.note:
            self._output.notice(done.note)
        if done.next:
            self._output.notice(f"  next: {done.next}")
        for failure in done.failures:
            self.fail(gun, failure)

    def fail(self, gun: GUN, failure: Failure) -> None:
        """Tell why a name could not be done."""
        failure = _with_the_store(self._session, failure)
        failure.about = failure.about or gun
        status = self._output.failure(failure, subject=gun if self._several else "")
        outcome, error = self._all[gun], failure_document(failure)
        outcome.state = "failed"
        outcome.failure = outcome.failure or failure
        outcome.error = outcome.error or error
        self._statuses.append(status)
        self._errors.append((status, error))
        if isinstance(failure, self._of_all):
            self._holds_for = lambda _: True
        elif isinstance(failure, RemoteRefused) and failure.status == HTTPStatus.UNAUTHORIZED:
            refused, before = failure.remote, self._holds_for
            self._holds_for = lambda other: before(other) or self._session.link(other).name == refused

    def interrupt(self) -> None:
        """Tell that the user has stopped it. What became of the name that was begun is not known."""
        self._output.notice("error: interrupted")
        self._stop(INTERRUPTED, INTERRUPTION)

    def break_off(self, error: Exception) -> None:
        """Tell of an error that is this program's fault."""
        message = internal_error(error)
        self._output.notice(f"error: {message}")
        self._stop(OTHER, internal_document(message))

    def _stop(self, status: int, error: Mapping[str, object]) -> None:
        if self._begun is not None:
            self._begun.state = "failed"
            self._begun.error = error
        self._statuses.append(status)
        self._errors.append((status, error))

    # --- tell

    def report(self, **members: object) -> int:
        """Tell what was not tried, print the document, and return the exit status (step 3).

        `members`: of the document, before the rows.
        """
        document = self.document(**members)
        self._output.document(document)
        return int(document["exit"])

    def document(self, **members: object) -> dict[str, Any]:
        """Tell what was not tried, and return the document. `members`: of it, before the rows."""
        counts: dict[State, int] = {"done": 0, "nothing to do": 0, "failed": 0, "not tried": 0}
        for outcome in self._all.values():
            counts[outcome.state] += 1
            if outcome.state == "not tried":
                self._output.notice(f"{outcome.gun}: not tried")
        if self._several and self._counts:
            told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
            held = "; nothing was sent, since one that cannot be done holds back all" if self._held_back else ""
            self._output.notice(f"{counted(len(self._all), 'collection')}: {told}{held}")
        status = INTERRUPTED if INTERRUPTED in self._statuses else worst(self._statuses)
        document = {**members, "collections": [self._row(outcome) for outcome in self._all.values()]}
        first = next((error for of, error in self._errors if of == status), None)
        return {**document, **({"error": first} if first else {}), "exit": status}

    def _row(self, outcome: Outcome) -> dict[str, object]:
        members = outcome.row or self._blank(outcome.error)
        return {"gun": outcome.gun, "state": outcome.state, **members, "error": outcome.error}
