"""No door decides by itself: rules are evaluated, verdicts given and decisions made in the few places listed here.

Whoever adds a place says in which way it lets nothing run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

_TOP: Final = Path(__file__).resolve().parents[2]
_DECIDER: Final = "trustcli/hooks/deciding/decider.py"


def _calls(tree: ast.Module) -> Iterator[str]:
    """The last name of whatever is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id


def _imports(tree: ast.Module) -> Iterator[str]:
    """Whatever is imported by name, with its module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("used", "found", "places"),
    [
        pytest.param(
            {"rule_for", "counting"},
            _calls,
            {
                _DECIDER,
                "trustcli/commands/support/policy_view.py",  # shows which rule counts
                "trustcli/doctor/containerd/verifier.py",  # says what a rule lets through
            },
            id="the policy's rules are evaluated",
        ),
        pytest.param(
            {"trustdata.judgement.judge"},
            _imports,
            {
                "trustcli/client/collection.py",  # for a reader of one process
                "trustcli/client/verified_roles.py",  # for a reader that stays
                "trustcli/commands/support/signing.py",  # what is signed already needs no signature
            },
            id="trust data is judged",
        ),
        pytest.param(
            {"Decision"},
            _calls,
            {
                "trustcli/hooks/deciding/allow_list.py",
                _DECIDER,
                "trustcli/commands/support/agent_answers.py",  # an agent's yes, in the form of all others
            },
            id="a decision is made",
        ),
        pytest.param(
            {"PolicyDecider"},
            _calls,
            {
                "trustcli/hooks/admission.py",
                "trustcli/hooks/resident/decider.py",
                "trustcli/commands/support/judging.py",
            },
            id="who decides is put together",
        ),
    ],
)
def test_it_is_decided_in_one_place(
    used: set[str], found: Callable[[ast.Module], Iterator[str]], places: set[str]
) -> None:
    modules = sorted((_TOP / "trustcli").rglob("*.py"))
    using = {
        module.relative_to(_TOP).as_posix()
        for module in modules
        if used.intersection(found(ast.parse(module.read_text(encoding="utf-8"))))
    }
    assert using == places
