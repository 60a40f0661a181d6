"""What is refused before any parser has read it, and what is not."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.support.attackers.uploads import document, tags
from trustdata import bounded_json
from trustdata.errors import MalformedMetadata, TooLarge, TrustError
from trustdata.json_bounds import TooDeep, TooManyValues, count_values
from trustdata.limits import MAX_DEPTH, notary_limits, tuf_limits
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire import WireFormat, canonical_json, strict_json
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

_ROLES = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES)


@pytest.fixture
def parsers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all texts that a JSON parser gets."""
    read: list[int] = []

    def counting(parser: Callable[..., Any]) -> Callable[..., Any]:
        def loads(text: str | bytes, **options: Any) -> Any:
            read.append(len(text))
            return parser(text, **options)

        return loads

    monkeypatch.setattr(orjson, "loads", counting(orjson.loads))
    monkeypatch.setattr(json, "loads", counting(json.loads))
    return read


def _filled(unit: bytes, size: int) -> bytes:
    return b"[" + (unit * (size // len(unit)))[: size - 2].rstrip(b",") + b"]"


@pytest.mark.parametrize(
    "unit", [b"[],", b"{},", b'{"":0},', b'{"":{"":{"":{"":{"":0}}}}},', b"0,", b'"",', b"[],0.5,"]
)
@pytest.mark.parametrize("role", _ROLES)
@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_too_many_values_are_refused_unparsed(
    *, parsers: list[int], wire: WireFormat, role: RoleName, unit: bytes
) -> None:
    limits = tuf_limits(role) if wire is TUF else notary_limits(role)
    with pytest.raises(TooLarge, match=f"^{role} metadata holds more than {limits.values} values$"):
        wire.parse(role, _filled(unit, limits.size))
    assert parsers == []


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_unparsed(parsers: list[int], bracket: bytes) -> None:
    for raw in (bracket * (MAX_DEPTH + 1), b" " * 100_000 + bracket * (MAX_DEPTH + 1), bracket * 40_000):
        with pytest.raises(MalformedMetadata, match=f"nested deeper than {MAX_DEPTH}"):
            TUF.parse(TARGETS, raw)
    assert parsers == []


@pytest.mark.parametrize("raw", [b"]" * 40 + b"[" * 40, b"[]" * 40 + b"]]" + b"[" * 40, b"]" * 99])
def test_what_closes_nothing_is_no_json_rather_than_deep(raw: bytes) -> None:
    with pytest.raises(MalformedMetadata, match="not JSON"):
        TUF.parse(TARGETS, raw)


def test_brackets_and_commas_in_texts_are_no_values() -> None:
    document = {"a[{,:": ["[[[[" * 40, '\\",[:', "{}" * 5]}
    assert count_values(json.dumps(document).encode(), most=7) == (7, 1)


@pytest.mark.parametrize("unit", [b'"', b'""', b'"",', b'"[",', b"\\", b'\\"', b"[],", b'{"":0},', b"\\n", b"a"])
def test_counting_takes_little_memory_itself(unit: bytes) -> None:
    raw = unit * (4_000_000 // len(unit))
    tracemalloc.start()
    try:
        count_values(raw, most=10**9)
        assert tracemalloc.get_traced_memory()[1] < len(raw) / 2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("unit", [b"\\n", b'\\"', b"\\\\", b"\\u0001"])
def test_a_text_of_escapes_takes_little_memory(unit: bytes) -> None:
    raw = b'"' + unit * (1_000_000 // len(unit)) + b'"'
    tracemalloc.start()
    try:
        assert len(canonical_json.from_json(raw)) <= len(raw)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(raw)
    finally:
        tracemalloc.stop()


def _tags(count: int, digest: str, name: str) -> dict[str, object]:
    return {name % i: {"hashes": {"sha256": digest}, "length": 1234} for i in range(count)}


def test_a_hundred_thousand_tags_of_notary_are_read() -> None:
    targets = _tags(100_000, "A" * 43 + "=", "v1.0.%06d")
    signed = {"_type": "Targets", "version": 1, "expires": "2030-01-01T00:00:00Z", "targets": targets}
    raw = orjson.dumps({"signed": {**signed, "delegations": {"keys": {}, "roles": []}}, "signatures": []})
    assert len(raw) > 9_000_000
    assert len(NOTARY.parse(TARGETS, raw).targets.targets) == 100_000


def test_more_tags_than_that_are_refused_unparsed(parsers: list[int]) -> None:
    raw = document("notary-v1", tags=tags("notary-v1", 105_000))
    assert len(raw) < notary_limits(TARGETS).size
    with pytest.raises(TooLarge, match="targets metadata holds more than 1250000 values"):
        NOTARY.parse(TARGETS, raw)
    assert parsers == []


def test_the_largest_file_of_targets_of_tuf_is_read() -> None:
    custom = {"oci": {"manifests": ["ab" * 32] * 2}}
    plain = _tags(36_000, "ab" * 32, "v1.0.%06d")
    for targets in (plain, {name: {**_target(plain, name), "custom": custom} for name in list(plain)[:15_000]}):
        signed = {"_type": "targets", "version": 1, "spec_version": "1.0.31", "expires": "2030-01-01T00:00:00Z"}
        raw = canonical_json.to_json({"signatures": [], "signed": {**signed, "targets": targets}})
        assert 4_000_000 < len(raw) <= tuf_limits(TARGETS).size
        assert len(TUF.parse(TARGETS, raw).targets.targets) == len(targets)


def _target(targets: dict[str, object], name: str) -> dict[str, object]:
    target = targets[name]
    assert isinstance(target, dict)
    return target


def test_numbers_are_checked_where_a_chunk_cuts_them() -> None:
    """The 16 digits of a number that not every parser reads alike."""
    for blanks in range(65_500, 65_540):
        with pytest.raises(MalformedMetadata):
            strict_json.parse(TARGETS, b'{"a":"%b","b":%d}' % (b"x" * blanks, 2**53))


def test_an_answer_of_anybody(parsers: list[int]) -> None:
    assert bounded_json.loads(b'\xef\xbb\xbf{"a":[1,2.5]}') == {"a": [1, 2.5]}
    parsers.clear()
    with pytest.raises(TooManyValues):
        bounded_json.loads(b"[0,0,0]", values=2)
    with pytest.raises(TooDeep):
        bounded_json.loads(b"[" * 100)
    for raw in ("[\u2200]".encode("utf-16"), b"\xff"):
        with pytest.raises(ValueError, match="codec"):
            bounded_json.loads(raw)
    assert parsers == []


def test_each_refusal_is_a_domain_error() -> None:
    for raw in (b"", b"[", b'"', b"\\", b'"\\', b"\xff", b'{"a":"\\ud800"}'):
        with pytest.raises(TrustError):
            NOTARY.parse(TARGETS, raw)
