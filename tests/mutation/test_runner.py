"""The runner of mutants: how it names a mutant, what it takes as explained, and what it reports."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutation import __main__ as runner
from tests.mutation.__main__ import EXPLAINED, Mutant, explanations, function_of, has_wanted, is_wanted
from tests.mutation.kinds import is_same_to_programs, is_wording
from tests.mutation.making import changed_lines, plain_name

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


@pytest.mark.parametrize(
    ("generated", "plain"),
    [
        ("x_add__mutmut_3", "add"),
        ("x__private__mutmut_orig", "_private"),
        ("xǁ_Readerǁ__init____mutmut_12", "__init__"),
        ("x_fix__mutmut_up__mutmut_2", "fix__mutmut_up"),
    ],
)
def test_the_name_in_the_source(generated: str, plain: str) -> None:
    assert plain_name(generated) == plain


def test_the_lines_that_differ() -> None:
    before = ["    def add(self):", "        if a < b:  ", "            return 1"]
    after = ["    def add(self):", "        if a <= b:", "            return 1"]
    assert changed_lines(before, after) == ["-if a < b:", "+if a <= b:"]
    assert changed_lines(before, before) == []
    assert changed_lines(["--a", "b"], ["++a", "b"]) == ["---a", "+++a"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], True),
        (["keys"], True),
        (["keys.pem"], True),
        (["keys.pem.Block.text"], True),
        (["keys.der", "keys.pem.Block"], True),
        (["keys.pe"], False),
        (["keys.pem.Block.text.more"], False),
        (["trustdata"], False),
    ],
)
def test_which_functions_are_wanted(wanted: list[str], expected: bool) -> None:  # noqa: FBT001
    assert is_wanted("keys.pem.Block.text", wanted) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], True),
        (["trustdata"], True),
        (["trustdata.verification"], True),
        (["trustdata.verification.checks.check_version"], True),
        (["trustcli", "keys.pem"], True),
        (["trustdata.verify"], False),
        (["trustdata.wire", "trustdata.verification_x"], False),
    ],
)
def test_which_parts_are_made(wanted: list[str], expected: bool) -> None:  # noqa: FBT001
    assert has_wanted(["trustdata/verification", "keys"], wanted) is expected


SURVIVOR = '[[survivor]]\nfunction = "a.b"\nchange = ["-x", "+y"]\nwhy = "{why}"\n'


def test_explanations() -> None:
    (found,) = explanations(SURVIVOR.format(why="the same"))
    assert found == Mutant("a.b", ("-x", "+y"))
    indented = SURVIVOR.replace("-x", "-  x").replace("+y", "+  y ")
    assert list(explanations(indented)) == [found]
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
    """Each once, with a line taken and at most one put in its place, of a function that there is; wording has none."""
    found = list(explanations(EXPLAINED.read_text()))
    assert len(found) == len(set(found))
    for mutant in found:
        assert [line[0] for line in mutant.change] in (["-", "+"], ["-"]), mutant.function
        assert not is_wording(mutant.change), mutant.function
        assert not is_same_to_programs(mutant.change), mutant.function
        source = _source(mutant.function)
        assert f"def {mutant.function.rpartition('.')[2]}(" in source, mutant.function
        assert mutant.change[0][1:] in {line.strip() for line in source.splitlines()}, mutant.function


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
        ('data.decode("utf-8", "replace")', 'data.decode("UTF-8", "replace")', True),
        ('text.encode("utf-16-le")', 'text.encode("UTF-16-LE")', True),
        ('data.decode("utf-8", "replace")', 'data.decode("utf-8", "REPLACE")', False),
        ('data.decode("utf-8")', 'data.decode("XXutf-8XX")', False),
        ('data.decode("utf-8")', "data.decode(None)", False),
        ('decode("utf-8")', 'decode("UTF-8")', False),
    ],
)
def test_which_changes_no_program_can_tell(before: str, after: str, expected: bool) -> None:  # noqa: FBT001
    assert is_same_to_programs((f"-{before}", f"+{after}")) is expected
    assert not is_wording((f"-{before}", f"+{after}"))


# --- a whole run


CODE = """
def least(first: int, second: int) -> int:
    if second < first:
        first = second
    return first


def checked(name: str) -> str:
    if not name:
        raise ValueError("no name given")
    return name


def doubled(number: int) -> int:
    return number * 2


def tripled(number: int) -> int:
    return number * 3


def rounds() -> int:
    left, done = 3, 0
    while left > 0:
        left -= 1
        done += 1
    return done
"""
TESTS = """
import subprocess
import sys

import pytest
from tiny.code import checked, least, rounds, tripled

def test_least():
    assert (least(2, 1), least(1, 2), least(1, 1)) == (1, 1, 1)

def test_checked():
    assert checked("a") == "a"
    with pytest.raises(ValueError):
        checked("")

def test_rounds():
    assert rounds() == 3

@pytest.fixture(scope="module")
def nine():
    return tripled(3)

def test_makes_the_fixture(nine):
    assert nine

def test_tripled(nine):
    assert nine == 9

def test_doubled():
    program = "from tiny.code import doubled; print(doubled(21))"
    assert subprocess.check_output([sys.executable, "-c", program]) == b"42\\n"
"""
DEPENDENT = """
seen = []

def test_first():
    seen.append(least(1, 2))

def test_next():
    assert [least(2, 1)] == seen
"""
PART = """
[tiny]
mutated = ["tiny"]
not_mutated = []
tests = ["tests/test_code.py"]
left_out = []
"""
EQUAL = """
[[survivor]]
function = "tiny.code.least"
change = ["-    if second < first:", "+    if second <= first:"]
why = "of equal ones each is the least"
"""
NO_REASON = """
[[survivor]]
function = "tiny.code.checked"
change = ['-        raise ValueError("no name given")', "+        raise ValueError(None)"]
why = "who calls it says so"
"""
OUTDATED = EQUAL.replace("<=", ">=")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project of one module, whose tests leave two mutants alive that are no wording."""
    shutil.copytree(
        TOP / "tests" / "mutation", tmp_path / "tests" / "mutation", ignore=shutil.ignore_patterns("test_*")
    )
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "tests" / "test_code.py").write_text(TESTS)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "__init__.py").touch()
    (tmp_path / "tiny" / "code.py").write_text(CODE)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "parts.toml").write_text(PART)
    (tmp_path / "mutants").mkdir()
    (tmp_path / "mutants" / "of an earlier run").touch()
    monkeypatch.setattr(runner, "_TOP", tmp_path)
    monkeypatch.setattr(runner, "_COPIED", ("tiny",))
    monkeypatch.setattr(runner, "PARTS", tmp_path / "parts.toml")
    monkeypatch.setattr(runner, "EXPLAINED", tmp_path / "survivors.toml")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "mutants")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, tiny: Path, *, explained: str, wanted: Sequence[str] = ()) -> int:
    monkeypatch.setattr(sys, "argv", ["mutation", "1", *wanted])
    (tiny / "survivors.toml").write_text(explained)
    return runner.main()


@pytest.mark.long
def test_a_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    """An endless loop is caught, wording does not run, and what survives is explained or told."""
    assert run(monkeypatch, tiny, explained=EQUAL + NO_REASON) == 0
    everything = capsys.readouterr().out
    assert "2 survive, 0 without an explanation; 2 of a kind" in everything
    assert not (tiny / "mutants" / "of an earlier run").exists()
    found = dict(runner.outcomes(tiny / "mutants" / "tiny"))
    assert set(found.values()) == {"killed", "survived", "timeout"}
    assert run(monkeypatch, tiny, explained=EQUAL + OUTDATED, wanted=["tiny.code"]) == 1
    told = capsys.readouterr().out
    assert "tiny.code.checked survives, and is not explained:\n  -raise ValueError(" in told
    assert "tiny.code.least is explained, and does not survive:\n  -if second < first:\n  +if second >= first:" in told
    assert run(monkeypatch, tiny, explained=EQUAL + OUTDATED, wanted=["tiny.code.rounds"]) == 0
    assert " 0 survive" in capsys.readouterr().out
    for nothing in ("tiny.code.round", "tiny2"):
        assert run(monkeypatch, tiny, explained=EQUAL, wanted=[nothing]) == 1
        assert f"nothing is mutated of {nothing}" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (TESTS.replace("(1, 1, 1)", "(1, 2, 1)"), "test_least fails with nothing mutated"),
        ("from tiny import nothing", "tests cannot be collected"),
        (TESTS.replace("test_least", "no_test") + DEPENDENT, "test_next has caught mutants, and fails alone"),
    ],
    ids=["a test that fails", "no tests", "a test that needs another"],
)
def test_runs_that_prove_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tiny: Path, tests: str, said: str
) -> None:
    (tiny / "tests" / "test_code.py").write_text(tests)
    assert run(monkeypatch, tiny, explained=EQUAL, wanted=["tiny.code.least"]) != 0
    assert said in str(capfd.readouterr())


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
    assert "mutate_only_covered_lines" not in mutmut, "or lines that only programs of the tests reach stay as they are"
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
