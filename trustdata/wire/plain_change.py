"""Find the plain targets of a file by what differs from those of another file that was read before.

One tag more in a file of 10 000 leaves nearly all of its bytes as they were. What is plain in one file is plain in
another with the same bytes: whether a text is one target follows from that text alone. So bytes that are the same are
compared, which takes a thousandth of the time of reading them, and only whole targets with a difference are read, with
the names on both sides of them. The answer is that of `plain_targets.find_plain_targets` (docs/adr/0057).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from trustdata.gun import are_tags
from trustdata.json_bounds import most_values
from trustdata.wire.plain_targets import AFTER_NAME, MEMBER, VALUES, PlainPart, are_ascending, names_in, texts

_PIECE: Final = 64 * 1024
"""Bytes that are compared in one go."""
_LENGTH: Final = b'"length":'
_LAST: Final = re.compile(_LENGTH + rb"[0-9]+\}\}")


@dataclass(frozen=True, slots=True)
class PlainChange:
    """A file beside the plain targets of another one, compared and not read yet.

    In `raw[start:stop]` its plain targets must be, if it has any that are like those of `before`. All of this is the
    same as there but for `raw[first:last]`, in the place of `before.raw[old_first:old_last]`. These begin and end where
    a target does in `before`.
    """

    raw: bytes = field(repr=False)
    before: PlainPart
    start: int
    stop: int
    first: int
    last: int
    old_first: int
    old_last: int

    @property
    def size(self) -> int:
        """How many bytes must be read: what differs, and what is no plain target."""
        return len(self.raw) - (self.stop - self.start) + (self.last - self.first)

    @property
    def most_values(self) -> int:
        """A number of values that the file does not exceed, as `json_bounds` counts them."""
        rest = self.raw[: self.start] + self.raw[self.first : self.last] + self.raw[self.stop :]
        return most_values(rest) + (self._kept + 1) * VALUES

    @property
    def _kept(self) -> int:
        """How many targets are those of `before`."""
        return self.before.count - self.before.raw.count(AFTER_NAME, self.old_first, self.old_last)

    def part(self) -> PlainPart | None:
        """Read what differs. Return the plain targets of the file, or None if they are no plain ones."""
        text = self.raw[self.first : self.last]
        if not self._reads(text):
            return None
        names = names_in(text)
        # The first of them is that of `before` in the same place, if there are any before it; so these are less.
        if not are_ascending([*names, *self._name_after()]):
            return None
        return PlainPart(
            self.raw,
            self.start,
            self.stop,
            self._kept + len(names),
            self.before.form,
            tags_seen=self.before.known_tags and are_tags(texts(names)),
        )

    def _reads(self, text: bytes) -> bool:
        """Return whether what differs are whole targets, with a comma after each that is not the last of all."""
        is_last = self.last == self.stop - 1
        targets = text.removesuffix(b",")
        return not text or (is_last == (targets == text) and self.before.form.some.fullmatch(targets) is not None)

    def _name_after(self) -> list[bytes]:
        """Return the name of the target behind what differs; none if that is the last."""
        mark = self.raw.find(AFTER_NAME, self.last, self.stop)
        return [] if mark < 0 else [self.raw[self.last + 1 : mark]]


def compare(raw: bytes, before: PlainPart) -> PlainChange | None:
    """Compare a file with the plain targets of another one; None if it has nothing that could be like them."""
    start = raw.find(MEMBER) + len(MEMBER)
    end = _LAST.match(raw, raw.rfind(_LENGTH))
    if start < len(MEMBER) or raw[start : start + 1] != b"{" or end is None or end.end() - start < len("{}"):
        return None
    stop, old = end.end(), before.raw
    least = min(stop - start, before.stop - before.start)
    same = _same_from_the_left(raw, start, old, before.start, least)
    first = _target_at(raw, start, same)
    same_end = _same_from_the_right(raw, stop, old, before.stop, least - same)
    last = _behind_a_target(raw, stop, same_end, before)
    return PlainChange(
        raw, before, start, stop, first, last, before.start + (first - start), before.stop - (stop - last)
    )


def _target_at(raw: bytes, start: int, same: int) -> int:
    """Return where the last target begins whose name is within the first `same` bytes, or the first one."""
    mark = raw.rfind(AFTER_NAME, start, start + same)
    return start + 1 if mark < 0 else raw.rfind(b'"', start, mark)


def _behind_a_target(raw: bytes, stop: int, same: int, before: PlainPart) -> int:
    """Return where the target begins that follows on the first one with its name's end within the last `same` bytes.

    If there is none: the place of the brace at the end.
    """
    mark = raw.find(AFTER_NAME, stop - same, stop)
    end = before.form.end.match(raw, mark) if mark >= 0 else None
    return stop - 1 if end is None or end.end() == stop - 1 else end.end() + 1


def _same_from_the_left(a: bytes, i: int, b: bytes, j: int, most: int) -> int:
    """Return how many bytes are the same in `a` from `i` on and in `b` from `j` on, at most `most`."""
    same, step = 0, _PIECE
    while same < most:
        size = min(step, most - same)
        if a.startswith(b[j + same : j + same + size], i + same):
            same += size
        elif size == 1:
            break
        else:
            step = max(size // 2, 1)
    return same


def _same_from_the_right(a: bytes, i: int, b: bytes, j: int, most: int) -> int:
    """Return how many bytes are the same in `a` before `i` and in `b` before `j`, at most `most`."""
    same, step = 0, _PIECE
    while same < most:
        size = min(step, most - same)
        if a.startswith(b[j - same - size : j - same], i - same - size):
            same += size
        elif size == 1:
            break
        else:
            step = max(size // 2, 1)
    return same
