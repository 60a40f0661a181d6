"""Which version a file states, in both ways, and which of them is newer than what is known."""

from __future__ import annotations

import pytest

from keys.document_version import DocumentKind, newer_sentence

NAMED = DocumentKind(what="a lock file", name="content-trust-lock-", known=2)
NUMBERED = DocumentKind(what="a file of pins", known=2)


def test_what_is_written() -> None:
    assert (NAMED.member, NAMED.stated) == ("format", "content-trust-lock-2")
    assert (NUMBERED.member, NUMBERED.stated) == ("version", 2)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (NAMED, {"format": "content-trust-lock-1"}),
        (NAMED, {"format": "content-trust-lock-2", "more": 1}),
        (NUMBERED, {"version": 1}),
        (NUMBERED, {"version": 2}),
        (NUMBERED, {"pins": {}}),
    ],
)
def test_a_known_version(kind: DocumentKind, document: object) -> None:
    assert kind.is_known(document)
    assert kind.newer(document) is None


@pytest.mark.parametrize(
    ("kind", "document", "version"),
    [
        (NAMED, {"format": "content-trust-lock-3"}, 3),
        (NAMED, {"format": "content-trust-lock-10", "collections": None}, 10),
        (NAMED, {"format": "content-trust-lock-999999999"}, 999_999_999),
        (NUMBERED, {"version": 3, "pins": []}, 3),
        (NUMBERED, {"version": 10**30}, 10**30),
    ],
)
def test_a_newer_version(kind: DocumentKind, document: object, version: int) -> None:
    assert kind.newer(document) == version
    assert not kind.is_known(document)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (NAMED, {}),
        (NAMED, {"format": 3}),
        (NAMED, {"format": "content-trust-seen-3"}),
        (NAMED, {"format": "content-trust-lock-"}),
        (NAMED, {"format": "content-trust-lock-0"}),
        (NAMED, {"format": "content-trust-lock-03"}),
        (NAMED, {"format": "content-trust-lock-3 "}),
        (NAMED, {"format": "content-trust-lock-3.5"}),
        (NAMED, {"format": "content-trust-lock-9999999999"}),
        (NAMED, {"format": "my content-trust-lock-3"}),
        (NAMED, []),
        (NUMBERED, None),
        (NUMBERED, {"version": 0}),
        (NUMBERED, {"version": -3}),
        (NUMBERED, {"version": True}),
        (NUMBERED, {"version": 3.0}),
        (NUMBERED, {"version": "3"}),
        (NUMBERED, {"version": None}),
    ],
)
def test_what_states_no_version_is_damaged_and_not_newer(kind: DocumentKind, document: object) -> None:
    assert kind.newer(document) is None
    assert not kind.is_known(document)


def test_the_sentence() -> None:
    assert newer_sentence("/h/pins.toml", "a file of pins", 2, 1) == (
        "/h/pins.toml is a file of pins of version 2, and this program knows versions up to 1"
    )
