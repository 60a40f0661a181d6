"""Laws of the grammar of plain targets: a file is read alike with it and without it, whatever was done to the file."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata
from trustdata.roles import TARGETS
from trustdata.wire import canonical_json, plain_targets
from trustdata.wire.plain_targets import PlainTarget
from trustdata.wire.tuf import TUF

_PLAIN = {"hashes": {"sha256": "ab" * 32}, "length": 5}


def _file(
    targets: object, *, signed: dict[str, object] | None = None, beside: dict[str, object] | None = None
) -> bytes:
    body = {"_type": "targets", "expires": "2030-01-01T00:00:00Z", "spec_version": "1.0.31", "version": 1}
    document = {"signatures": [], "signed": {**body, **(signed or {}), "targets": targets}, **(beside or {})}
    return canonical_json.to_json(document)


def _read(raw: bytes, *, grammar: bool) -> Envelope | str:
    try:
        if grammar:
            return TUF.parse(TARGETS, raw)
        with mock.patch.object(plain_targets, "vouched", return_value=None):
            return TUF.parse(TARGETS, raw)
    except MalformedMetadata as error:
        return str(error)


def _alike(raw: bytes) -> Envelope | str:
    with_grammar, without = _read(raw, grammar=True), _read(raw, grammar=False)
    assert with_grammar == without
    return with_grammar


_TARGETS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), st.just(_PLAIN))
_ANOTHER = b'"a":{"hashes":{"sha256":"' + b"0" * 64 + b'"},"length":0},'
_PIECES = st.sampled_from(
    [b"{", b"}", b",", b":", b'"', b'""', b"\\", b"-", b"0", b"1e1", b"1.0", b"9999999999999999", b"A", b"[]", b"null",
     b"true", b'"custom":{},', b'"sha512":"ab",', _ANOTHER]
)  # fmt: skip


@given(_TARGETS, st.integers(0, 10_000), _PIECES, st.integers(0, 3))
def test_mutants_are_read_alike(targets: Any, place: int, piece: bytes, cut: int) -> None:
    raw = _file(targets)
    place %= len(raw) + 1
    _alike(raw[:place] + piece + raw[place + cut :])


_ODD_LENGTHS: list[object] = [True, -1, 2**53, 10**16, 1.5, "5", None]
_ODD_HASHES: list[object] = [
    {},
    {"sha256": "AB" * 32},
    {"sha256": "ab"},
    {"sha256": "ab" * 33},
    {"sha512": "ab"},
    [],
    1,
]
_ODD: list[object] = [
    *({**_PLAIN, "length": odd} for odd in _ODD_LENGTHS),
    *({**_PLAIN, "hashes": odd} for odd in _ODD_HASHES),
    *({**_PLAIN, "custom": {}}, {**_PLAIN, "x": 1}, {"length": 5}, {}, [], 1, None),
]


@pytest.mark.parametrize("odd", _ODD, ids=repr)
def test_a_target_that_is_not_plain_is_seen_among_plain_ones(odd: object) -> None:
    _alike(_file({"a": _PLAIN, "b": odd, "c": _PLAIN}))
    _alike(_file({"a": odd}))


@pytest.mark.parametrize("length", [b"-1", b"-0", b"05", b"5.0", b"1e3", b"9007199254740992", b"5 "])
def test_numbers_that_are_read_in_several_ways_are_seen(length: bytes) -> None:
    read = _alike(_file({"a": _PLAIN, "b": _PLAIN}).replace(b'"length":5}}', b'"length":' + length + b"}}"))
    assert isinstance(read, str) or length == b"5 "


@pytest.mark.parametrize("name", ["", "\\", '"', "\n", "\x7f", "é"])
def test_names_that_are_odd_are_read_alike(name: str) -> None:
    _alike(_file({name: _PLAIN, "b": _PLAIN}))


def test_a_name_that_stands_twice_is_seen() -> None:
    one = canonical_json.to_json({"a": _PLAIN})[1:-1]
    read = _alike(_file({"a": _PLAIN}).replace(one, one + b"," + one))
    assert "occurs twice" in str(read)


_DECOYS = st.dictionaries(
    st.sampled_from(["Targets", "a", "targetr", "targets\0", "z"]),
    st.sampled_from([{"targets": {"v1": _PLAIN}}, {"targets": {}}, 1.5, 10**17, {"v1": _PLAIN}]),
)


@given(st.dictionaries(st.sampled_from(["v1", "v2"]), st.just(_PLAIN)), _DECOYS, _DECOYS)
def test_the_same_text_elsewhere_deceives_nobody(targets: Any, inside: Any, beside: Any) -> None:
    read = _alike(_file(targets, signed=inside, beside=beside))
    if isinstance(read, Envelope):
        assert sorted(read.targets.targets) == sorted(targets)


@pytest.mark.parametrize("odd", _ODD, ids=repr)
def test_plain_targets_elsewhere_vouch_for_no_others(odd: object) -> None:
    decoy: dict[str, object] = {"targets": {"v1": _PLAIN}}
    _alike(_file({"b": odd}, signed={"a": decoy}))
    _alike(_file({"b": odd}, signed=decoy | {"a": decoy}, beside={"a": decoy}))


def test_plain_targets_do_take_the_grammar() -> None:
    read = _read(_file({f"v{n}": _PLAIN for n in range(3)}), grammar=True)
    assert isinstance(read, Envelope)
    assert {type(target) for target in read.targets.targets.values()} == {PlainTarget}
    read = _read(_file({"v1": _PLAIN, "v2": {**_PLAIN, "custom": {}}}), grammar=True)
    assert isinstance(read, Envelope)
    assert PlainTarget not in {type(target) for target in read.targets.targets.values()}
