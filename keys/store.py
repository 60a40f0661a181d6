"""The interface of key stores, and the rules that every store shares: finding, naming and ordering keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

from keys.algorithms import PrivateKey
from keys.errors import KeyAmbiguous, KeyExists, KeyNameTaken, KeyNotFound
from keys.key_info import KeyInfo

MIN_PREFIX: Final = 4
"""How many digits of a key id a user must type at least."""

_KEYID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PREFIX: Final = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},64}}", re.ASCII)


class KeyStore(Protocol):
    """A store of private keys by key id, each encrypted with its own passphrase, and of where other keys live.

    A change is durable when the method returns, and it is complete or does not happen, also if the process is killed.
    Existing keys are never lost or damaged. Every method may raise KeyStoreInsecure, KeyStoreUnreadable,
    KeyFileMalformed and KeyNotAccepted; those that change the store also KeyStoreUnwritable.
    """

    def list(self) -> tuple[KeyInfo, ...]:
        """Return all keys, also the retired ones, sorted by purpose, name and id.

        No key is opened, so the descriptions are not authenticated.
        """

    def get(self, reference: str) -> KeyInfo:
        """Return the key that an id, a name or the first digits of an id denote.

        At least four digits are needed. A name takes precedence over digits. Among keys with one name, the one that is
        not retired is returned. Raises: KeyNotFound, KeyAmbiguous.
        """

    def private(self, keyid: str, passphrase: str) -> PrivateKey:
        """Open a key by its full id. Raises: KeyNotFound, PassphraseWrong; KeyElsewhere if it is not in the store."""

    def add(self, private: PrivateKey, info: KeyInfo, passphrase: str) -> None:
        """Store a new key.

        Raises: KeyExists if the store has its id, or has its name for a key that is not retired; PassphraseMissing if
        the passphrase is empty.
        """

    def add_elsewhere(self, info: KeyInfo) -> None:
        """Store an entry for a key that lives where `info.uri` says; no passphrase protects it.

        Raises: as `add`; KeyFileMalformed if `info` has no URI.
        """

    def retire(self, keyid: str) -> None:
        """Mark a key as retired: it stays in the store and can be opened, but new signatures do not use it.

        Retiring it again changes nothing. Raises: KeyNotFound.
        """

    def passwd(self, keyid: str, old: str, new: str) -> None:
        """Change the passphrase of a key.

        Raises: KeyNotFound; PassphraseWrong if `old` is wrong; PassphraseMissing if `new` is empty; KeyElsewhere if the
        key is not in the store.
        """

    def remove(self, keyid: str) -> None:
        """Delete a key for good. Raises: KeyNotFound."""


def is_keyid(text: str) -> bool:
    """Return whether the text is a full key id in lower-case hex. Nothing else may be used as a file name."""
    return _KEYID.fullmatch(text) is not None


def find(keys: Iterable[KeyInfo], reference: str) -> KeyInfo:
    """Return the key among `keys` that an id, a name or the first digits of an id denote.

    A name takes precedence over digits, a key that is not retired over a retired one, and an id over the id that a key
    has in Notary v1, which `docker` and `notary` show.

    Raises: KeyNotFound, KeyAmbiguous.
    """
    known = tuple(keys)
    exact = [k for k in known if k.keyid == reference]
    named = [k for k in known if k.name and k.name == reference]
    active = [k for k in named if not k.retired]
    prefixed = [k for k in known if _PREFIX.fullmatch(reference) and k.keyid.startswith(reference)]
    matches = exact or active or named or prefixed or _with_notary_id(known, reference)
    if not matches:
        raise KeyNotFound(key=ascii(reference[:80]), named=True)
    if len(matches) > 1:
        raise KeyAmbiguous(key=ascii(reference[:80]), candidates=tuple(k.described for k in matches))
    return matches[0]


def _with_notary_id(keys: Iterable[KeyInfo], reference: str) -> list[KeyInfo]:
    if not _PREFIX.fullmatch(reference):
        return []
    from keys.notary import notary_key  # rarely needed: start-up time

    return [k for k in keys if notary_key(k.public).keyid.startswith(reference)]


def check_name(keys: Iterable[KeyInfo], name: str) -> None:
    """Refuse a name that a key has that is not retired; many keys may have none. Raises: KeyNameTaken."""
    for known in keys:
        if name and known.name == name and not known.retired:
            raise KeyNameTaken(key=known.described, name=ascii(name)[1:-1])


def check_new(keys: Iterable[KeyInfo], new: KeyInfo) -> None:
    """Refuse a new key whose id exists, or whose name belongs to a key that is not retired.

    Raises: KeyExists, KeyNameTaken.
    """
    all_known = tuple(keys)
    for known in all_known:
        if known.keyid == new.keyid:
            raise KeyExists(key=known.described)
    if not new.retired:
        check_name(all_known, new.name)


def in_order(keys: Iterable[KeyInfo]) -> tuple[KeyInfo, ...]:
    """Return the keys in the order in which stores list them: by purpose, name and id."""
    return tuple(sorted(keys, key=lambda k: (k.purpose, k.name, k.keyid)))
