"""Every command that a document shows is typed by a test, or stands in the one table of those that are not."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.support.guide_commands import TOP, Typed, commands, guides
from tests.support.guide_machine import Ids, compare
from tests.support.guide_stories import INSTALLED, LEFT_OUT, MIGRATION, STORIES, WITH_THE_ENGINE
from tests.support.troubleshooting import PAGE, sections

_REPLAYED = PAGE.relative_to(TOP).as_posix()
_REPLAYER = TOP / "tests" / "journeys" / "test_common_failures.py"
_DOCUMENTS = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")]
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INDENTED_COMMAND = re.compile(r"^    (?:\$|trust|trust-server|docker|export|curl) .*$", re.MULTILINE)

Shown = Counter[tuple[str, str, str]]


def _shown() -> Shown:
    return Counter(
        (typed.guide, typed.heading, typed.command)
        for guide in guides()
        if guide != _REPLAYED
        for typed in commands(guide)
    )


def _typed() -> Shown:
    most: Shown = Counter()
    for story in (*STORIES.values(), *INSTALLED.values(), *MIGRATION.values(), WITH_THE_ENGINE):
        most |= Counter((step.guide, step.heading, step.command) for step, _ in story.typed())
    return most


def test_every_command_is_typed_or_named_with_the_reason() -> None:
    left = [each for each in (_shown() - _typed()).elements() if (each[0], each[2]) not in LEFT_OUT]
    assert left == []


def test_what_is_left_out_is_shown_and_not_typed_and_has_a_reason() -> None:
    typed = {(guide, command) for guide, _, command in _typed()}
    shown = {(guide, command) for guide, _, command in _shown()}
    assert set(LEFT_OUT) <= shown - typed
    assert all(LEFT_OUT.values())


def test_every_failure_of_the_troubleshooting_page_is_replayed() -> None:
    replayer = _REPLAYER.read_text(encoding="utf-8")
    assert [heading for heading in sections() if f'"{heading}"' not in replayer] == []


def test_commands_stand_in_console_blocks_alone() -> None:
    """In a block of another kind nobody would type them."""
    others = []
    for document in _DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        blocks = [block for _, kind, block in _FENCED.findall(text) if kind != "console"]
        others += [block for block in blocks if re.search(r"^ *\$ ", block, re.MULTILINE)]
        others += _INDENTED_COMMAND.findall(_FENCED.sub("", text))
    assert others == []


_A, _B = "a" * 64, "b" * 64
_SHOWN = f"root 1 has key {_A}\nmade on 2026-11-21\nroot key ({_A[:12]})"


def _printed(output: str, *, shown: str = _SHOWN, command: str = "trust pins") -> None:
    compare(Typed(guide="", heading="", command=command, shown=shown), shown, output, Ids())


def test_what_is_printed_may_differ_in_ids_and_times() -> None:
    _printed(f"root 1 has key {_B}\nmade on 2027-01-02\nroot key ({_B[:12]})\n")
    _printed("first\nsecond\nthird\nlast\n", shown="first\n...\nlast")
    _printed("first\nsecond\n", shown="first\n...")
    _printed("b\na\n", shown="a\nb", command="docker images")


@pytest.mark.parametrize(
    ("shown", "output"),
    [
        (_SHOWN, f"root 2 has key {_B}\nmade on 2027-01-02\nroot key ({_B[:12]})"),
        (_SHOWN, f"root 1 has key {_B}\nmade on 2027-01-02\nroot key ({_A[:12]})"),
        (f"{_A}\n{_B}", f"{_A}\n{_A}"),
        (_SHOWN, f"made on 2027-01-02\nroot 1 has key {_B}\nroot key ({_B[:12]})"),
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("", "a"),
        ("first\n...\nlast", "first\nlast"),
        ("first\n...\nlast", "first\nmore\nother"),
        ("first\n...", "other\nmore"),
    ],
)
def test_what_is_printed_may_differ_in_nothing_else(shown: str, output: str) -> None:
    with pytest.raises(AssertionError):
        _printed(output, shown=shown)
