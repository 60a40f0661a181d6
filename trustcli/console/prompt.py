"""Questions to the user at the terminal. A non-interactive session makes no prompt.

They are asked on `/dev/tty`, since standard input and output may be pipes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final

from keys.errors import PassphraseMissing
from keys.passphrase import SHORTEST_NEW, PassphrasePurpose
from trustcli.console.output import one_line

_NEW_PASSPHRASE_TRIES: Final = 3
"""How often a new passphrase is asked for, twice each time, until two answers agree."""


def _ask_hidden(question: str) -> str:
    import getpass

    with warnings.catch_warnings():
        # getpass only warns if it cannot turn off the echo, and would then show the passphrase.
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(question)


def _ask_openly(question: str) -> str:
    with open("/dev/tty", "r+b", buffering=0) as terminal:  # noqa: PTH123 - unbuffered: question, then answer
        terminal.write(question.encode())
        return terminal.readline(1000).decode(errors="replace")


class TerminalPrompt:
    """Asks for passphrases (`keys.passphrase.PassphrasePrompt`), yes or no, and lines of text.

    `hidden` and `openly` ask one question each, without and with echo; tests replace them.
    """

    def __init__(
        self, *, hidden: Callable[[str], str] = _ask_hidden, openly: Callable[[str], str] = _ask_openly
    ) -> None:
        self._hidden = hidden
        self._openly = openly

    def __call__(self, *, purpose: PassphrasePurpose, key: str, new: bool, retry: bool) -> str:
        """Ask for the passphrase of a key; a new one twice, and again if it is too short or the answers differ.

        Raises: PassphraseMissing if the terminal cannot be used or ends, or if the answers never agree.
        """
        del purpose  # the description of the key contains it
        if not new:
            again = "That does not open it. " if retry else ""
            return self._answer(f"{again}Passphrase of {key}: ", key)
        hint = ""
        for _ in range(_NEW_PASSPHRASE_TRIES):
            first = self._answer(f"{hint}New passphrase for {key}: ", key)
            if not first:
                hint = "It must not be empty. "
            elif len(first) < SHORTEST_NEW:
                hint = f"It must have at least {SHORTEST_NEW} characters. "
            elif self._answer(f"The same again, for {key}: ", key) == first:
                return first
            else:
                hint = "They differ. "
        raise PassphraseMissing(key=key, sources=())

    def confirm(self, question: str) -> bool:
        """Ask for yes or no; any answer but a clear yes is no, and so is a terminal that cannot be used."""
        try:
            answer = self._openly(one_line(f"{question} [y/N] "))
        except (OSError, EOFError):
            return False
        return answer.strip().lower() in {"y", "yes"}

    def ask(self, question: str) -> str:
        """Ask for a line of text and return it without surrounding spaces; empty if the terminal cannot be used."""
        try:
            return self._openly(one_line(question)).strip()
        except (OSError, EOFError):
            return ""

    def _answer(self, question: str, key: str) -> str:
        try:
            return self._hidden(one_line(question))
        except (OSError, EOFError, Warning) as error:
            raise PassphraseMissing(key=key, sources=()) from error
