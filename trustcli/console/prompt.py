"""Questions to the person at the terminal. Only made where there is one: a non-interactive session has no prompt.

Always on `/dev/tty`: standard input and output belong to pipes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final

from keys.errors import PassphraseMissing

_TRIES: Final = 3


def _ask_hidden(question: str) -> str:
    import getpass

    with warnings.catch_warnings():
        # Where the echo cannot be turned off, getpass would only warn and show the passphrase.
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(question)


def _ask_openly(question: str) -> str:
    with open("/dev/tty", "r+b", buffering=0) as terminal:  # noqa: PTH123 - unbuffered: question, then answer
        terminal.write(question.encode())
        return terminal.readline(1000).decode(errors="replace")


class TerminalPrompt:
    """`keys.passphrase.PassphrasePrompt`, and yes/no questions. `hidden` and `openly` ask; they are given in tests."""

    def __init__(
        self, *, hidden: Callable[[str], str] = _ask_hidden, openly: Callable[[str], str] = _ask_openly
    ) -> None:
        self._hidden = hidden
        self._openly = openly

    def __call__(self, *, purpose: str, key: str, new: bool, wrong_before: bool) -> str:
        """The passphrase of a key. A new one is asked for twice, until both agree, three times at most.

        Raises: PassphraseMissing if the terminal cannot be used, ends, or no two answers agree.
        """
        del purpose  # the key's description says it
        if not new:
            again = "That does not open it. " if wrong_before else ""
            return self._answer(f"{again}Passphrase of {key}: ", key)
        hint = ""
        for _ in range(_TRIES):
            first = self._answer(f"{hint}New passphrase for {key}: ", key)
            if not first:
                hint = "It must not be empty. "
            elif self._answer(f"The same again, for {key}: ", key) == first:
                return first
            else:
                hint = "They differ. "
        raise PassphraseMissing(key=key, sources=())

    def confirm(self, question: str) -> bool:
        """Yes or no; anything but a clear yes, and a terminal that cannot be used, is no."""
        try:
            answer = self._openly(f"{question} [y/N] ")
        except (OSError, EOFError):
            return False
        return answer.strip().lower() in {"y", "yes"}

    def ask(self, question: str) -> str:
        """One line of text, without the spaces around it; empty if the terminal cannot be used."""
        try:
            return self._openly(question).strip()
        except (OSError, EOFError):
            return ""

    def _answer(self, question: str, key: str) -> str:
        try:
            return self._hidden(question)
        except (OSError, EOFError, Warning) as error:
            raise PassphraseMissing(key=key, sources=()) from error
