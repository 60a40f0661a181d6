"""Laws of reading what differs: a file has the plain targets that it has when all of it is read, or none are found."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trustdata.json_bounds import count_values
from trustdata.wire import canonical_json, plain_change
from trustdata.wire.plain_change import PlainChange, compare
from trustdata.wire.plain_targets import NOTARY_FORM, TUF_FORM, PlainForm, PlainPart, find_plain_targets

_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
_FORMS = pytest.mark.parametrize("form", [TUF_FORM, NOTARY_FORM], ids=["tuf", "notary"])
_NAMES = st.sampled_from(["a", "b", "bb", "c", ":{", "},", "1}", "1},", ",", "hashes", "z", "é"]) | st.text(
    'a1:{},"', min_size=1, max_size=3
)
_Targets = dict[str, int]
"""Names, and the number that length and hash are made of."""
_TARGETS = st.dictionaries(_NAMES, st.integers(0, 12), max_size=6)
_HASH, _END = b'"hashes":{"sha256":"', b'"},"length":1}'
_PIECES = st.sampled_from(
    [b"", b"{", b"}", b",", b":", b'"', b"\\", b"0", b"-", b"}}", b'{"hashes":{"sha256":"', b'":{' + _HASH, _END, b"\n"]
) | st.binary(max_size=2)


def _file(targets: _Targets, form: PlainForm, *, version: int = 1) -> bytes:
    def target(number: int) -> object:
        digest = bytes([number]) * 32
        text = digest.hex() if form is TUF_FORM else base64.b64encode(digest).decode()
        return {"hashes": {"sha256": text}, "length": number}

    document = {"signed": {"targets": {name: target(number) for name, number in targets.items()}, "version": version}}
    return canonical_json.to_json(document)


def _said(part: PlainPart | None) -> Any:
    return part and (part.start, part.stop, part.count, part.names, part.raw, part.form)


def _is_read_alike(old: bytes, new: bytes, form: PlainForm) -> PlainChange | None:
    """Whether something of a file is found that is not there. Returns the change, if it was read."""
    before = find_plain_targets(old, form)
    change = None if before is None else compare(new, before)
    part = None if change is None else change.part()
    if change is None or part is None:
        return None
    assert _said(part) == _said(find_plain_targets(new, form))
    assert count_values(new, most=10**6).values <= min(change.most_values, part.most_values)
    return change


@pytest.fixture(params=[1, 2, 7, 65536])
def _piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_change, "_PIECE", request.param)


@_FORMS
@_SHARED
@given(old=_TARGETS, new=_TARGETS, version=st.integers(1, 11))
@example(old={"a": 1, "b": 2}, new={"a": 1}, version=2)
@example(old={"a": 1, "b": 2}, new={"b": 2}, version=2)
@example(old={"a": 1}, new={"a": 1, "b": 2}, version=2)
@example(old={"b": 1}, new={"a": 1, "b": 1}, version=2)
@example(old={"1}": 1, "1},": 1}, new={"1},": 1}, version=2)
@example(old={":{": 1, "a": 1}, new={":{": 1, ":{a": 1, "a": 1}, version=2)
@pytest.mark.usefixtures("_piece")
def test_the_targets_of_the_next_version_are_found_by_what_differs(
    form: PlainForm, old: _Targets, new: _Targets, version: int
) -> None:
    raw, following = _file(old, form), _file(new, form, version=version)
    change = _is_read_alike(raw, following, form)
    plain = find_plain_targets(raw, form), find_plain_targets(following, form)
    assert (change is not None) == (None not in plain and bool(new)), "and without need they are not given up"


@_FORMS
@_SHARED
@given(old=_TARGETS, new=_TARGETS, splice=st.tuples(st.integers(0, 10_000), st.integers(0, 3), _PIECES))
@pytest.mark.usefixtures("_piece")
def test_nothing_is_found_that_is_not_there(
    form: PlainForm, old: _Targets, new: _Targets, splice: tuple[int, int, bytes]
) -> None:
    following = _file(new, form)
    place, cut, piece = splice[0] % (len(following) + 1), *splice[1:]
    _is_read_alike(_file(old, form), following[:place] + piece + following[place + cut :], form)


@_FORMS
@_SHARED
@given(targets=_TARGETS, cuts=st.lists(st.integers(0, 10_000), min_size=4, max_size=4))
@example(targets={"a": 1, "b": 1}, cuts=[0, 113, 21, 10_000])
@pytest.mark.usefixtures("_piece")
def test_pieces_of_the_old_file_in_another_order_deceive_nobody(
    form: PlainForm, targets: _Targets, cuts: list[int]
) -> None:
    raw = _file(targets, form)
    one, two, three, four = (cut % (len(raw) + 1) for cut in cuts)
    _is_read_alike(raw, raw[:one] + raw[two:three] + raw[four:], form)
    _is_read_alike(raw, raw[:one] + raw[one:two] * 2 + raw[two:], form)


def _twice(entry: bytes) -> bytes:
    return entry + b"," + entry


@_FORMS
@pytest.mark.parametrize("name", ["a", "m", "z"])
@pytest.mark.parametrize(
    "spoil",
    [
        _twice,
        lambda entry: entry.replace(b'"length":5', b'"length":05'),
        lambda entry: entry.replace(b'"length":5', b'"length":5.0'),
        lambda entry: entry.replace(b'"length":5', b'"length":5,"custom":{}'),
        lambda entry: entry.replace(b"sha256", b"sha512"),
        lambda entry: entry.replace(b'"hashes"', b'"Hashes"'),
        lambda entry: entry[:1] + b"~" + entry[1:],
        lambda entry: entry[:1] + b"!" + entry[1:],
        lambda entry: entry + b",",
        lambda entry: b"," + entry,
        lambda _: b"",
    ],
)
def test_a_target_that_is_not_plain_is_seen_wherever_it_stands(
    form: PlainForm, name: str, spoil: Callable[[bytes], bytes]
) -> None:
    raw = _file({"a": 5, "b": 5, "m": 5, "n": 5, "z": 5}, form)
    entry = _file({name: 5}, form)[len(b'{"signed":{"targets":{') : -len(b'},"version":1}}')]
    spoilt = raw.replace(entry, spoil(entry))
    assert spoilt != raw
    before = find_plain_targets(raw, form)
    assert before is not None
    change = compare(spoilt, before)
    part = None if change is None else change.part()
    assert _said(part) == _said(find_plain_targets(spoilt, form))


@_FORMS
def test_one_tag_more_is_all_that_is_read(form: PlainForm) -> None:
    tags = {f"v{number}": number % 200 for number in range(3000)}
    raw = _file(tags, form)
    for more in ({"0": 1}, {"v1500-more": 1}, {"z": 1}, {"v2999": 7}):
        change = _is_read_alike(raw, _file({**tags, **more}, form, version=2), form)
        assert change is not None
        assert change.size < 400
    for gone in ("v0", "v1500", "v999"):
        change = _is_read_alike(raw, _file({tag: n for tag, n in tags.items() if tag != gone}, form), form)
        assert change is not None
        assert change.size < 400


@_FORMS
def test_what_is_known_of_the_names_stays_known(form: PlainForm) -> None:
    before = find_plain_targets(_file({"a": 1, "c": 1}, form), form)
    assert before is not None
    assert not before.known_tags
    assert before.are_tags
    assert before.known_tags
    for name, is_tag in (("b", True), ("b b", False)):
        change = compare(_file({"a": 1, name: 2, "c": 1}, form), before)
        part = None if change is None else change.part()
        assert part is not None
        assert (part.known_tags, part.are_tags) == (is_tag, is_tag)
    odd = find_plain_targets(_file({"a a": 1, "b": 1, "d": 1}, form), form)
    assert odd is not None
    assert not odd.are_tags
    change = compare(_file({"a a": 1, "b": 1, "c": 1, "d": 1}, form), odd)
    part = None if change is None else change.part()
    assert part is not None
    assert not part.known_tags
    assert not part.are_tags


@_FORMS
@pytest.mark.parametrize("opening", [b"[", b"", b" {", b"{{", b'{"'])
def test_what_does_not_begin_as_an_object_has_no_targets(form: PlainForm, opening: bytes) -> None:
    raw = _file({"a": 1, "b": 1}, form)
    _is_read_alike(raw, raw.replace(b'"targets":{', b'"targets":' + opening), form)
