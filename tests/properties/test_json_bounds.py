"""Laws of counting: what is counted in the bytes is what a parser makes of them, wherever a chunk ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.strategies import DOCUMENTS
from trustdata import json_bounds
from trustdata.json_bounds import TooDeep, TooManyValues, count_values, most_values, outside_strings

_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
_HOSTILE_TEXT = st.text(st.sampled_from('a"\\[]{},:\n\x00é😀'), max_size=12)
_HOSTILE = st.recursive(
    st.none() | st.integers(-9, 9) | _HOSTILE_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_HOSTILE_TEXT, inner, max_size=4),
    max_leaves=20,
)


def _values(document: Any) -> int:
    """The values of a parsed document: its lists, elements after the first, members, and three for each object."""
    if isinstance(document, list):
        return 1 + max(len(document) - 1, 0) + sum(map(_values, document))
    if isinstance(document, dict):
        return 3 + len(document) + max(len(document) - 1, 0) + sum(map(_values, document.values()))
    return 0


def _members(document: Any) -> int:
    if isinstance(document, dict):
        return len(document) + sum(map(_members, document.values()))
    return sum(map(_members, document)) if isinstance(document, list) else 0


def _depth(document: Any) -> int:
    children = document if isinstance(document, list) else document.values() if isinstance(document, dict) else None
    return 0 if children is None else 1 + max(map(_depth, children), default=0)


@_SHARED
@given(
    document=DOCUMENTS | _HOSTILE,
    chunk=st.integers(1, 40),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
@example(document={'"\\': ["\\\\", '\\"', ","]}, chunk=1, ascii_only=True, indent=None)
def test_values_members_and_depth_are_those_of_the_parsed_document(
    *, monkeypatch: pytest.MonkeyPatch, document: Any, chunk: int, ascii_only: bool, indent: int | None
) -> None:
    raw = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    monkeypatch.setattr(json_bounds, "_CHUNK", chunk)
    values, depth = _values(document), _depth(document)
    assert count_values(raw, most=values, depth=depth) == (values, _members(document))
    assert values <= most_values(raw)
    if values:
        with pytest.raises(TooManyValues, match=f"holds more than {values - 1} values"):
            count_values(raw, most=values - 1, depth=depth)
    if depth:
        with pytest.raises(TooDeep, match=f"nested deeper than {depth - 1}"):
            count_values(raw, most=values, depth=depth - 1)


@_SHARED
@given(
    st.lists(st.sampled_from([b"\\", b'"', b"a", b"[", b"]", b"{", b",", b"\\\\", b'\\"', b"\\n", b'""']), max_size=40)
)
@example([b'"', b"[", b'"', b'"', b"[", b'"'])
def test_the_end_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    whole = b"".join(outside_strings(raw))
    for chunk in range(1, 9):
        monkeypatch.setattr(json_bounds, "_CHUNK", chunk)
        assert b"".join(outside_strings(raw)) == whole
