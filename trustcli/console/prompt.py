"""Questions to the user at the terminal. A non-interactive session makes no prompt.

They are asked on `/dev/tty`, since standard input and output may be pipes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final

from keys.errors import PassphraseMissing
from keys.passphrase import SHORTEST_NEW, PassphrasePurpose, variables_for
from trustcli.console.output import one_line

_NEW_PASSPHRASE_TRIES: Final = 3
"""How often a new passphrase is asked for, twice each time, until two answers agree."""
_LONGEST_ANSWER: Final = 4096
"""Bytes of one line: as many as a terminal gives, and a path may have."""


def _ask_hidden(question: str) -> str:
    import getpass

    with warnings.catch_warnings():
        # getpass only warns if it cannot turn off the echo, and would then show the passphrase.
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(question)


def _ask_openly(question: str) -> str:
    with open("/dev/tty", "r+b", buffering=0) as terminal:  # noqa: PTH123 - unbuffered: question, then answer
        terminal.write(question.encode())
        answer = terminal.readline(_LONGEST_ANSWER)
    if not answer.endswith(b"\n"):
        raise EOFError  # Ctrl-D, or a terminal that is gone: no line was given, which an empty one would be
    return answer.decode(errors="replace")


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

        def answer(question: str) -> str:
            try:
                return self._hidden(one_line(question))
            except (OSError, EOFError, Warning) as error:
                raise PassphraseMissing(key=key, sources=variables_for(purpose)) from error

        if purpose == "token":
            return answer(f"PIN of {key}: ")
        if not new:
            again = "That does not open it. " if retry else ""
            return answer(f"{again}Passphrase of {key}: ")
        hint = ""
        for _ in range(_NEW_PASSPHRASE_TRIES):
            first = answer(f"{hint}New passphrase for {key}: ")
            if not first:
                hint = "It must not be empty. "
            elif len(first) < SHORTEST_NEW:
                hint = f"It must have at least {SHORTEST_NEW} characters. "
            elif answer(f"The same again, for {key}: ") == first:
                return first
            else:
                hint = "They differ. "
        raise PassphraseMissing(key=key, sources=variables_for(purpose))

    def confirm(self, question: str) -> bool:
        """Ask for yes or no; any answer but a clear yes is no, and so is none."""
        try:
            answer = self._openly(one_line(f"{question} [y/N] "))
        except (OSError, EOFError):
            return False
        return answer.strip().lower() in {"y", "yes"}

    def ask(self, question: str) -> str | None:
        """Ask for a line of text and return it without surrounding spaces; None if nobody answers.

        Nobody answers where the terminal cannot be used or ends, and nothing may be concluded from that.
        """
        try:
            return self._openly(one_line(question)).strip()
        except (OSError, EOFError):
            return None

    def ask_hidden(self, question: str) -> str | None:
        """Ask for a secret that opens no key, without showing it; None if nobody answers."""
        try:
            return self._hidden(one_line(question))
        except (OSError, EOFError, Warning):
            return None
