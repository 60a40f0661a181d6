"""One change in many collections: the rule of `support/many.py`, carried out by `publish/bulk`.

1. plan      every collection, as `--plan` shows it; of a list that was typed, one that cannot be done holds back all
2. ask       if nobody has typed the names: how many collections it is about
3. do        several at a time, with what was planned; a journal remembers what was done, and which keys were made
4. tell      one line and one row for each, the next command where something is left to do, and the report's file
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Final, Protocol, TypeAlias

import typer

from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.many import Outcomes, plan_each
from trustcli.commands.support.option_file import place_of
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.sight import Sight
from trustcli.console.output import Output
from trustcli.console.passphrase_comparison import ComparedPassphrases
from trustcli.console.progress import bar
from trustcli.console.shared_passphrase import SharedPassphrase
from trustcli.errors import UsageError
from trustcli.publish.bulk.confirmed import Essence, essence_of_plan
from trustcli.publish.bulk.journal import Journal, RunLock, RunOf
from trustcli.publish.bulk.report import check_report_file, write_report
from trustcli.publish.bulk.runner import MOST_JOBS, carry_out
from trustcli.publish.bulk.work import Done, NoRecord, Step
from trustcli.publish.plan import Plan
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.errors import TrustError
from trustdata.gun import GUN

JOBS: Final = 4
"""How many collections are done at a time."""
_WARNING: Final = "warning: "

Jobs: TypeAlias = Annotated[
    int, typer.Option("--jobs", metavar="N", help=f"How many collections are done at a time, 1 to {MOST_JOBS}.")
]
ReportFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Also write what became of each name: FILE.csv or FILE.json."),
]


class BulkWork(Protocol):
    """What a command does in each of many collections; `trustcli/publish/bulk/__init__.py` has the rules."""

    def plan(self, planning: Planning, gun: GUN) -> Sequence[Plan]:
        """Return what `carry_out` would publish. It may raise what that would."""

    def carry_out(self, session: Session, gun: GUN, step: Step) -> Done:
        """Do it in one collection, with the session of this thread. Raises: TrustError, KeysError, UsageError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions:
    """How a bulk run goes.

    `typed`: whether the names were typed or come from a file, and not from what is known here. `yes`: nobody is asked.
    `jobs`: how many collections are done at a time. `report`: a file to write, too.
    """

    typed: bool = True
    yes: bool = False
    jobs: int = JOBS
    report: Path | None = None


class BulkCommand:
    """One command over many collections.

    `what`: the command, without names. `terms`: its options, as JSON values: the same command with the same options
    goes on with what it has begun. `records`: whether one name alone has a journal, too. `sight`: what the plans sign
    again as it stands.

    Raises: UsageError.
    """

    def __init__(
        self,
        session: Session,
        guns: Sequence[GUN],
        *,
        what: str,
        terms: Mapping[str, object],
        options: BulkOptions,
        records: bool = False,
        sight: Sight | None = None,
    ) -> None:
        if not 1 <= options.jobs <= MOST_JOBS:
            raise UsageError(f"--jobs {options.jobs}: 1 to {MOST_JOBS} collections can be done at a time")
        check_report_file(options.report)
        self._session = session
        self._guns = list(guns)
        self._what = what
        self._run = RunOf.of(what, terms, [session.real_name(gun) for gun in guns], at=session.at)
        self._options = options
        self._several = len(guns) > 1 or not options.typed
        self._records = records or self._several
        self._outcomes = Outcomes(session, guns)
        self._planned: dict[GUN, Essence] = {}
        self._sight = sight

    def plan(self, work: BulkWork) -> int:
        """Print all plans; nothing is written or sent. Return the exit status. Raises: UsageError."""
        return plan_each(self._session, self._guns, work.plan)

    def carry_out(self, work: BulkWork) -> Outcomes:
        """Plan, ask and do (steps 1 to 3); return what became of each name.

        Raises: UsageError, BulkRunning, SettingsUnusable, FileNewer, FileExposed, MemoryUnwritable.
        """
        if self._several:
            compared = self._session.passphrases
            self._session.passphrases = ComparedPassphrases(SharedPassphrase(compared), self._session.output.warn)
        if not self._records:
            self._outcomes.told_whatever_happens(lambda: self._do(work, None))
            return self._outcomes
        folder = self._session.settings.home / "bulk"
        lock = RunLock(folder, self._run)
        try:
            journal = Journal.opened(folder, self._run)
            if journal.found:
                already = f"{journal.found} of {counted(len(journal.run.names), 'collection')}"
                begun = f"{journal.run.begun:%H:%M:%S} UTC on {journal.run.begun:%Y-%m-%d}"
                self._session.output.notice(f"going on with what began at {begun}: {already} are done")
            self._add(journal.unended)
            self._outcomes.told_whatever_happens(lambda: self._do(work, journal))
            self._close(journal)
        finally:
            lock.release()
        return self._outcomes

    def report(self, **members: object) -> int:
        """Tell what became of all, and write the report (step 4); return the exit status.

        `members`: of the document, before the rows. Raises: UsageError (the file cannot be written).
        """
        document = self._outcomes.document(**members)
        if self._outcomes.rows("done") and self._outcomes.rows("failed", "not tried"):
            self._session.output.notice("what is done stays done; the same command again goes on with the rest")
        self._session.output.document(document)
        file = self._options.report
        if file is not None and not self._guns and file.exists():
            # As the same command finds it that was carried out before: its report is not to be lost.
            self._session.output.notice(f"--report {place_of(file)} is left as it is: there is no collection to report")
        elif file is not None:
            write_report(file, document, begun=self._run.begun)
        return int(document["exit"])

    # --- steps 1 to 3

    def _add(self, unended: Sequence[GUN]) -> None:
        """Add names of an interrupted run that fit no more, such as those that do not have the old key any more.

        What was published for them is still to be looked at, and written down as done.
        """
        known = {self._session.real_name(gun) for gun in self._guns}
        more = [gun for gun in unended if gun not in known]
        if more and not self._options.typed:
            self._guns += more
            self._outcomes = Outcomes(self._session, self._guns)

    def _do(self, work: BulkWork, journal: Journal | None) -> None:
        outcomes = self._outcomes
        if self._several and not outcomes.check(work.plan, holds_back=self._options.typed, planned=self._keep):
            return
        wanted = [gun for gun in self._guns if outcomes.wanted(gun)]
        if self._several and wanted:
            self._ask(wanted)
        jobs = min(self._options.jobs, len(wanted))
        threads = _Threads(self._session, work, wanted, journal, self._planned) if jobs > 1 else None
        progress = _Progress(self._session.output, outcomes, threads, of=len(wanted))
        here = _Here(self._session, work, wanted, journal, self._planned)
        try:
            carry_out(wanted, threads.do if threads else here.do, progress, journal=journal, jobs=jobs)
        finally:
            if threads:
                threads.close()
            self._session.output.progress("")

    def _keep(self, gun: GUN, plans: Sequence[Plan]) -> None:
        self._planned[gun] = tuple(sorted(sentence for plan in plans for sentence in essence_of_plan(plan)))

    def _ask(self, wanted: Sequence[GUN]) -> None:
        """Ask whether to begin with names that nobody has typed, or to sign again what is new here.

        Raises: UsageError.
        """
        names = list(map(self._session.real_name, wanted))
        unseen = self._sight.agreed_in_plan(names) if self._sight is not None else 0
        if self._options.yes or (self._options.typed and not unseen):
            return
        changing = [gun for gun in wanted if self._planned.get(gun)]
        unchanged = f" ({len(wanted) - len(changing)} more have nothing to do)" if len(changing) < len(wanted) else ""
        new = f", and sign again what is listed above, in {unseen} of them" if unseen else ""
        question = f"trust {self._what}: do it in {counted(len(changing), 'collection')}{unchanged}{new}?"
        if changing and not confirm(self._session, question):
            raise UsageError("nothing was done; to see what would be done: --plan; without being asked: --yes")

    def _close(self, journal: Journal) -> None:
        try:
            journal.close()
        except TrustError as failure:
            self._session.output.warn(f"{failure}; for a day, the same command will go on with this run")


class _Here:
    """Do works in this thread, with the session of the command."""

    def __init__(
        self,
        session: Session,
        work: BulkWork,
        guns: Sequence[GUN],
        journal: Journal | None,
        planned: Mapping[GUN, Essence],
    ) -> None:
        self._session = session
        self._work = work
        self._record = journal or NoRecord()
        self._planned = planned
        self._names = {gun: session.real_name(gun) for gun in guns}

    def do(self, gun: GUN) -> Done:
        """Do one. Raises: TrustError, KeysError, UsageError."""
        return self._work.carry_out(self._session, gun, self.step(gun))

    def step(self, gun: GUN) -> Step:
        """Return what the work is given."""
        return Step(self._names[gun], self._record, self._planned.get(gun))


class _Threads(_Here):
    """Do works in other threads, each with a session of its own; what they tell is kept until the work is settled."""

    def __init__(
        self,
        session: Session,
        work: BulkWork,
        guns: Sequence[GUN],
        journal: Journal | None,
        planned: Mapping[GUN, Essence],
    ) -> None:
        super().__init__(session, work, guns, journal, planned)
        self._own = threading.local()
        self._sessions: list[Session] = []
        self._told: dict[GUN, list[str]] = {}
        session.keystore, session.passphrases, session.pins, session.memory  # noqa: B018 - made before there are threads

    def do(self, gun: GUN) -> Done:
        """Do one, with the session of this thread. Raises: TrustError, KeysError, UsageError."""
        if threading.current_thread() is threading.main_thread():
            return super().do(gun)
        if not hasattr(self._own, "session"):
            self._own.output = _KeptOutput()
            self._own.session = self._session.another(self._own.output)
            self._sessions.append(self._own.session)
        self._own.output.told = self._told.setdefault(gun, [])
        return self._work.carry_out(self._own.session, gun, self.step(gun))

    def tell(self, gun: GUN, output: Output) -> None:
        """Tell what a work has said."""
        for line in self._told.pop(gun, ()):
            if line.startswith(_WARNING):
                output.warn(line.removeprefix(_WARNING))
            else:
                output.notice(line)

    def close(self) -> None:
        """Close the connections of all threads."""
        for session in self._sessions:
            session.close()


class _KeptOutput(Output):
    """The output of a thread: lines are kept, and told when the work is settled."""

    def __init__(self) -> None:
        super().__init__(stdout=StringIO(), stderr=StringIO(), as_json=False)
        self.told: list[str] = []

    def notice(self, text: str) -> None:
        """Keep a line of progress or a warning."""
        self.told.append(text)

    def warn(self, text: str) -> None:
        """Keep a warning; who tells it does so once."""
        self.told.append(f"{_WARNING}{text}")


class _Progress:
    """Settles works, and shows on a terminal how far the run has got."""

    def __init__(self, output: Output, outcomes: Outcomes, threads: _Threads | None, *, of: int) -> None:
        self._output = output
        self._outcomes = outcomes
        self._threads = threads
        self._settled = 0
        self._of = of
        self._show()

    def wanted(self, gun: GUN) -> bool:
        """Return whether a work is to be begun."""
        return self._outcomes.wanted(gun)

    def settle(self, gun: GUN, ended: Any) -> None:
        """Tell what a work has said, and how it has ended. Raises: UsageError, if nothing was done yet."""
        if self._threads:
            self._threads.tell(gun, self._output)
        self._outcomes.settle(gun, ended)
        self._settled += 1
        self._show()

    def _show(self) -> None:
        if self._of > 1:
            self._output.progress(bar("done", self._settled, of=self._of))
