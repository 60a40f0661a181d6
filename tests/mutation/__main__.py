"""`make mutation`: change verification and keys in every small way, and demand that a test fails each time.

mutmut makes the mutants and runs the tests (`parts.toml` says of what, and which ones). A mutant that no test catches
is a survivor. Each survivor must be explained in `survivors.toml`, by function and changed lines:

    [[survivor]]
    function = "trustdata.verification.checks.check_version"
    change = ["-    if a < b:", "+    if a <= b:"]
    why = "equal versions were refused before"

Explained as a kind are those that change nothing but the wording of a sentence for people: the text of several words
after `reason=`, `reason =`, `fault =`, `raise SomeError(` or `raise self._some_error(`, put between XX or written in
other letters. Tests look for the words that tell one refusal from another, not for whole sentences. Any other value,
such as a role, a path or a version, is a field that programs act on, and a text of one word may be a name.

Explained as a kind, too, are those that only a type checker sees: another text for the type in `cast("Type", value)`;
and `name=None` in the place of `name=False`, which is as false. That it is false matters, and `name=True` beside it,
which mutmut makes as well, must be caught.

The exit status is 1 if one is not explained, or if an explanation has lost its survivor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EXPLAINED = Path(__file__).with_name("survivors.toml")
PARTS = Path(__file__).with_name("parts.toml")
_TOP = Path(__file__).resolve().parents[2]
RESULTS = _TOP / "mutants"
"""Where mutmut works. It would believe results of an earlier run, which may be of other code and other tests."""
_COPIED = ("keys", "trustdata", "trustserver", "trustcli", "docs")
_SHOWN = re.compile(r"\s+(?P<name>[\w.ǁ]+__mutmut_\d+): (?P<status>[a-z ]+)")
_SENTENCE = re.compile(r'\b(?:reason ?= ?|fault = |raise (?:self\.)?\w+\()"(?P<text>[^"\\]* [^"\\]*)"')
_CAST = re.compile(r"""\bcast\((?P<text>"[^"\\]*"|'[^'\\]*'), """)
_FALSE = re.compile(r"\b\w+=(?P<text>False)\b")
_CAUGHT = frozenset({"killed", "timeout", "caught by type check"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant, by its function and the lines that differ, so that it keeps its name when others come and go."""

    function: str
    change: tuple[str, ...]
    why: str = field(default="", compare=False)


def main() -> int:
    """Run mutmut, print every survivor without an explanation and every explanation without a survivor."""
    children = str(os.cpu_count() or 1) if len(sys.argv) < 2 else sys.argv[1]
    shutil.rmtree(RESULTS, ignore_errors=True)
    every: set[Mutant] = set()
    for name, part in tomllib.loads(PARTS.read_text()).items():
        folder = prepare(RESULTS / name, part)
        ran = subprocess.run([_mutmut(), "run", "--max-children", children], cwd=folder, check=False)
        if ran.returncode != 0:
            return ran.returncode
        every.update(surviving(folder))
    wording = {mutant for mutant in every if is_wording(mutant.change)}
    same = {mutant for mutant in every if is_same_to_programs(mutant.change)}
    survivors = every - wording - same
    explained = set(explanations(EXPLAINED.read_text()))
    unexplained, outdated = survivors - explained, explained - survivors
    _print("survives, and is not explained", unexplained)
    _print("is explained, and does not survive", outdated)
    sys.stdout.write(
        f"{len(every)} survive: {len(wording)} in wording, {len(same)} for type checkers, "
        f"{len(unexplained)} without an explanation\n"
    )
    return 1 if unexplained or outdated else 0


def prepare(folder: Path, part: Mapping[str, Sequence[str]]) -> Path:
    """Make the folder in which mutmut works on one part of `parts.toml`: links to what it copies, and its settings."""
    folder.mkdir(parents=True)
    for name in (*_COPIED, "tests"):
        (folder / name).symlink_to(_TOP / name)
    settings = {
        "source_paths": part["mutated"],
        "do_not_mutate": part["not_mutated"],
        "also_copy": _COPIED,
        "mutate_only_covered_lines": True,
        "pytest_add_cli_args": ["-q", "-p", "no:cacheprovider", *(f"--deselect={test}" for test in part["left_out"])],
        "pytest_add_cli_args_test_selection": part["tests"],
    }
    table = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (folder / "pyproject.toml").write_text(f"{(_TOP / 'pyproject.toml').read_text()}\n[tool.mutmut]\n{table}")
    return folder


def surviving(folder: Path) -> Iterator[Mutant]:
    """Give every mutant of the run in a folder that no test has caught."""
    results = subprocess.run([_mutmut(), "results"], cwd=folder, check=True, capture_output=True, text=True)
    for line in results.stdout.splitlines():
        shown = _SHOWN.fullmatch(line.rstrip())
        if shown is None or shown["status"] in _CAUGHT:
            continue
        difference = subprocess.run(
            [_mutmut(), "show", shown["name"]], cwd=folder, check=True, capture_output=True, text=True
        )
        yield Mutant(function_of(shown["name"]), changed_lines(difference.stdout))


def function_of(name: str) -> str:
    """Return the dotted name of the function of a mutant: `a.b.xǁCǁf__mutmut_3` is one of `a.b.C.f`."""
    module, _, mangled = name.rpartition("__mutmut_")[0].rpartition(".")
    return f"{module}.{mangled.removeprefix('xǁ').replace('ǁ', '.').removeprefix('x_')}"


def changed_lines(difference: str) -> tuple[str, ...]:
    """Return the removed and added lines of a unified diff, with their signs."""
    return tuple(
        line.rstrip()
        for line in difference.splitlines()
        if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))
    )


def is_wording(change: Sequence[str]) -> bool:
    """Tell whether a change is only in the wording of one sentence for people, as this module's docstring says."""
    return any(
        changed in {f"XX{text}XX", text.lower(), text.upper()} for text, changed in _texts_changed(_SENTENCE, change)
    )


def is_same_to_programs(change: Sequence[str]) -> bool:
    """Tell whether a change is only one that type checkers see, as this module's docstring says."""
    if any(changed == "None" for _, changed in _texts_changed(_FALSE, change)):
        return True
    return any(
        changed == "None" or changed in {f"{text[0]}XX{text[1:-1]}XX{text[0]}", text.lower(), text.upper()}
        for text, changed in _texts_changed(_CAST, change)
    )


def _texts_changed(pattern: re.Pattern[str], change: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give the text that the pattern finds, and what stands in its place, if nothing else of the line differs."""
    if len(change) != 2 or not (change[0].startswith("-") and change[1].startswith("+")):
        return
    before, after = (line[1:] for line in change)
    for found in pattern.finditer(before):
        start, end = found.span("text")
        head, tail = before[:start], before[end:]
        if after.startswith(head) and after.endswith(tail) and len(after) >= len(head) + len(tail):
            yield found["text"], after[len(head) : len(after) - len(tail)]


def explanations(text: str) -> Iterator[Mutant]:
    """Read `survivors.toml`. Raises: KeyError and ValueError if it is not as this module's docstring says."""
    for entry in tomllib.loads(text).get("survivor", []):
        if not entry["why"].strip():
            raise ValueError(f"{entry['function']}: no reason is given")
        yield Mutant(entry["function"], tuple(entry["change"]), entry["why"])


def _print(what: str, mutants: Iterable[Mutant]) -> None:
    for mutant in sorted(mutants, key=lambda mutant: (mutant.function, mutant.change)):
        sys.stdout.write(f"{mutant.function} {what}:\n" + "".join(f"  {line}\n" for line in mutant.change))


def _mutmut() -> str:
    return str(Path(sys.executable).with_name("mutmut"))


if __name__ == "__main__":
    sys.exit(main())
