"""The runner of mutants: how it names a mutant, what it takes as explained, and what it reports."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import __main__ as runner
from tests.mutation.__main__ import (
    EXPLAINED,
    Mutant,
    changed_lines,
    explanations,
    function_of,
    is_same_to_programs,
    is_wording,
)

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("trustdata.verification.checks.x_check_version__mutmut_3", "trustdata.verification.checks.check_version"),
        ("keys.material.x__private__mutmut_12", "keys.material._private"),
        ("keys.store.xǁKeyStoreǁadd__mutmut_1", "keys.store.KeyStore.add"),
        ("keys.store.xǁKeyStoreǁ__init____mutmut_1", "keys.store.KeyStore.__init__"),
        ("keys.store.xǁ_Readerǁ_line__mutmut_1", "keys.store._Reader._line"),
        ("keys.store.x_fix__mutmut_up__mutmut_2", "keys.store.fix__mutmut_up"),
    ],
)
def test_the_function_of_a_mutant(name: str, function: str) -> None:
    assert function_of(name) == function


def test_the_lines_that_differ() -> None:
    difference = (
        "# keys.store.x_add__mutmut_1: survived\n--- keys/store.py\n+++ keys/store.py\n@@ -1,3 +1,3 @@\n"
        " def add(self):\n-    if a < b:  \n+    if a <= b:\n     return\n"
    )
    assert changed_lines(difference) == ("-    if a < b:", "+    if a <= b:")
    assert changed_lines("") == ()


SURVIVOR = '[[survivor]]\nfunction = "a.b"\nchange = ["-x", "+y"]\nwhy = "{why}"\n'


def test_explanations() -> None:
    (found,) = explanations(SURVIVOR.format(why="the same"))
    assert found == Mutant("a.b", ("-x", "+y"))
    assert found.why == "the same"
    assert list(explanations("")) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (SURVIVOR.format(why=" "), ValueError),
        (SURVIVOR.replace("why", "because"), KeyError),
        (SURVIVOR.replace("function", "func"), KeyError),
        (SURVIVOR.replace("change", "lines"), KeyError),
        ("[[survivor]", ValueError),
    ],
)
def test_explanations_that_explain_nothing(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(explanations(text))


def test_what_is_explained_now() -> None:
    """Each once, with one line taken and one put in its place, of a function that there is; wording needs no entry."""
    found = list(explanations(EXPLAINED.read_text()))
    assert len(found) == len(set(found))
    for mutant in found:
        assert [line[0] for line in mutant.change] == ["-", "+"], mutant.function
        assert not is_wording(mutant.change), mutant.function
        assert not is_same_to_programs(mutant.change), mutant.function
        lines = {line.strip() for line in _source(mutant.function).splitlines()}
        assert mutant.change[0][1:].strip() in lines, mutant.function


def _source(function: str) -> str:
    """Return the text of the module that a function lies in."""
    parts = function.split(".")
    paths = [TOP.joinpath(*parts[:length]).with_suffix(".py") for length in range(len(parts), 0, -1)]
    return next(path for path in paths if path.is_file()).read_text()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('raise E(role=role, reason="is no role")', 'raise E(role=role, reason="XXis no roleXX")', True),
        ('    role=role, reason="Is no role"', '    role=role, reason="is no role"', True),
        ('reason = "is no role"', 'reason = "IS NO ROLE"', True),
        ('fault = "cannot be read"', 'fault = "XXcannot be readXX"', True),
        ('raise ValueError("is no role")', 'raise ValueError("XXis no roleXX")', True),
        ('raise self._damaged("is no role", of=name)', 'raise self._damaged("XXis no roleXX", of=name)', True),
        ('raise self._damaged("is no role", of=name)', "raise self._damaged(None, of=name)", False),
        ('raise E(role=role, reason="is no role")', "raise E(role=role, reason=None)", False),
        ('raise E(role=role, reason="is no role")', 'raise E(role=None, reason="is no role")', False),
        ('raise E(role=role, reason="is no role")', 'raise E(role=None, reason="XXis no roleXX")', False),
        ('raise E(role="the role", reason="no")', 'raise E(role="XXthe roleXX", reason="no")', False),
        ('raise E(path="a b", reason="is no role")', 'raise E(path="A B", reason="is no role")', False),
        ('raise E(reason="empty")', 'raise E(reason="XXemptyXX")', False),
        ('raise ValueError("is no role")', "raise ValueError(None)", False),
        ('kind = "is no role"', 'kind = "XXis no roleXX"', False),
        ('return "is no role"', 'return "XXis no roleXX"', False),
        ('raise E(reason="is no role")', 'raise E(reason="is a role")', False),
    ],
)
def test_which_changes_are_wording(before: str, after: str, expected: bool) -> None:  # noqa: FBT001
    assert is_wording((f"-{before}", f"+{after}")) is expected


def test_more_or_fewer_lines_are_no_wording() -> None:
    removed, added = '-    reason="is no role"', '+    reason="XXis no roleXX"'
    assert is_wording((removed, added))
    for change in ((), (removed,), (added, removed), (removed, added, "+x"), (removed, removed)):
        assert not is_wording(change)
        assert not is_same_to_programs(change)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('return cast("PublicKey", key)', "return cast(None, key)", True),
        ('return cast("PublicKey", key)', 'return cast("XXPublicKeyXX", key)', True),
        ('return cast("PublicKey", key)', 'return cast("publickey", key)', True),
        ('return cast("PublicKey", key)', 'return cast("PUBLICKEY", key)', True),
        ("f\"{cast('PublicKey', key)}\"", 'f"{cast(None, key)}"', True),
        ("f\"{cast('PublicKey', key)}\"", "f\"{cast('XXPublicKeyXX', key)}\"", True),
        ("f\"{cast('PublicKey', key)}\"", "f\"{cast('publickey', key)}\"", True),
        ('return cast("PublicKey", key)', "return cast('XXPublicKeyXX', key)", False),
        ('return cast("PublicKey", key)', 'return cast("PublicKey", None)', False),
        ('return cast("PublicKey", key)', "return cast(key)", False),
        ('return cast("PublicKey", key)', 'return cast("PrivateKey", key)', False),
        ('return broadcast("PublicKey", key)', "return broadcast(None, key)", False),
        ("return cast(kind, key)", "return cast(None, key)", False),
        ("write(path, sync=False)", "write(path, sync=None)", True),
        ("write(path, sync=False, mode=None)", "write(path, sync=None, mode=None)", True),
        ("write(path, sync=False)", "write(path, sync=True)", False),
        ("write(path, sync=False)", "write(path, )", False),
        ("write(path, sync=True)", "write(path, sync=None)", False),
        ("write(path, False)", "write(path, None)", False),
        ("write(path, sync=not False)", "write(path, sync=not None)", False),
        ("sync = False", "sync = None", False),
        ("a(sync=False, b=False)", "a(sync=None, b=None)", False),
    ],
)
def test_which_changes_only_a_type_checker_sees(before: str, after: str, expected: bool) -> None:  # noqa: FBT001
    assert is_same_to_programs((f"-{before}", f"+{after}")) is expected
    assert not is_wording((f"-{before}", f"+{after}"))


# --- a whole run, with a mutmut that has survivors


REPLIES = {
    "trustdata.checks.x_f__mutmut_1": "-    if a < b:\n+    if a <= b:\n",
    "trustdata.checks.x_f__mutmut_2": '-    raise E(reason="is no role")\n+    raise E(reason="XXis no roleXX")\n',
    "trustdata.checks.x_f__mutmut_3": "-    write(path, sync=False)\n+    write(path, sync=None)\n",
}
EXPLANATION = """
[[survivor]]
function = "trustdata.checks.f"
change = ["-    if a < b:", "+    if a <= b:"]
why = "equal ones were refused before"
"""
OUTDATED = EXPLANATION.replace("checks.f", "checks.g")


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, explained: str, results: Mapping[str, str]) -> int:
    """Run with these results of mutmut: the status of each mutant by name."""

    def mutmut(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        shown = {"run": "", "results": "".join(f"    {name}: {status}\n" for name, status in results.items())}
        return subprocess.CompletedProcess(command, 0, stdout=shown.get(command[1]) or REPLIES.get(command[-1], ""))

    monkeypatch.setattr(sys, "argv", ["mutation"])
    monkeypatch.setattr(subprocess, "run", mutmut)
    monkeypatch.setattr(runner, "EXPLAINED", tmp_path / "survivors.toml")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "mutants")
    runner.EXPLAINED.write_text(explained)
    return runner.main()


FIRST, SECOND, THIRD = REPLIES


@pytest.mark.parametrize(
    ("results", "explained", "status", "said"),
    [
        (
            {},
            "",
            0,
            ["0 survive: 0 in wording, 0 for type checkers, 0 without an explanation"],
        ),
        ({FIRST: "killed", SECOND: "timeout"}, "", 0, ["0 survive"]),
        (
            {SECOND: "survived"},
            "",
            0,
            ["1 survive: 1 in wording, 0 for type checkers, 0 without"],
        ),
        (
            {FIRST: "survived"},
            EXPLANATION,
            0,
            ["1 survive: 0 in wording, 0 for type checkers, 0 without"],
        ),
        ({THIRD: "survived"}, "", 0, ["1 survive: 0 in wording, 1 for type checkers, 0 without"]),
        ({FIRST: "survived"}, "", 1, ["checks.f survives, and is not explained:\n  -    if a < b:\n", "1 without"]),
        ({FIRST: "no tests"}, "", 1, ["checks.f survives, and is not explained"]),
        ({FIRST: "not checked"}, "", 1, ["checks.f survives, and is not explained"]),
        ({FIRST: "killed"}, EXPLANATION, 1, ["checks.f is explained, and does not survive"]),
        ({FIRST: "survived"}, OUTDATED, 1, ["checks.f survives, and is not", "checks.g is explained, and does not"]),
    ],
)
def test_a_run(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    results: Mapping[str, str],
    explained: str,
    status: int,
    said: list[str],
) -> None:
    assert run(monkeypatch, tmp_path, explained=explained, results=results) == status
    output = capsys.readouterr().out
    assert [sentence for sentence in said if sentence not in output] == []


def test_results_of_an_earlier_run_are_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What mutmut has found of a function stays as long as the function, though the tests have changed."""
    earlier = tmp_path / "mutants" / "keys" / "store.py.meta"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("{}")
    assert run(monkeypatch, tmp_path, explained="", results={}) == 0
    assert not earlier.exists()


def test_a_part_has_its_own_folder_and_tests(tmp_path: Path) -> None:
    part = {
        "mutated": ["keys"],
        "not_mutated": ["keys/x.py"],
        "tests": ["tests/unit/keys"],
        "left_out": ["tests/unit/keys/test_x.py::test_y"],
    }
    folder = runner.prepare(tmp_path / "part", part)
    settings = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]
    assert settings["pytest"] == tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["pytest"]
    mutmut = settings["mutmut"]
    assert mutmut["source_paths"] == ["keys"]
    assert mutmut["do_not_mutate"] == ["keys/x.py"]
    assert mutmut["pytest_add_cli_args_test_selection"] == ["tests/unit/keys"]
    assert "--deselect=tests/unit/keys/test_x.py::test_y" in mutmut["pytest_add_cli_args"]
    assert mutmut["mutate_only_covered_lines"] is True
    for name in (*mutmut["also_copy"], "tests"):
        assert (folder / name).resolve() == TOP / name


def test_what_the_parts_name_is_there() -> None:
    parts = tomllib.loads(runner.PARTS.read_text())
    assert {name: part["mutated"] for name, part in parts.items()} == {
        "verification": ["trustdata/verification"],
        "keys": ["keys"],
    }
    for part in parts.values():
        assert [
            path for path in (*part["mutated"], *part["not_mutated"], *part["tests"]) if not (TOP / path).exists()
        ] == []
        for test in part["left_out"]:
            path, _, name = test.partition("::")
            assert f"def {name}(" in (TOP / path).read_text(), test


def test_a_mutmut_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["mutation", "2"])
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "mutants")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 3))
    assert runner.main() == 3
