"""A law of comparing plain targets as text: what differs is what differs when both files are parsed."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trustdata.wire import canonical_json
from trustdata.wire.plain_difference import PlainTargetChange, differing_targets
from trustdata.wire.plain_targets import NOTARY_FORM, TUF_FORM, PlainForm, PlainPart, find_plain_targets

_NAMES = st.sampled_from(["a", "b", "bb", "c", ":{", "},", "1}", "1},", ",", "hashes", "z"]) | st.text(
    "a1:{},", min_size=1, max_size=3
)
_Targets = dict[str, int]
_TARGETS = st.dictionaries(_NAMES, st.integers(0, 12), max_size=8)
_FORMS = pytest.mark.parametrize("form", [TUF_FORM, NOTARY_FORM], ids=["tuf", "notary"])


def _part(targets: _Targets, form: PlainForm, before: str) -> PlainPart:
    def target(number: int) -> object:
        digest = bytes([number // 2]) * 32
        text = digest.hex() if form is TUF_FORM else base64.b64encode(digest).decode()
        return {"hashes": {"sha256": text}, "length": number}

    listed = {name: target(number) for name, number in targets.items()}
    part = find_plain_targets(canonical_json.to_json({"signed": {"a": before, "targets": listed}}), form)
    assert part is not None
    return part


def _names(changes: Iterable[PlainTargetChange]) -> list[str]:
    return [change.name for change in changes]


@_FORMS
@given(old=_TARGETS, new=_TARGETS, before=st.sampled_from(["", "longer"]))
@example(old={}, new={}, before="")
@example(old={}, new={"a": 1}, before="")
@example(old={"a": 1, "b": 2, "c": 3}, new={"a": 1, "c": 3}, before="")
@example(old={"1}": 1, "1},": 1}, new={"1},": 1}, before="")
@example(old={"a": 2}, new={"a": 3}, before="")
def test_targets_that_differ_as_text_are_those_that_differ(
    form: PlainForm, old: _Targets, new: _Targets, before: str
) -> None:
    wanted = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    found = list(differing_targets(_part(old, form, ""), _part(new, form, before)))
    assert [each.name for each in found] == wanted
    for each in found:
        for target, listed in ((each.before, old), (each.after, new)):
            assert (target is None) is (each.name not in listed)
            if target is not None:
                number = listed[each.name]
                sha256 = (bytes([number // 2]) * 32).hex()
                assert (target.path, target.length, target.hashes) == (each.name, number, {"sha256": sha256})


@_FORMS
def test_files_in_which_something_else_looks_like_targets_first_are_compared_whole(form: PlainForm) -> None:
    plain = _part({"a": 1}, form, "")
    moved = b'"targets":7,' + plain.raw
    shift = len(moved) - len(plain.raw)
    later = PlainPart(moved, plain.start + shift, plain.stop + shift, 1, form)
    assert _names(differing_targets(plain, later)) == []
    assert _names(differing_targets(_part({"b": 1}, form, ""), later)) == ["a", "b"]
