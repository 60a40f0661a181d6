"""Plugin of pytest: run the tests that reach a mutant in a process forked from one that has collected them all once.

mutmut starts pytest anew for each mutant, and that cost more than the tests. Here each mutant costs a fork and the
tests up to the first that fails. Before that, each test runs alone with nothing mutated: it must pass, which functions
it reaches is noted, and how long it takes. The tests of a mutant begin with those that have caught another mutant of
its function and with the modules that take least time.

A test that takes far longer than with nothing mutated catches its mutant, too. What is counted is the time of the
processor, which says the same on a machine that is busy; only a test that waits for ever is ended by the clock.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from mutmut.configuration import config as mutmut_config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

KILLED, SURVIVED, TIMEOUT, CRASHED, UNREACHED = "killed", "survived", "timeout", "crashed", "no test reaches it"

_FAILED: Final = 1
_BROKE_OFF: Final = 3
_STOPPED: Final = 3
_LIMITS = frozenset({signal.SIGXCPU, signal.SIGALRM})
_PROCESSOR_AT_LEAST: Final = 2
"""Seconds of the processor that every test may take; many times what it takes with nothing mutated is the limit."""
_CLOCK_AT_LEAST: Final = 10
_LONGER: Final = 10
_REACHED: Final = "MUTANTS_REACHED"
"""Names the folder in which programs that a test starts say what they reach (`programs/sitecustomize.py`)."""
_TOLD_EACH: Final = 200
_READY_RSA_KEYS: Final = {(65537, 3072): 6, (65537, 2048): 3, (65537, 1024): 1}
"""How many RSA keys of an exponent and a size lie ready: a test that makes one would make it for each mutant."""


@dataclass(frozen=True, slots=True)
class Alone:
    """What a test does alone, with nothing mutated: functions by mutmut's names, seconds of processor and clock."""

    functions: frozenset[str]
    processor: float
    clock: float


@dataclass(slots=True)
class _Trial:
    """One forked process: what it is for, and the folder in which its tests put their files and it says what it saw."""

    name: str
    folder: Path
    said: str = ""
    status: int = 0


@dataclass(slots=True)
class _Tests:
    """The collected tests, and what is known of them."""

    items: Mapping[str, pytest.Item]
    alone: dict[str, Alone] = field(default_factory=dict)
    kills: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By function: which test has caught how many of its mutants."""

    def run(self, test: str, following: str | None) -> None:
        """Run one test; what the following one needs as well is kept."""
        item, next_item = self.items[test], self.items[following] if following else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)

    def reaching(self, function: str) -> list[str]:
        """Return the tests that reach a function, the likeliest to catch a mutant first, and else by module."""
        kills = self.kills[function]
        reaching = [test for test, alone in self.alone.items() if function in alone.functions]
        costs = defaultdict[str, float](float)
        for test in reaching:
            costs[module_of(test)] += self.alone[test].processor
        return sorted(reaching, key=lambda test: (-kills[test], costs[module_of(test)], module_of(test)))

    def reached_by_fixtures(self, test: str) -> set[str]:
        """Return the functions that the fixtures reach which a test shares with others."""
        fixtures = getattr(self.items[test], "fixturenames", ())
        return set().union(*(_reached_by_fixture.get(name, ()) for name in fixtures))

    def cost(self, function: str) -> float:
        """Return how many seconds a survivor of a function costs."""
        return sum(alone.processor for alone in self.alone.values() if function in alone.functions)


def module_of(test: str) -> str:
    """Return the file of a test."""
    return test.partition("::")[0]


_reached_by_fixture: dict[str, set[str]] = {}
"""In the process of one module alone: by the name of a fixture that several tests share, what it has reached."""
_failed_in: list[Path] = []
"""In a forked process alone: the folder in which it says which test has failed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mutation")
    group.addoption("--mutants", type=Path, help="file with the names of mutants, one a line")
    group.addoption("--outcomes", type=Path, help="file to which a line of JSON is added for each mutant")
    group.addoption("--children", type=int, default=1, help="how many mutants run at a time")


def pytest_sessionstart() -> None:
    """Let hypothesis try the same examples each time and not look for a smaller one; let RSA keys lie ready."""
    hypothesis.settings.register_profile(
        "mutants",
        deadline=None,
        database=None,
        derandomize=True,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
    hypothesis.settings.load_profile("mutants")
    rsa.generate_private_key = ready_keys(rsa.generate_private_key, _READY_RSA_KEYS)


def ready_keys(
    generate: Callable[[int, int], rsa.RSAPrivateKey], counts: Mapping[tuple[int, int], int]
) -> Callable[..., rsa.RSAPrivateKey]:
    """Return what gives out keys that were made before, each once, and then makes others."""
    ready = {size: [generate(*size) for _ in range(count)] for size, count in counts.items()}

    def generate_private_key(public_exponent: int, key_size: int, backend: object = None) -> rsa.RSAPrivateKey:
        left = ready.get((public_exponent, key_size))
        return left.pop() if left else generate(public_exponent, key_size)

    return generate_private_key


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run each test alone, and then each mutant."""
    if session.testsfailed:
        pytest.exit("tests cannot be collected", returncode=_STOPPED)
    mutmut_config()  # reads a file of this folder, which tests leave
    tests = _Tests({item.nodeid: item for item in session.items})
    children = session.config.getoption("children")
    run_unmutated(tests, children)
    mutants = session.config.getoption("mutants").read_text().split()
    check_that_mutants_run(tests, mutants)
    with session.config.getoption("outcomes").open("a") as outcomes:
        for number, (mutant, outcome, test) in enumerate(judged(tests, mutants, children), start=1):
            outcomes.write(json.dumps({"mutant": mutant, "outcome": outcome, "test": test}) + "\n")
            outcomes.flush()
            if number % _TOLD_EACH == 0:
                sys.stdout.write(f"{number} of {len(mutants)} mutants\n")
    check_alone(tests, children)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """End a forked process at once when a test has failed."""
    if report.failed and _failed_in:
        (_failed_in[0] / "said").write_text(report.nodeid)
        os._exit(_FAILED)


def run_unmutated(tests: _Tests, children: int) -> None:
    """Run the tests of each module in one process, with nothing mutated, and note what each of them does."""
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for name in tests.items:
        modules[module_of(name)].append(name)
    for trial in _trials(((module, _unmutated(tests, names)) for module, names in modules.items()), children):
        if trial.status != 0:
            pytest.exit(f"{trial.said or trial.name} fails with nothing mutated", returncode=_STOPPED)
        for name, (functions, processor, clock) in json.loads(trial.said).items():
            tests.alone[name] = Alone(frozenset(functions), processor, clock)


def _unmutated(tests: _Tests, names: Sequence[str]) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        set_mutant_under_test("stats")
        reached = folder / "reached"
        os.environ[_REACHED] = str(reached)
        seen = {}
        for name, following in zip(names, [*names[1:], None], strict=True):
            state()._stats.clear()
            reached.mkdir()
            processor, clock = _processor(), time.monotonic()
            tests.run(name, following)
            processor, clock = _processor() - processor, time.monotonic() - clock
            functions = state()._stats.union(*(file.read_text().split() for file in reached.iterdir()))
            functions |= tests.reached_by_fixtures(name)
            seen[name] = (sorted(functions), processor, clock)
            shutil.rmtree(reached)
        (folder / "said").write_text(json.dumps(seen))

    return work


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Note what a fixture reaches that is made once for several tests: each of them is a test of that."""
    before = set(state()._stats)
    state()._stats.clear()
    try:
        return (yield)
    finally:
        if fixturedef.scope != "function":
            _reached_by_fixture[fixturedef.argname] = set(state()._stats)
        state()._stats.update(before)


def _processor() -> float:
    """Return the seconds of the processor that this process has taken, and the programs that it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def check_that_mutants_run(tests: _Tests, mutants: Sequence[str]) -> None:
    """Fail if no test notices functions that raise an error, as all do for the mutant that is called fail."""
    reaching = next(filter(None, (tests.reaching(mangled_name_from_mutant_name(mutant)) for mutant in mutants)), [])

    def work(_: Path) -> None:
        set_mutant_under_test("fail")
        for test in reaching:
            tests.run(test, None)

    (trial,) = _trials(iter([("fail", work)]), 1)
    if reaching and trial.status != _FAILED:
        pytest.exit("no test notices functions that fail: mutants do not run", returncode=_STOPPED)


def check_alone(tests: _Tests, children: int) -> None:
    """Fail if a test that has caught mutants fails alone, too, with nothing mutated: it needed another before it."""

    def alone(test: str) -> Callable[[Path], None]:
        def work(_: Path) -> None:
            set_mutant_under_test("")
            tests.run(test, None)

        return work

    catching = sorted({test for kills in tests.kills.values() for test in kills})
    for trial in _trials(((test, alone(test)) for test in catching), children):
        if trial.status != 0:
            pytest.exit(f"{trial.name} has caught mutants, and fails alone with nothing mutated", returncode=_STOPPED)


def judged(tests: _Tests, mutants: Sequence[str], children: int) -> Iterator[tuple[str, str, str]]:
    """Run each mutant, those of functions that few tests reach first; give its name, what became of it, and by whom."""
    by_cost = {function: tests.cost(function) for function in {mangled_name_from_mutant_name(name) for name in mutants}}
    ordered = sorted(mutants, key=lambda name: by_cost[mangled_name_from_mutant_name(name)])
    for trial in _trials(((name, _mutated(tests, name)) for name in ordered), children):
        function = mangled_name_from_mutant_name(trial.name)
        outcome = _outcome(trial.status) if tests.reaching(function) else UNREACHED
        if outcome == KILLED and trial.said:
            tests.kills[function][trial.said] += 1
        yield trial.name, outcome, trial.said


def _mutated(tests: _Tests, mutant: str) -> Callable[[Path], None]:
    def work(_: Path) -> None:
        set_mutant_under_test(mutant)
        reaching = tests.reaching(mangled_name_from_mutant_name(mutant))
        for test, following in zip(reaching, [*reaching[1:], None], strict=True):
            _limit(tests.alone[test])
            tests.run(test, following)

    return work


def _limit(alone: Alone) -> None:
    """End this process when the next test takes far longer than alone."""
    processor = math.ceil(time.process_time() + _PROCESSOR_AT_LEAST + _LONGER * alone.processor)
    resource.setrlimit(resource.RLIMIT_CPU, (processor, resource.RLIM_INFINITY))
    signal.alarm(math.ceil(_CLOCK_AT_LEAST + _LONGER * alone.clock))


def _outcome(status: int) -> str:
    if status < 0:
        return TIMEOUT if -status in _LIMITS else CRASHED
    return SURVIVED if status == 0 else KILLED


def _trials(works: Iterator[tuple[str, Callable[[Path], None]]], children: int) -> Iterator[_Trial]:
    """Do each work in a forked process, some at a time, and give each when it has ended."""
    running: dict[int, _Trial] = {}
    while True:
        while len(running) < children and (work := next(works, None)) is not None:
            trial = _Trial(work[0], Path(tempfile.mkdtemp(prefix="mutant-")))
            pid = os.fork()
            if pid == 0:
                _do(work[1], trial.folder)
            running[pid] = trial
        if not running:
            return
        pid, status = os.wait()
        trial = running.pop(pid)
        trial.status = os.waitstatus_to_exitcode(status)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what its tests have left running
        with suppress(FileNotFoundError):
            trial.said = (trial.folder / "said").read_text()
        shutil.rmtree(trial.folder, ignore_errors=True)
        yield trial


def _do(work: Callable[[Path], None], folder: Path) -> NoReturn:
    """Do a work in this forked process, without input and output, and end it."""
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        _failed_in.append(folder)
        work(folder)
        os._exit(0)
    finally:
        os._exit(_BROKE_OFF)
