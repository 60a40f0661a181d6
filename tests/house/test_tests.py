"""What tests owe: each asserts something on every way through it, and none leans on another test module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOP = Path(__file__).parents[2]
SHARED = ("tests.support", "tests.simulator")
"""Folders whose modules every test may use; those of the others are for their own folder."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A file below tests/."""

    name: str
    tree: ast.Module

    @cached_property
    def functions(self) -> dict[str, Function]:
        return {node.name: node for node in self.tree.body if isinstance(node, Function)}

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """Name here -> module and name there."""
        return {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    @cached_property
    def methods(self) -> list[Function]:
        classes = [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]
        return [node for found in classes for node in found.body if isinstance(node, Function)]

    def tests(self) -> Iterator[Function]:
        for node in (*self.functions.values(), *self.methods):
            if node.name.startswith("test_"):
                yield node


def read() -> dict[str, Module]:
    found = {}
    for path in sorted((TOP / "tests").rglob("*.py")):
        name = ".".join(path.relative_to(TOP).with_suffix("").parts)
        found[name] = Module(name, ast.parse(path.read_text()))
    return found


MODULES = read()
TEST_MODULES = [module for name, module in MODULES.items() if name.rpartition(".")[2].startswith("test_")]


def own(node: ast.AST) -> Iterator[ast.AST]:
    """All that stands in a function, but in no function inside it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef):
            yield from own(child)


class Asserting:
    """Which functions assert: by themselves, with `pytest.raises`, or by calling one that does.

    A method is found by its name alone: one of that name that asserts is enough.
    """

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}
        self._methods: dict[str, list[tuple[Module, Function]]] = {}
        for module in MODULES.values():
            for method in module.methods:
                self._methods.setdefault(method.name, []).append((module, method))

    def asserts(self, module: Module, function: Function) -> bool:
        if id(function) not in self._known:
            self._known[id(function)] = False  # who calls only itself asserts nothing
            self._known[id(function)] = any(self._is_one(module, node) for node in ast.walk(function))
        return self._known[id(function)]

    def _is_one(self, module: Module, node: ast.AST) -> bool:
        if isinstance(node, ast.Assert):
            return True
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "pytest":
                return node.func.attr in {"raises", "fail", "warns"}
            return any(self.asserts(*method) for method in self._methods.get(node.func.attr, ()))
        if isinstance(node.func, ast.Name):
            return self._named(module, node.func.id)
        return False

    def _named(self, module: Module, name: str) -> bool:
        if name in module.functions:
            return self.asserts(module, module.functions[name])
        home, there = module.imported.get(name, ("", ""))
        return home in MODULES and self._named(MODULES[home], there)


def test_every_test_asserts_something() -> None:
    asserting = Asserting()
    silent = {
        f"{module.name}.{test.name}"
        for module in TEST_MODULES
        for test in module.tests()
        if not asserting.asserts(module, test)
    }
    assert silent == set()


def test_no_test_ends_early() -> None:
    """A `return` is a way past what is asserted; cases that need it are no cases of this test."""
    early = {
        f"{module.name}.{test.name}"
        for module in TEST_MODULES
        for test in module.tests()
        if any(isinstance(node, ast.Return) for node in own(test))
    }
    assert early == set()


def test_the_rules_see_what_they_are_for() -> None:
    silent = ast.parse("def test_a() -> None:\n    f()\n\ndef f() -> None:\n    print()\n")
    module = Module("tests.example", silent)
    asserting = Asserting()
    assert not any(asserting.asserts(module, test) for test in module.tests())
    loud = Module("tests.example", ast.parse("def test_a() -> None:\n    f()\n\ndef f() -> None:\n    assert 1\n"))
    assert all(asserting.asserts(loud, test) for test in loud.tests())


def test_what_other_pythons_leave_out_is_there() -> None:
    """A module that was renamed would run on all of them again."""
    script = (Path(__file__).parents[1] / "other_pythons.sh").read_text(encoding="utf-8")
    named = script.partition('costly="')[2].partition('"')[0].split()
    assert named
    assert [name for name in named if not (Path(__file__).parents[2] / name).is_file()] == []


def test_no_test_module_is_imported_and_what_folders_share_has_its_place() -> None:
    wrong = set()
    for module in MODULES.values():
        imports = {node.module for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom) and node.module}
        for name in imports & MODULES.keys():
            folder, _, file = name.rpartition(".")
            inside = module.name.startswith(f"{folder}.")
            if file.startswith("test_") or not (inside or name.startswith(SHARED)):
                wrong.add(f"{module.name} -> {name}")
    assert wrong == set()
