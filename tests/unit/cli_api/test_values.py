"""What the Python API returns and raises: nothing untrusted passes for trusted, and all of it can be sent elsewhere."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import pytest

from keys.errors import PassphraseWrong
from trustcli.api import ExpiredRole, Inspected, KeyHolder, NotAllSigned, Signed, SignedTag, TrustError, Verdict
from trustdata.errors import NotSigned

DIGEST = f"sha256:{'ab' * 32}"
TRUSTED = Verdict(
    image="app:1.0",
    name=f"docker.io/library/app@{DIGEST}",
    digest=DIGEST,
    tags=("1.0",),
    signers=("alice",),
    released_by="targets/releases",
    versions={"root": 1},
    fresh_until=datetime(2026, 1, 1, tzinfo=UTC),
)
REFUSED = Verdict(image="app:1.0", error=NotSigned(gun="docker.io/library/app", tag="1.0"))
SIGNED = Signed(image="a:1", name=f"docker.io/library/a:1@{DIGEST}", tag="1", digest=DIGEST, published=True)


def test_only_a_trusted_verdict_is_true() -> None:
    assert TRUSTED
    assert TRUSTED.trusted
    assert (TRUSTED.name_or_raise(), TRUSTED.digest_or_raise()) == (TRUSTED.name, DIGEST)


@pytest.mark.parametrize(
    "verdict",
    [
        REFUSED,
        Verdict(image="app:1.0"),
        Verdict(image="app:1.0", digest=DIGEST),
        Verdict(image="app:1.0", name=f"app@{DIGEST}"),
        Verdict(image="app:1.0", digest=DIGEST, name=f"app@{DIGEST}", error=REFUSED.error),
    ],
)
def test_what_is_not_wholly_trusted_is_false_and_gives_no_name(verdict: Verdict) -> None:
    assert not verdict
    assert not verdict.trusted
    for take in (verdict.name_or_raise, verdict.digest_or_raise):
        with pytest.raises(TrustError) as raised:
            take()
        assert raised.value is verdict.error or verdict.error is None


def test_values_are_frozen_hashable_and_equal_after_a_journey() -> None:
    inspected = Inspected(
        image="app",
        repository="docker.io/library/app",
        tags=(SignedTag(tag="1.0", digest=DIGEST, size=1, signers=(), released_by=("k",)),),
        signers=(KeyHolder(name="alice", keys=("k",)),),
        root_keys=("r",),
        repository_keys=("t",),
        expired=(ExpiredRole(role="root", version=1, at=datetime(2026, 1, 1, tzinfo=UTC)),),
        faults={},
        unusable={},
    )
    for value in (TRUSTED, SIGNED, inspected):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(pickle.loads(pickle.dumps(value))) == hash(value)
        with pytest.raises(AttributeError):
            value.image = "other"  # type: ignore[misc]
    assert str(pickle.loads(pickle.dumps(REFUSED)).error) == str(REFUSED.error)


def test_what_was_signed_stands_in_the_error_about_the_rest() -> None:
    error = NotAllSigned(signed=(SIGNED,), failures={"docker.io/library/b": PassphraseWrong(key="k")}, not_tried=("c",))
    assert error.code == "not-all-signed"
    assert "docker.io/library/b: " in str(error)
    details = json.loads(json.dumps(error.details()))
    assert details["signed"] == [SIGNED.name]
    assert details["failures"]["docker.io/library/b"]["code"] == "passphrase-wrong"
    assert details["not_tried"] == ["c"]
    assert pickle.loads(pickle.dumps(error)).signed == (SIGNED,)
