"""`make mutation`: change verification and keys in every small way, and demand that a test fails each time.

mutmut makes the mutants (`parts.toml` says of what, and which tests judge them), and `trials` runs the tests that reach
each. A mutant that no test catches is a survivor. Each survivor must be explained in `survivors.toml`, by function and
changed lines, whose indentation does not count:

    [[survivor]]
    function = "trustdata.verification.checks.check_version"
    change = ["-    if a < b:", "+    if a <= b:"]
    why = "equal versions were refused before"

`kinds` says which are explained as a kind. The exit status is 1 if one is not explained, or if an explanation has lost
its survivor.

    python -m tests.mutation [CHILDREN] [FUNCTION ...]

runs that many mutants at a time, and only those of these functions, or of all functions of these modules and packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutation.kinds import is_same_to_programs, is_wording

EXPLAINED = Path(__file__).with_name("survivors.toml")
PARTS = Path(__file__).with_name("parts.toml")
_MAKING = Path(__file__).with_name("making.py")
_PROGRAMS = Path(__file__).with_name("programs")
_TOP = Path(__file__).resolve().parents[2]
RESULTS = _TOP / "mutants"
"""Where mutants are made. What an earlier run has left may be of other code and other tests."""
_COPIED = ("keys", "trustdata", "trustserver", "trustcli", "docs")
_NAMES, _OUTCOMES = "names.txt", "outcomes.jsonl"
_PYTEST = ("-q", "-p", "no:cacheprovider")
_FAST = ("-s", "--tb=native", "--assert=plain")
"""Nobody reads what a test that fails prints, or why it fails."""
_CAUGHT = frozenset({"killed", "timeout"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant, by its function and the lines that differ, so that it keeps its name when others come and go."""

    function: str
    change: tuple[str, ...]
    why: str = field(default="", compare=False)


def main() -> int:
    """Run all mutants, print every survivor without an explanation and every explanation without a survivor."""
    children = sys.argv[1] if len(sys.argv) > 1 else str(os.cpu_count() or 1)
    wanted = sys.argv[2:]
    shutil.rmtree(RESULTS, ignore_errors=True)
    survivors, ran, kinds = set[Mutant](), 0, 0
    for name, part in tomllib.loads(PARTS.read_text()).items():
        if not has_wanted(part["mutated"], wanted):
            continue
        folder = prepare(RESULTS / name, part)
        made = subprocess.run([sys.executable, _MAKING, children], cwd=folder, env=_without_path(), check=False)
        if made.returncode != 0:
            return made.returncode
        mutants = {name: mutant for name, mutant in read_mutants(folder) if is_wanted(mutant.function, wanted)}
        judged = {name: mutant for name, mutant in mutants.items() if not is_of_a_kind(mutant)}
        ran, kinds = ran + len(judged), kinds + len(mutants) - len(judged)
        if not judged:
            continue
        status = run_tests(folder, part, sorted(judged), children)
        if status != 0:
            return status
        caught = {name for name, outcome in outcomes(folder) if outcome in _CAUGHT}
        survivors.update(mutant for name, mutant in judged.items() if name not in caught)
    if not ran + kinds:
        sys.stderr.write(f"nothing is mutated of {', '.join(wanted)}\n")
        return 1
    explained = {mutant for mutant in explanations(EXPLAINED.read_text()) if is_wanted(mutant.function, wanted)}
    unexplained, outdated = survivors - explained, explained - survivors
    _print("survives, and is not explained", unexplained)
    _print("is explained, and does not survive", outdated)
    sys.stdout.write(
        f"{ran} mutants, {len(survivors)} survive, {len(unexplained)} without an explanation; "
        f"{kinds} of a kind did not run\n"
    )
    return 1 if unexplained or outdated else 0


def is_wanted(function: str, wanted: Sequence[str]) -> bool:
    """Tell whether a function is one of those wanted, or lies in a class, module or package that is. None: all are."""
    return not wanted or any(f"{function}.".startswith(f"{name}.") for name in wanted)


def has_wanted(mutated: Iterable[str], wanted: Sequence[str]) -> bool:
    """Tell whether something that is wanted may lie in these folders. None wanted: in all."""
    folders = [folder.replace("/", ".") for folder in mutated]
    return any(is_wanted(folder, wanted) for folder in folders) or any(is_wanted(name, folders) for name in wanted)


def is_of_a_kind(mutant: Mutant) -> bool:
    """Tell whether no test need run on a mutant, as `kinds` says."""
    return is_wording(mutant.change) or is_same_to_programs(mutant.change)


def prepare(folder: Path, part: Mapping[str, Sequence[str]]) -> Path:
    """Make the folder in which mutmut works on one part of `parts.toml`: links to what it copies, and its settings."""
    folder.mkdir(parents=True)
    for name in (*_COPIED, "tests"):
        (folder / name).symlink_to(_TOP / name)
    settings = {
        "source_paths": part["mutated"],
        "do_not_mutate": part["not_mutated"],
        "also_copy": _COPIED,
        "pytest_add_cli_args": [*_PYTEST, *_left_out(part)],
        "pytest_add_cli_args_test_selection": part["tests"],
    }
    table = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (folder / "pyproject.toml").write_text(f"{(_TOP / 'pyproject.toml').read_text()}\n[tool.mutmut]\n{table}")
    return folder


def run_tests(folder: Path, part: Mapping[str, Sequence[str]], names: Iterable[str], children: str) -> int:
    """Run the tests of a part on these mutants of its folder, and return the exit status."""
    (folder / _NAMES).write_text("".join(f"{name}\n" for name in names))
    command = [sys.executable, "-m", "pytest", "--rootdir=.", "-p", "tests.mutation.trials", *_PYTEST, *_FAST]
    command += [f"--mutants={folder / _NAMES}", f"--outcomes={folder / _OUTCOMES}", f"--children={children}"]
    command += [*part["tests"], *_left_out(part)]
    return subprocess.run(command, cwd=folder / "mutants", env=_environment(folder), check=False).returncode


def _left_out(part: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"--deselect={test}" for test in part["left_out"]]


def _environment(folder: Path) -> dict[str, str]:
    """Let programs that the tests start import what is mutated, too, and say what they reach of it."""
    return {**os.environ, "PYTHONPATH": f"{folder / 'mutants'}{os.pathsep}{_PROGRAMS}"}


def _without_path() -> dict[str, str]:
    """Let nothing be found but what mutmut makes: Python remembers folders that it did not find."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def read_mutants(folder: Path) -> Iterator[tuple[str, Mutant]]:
    """Give each mutant that `making` has made in a folder, by its name there."""
    for name, change in json.loads((folder / "mutants" / "changes.json").read_text()).items():
        yield name, Mutant(function_of(name), tuple(change))


def outcomes(folder: Path) -> Iterator[tuple[str, str]]:
    """Give what became of each mutant that `trials` has run in a folder."""
    for line in (folder / _OUTCOMES).read_text().splitlines():
        outcome = json.loads(line)
        yield outcome["mutant"], outcome["outcome"]


def function_of(name: str) -> str:
    """Return the dotted name of the function of a mutant: `a.b.xǁCǁf__mutmut_3` is one of `a.b.C.f`."""
    module, _, mangled = name.rpartition("__mutmut_")[0].rpartition(".")
    return f"{module}.{mangled.removeprefix('xǁ').replace('ǁ', '.').removeprefix('x_')}"


def explanations(text: str) -> Iterator[Mutant]:
    """Read `survivors.toml`. Raises: KeyError and ValueError if it is not as this module's docstring says."""
    for entry in tomllib.loads(text).get("survivor", []):
        if not entry["why"].strip():
            raise ValueError(f"{entry['function']}: no reason is given")
        change = tuple(line[0] + line[1:].strip() for line in entry["change"])
        yield Mutant(entry["function"], change, entry["why"])


def _print(what: str, mutants: Iterable[Mutant]) -> None:
    for mutant in sorted(mutants, key=lambda mutant: (mutant.function, mutant.change)):
        sys.stdout.write(f"{mutant.function} {what}:\n" + "".join(f"  {line}\n" for line in mutant.change))


if __name__ == "__main__":
    sys.exit(main())
