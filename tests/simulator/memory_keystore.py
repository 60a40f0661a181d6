"""The key store in memory: for tests and for `trust demo`. The same promises, but nothing outlives the process."""

from __future__ import annotations

import hmac
from dataclasses import replace

from keys.algorithms import PrivateKey
from keys.errors import KeyElsewhere, KeyFileMalformed, KeyNotFound, PassphraseMissing, PassphraseWrong
from keys.key_info import KeyInfo
from keys.material import tuf_key
from keys.store import check_new, find, in_order
from keys.store_entry import write_entry


class MemoryKeyStore:
    """`KeyStore` over a dictionary. Nothing is sealed: the passphrase is only compared."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[KeyInfo, PrivateKey | None, str]] = {}

    def list(self) -> tuple[KeyInfo, ...]:
        """See `KeyStore.list`."""
        return in_order(info for info, _, _ in self._keys.values())

    def get(self, reference: str) -> KeyInfo:
        """See `KeyStore.get`."""
        return find(self.list(), reference)

    def private(self, keyid: str, passphrase: str) -> PrivateKey:
        """See `KeyStore.private`."""
        info, private, known = self._entry(keyid)
        if private is None:
            raise KeyElsewhere(key=info.described, uri=info.uri)
        if not hmac.compare_digest(_bytes(passphrase), _bytes(known)):
            raise PassphraseWrong(key=info.described)
        return private

    def add(self, private: PrivateKey, info: KeyInfo, passphrase: str) -> None:
        """See `KeyStore.add`."""
        if not passphrase:
            raise PassphraseMissing(key=info.described, sources=())
        if tuf_key(private).keyid != info.keyid:
            raise KeyFileMalformed(place=info.described, reason="the description is of another key")
        check_new(self.list(), info)
        self._keys[info.keyid] = (info, private, passphrase)

    def add_elsewhere(self, info: KeyInfo) -> None:
        """See `KeyStore.add_elsewhere`."""
        write_entry(info)  # refuses what cannot be stored
        check_new(self.list(), info)
        self._keys[info.keyid] = (info, None, "")

    def retire(self, keyid: str) -> None:
        """See `KeyStore.retire`."""
        info, private, passphrase = self._entry(keyid)
        self._keys[keyid] = (replace(info, retired=True), private, passphrase)

    def passwd(self, keyid: str, old: str, new: str) -> None:
        """See `KeyStore.passwd`."""
        private = self.private(keyid, old)
        info = self._entry(keyid)[0]
        if not new:
            raise PassphraseMissing(key=info.described, sources=())
        self._keys[keyid] = (info, private, new)

    def remove(self, keyid: str) -> None:
        """See `KeyStore.remove`."""
        self._entry(keyid)
        del self._keys[keyid]

    def _entry(self, keyid: str) -> tuple[KeyInfo, PrivateKey | None, str]:
        try:
            return self._keys[keyid]
        except KeyError as error:
            raise KeyNotFound(key=ascii(keyid[:80])) from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
