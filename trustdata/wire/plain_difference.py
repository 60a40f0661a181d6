"""Find the tags in which two files with plain targets differ, without parsing them.

Bytes that are the same on both sides are passed over as in `plain_change`; of the rest, names and what stands behind
them are compared as text. Each name has one text for one target, since the form has no choice (docs/adr/0057).
"""

from __future__ import annotations

from collections.abc import Iterator

from keys.record import record
from trustdata.model import TargetFile
from trustdata.wire.plain_change import compare
from trustdata.wire.plain_targets import AFTER_NAME, PlainForm, PlainPart, read_target


@record
class PlainTargetChange:
    """A target that is not the same in two files; None where one of them has none of this name."""

    name: str
    before: TargetFile | None
    after: TargetFile | None


def differing_targets(before: PlainPart, after: PlainPart) -> Iterator[PlainTargetChange]:
    """Yield the targets that only one of two files of one format has, or that differ, by name.

    What is the same is not read, nor are the names of the others.
    """
    old, new = _differing_texts(before, after)
    old_targets, new_targets = _targets(old), _targets(new)
    for name in sorted(old_targets.keys() | new_targets.keys()):
        old_text, new_text = old_targets.get(name), new_targets.get(name)
        if old_text != new_text:
            yield PlainTargetChange(
                name=name.decode("ascii"),
                before=_target(name, old_text, before.form),
                after=_target(name, new_text, after.form),
            )


def _target(name: bytes, text: bytes | None, form: PlainForm) -> TargetFile | None:
    return None if text is None else read_target(name.decode("ascii"), text, 0, form)


def _differing_texts(before: PlainPart, after: PlainPart) -> tuple[bytes, bytes]:
    """Return the targets of both files without those that are the same at the beginning and at the end."""
    change = compare(after.raw, before)
    if change is None or (change.start, change.stop) != (after.start, after.stop):
        return before.raw[before.start + 1 : before.stop - 1], after.raw[after.start + 1 : after.stop - 1]
    return before.raw[change.old_first : change.old_last], after.raw[change.first : change.last]


def _targets(text: bytes) -> dict[bytes, bytes]:
    """Return the targets in a text of them: what stands behind each name, without the comma at the end."""
    first, *others = text.split(AFTER_NAME)
    found, name = {}, first.rpartition(b'"')[2]
    for piece in others[:-1]:
        # No name has a quote, so the last one begins the next name.
        found[name], _, name = piece.rpartition(b',"')
    if others:
        found[name] = others[-1].removesuffix(b",")
    return found
