"""Passphrases from the program that calls us as a Python library, before those of the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from keys.errors import PassphraseWrong

if TYPE_CHECKING:
    from keys.passphrase import PassphraseProvider, PassphrasePurpose

AskCaller: TypeAlias = Callable[[str, str], str | None]
"""A function from the purpose of a key (`targets`, `signer`, `root`, `recovery`) and its name to its passphrase; it
returns None if it has none."""


class CallerPassphrases:
    """A PassphraseProvider that asks the caller, and `otherwise` where the caller has no answer.

    The caller is asked again after a wrong answer, and may give another; the same again is wrong for good.
    """

    def __init__(self, ask: AskCaller, otherwise: PassphraseProvider) -> None:
        self._ask = ask
        self._otherwise = otherwise
        self._last: dict[tuple[PassphrasePurpose, str], str] = {}

    def passphrase(self, *, purpose: PassphrasePurpose, key: str, new: bool = False, retry: bool = False) -> str:
        """Return the passphrase of a key; it is never empty.

        Raises: PassphraseMissing, PassphraseUnreadable, PassphraseWrong, and whatever the caller's function raises.
        """
        answer = self._ask(purpose, key)
        if not answer:
            return self._otherwise.passphrase(purpose=purpose, key=key, new=new, retry=retry)
        if retry and self._last.get((purpose, key)) == answer:
            raise PassphraseWrong(key=key)
        self._last[purpose, key] = answer
        return answer
