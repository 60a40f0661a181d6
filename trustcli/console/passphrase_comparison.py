"""Notice that two kinds of keys were given the same passphrase."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keys.passphrase import PassphraseProvider, PassphrasePurpose


class ComparedPassphrases:
    """A PassphraseProvider that remembers for this run which passphrases each purpose was given."""

    def __init__(self, provider: PassphraseProvider) -> None:
        self._provider = provider
        self._given: dict[PassphrasePurpose, set[str]] = {}

    def passphrase(self, *, purpose: PassphrasePurpose, key: str, new: bool = False, retry: bool = False) -> str:
        """Return the provider's answer and remember it.

        Raises: PassphraseMissing, PassphraseUnreadable, PassphraseWrong.
        """
        answer = self._provider.passphrase(purpose=purpose, key=key, new=new, retry=retry)
        self._given.setdefault(purpose, set()).add(answer)
        return answer

    def shared(self, one: PassphrasePurpose, other: PassphrasePurpose) -> bool:
        """Return whether one passphrase has served both purposes in this invocation."""
        return bool(self._given.get(one, set()) & self._given.get(other, set()))
