"""Whatever we say of Notary v1 has a test that shows it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.house.notary_facts import FACTS

TESTS = Path(__file__).parents[1]
NAMED = sorted({test for _, _, tests in FACTS for test in tests})


@cache
def _tests_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("test", NAMED)
def test_every_named_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert name.startswith("test_")
    assert name in _tests_in(file)


def test_every_section_has_facts_and_every_fact_a_test() -> None:
    assert sorted({section for section, _, _ in FACTS}) == list(range(1, 18))
    assert all(tests for _, _, tests in FACTS)
    assert len({(section, fact) for section, fact, _ in FACTS}) == len(FACTS)
