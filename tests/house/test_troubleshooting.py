"""The troubleshooting page is true in form: real commands, a sentence and its next step for each failure.

That the program says these sentences is seen in tests/journeys/test_common_failures.py, which runs them.
"""

from __future__ import annotations

import re

import pytest

from tests.support.troubleshooting import PAGE, sections
from trustcli.commands.table import COMMANDS

_CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_WHERE_NO_COMMAND_HELPS = {"Nobody can be asked for a passphrase", "The registry's tag has moved"}


@pytest.mark.parametrize("heading", list(sections()))
def test_a_failure_has_its_sentence_its_next_step_and_its_meaning(heading: str) -> None:
    told = sections()[heading]
    assert all(command.words[0] in COMMANDS for command in told)
    first = told[0].lines
    assert any(line.startswith(("error: ", "warning: ")) for line in first)
    following = any(line.startswith(("  next: ", "       do: ")) for command in told for line in command.lines)
    assert following is (heading not in _WHERE_NO_COMMAND_HELPS)
    text = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert len(_CODE_BLOCK.sub("", text).strip()) > 40, "what it means, in words"


def test_the_errors_of_the_commonest_failures_are_all_here() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(sections()) >= 20
    assert len(re.findall(r"^## ", _CODE_BLOCK.sub("", text), re.MULTILINE)) == len(sections())
