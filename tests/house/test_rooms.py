"""The rooms: each folder of code has one line that says what belongs there, in the code and in architecture.md.

What a contract of import-linter says of arrows is checked by import-linter (`test_house.test_arrows`). Here is checked
that the contracts leave nothing out, which import-linter does not see.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

_TOP: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("keys", "trustdata", "trustcli", "trustserver")
_ARCHITECTURE: Final = _TOP / "docs" / "explanation" / "architecture.md"
_MOST_FOLDERS: Final = 12
"""On one level: more than that is not taken in at a glance."""


def _rooms() -> list[str]:
    """Every folder of the packages that holds Python code."""
    modules = (path for package in _PACKAGES for path in (_TOP / package).rglob("*.py"))
    return sorted({module.parent.relative_to(_TOP).as_posix() for module in modules})


def _contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((_TOP / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return contracts


def _layered(package: str) -> set[str]:
    """The names in the layers of the exhaustive contract about the modules and folders of a package."""
    (contract,) = [c for c in _contracts() if c["type"] == "layers" and package in c.get("containers", [])]
    assert contract["exhaustive"] is True, contract["name"]
    return {name.strip(" ()") for layer in contract["layers"] for name in re.split(r"[|:]", layer)}


@pytest.mark.parametrize("room", _rooms())
def test_a_room_says_what_belongs_there(room: str) -> None:
    module = _TOP / room / "__init__.py"
    assert module.is_file(), f"{room} is no package"
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    assert re.match(r"[A-Z`][^\n]{10,}\.(\n|$)", docstring), f"the first line of {room}/__init__.py is no sentence"


def test_architecture_names_every_room_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z0-9_/]+)/` \| (.+) \|$", _ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == _rooms()
    assert [name for name, text in rows if len(text.strip()) < len("its files")] == []


def test_no_level_has_more_folders_than_one_takes_in() -> None:
    rooms = _rooms()
    folders = {room: [other for other in rooms if other.rpartition("/")[0] == room] for room in rooms}
    assert {room: below for room, below in folders.items() if len(below) > _MOST_FOLDERS} == {}


def test_contracts_have_no_exceptions() -> None:
    assert _contracts() != []
    assert [contract["name"] for contract in _contracts() if "ignore_imports" in contract] == []


@pytest.mark.parametrize("package", [*_PACKAGES, "trustcli.commands"])
def test_every_module_and_folder_has_its_layer(package: str) -> None:
    folder = _TOP / package.replace(".", "/")
    inside = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert _layered(package) == inside - {"__init__"}
