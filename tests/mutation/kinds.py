"""Mutants that are explained as a kind, by the changed lines alone: no test runs on them.

Wording is what changes nothing but a sentence for people: the text of several words after `reason=`, `reason =`,
`fault =`, `raise SomeError(` or `raise self._some_error(`, put between XX or written in other letters. Tests look for
the words that tell one refusal from another, not for whole sentences. Any other value, such as a role, a path or a
version, is a field that programs act on, and a text of one word may be a name.

No program can tell the rest. Only a type checker sees another text for the type in `cast("Type", value)`; and
`name=None` in the place of `name=False`, which is as false. That it is false matters, and `name=True` beside it, which
mutmut makes as well, must be caught. The name of an encoding in `.decode("...")` and `.encode("...")` means the same
in capitals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_SENTENCE = re.compile(r'\b(?:reason ?= ?|fault = |raise (?:self\.)?\w+\()"(?P<text>[^"\\]* [^"\\]*)"')
_CAST = re.compile(r"""\bcast\((?P<text>"[^"\\]*"|'[^'\\]*'), """)
_ENCODING = re.compile(r'\.(?:de|en)code\("(?P<text>[\w-]+)"')
_FALSE = re.compile(r"\b\w+=(?P<text>False)\b")


def is_wording(change: Sequence[str]) -> bool:
    """Tell whether a change is only in the wording of one sentence for people, as this module's docstring says."""
    return any(
        changed in {f"XX{text}XX", text.lower(), text.upper()} for text, changed in _texts_changed(_SENTENCE, change)
    )


def is_same_to_programs(change: Sequence[str]) -> bool:
    """Tell whether a change is one that no program can tell, as this module's docstring says."""
    if any(changed == "None" for _, changed in _texts_changed(_FALSE, change)):
        return True
    if any(changed == text.upper() for text, changed in _texts_changed(_ENCODING, change)):
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
