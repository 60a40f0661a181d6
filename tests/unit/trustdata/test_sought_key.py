"""A key is found in a document by its fingerprint, and by the digits of an id that either format gives it."""

from __future__ import annotations

import pytest
from securesystemslib.signer import SSlibKey

from keys.algorithms import key_fingerprint
from keys.notary import notary_key
from tests.simulator import keyring
from trustdata.model import Key
from trustdata.sought_key import SoughtKey
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

FOREIGN = SSlibKey("ab" * 32, "post-quantum", "of-tomorrow", {"public": "unread"})


def document(wire: WireFormat) -> dict[str, Key]:
    keys = [wire.encode_key(keyring.key(name)) for name in ("alice", "bob")]
    return {key.keyid: key for key in [*keys, FOREIGN]}


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_a_key_is_found_in_either_encoding(wire: WireFormat) -> None:
    alice = keyring.key("alice")
    here = frozenset({wire.encode_key(alice).keyid})
    keys = document(wire)
    assert SoughtKey(fingerprint=key_fingerprint(alice)).among(keys) == here
    for keyid in (alice.keyid, notary_key(alice).keyid):
        assert SoughtKey(digits=keyid[:12]).among(keys) == here
    assert SoughtKey(digits=keyring.key("mallory").keyid).among(keys) == frozenset()
    assert SoughtKey().among(keys) == frozenset(), "no key is meant"


def test_a_key_of_a_kind_that_is_not_read_is_found_by_its_own_id() -> None:
    keys = document(next(iter(FORMATS.values())))
    assert SoughtKey(digits=FOREIGN.keyid[:12]).among(keys) == {FOREIGN.keyid}
