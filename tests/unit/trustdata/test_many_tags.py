"""What a large collection costs is counted: targets that are made, and copies of the file that are alive."""

from __future__ import annotations

import base64
import tracemalloc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from trustdata.envelope import Envelope
from trustdata.model import TargetFile, Targets
from trustdata.roles import TARGETS
from trustdata.verification.target_lookup import each_released, find_released, released_with_digest
from trustdata.wire import WireFormat, canonical_json
from trustdata.wire.notary import NOTARY
from trustdata.wire.plain_targets import NOTARY_FORM, TUF_FORM, PlainForm, PlainPart, PlainTargets, find_plain_targets
from trustdata.wire.tuf import TUF

_TAGS = 2_000
_DIGEST = bytes(range(32))
_BOTH = pytest.mark.parametrize(("wire", "form"), [(TUF, TUF_FORM), (NOTARY, NOTARY_FORM)], ids=["tuf", "notary"])


def _file(wire: WireFormat) -> bytes:
    digest = base64.b64encode(_DIGEST).decode() if wire is NOTARY else _DIGEST.hex()
    # The text of an entry stands in a name too: an entry is found by its place and not by its text.
    names = [*(f"v{n}" for n in range(_TAGS)), "},length:7}", "hashes:{sha256:"]
    targets = {name: {"hashes": {"sha256": digest}, "length": n} for n, name in enumerate(names)}
    signed: dict[str, object] = {"expires": "2030-01-01T00:00:00Z", "targets": targets, "version": 1}
    if wire is NOTARY:
        signed |= {"_type": "Targets", "delegations": {"keys": {}, "roles": []}}
        return b'{"signed":' + canonical_json.to_json(signed) + b',"signatures":[]}'
    signed |= {"_type": "targets", "spec_version": "1.0.31"}
    return canonical_json.to_json({"signatures": [], "signed": signed})


def _part(raw: bytes, form: PlainForm) -> PlainPart:
    part = find_plain_targets(raw, form)
    assert part is not None
    return part


class _Counted:
    """The targets of a file, which counts those that it makes, and how many are alive at once."""

    def __init__(self, wire: WireFormat, form: PlainForm) -> None:
        raw = _file(wire)
        self._kind = form.kind
        self._alive = 0
        self.made = 0
        self.most_alive = 0
        self.envelope = wire.parse(TARGETS, raw)
        counting = replace(_part(raw, form), form=replace(form, kind=self._make))
        self.envelope.targets.targets = cast("dict[str, TargetFile]", PlainTargets(counting))

    def _make(self, name: str, digest: str, length: int) -> TargetFile:
        target = self._kind(name, digest, length)
        weakref.finalize(target, self._gone)
        self.made += 1
        self._alive += 1
        self.most_alive = max(self.most_alive, self._alive)
        return target

    def _gone(self) -> None:
        self._alive -= 1


@_BOTH
def test_looking_for_one_tag_makes_one_target(wire: WireFormat, form: PlainForm) -> None:
    counted = _Counted(wire, form)
    found = find_released("v7", {TARGETS: counted.envelope})
    assert found is not None
    assert (found.digest, found.length) == (_DIGEST.hex(), 7)
    assert find_released("v", {TARGETS: counted.envelope}) is None
    assert counted.made == 1


@_BOTH
def test_looking_for_a_digest_makes_the_targets_that_have_it(wire: WireFormat, form: PlainForm) -> None:
    """Whoever may ask about an image may ask about digests that nobody has signed, again and again."""
    counted = _Counted(wire, form)
    assert released_with_digest(bytes(32).hex(), {TARGETS: counted.envelope}) == []
    assert counted.made == 0
    assert len(released_with_digest(_DIGEST.hex(), {TARGETS: counted.envelope})) == _TAGS + 2
    assert counted.made == _TAGS + 2


@_BOTH
def test_what_no_text_names_is_looked_for_nowhere_else(wire: WireFormat, form: PlainForm) -> None:
    del form
    envelope = wire.parse(TARGETS, _file(wire).replace(b'"v1":{', b'"v1":{"custom":{},'))
    assert not isinstance(envelope.targets.targets, PlainTargets)
    assert len(released_with_digest(_DIGEST.hex(), {TARGETS: envelope})) == _TAGS + 2
    envelope.targets.targets = cast("dict[str, TargetFile]", None)  # nobody may ask it for anything
    assert released_with_digest(bytes(32).hex(), {TARGETS: envelope}) == []


def test_a_digest_is_found_however_it_is_written() -> None:
    """With an escape, which any JSON may have; and in base64 with another last character that means the same."""
    hexadecimal = _DIGEST.hex().encode()
    escaped = TUF.parse(TARGETS, _file(TUF).replace(hexadecimal, b"\\u0030" + hexadecimal[1:], 1))
    assert len(released_with_digest(_DIGEST.hex(), {TARGETS: escaped})) == _TAGS + 2
    text = base64.b64encode(_DIGEST)
    assert text.endswith(b"8=")
    for file in (_file(NOTARY), _file(NOTARY).replace(b'"v1":{', b'"v1":{"custom":{},')):
        other = NOTARY.parse(TARGETS, file.replace(text, text[:-2] + b"9="))
        assert len(released_with_digest(_DIGEST.hex(), {TARGETS: other})) == _TAGS + 2


@_BOTH
def test_walking_over_all_keeps_none(wire: WireFormat, form: PlainForm) -> None:
    counted = _Counted(wire, form)
    walked = sum(1 for _ in each_released({TARGETS: counted.envelope}))
    assert walked == counted.made == _TAGS + 2
    assert counted.most_alive <= 2


@_BOTH
def test_every_target_is_read_at_its_own_place(wire: WireFormat, form: PlainForm) -> None:
    del form
    raw = _file(wire)
    targets = wire.parse(TARGETS, raw).targets.targets
    assert isinstance(targets, PlainTargets)
    assert {name: target.length for name, target in targets.items()} == {
        **{f"v{n}": n for n in range(_TAGS)},
        "},length:7}": _TAGS,
        "hashes:{sha256:": _TAGS + 1,
    }


@_BOTH
@pytest.mark.parametrize("absent", ["", "v", "v2000", "v0\n", "é", "\ud800", "zz", b"v1", 1, None], ids=repr)
def test_other_names_are_not_there(wire: WireFormat, form: PlainForm, absent: object) -> None:
    targets = _part(_file(wire), form).targets()
    assert absent not in targets
    assert targets.get(absent) is None  # type: ignore[call-overload]
    with pytest.raises(KeyError):
        targets[absent]  # type: ignore[index]


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@_BOTH
def test_the_text_that_is_signed_is_copied_once(wire: WireFormat, form: PlainForm) -> None:
    raw = _file(wire)
    part = _part(raw, form)
    signed: dict[str, object] = {"expires": "2030-01-01T00:00:00Z", "targets": {}, "version": 1}
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    part.payload(signed)
    _, peak = tracemalloc.get_traced_memory()
    assert round((peak - before) / len(raw)) == 1


@pytest.mark.usefixtures("traced")
@_BOTH
def test_a_file_that_was_asked_for_every_tag_takes_what_its_names_take(wire: WireFormat, form: PlainForm) -> None:
    """Beside its text and what is signed. All targets parsed take six times the text."""
    del form
    raw = _file(wire)
    before, _ = tracemalloc.get_traced_memory()
    envelope: Envelope = wire.parse(TARGETS, raw)
    targets: Targets = envelope.targets
    assert sum(target.length >= 0 for target in targets.targets.values()) == _TAGS + 2
    after, _ = tracemalloc.get_traced_memory()
    assert round((after - before) / len(raw)) <= 2
