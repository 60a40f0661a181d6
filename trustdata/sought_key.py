"""A key that is looked for in documents, whose private half nobody needs to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keys.algorithms import accepted_fingerprints, public_key_of
from keys.material import tuf_key
from keys.notary import notary_key
from trustdata.model import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class SoughtKey:
    """A key by its fingerprint, or by the first digits of its id where no more is known."""

    fingerprint: str = ""
    digits: str = ""

    def among(self, keys: Mapping[str, Key]) -> frozenset[str]:
        """Return the ids under which a document has the key, in every encoding."""
        if self.digits:
            return frozenset(keyid for keyid, key in keys.items() if self._begins(keyid, key))
        return frozenset(keyid for keyid, key in keys.items() if self.fingerprint in accepted_fingerprints([key]))

    def _begins(self, keyid: str, key: Key) -> bool:
        """Return whether one of the ids of a key begins with the digits: as the document has it, or either format."""
        ids = {keyid}
        if accepted_fingerprints([key]):
            public = tuf_key(public_key_of(key))
            ids |= {public.keyid, notary_key(public).keyid}
        return any(each.startswith(self.digits) for each in ids)
