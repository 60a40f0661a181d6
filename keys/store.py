"""Where private keys are kept, as a port; and the rules of naming that every store shares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

from keys.algorithms import PrivateKey
from keys.errors import KeyAmbiguous, KeyExists, KeyNotFound
from keys.key_info import KeyInfo

LEAST_PREFIX: Final = 4
"""The fewest digits of a key id that are taken for one."""

_KEYID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PREFIX: Final = re.compile(rf"[0-9a-f]{{{LEAST_PREFIX},64}}", re.ASCII)


class KeyStore(Protocol):
    """Private keys by key id, each under its own passphrase.

    What changes something is durable when it returns, and done wholly or not at all, also if the process is
    killed: an old key is never lost or damaged. Every method may raise KeyStoreInsecure, KeyStoreUnwritable,
    KeyFileMalformed, KeyNotAccepted.
    """

    def list(self) -> tuple[KeyInfo, ...]:
        """All keys, the retired ones too, sorted by purpose, name and id.

        Opens none; nobody vouches for the descriptions.
        """

    def get(self, reference: str) -> KeyInfo:
        """The key that an id, a name or the first digits of an id (at least four) stand for; names go before digits.

        Among keys of one name the one that is not retired is meant. Raises: KeyNotFound, KeyAmbiguous.
        """

    def private(self, keyid: str, passphrase: str) -> PrivateKey:
        """Open a key by its full id. Raises: KeyNotFound, PassphraseWrong."""

    def add(self, private: PrivateKey, info: KeyInfo, passphrase: str) -> None:
        """Keep a new key.

        Raises: KeyExists for its id, or its name among keys not retired; PassphraseMissing if empty.
        """

    def retire(self, keyid: str) -> None:
        """Mark a key as no longer to be chosen; it stays and opens. Retiring it again changes nothing.

        Raises: KeyNotFound.
        """

    def passwd(self, keyid: str, old: str, new: str) -> None:
        """Put a key under another passphrase.

        Raises: KeyNotFound, PassphraseWrong, PassphraseMissing for an empty new one.
        """

    def remove(self, keyid: str) -> None:
        """Forget a key for good. Raises: KeyNotFound."""


def is_keyid(text: str) -> bool:
    """Whether the text is a full key id in lower-case hex; anything else never becomes a file name."""
    return _KEYID.fullmatch(text) is not None


def find(keys: Iterable[KeyInfo], reference: str) -> KeyInfo:
    """What `KeyStore.get` promises, over the keys of a store. Raises: KeyNotFound, KeyAmbiguous."""
    known = tuple(keys)
    exact = [k for k in known if k.keyid == reference]
    named = [k for k in known if k.name and k.name == reference]
    in_use = [k for k in named if not k.retired]
    prefixed = [k for k in known if _PREFIX.fullmatch(reference) and k.keyid.startswith(reference)]
    fitting = exact or in_use or named or prefixed
    if not fitting:
        raise KeyNotFound(key=ascii(reference[:80]))
    if len(fitting) > 1:
        raise KeyAmbiguous(key=ascii(reference[:80]), candidates=tuple(k.described for k in fitting))
    return fitting[0]


def check_new(keys: Iterable[KeyInfo], new: KeyInfo) -> None:
    """Refuse a key that is there already, or whose name a key in use has. Raises: KeyExists."""
    for known in keys:
        if known.keyid == new.keyid or (new.name and known.name == new.name and not known.retired and not new.retired):
            raise KeyExists(key=known.described)


def in_order(keys: Iterable[KeyInfo]) -> tuple[KeyInfo, ...]:
    """The order in which stores list keys."""
    return tuple(sorted(keys, key=lambda k: (k.purpose, k.name, k.keyid)))
