"""Notice that two kinds of keys were given the same passphrase, and that a new one is short."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from keys.passphrase import SHORTEST_NEW

if TYPE_CHECKING:
    from keys.passphrase import PassphraseProvider, PassphrasePurpose


class ComparedPassphrases:
    """A PassphraseProvider that remembers for this run which passphrases each purpose was given.

    `warn`: is told once for each purpose of a new passphrase that is short. A prompt refuses those itself.
    """

    def __init__(self, provider: PassphraseProvider, warn: Callable[[str], None] = lambda _: None) -> None:
        self._provider = provider
        self._warn = warn
        self._given: dict[PassphrasePurpose, set[str]] = {}
        self._for_new: dict[tuple[PassphrasePurpose, str], str] = {}

    def passphrase(self, *, purpose: PassphrasePurpose, key: str, new: bool = False, retry: bool = False) -> str:
        """Return the provider's answer and remember it: a run asks once for all new keys that are called the same.

        Raises: PassphraseMissing, PassphraseUnreadable, PassphraseWrong.
        """
        if new and not retry and (purpose, key) in self._for_new:
            return self._for_new[purpose, key]
        answer = self._provider.passphrase(purpose=purpose, key=key, new=new, retry=retry)
        if new:
            self._for_new[purpose, key] = answer
        given = self._given.setdefault(purpose, set())
        if new and len(answer) < SHORTEST_NEW and answer not in given:
            self._warn(f"the passphrase of {key} has fewer than {SHORTEST_NEW} characters, and docker refuses such")
        given.add(answer)
        return answer

    def warn(self, text: str) -> None:
        """Tell the user something before a passphrase or PIN is asked for or used."""
        self._warn(text)

    def shared(self, one: PassphrasePurpose, other: PassphrasePurpose) -> bool:
        """Return whether one passphrase has served both purposes in this invocation."""
        return bool(self._given.get(one, set()) & self._given.get(other, set()))
