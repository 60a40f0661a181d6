from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from typing import NoReturn

import pytest

from keys.errors import SigningFailed, TokenGone
from tests.simulator import keyring
from tests.simulator.scene import good_collection
from trustdata.editing.signing import sign
from trustdata.errors import MalformedMetadata, TooLarge
from trustdata.lifetimes import TUF_LIFETIMES, expires_at, renewal_due
from trustdata.model import Signature, Targets
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from trustdata.wire.tuf import TUF


def test_content_by_its_kind() -> None:
    stored = good_collection().server.stored
    assert stored[ROOT].root.consistent_snapshot
    assert stored[TIMESTAMP].timestamp.snapshot_meta.version == stored[SNAPSHOT].version
    assert "targets.json" in stored[SNAPSHOT].snapshot.meta
    assert stored[RELEASES].targets.targets
    with pytest.raises(MalformedMetadata) as caught:
        _ = stored[ROOT].targets
    assert (caught.value.role, caught.value.path) == ("root", "signed._type")
    with pytest.raises(FrozenInstanceError):
        stored[ROOT].sha256 = ""  # type: ignore[misc]


def test_bytes_are_kept() -> None:
    for role, envelope in good_collection().server.stored.items():
        assert TUF.parse(role, envelope.raw).raw == envelope.raw
        assert TUF.serialize(envelope.content, envelope.signatures) == envelope.raw
        assert TUF.payload(envelope.content) == envelope.payload


def test_every_signer_signs_the_same_payload() -> None:
    one = sign(Targets(1), [keyring.signer("targets")], role=TARGETS, wire=TUF)
    two = sign(Targets(1), [keyring.signer("targets"), keyring.signer("alice")], role=TARGETS, wire=TUF)
    assert set(two.signatures) == {keyring.keyid("targets"), keyring.keyid("alice")}
    assert two.payload == one.payload


class _Broken:
    public_key = keyring.key("alice")

    def sign(self, payload: bytes) -> NoReturn:
        raise OSError("the device says: PIN swordfish is wrong")


def test_a_device_that_fails_is_named_and_its_words_are_not() -> None:
    with pytest.raises(SigningFailed) as caught:
        sign(Targets(1), [_Broken()], role=TARGETS, wire=TUF)  # type: ignore[list-item]
    assert caught.value.key == keyring.keyid("alice")
    assert "swordfish" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_what_the_holder_of_a_key_says_is_said() -> None:
    gone = TokenGone(token="token vault", reason="it was removed")

    class Gone:
        public_key = keyring.key("alice")

        def sign(self, payload: bytes) -> NoReturn:
            raise gone

    with pytest.raises(TokenGone) as caught:
        sign(Targets(1), [Gone()], role=TARGETS, wire=TUF)  # type: ignore[list-item]
    assert caught.value is gone


def test_nothing_leaves_that_we_would_not_read() -> None:
    with pytest.raises(TooLarge):
        sign(Targets(1, unrecognized_fields={"a": "x" * 5_000_000}), [], role=TARGETS, wire=TUF)


def test_signatures_stand_in_the_order_of_key_ids() -> None:
    signatures = {keyid: Signature(keyid, "00") for keyid in ("bb", "aa")}
    assert TUF.serialize(Targets(1), signatures).index(b'"aa"') < TUF.serialize(Targets(1), signatures).index(b'"bb"')


def test_lifetimes() -> None:
    at = datetime(2026, 1, 1, 12, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    assert expires_at(at, timedelta(days=1)) == datetime(2026, 1, 2, 10, 0, tzinfo=UTC)
    assert TUF_LIFETIMES.of("timestamp") == timedelta(days=3)
    assert TUF_LIFETIMES.of("snapshot") == timedelta(days=14)
    assert TUF_LIFETIMES.of("root") == timedelta(days=730)
    assert TUF_LIFETIMES.of("targets/alice") == timedelta(days=365)
    assert renewal_due(at, timedelta(days=2)) == at - timedelta(days=1)
