"""Errors between two processes of the server: each comes back as what it was, and nothing else comes back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

import keys.errors
import trustdata.errors
import trustserver.errors
from keys.error_record import ErrorRecord
from keys.errors import KeyNotAccepted, KeysError
from tests.support.error_samples import ERRORS, SAMPLES, typed_fields
from trustdata.errors import MalformedMetadata, MetadataExpired, NotStored, TrustError, VersionConflict
from trustserver.repository.error_text import error_from_json, error_to_json

_MODULES = {module.__name__ for module in (keys.errors, trustdata.errors, trustserver.errors)}
_SENT = [kind for kind in ERRORS if kind.__module__ in _MODULES and issubclass(kind, TrustError | KeysError)]


def _sent(error: ErrorRecord) -> ErrorRecord:
    return error_from_json(json.loads(json.dumps(error_to_json(error))))


@pytest.mark.parametrize("kind", _SENT, ids=lambda kind: kind.__name__)
def test_an_error_says_the_same_on_the_other_side(kind: type[ErrorRecord]) -> None:
    error = kind(**{name: SAMPLES[text] for name, text in typed_fields(kind).items()})
    error.add_note("stays here")
    again = _sent(error)
    assert type(again) is kind
    assert (str(again), again.details()) == (str(error), error.details())


def test_an_error_that_took_megabytes_does_not_take_them_again() -> None:
    error = MalformedMetadata(role="targets", path="x" * 5_000_000, reason="\ud800")
    text = json.dumps(error_to_json(error))
    assert len(text) < 5000
    assert str(error_from_json(json.loads(text))) == str(error)


def test_times_and_numbers_keep_their_types() -> None:
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    expired = _sent(MetadataExpired(role="targets", version=1, expires=new_year, at=new_year))
    assert isinstance(expired, MetadataExpired)
    assert expired.expires == new_year
    conflict = _sent(VersionConflict(role="root", offered=2, stored=3))
    assert (conflict.details()["offered"], conflict.details()["stored"]) == (2, 3)
    assert isinstance(_sent(KeyNotAccepted(key="k", reason="odd")), KeysError)


@pytest.mark.parametrize(
    "text",
    [
        '["SystemExit", {}]',
        '["NotStored", {"what": "x"}]',
        '["NotStored", {"reason": {"code": "x"}}]',
        '["VersionConflict", {"role": {"time": "soon"}}]',
        '["NotStored"]',
        '{"NotStored": {}}',
        "7",
    ],
)
def test_what_is_no_error_of_ours_is_an_error_of_the_server(text: str) -> None:
    error = error_from_json(json.loads(text))
    assert type(error) is NotStored
    assert "cannot be read" in str(error)
