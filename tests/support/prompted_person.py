"""Somebody who is asked for passphrases."""

from __future__ import annotations

from keys.passphrase import PassphrasePurpose


class Person:
    """Answers a prompt from a list and remembers how it was asked."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, bool, bool]] = []

    def __call__(self, *, purpose: PassphrasePurpose, key: str, new: bool, retry: bool) -> str:
        self.asked.append((purpose, key, new, retry))
        return self._answers.pop(0)
