"""Laws of the grammars of plain targets: a file is read alike with and without, whatever was done to the file."""

from __future__ import annotations

import base64
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata
from trustdata.roles import TARGETS
from trustdata.wire import WireFormat, canonical_json, plain_targets
from trustdata.wire.notary import NOTARY
from trustdata.wire.plain_targets import PlainNotaryTarget, PlainTarget, PlainTargets
from trustdata.wire.tuf import TUF

_PLAIN = {"hashes": {"sha256": "ab" * 32}, "length": 5}
_NOTARY_PLAIN = {"hashes": {"sha256": base64.b64encode(b"\xab" * 32).decode()}, "length": 5}


def _file(
    targets: object, *, signed: dict[str, object] | None = None, beside: dict[str, object] | None = None
) -> bytes:
    body = {"_type": "targets", "expires": "2030-01-01T00:00:00Z", "spec_version": "1.0.31", "version": 1}
    document = {"signatures": [], "signed": {**body, **(signed or {}), "targets": targets}, **(beside or {})}
    return canonical_json.to_json(document)


def _notary_file(raw: bytes) -> bytes:
    """The same file, or what was made of it, as Notary v1 would have it."""
    for tuf, notary in (
        (b'{"signatures":[],"signed":', b'{"signed":'),
        (b'"_type":"targets"', b'"_type":"Targets"'),
        (b'"' + b"ab" * 32 + b'"', b'"' + _NOTARY_PLAIN["hashes"]["sha256"].encode() + b'"'),  # type: ignore[index]
        (b'"' + b"0" * 64 + b'"', b'"' + base64.b64encode(bytes(32)) + b'"'),
    ):
        raw = raw.replace(tuf, notary)
    return raw.removesuffix(b"}") + b',"signatures":[]}'


def _read(raw: bytes, wire: WireFormat, *, grammar: bool) -> Envelope | str:
    try:
        if grammar:
            return wire.parse(TARGETS, raw)
        with mock.patch.object(plain_targets, "find_plain_targets", return_value=None):
            return wire.parse(TARGETS, raw)
    except MalformedMetadata as error:
        return str(error)


def _alike(raw: bytes) -> Envelope | str:
    """In both formats; what TUF's reads."""
    found = []
    for text, wire in ((raw, TUF), (_notary_file(raw), NOTARY)):
        with_grammar, without = _read(text, wire, grammar=True), _read(text, wire, grammar=False)
        assert with_grammar == without
        found.append(with_grammar)
    return found[0]


_TARGETS = st.dictionaries(
    st.text("az09.-:{},[] ", min_size=1, max_size=5)
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    st.just(_PLAIN),
)
_ANOTHER = b'"a":{"hashes":{"sha256":"' + b"0" * 64 + b'"},"length":0},'
_PIECES = st.sampled_from(
    [b"{", b"}", b",", b":", b'"', b'""', b"\\", b"-", b"0", b"1e1", b"1.0", b"9999999999999999", b"A", b"[]", b"null",
     b"true", b'"custom":{},', b'"sha512":"ab",', _ANOTHER]
)  # fmt: skip


_ASCII = st.dictionaries(st.text("az09.-:{},[] ", min_size=1, max_size=5), st.just(_PLAIN), min_size=1)


@given(_TARGETS | _ASCII, st.integers(0, 10_000), _PIECES, st.integers(0, 3))
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


@given(_ASCII, st.text('a\n"\\<\x01é'), st.text('a\n"\\<\x01é'))
def test_what_stands_before_and_after_them_is_signed_as_it_is(targets: Any, before: str, after: str) -> None:
    """Keys in PEM have newlines, which are signed unescaped."""
    read = _alike(_file(targets, signed={"a": before, "x": after}))
    assert isinstance(read, Envelope)
    assert list(read.targets.targets) == sorted(targets)
    assert all(name in read.targets.targets and read.targets.targets[name].length == 5 for name in targets)


def test_an_end_that_is_wrong_is_named_at_its_place() -> None:
    raw = _file({"a": _PLAIN, "b": _PLAIN})
    assert f"column {len(raw)}" in str(_alike(raw[:-1]))


@pytest.mark.parametrize("name", ["", "\\", '"', "\n", "\x7f", "é"])
def test_names_that_are_odd_are_read_alike(name: str) -> None:
    _alike(_file({name: _PLAIN, "b": _PLAIN}))


def test_a_name_that_stands_twice_is_seen() -> None:
    one = canonical_json.to_json({"a": _PLAIN})[1:-1]
    read = _alike(_file({"a": _PLAIN}).replace(one, one + b"," + one))
    assert "occurs twice" in str(read)


_FOREIGN = {"hashes": {"sha256": "0" * 64}, "length": 0}
_DECOYS = st.dictionaries(
    st.sampled_from(["Targets", "a", "targetr", "targets\0", "z"]),
    st.sampled_from([{"targets": {"v1": _FOREIGN}}, {"targets": {}}, 1.5, 10**17, {"v1": _FOREIGN}]),
)


@given(st.dictionaries(st.sampled_from(["v1", "v2"]), st.just(_PLAIN)), _DECOYS, _DECOYS)
def test_the_same_text_elsewhere_deceives_nobody(targets: Any, inside: Any, beside: Any) -> None:
    read = _alike(_file(targets, signed=inside, beside=beside))
    if isinstance(read, Envelope):
        assert sorted(read.targets.targets) == sorted(targets)
        assert {target.length for target in read.targets.targets.values()} <= {5}


@pytest.mark.parametrize("place", ["a", "z"])
@pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])
def test_an_entry_before_or_after_the_targets_is_not_read_for_one_of_them(wire: WireFormat, place: str) -> None:
    raw = _file({"v1": _PLAIN, "v2": _PLAIN}, signed={place: {"v0": _FOREIGN}})
    read = _read(_notary_file(raw) if wire is NOTARY else raw, wire, grammar=True)
    assert isinstance(read, Envelope)
    assert isinstance(read.targets.targets, PlainTargets)
    assert {(t.path, t.length, t.hashes["sha256"]) for t in read.targets.targets.values()} == {
        ("v1", 5, "ab" * 32),
        ("v2", 5, "ab" * 32),
    }


@pytest.mark.parametrize("odd", _ODD, ids=repr)
def test_plain_targets_elsewhere_vouch_for_no_others(odd: object) -> None:
    decoy: dict[str, object] = {"targets": {"v1": _PLAIN}}
    _alike(_file({"b": odd}, signed={"a": decoy}))
    _alike(_file({"b": odd}, signed=decoy | {"a": decoy}, beside={"a": decoy}))


@pytest.mark.parametrize(("wire", "kind"), [(TUF, PlainTarget), (NOTARY, PlainNotaryTarget)])
def test_plain_targets_do_take_the_grammar(wire: WireFormat, kind: type) -> None:
    files = [_file({f"v{n}": _PLAIN for n in range(3)}), _file({"v1": _PLAIN, "v2": {**_PLAIN, "custom": {}}})]
    plain, odd = (_read(_notary_file(raw) if wire is NOTARY else raw, wire, grammar=True) for raw in files)
    assert isinstance(plain, Envelope)
    assert {type(target) for target in plain.targets.targets.values()} == {kind}
    assert isinstance(odd, Envelope)
    assert kind not in {type(target) for target in odd.targets.targets.values()}
    assert {target.hashes["sha256"] for read in (plain, odd) for target in read.targets.targets.values()} == {"ab" * 32}


@pytest.mark.parametrize("last", ["=", "A=", "B=", "AA", "E=="])
def test_base64_is_read_alike(last: str) -> None:
    """Bits that decoders drop, and what is too long or short."""
    odd = {"hashes": {"sha256": "q" * 42 + last}, "length": 5}
    document = {"_type": "Targets", "delegations": None, "expires": "2030-01-01T00:00:00Z", "version": 1}
    raw = canonical_json.to_json({**document, "targets": {"a": _NOTARY_PLAIN, "b": odd}})
    raw = b'{"signed":' + raw + b',"signatures":[]}'
    assert _read(raw, NOTARY, grammar=True) == _read(raw, NOTARY, grammar=False)
