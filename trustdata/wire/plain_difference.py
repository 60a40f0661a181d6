"""Find the tags in which two files with plain targets differ, without parsing them.

Bytes that are the same on both sides are passed over as in `plain_change`; of the rest, names and what stands behind
them are compared as text. Each name has one text for one target, since the form has no choice (docs/adr/0057).
"""

from __future__ import annotations

from trustdata.wire.plain_change import compare
from trustdata.wire.plain_targets import AFTER_NAME, PlainPart, texts


def differing_names(before: PlainPart, after: PlainPart) -> list[str]:
    """Return the names of the targets that only one of two files of one format has, or that differ, ascending."""
    old, new = _differing_texts(before, after)
    old_targets, new_targets = _targets(old), _targets(new)
    names = (name for name in old_targets.keys() | new_targets.keys() if old_targets.get(name) != new_targets.get(name))
    return texts(sorted(names))


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
