"""Every refusal says what, which role or name, and gives the same as data."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from trustcli import errors as cli_errors
from trustdata import errors
from trustdata.errors import TrustError, shown

_TIME = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
SAMPLES: dict[str, Any] = {
    "at": _TIME,
    "expires": _TIME,
    "version": 7,
    "offered": 5,
    "known": 6,
    "expected": "wanted-value",
    "found": "sha256:f0",
    "threshold": 2,
    "limit": 4711,
    "status": 403,
    "stored": 9,
    "signed": ("a" * 64,),
    "unsigned": ("b" * 64, "c" * 64),
    "roles": ("targets", "targets/releases"),
    "digests": ("aa", "bb"),
    "signers": ("alice",),
    "their_signers": ("bob",),
    "our_signers": ("alice",),
    "tags": {"1.0": "sha256:aa"},
    "exposed": {"2.0": "sha256:bb"},
    "server_details": {"gun": "a/b", "list": [1, "x"]},
}


def _classes(kind: type[TrustError] = TrustError) -> list[type[TrustError]]:
    return [
        kind,
        *(c for child in kind.__subclasses__() if child.__module__ == kind.__module__ for c in _classes(child)),
    ]


CLASSES = [c for c in _classes() if c not in (TrustError, errors.NotTrusted)]


def _sample(kind: type[TrustError]) -> TrustError:
    fields: dict[str, Any] = {}
    for ancestor in reversed(kind.__mro__):
        for name, annotation in inspect.get_annotations(ancestor).items():
            if not str(annotation).startswith("ClassVar"):
                is_number = str(annotation) == "int"
                fields[name] = SAMPLES.get(name, 3 if is_number else f"the-{name}")
                if is_number and not isinstance(fields[name], int):
                    fields[name] = 8
    return kind(**fields)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_sentence_and_data(kind: type[TrustError]) -> None:
    error = _sample(kind)
    sentence = str(error)
    details = error.details()
    json.dumps(details)
    assert sentence
    for name in ("role", "gun", "path", "target", "remote", "place", "image", "limit", "status"):
        if name in details:
            assert str(details[name]) in sentence, name
    assert kind.__doc__ or kind.__mro__[1].__doc__


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(code == code.lower() and " " not in code for code in codes)


def test_every_error_is_in_the_drawing() -> None:
    drawing = errors.__doc__ or ""
    assert [kind.__name__ for kind in CLASSES if f"─ {kind.__name__} " not in drawing] == []


def test_foreign_text_is_escaped_and_cut() -> None:
    assert shown("a\x1b[31m\n\u202e") == "a\\x1b[31m\\n\\u202e"
    assert shown("x" * 200) == "x" * 120 + "…"
    assert shown("\n" * 100) == "\\n" * 60 + "…"
    error = errors.MalformedMetadata(role="r\x07", path="p\x07", reason="w\x07" * 300)
    assert "\x07" not in str(error)
    assert "\x07" not in json.dumps(error.details())


def test_data_of_every_kind_is_ready_for_json() -> None:
    error = cli_errors.RemoteRefused(
        remote="r", status=403, reason="no", server_details={"at": _TIME, "list": [{"a\n": "\n"}], "none": None}
    )
    assert error.details()["server_details"] == {
        "at": "2026-11-01T12:30:00Z",
        "list": [{"a\n": "\\n"}],
        "none": None,
    }


def test_what_has_no_place_is_said_of_the_whole() -> None:
    whole = errors.MalformedMetadata(role="root", path="", reason="not JSON")
    assert str(whole) == "root metadata is malformed: not JSON"
    inside = errors.MalformedMetadata(role="root", path="signed.version", reason="must be one")
    assert str(inside) == "root metadata is malformed at signed.version: must be one"


def test_a_drop_and_a_step_back_sound_different() -> None:
    assert "was dropped" in str(errors.VersionRollback(role="targets", offered=0, known=3))
    assert "older than version 3" in str(errors.VersionRollback(role="targets", offered=2, known=3))


def test_who_did_not_sign_is_named() -> None:
    error = errors.ThresholdNotMet(
        role="targets", version=3, delegator="root", threshold=2, signed=("a" * 64,), unsigned=()
    )
    assert "1 of 2" in str(error)
    assert "none" in str(error)


def test_a_race_names_both_digests_and_signers() -> None:
    error = cli_errors.TagChanged(gun="a/b", tag="1", ours="sha256:aa", theirs="sha256:bb")
    assert str(error).count("the repository key") == 2
    named = cli_errors.TagChanged(
        gun="a/b", tag="1", ours="sha256:aa", theirs="sha256:bb", their_signers=("bob",), our_signers=("alice",)
    )
    for part in ("sha256:aa", "sha256:bb", "alice", "bob"):
        assert part in str(named)


def test_variants_of_sentences() -> None:
    assert "only alice lists it" in str(errors.NotSigned(gun="a/b", tag="1", signers=("alice",)))
    assert str(errors.NotSigned(gun="a/b", tag="1")) == "a/b:1 is not signed"
    assert str(errors.NotSigned(gun="a/b", tag="")) == "a/b has no signed tag"
    assert "(--pin)" in str(errors.RootNotPinned(gun="a/b", pin="p", found="f", pin_source="--pin"))
    withheld = errors.TrustDataWithheld(gun="a/b", known_by="pins.toml")
    assert str(withheld).endswith(" but the server has no data for it")
    doubted = errors.TrustDataWithheld(gun="a/b", known_by="pins.toml", doubt="it refused (404)\x1b")
    assert str(doubted) == f"{withheld}; it refused (404)\\x1b"
    assert "its root was r, the pin here is p; if these are not of one collection, it is withheld" in str(
        errors.CollectionDeleted(gun="a/b", pin="p", deleted_root="r", deleted_at="yesterday", subject="bob")
    )
    known = errors.CollectionDeleted(gun="a/b", pin="r", deleted_root="r", deleted_at="yesterday", subject="bob")
    assert str(known).endswith("as the server says: its root was r, as it is pinned here")
    assert "by unknown" in str(
        errors.CollectionDeleted(gun="a/b", pin="p", deleted_root="r", deleted_at="yesterday", subject="")
    )
