"""Laws of JSON: canonical writing equals the reference; strict reading has one verdict by both of its paths."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical

from tests.support.strategies import DOCUMENTS, OBJECTS
from trustdata.errors import MalformedMetadata
from trustdata.roles import ROOT
from trustdata.wire import canonical_json, strict_json


@given(DOCUMENTS)
@example({"\n": '"\\\x00\x1f\x7f\u2028', "é": [True, None, -1]})
def test_canonical_form_is_the_reference_s(value: Any) -> None:
    assert canonical_json.encode(value) == str(encode_canonical(value)).encode()


@given(DOCUMENTS)
def test_what_we_write_we_read(value: object) -> None:
    assert strict_json.parse(ROOT, canonical_json.to_json(value)).value == value


@given(DOCUMENTS)
def test_what_others_write_we_read(value: object) -> None:
    assert strict_json.parse(ROOT, json.dumps(value, indent=1).encode()).value == value


def _checking(raw: bytes) -> object:
    try:
        return strict_json._parse_with_checks(ROOT, raw)
    except MalformedMetadata:
        return MalformedMetadata


def _both(raw: bytes) -> None:
    """The fast path vouches for nothing that the checking path would refuse or read otherwise."""
    fast = strict_json._parse_fast(raw)
    if fast is not None:
        assert fast.value == _checking(raw)
        assert json.dumps(fast.value) == json.dumps(_checking(raw))  # True is not 1


_PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b"1", b"-0", b"-", b"1.0", b"1e5", b"0E1", b"true", b"null",
     b"NaN", b"9007199254740992", b"99999999999999999999", b"\\n", b"\\u0041", b"\\", b"\xc3\xa9", b"\xff", b" ", b"\n",
     b"\xed\xa0\x80", b"\x00", b"\xef\xbb\xbf"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=12).map(b"".join))
def test_fast_and_checking_reader_agree_on_anything(raw: bytes) -> None:
    _both(raw)


@given(OBJECTS, st.integers(0, 10_000), _PIECES, st.integers(0, 3))
def test_fast_and_checking_reader_agree_on_mutants(value: object, place: int, piece: bytes, cut: int) -> None:
    raw = canonical_json.to_json(value)
    place %= len(raw) + 1
    _both(raw[:place] + piece + raw[place + cut :])


@given(OBJECTS, st.integers(0, 10_000), _PIECES, st.integers(0, 3))
def test_fast_and_checking_reader_agree_on_mutants_in_any_order(
    value: dict[str, object], place: int, piece: bytes, cut: int
) -> None:
    raw = orjson.dumps(dict(sorted(value.items(), reverse=True)))
    place %= len(raw) + 1
    _both(raw)
    _both(raw[:place] + piece + raw[place + cut :])


@given(st.lists(st.booleans(), min_size=25, max_size=70))
@example([True, False] * 20)
@example([False] * 32)
@example([False] * 33)
def test_how_deep_a_document_may_be_nested(kinds: list[bool]) -> None:
    raw = b"1"
    for is_object in kinds:
        raw = b'{"a":' + raw + b"}" if is_object else b"[" + raw + b"]"
    for text in (raw, b" " + raw):  # the fast path reads the first one, the checking path the second
        if len(kinds) > 32:
            with pytest.raises(MalformedMetadata, match="nested deeper than 32"):
                strict_json.parse(ROOT, text)
        else:
            assert strict_json.parse(ROOT, text).value == json.loads(text)
