"""Somebody who is asked for passphrases."""

from __future__ import annotations


class Person:
    """Answers a prompt from a list and remembers how it was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, bool, bool]] = []

    def __call__(self, *, purpose: str, key: str, new: bool, wrong_before: bool) -> str:
        self.asked.append((purpose, key, new, wrong_before))
        return self._answers.pop(0)
