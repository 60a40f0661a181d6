"""Ask for one passphrase where many keys have the same. The PIN of a token is that token's alone."""

from __future__ import annotations

from keys.passphrase import PassphraseProvider, PassphrasePurpose, variables_for


class SharedPassphrase:
    """A PassphraseProvider that tries what opened one key on the others for which the same variable counts.

    Only what does not open a key is asked for again, so that a run over many collections asks once.
    """

    def __init__(self, provider: PassphraseProvider) -> None:
        self._provider = provider
        self._given: dict[str, str] = {}
        self._offered: set[str] = set()

    def passphrase(self, *, purpose: PassphrasePurpose, key: str, new: bool = False, retry: bool = False) -> str:
        """Return the passphrase that was given last for keys like this one, or else the provider's answer.

        Raises: PassphraseMissing, PassphraseUnreadable, PassphraseWrong.
        """
        if purpose == "token":  # a PIN that is wrong costs one of few tries: it is never offered to another token
            return self._provider.passphrase(purpose=purpose, key=key, new=new, retry=retry)
        kind = variables_for(purpose)[0]
        if not new and not retry and kind in self._given:
            self._offered.add(key)
            return self._given[kind]
        # What was offered did not open it: the provider has not been asked about this key yet.
        asked_before = retry and key not in self._offered
        self._offered.discard(key)
        answer = self._provider.passphrase(purpose=purpose, key=key, new=new, retry=asked_before)
        self._given[kind] = answer
        return answer
