"""Read the targets of a file in the form in which our writers write tags: a length and one SHA-256, nothing else.

A file of 10 000 tags has 10 000 such entries. One regular expression over the bytes checks them all in a third of the
time that parsing them takes, and in a tenth of the memory. So they are cut out of the text before the rest is parsed,
and each is read from its place in the text when it is asked for. All of them parsed would take six times their text.
`plain_change` finds those of a file that differs little from one that was read before.
"""

from __future__ import annotations

import binascii
import operator
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Final

from trustdata.errors import MalformedMetadata, TooLarge
from trustdata.gun import are_tags
from trustdata.json_bounds import most_values
from trustdata.model import Content, TargetFile, Targets
from trustdata.roles import RoleName
from trustdata.wire import canonical_json, strict_json
from trustdata.wire.canonical_json import to_json
from trustdata.wire.format_names import NOTARY_V1, TUF_1_0

VALUES: Final = 12
"""Values of a plain target, as `json_bounds` counts them."""
MEMBER: Final = b'"targets":'
AFTER_NAME: Final = b'":{"hashes":{"sha256":"'
_BEFORE_LENGTH: Final = b'"},"length":'
_MEANT: Final = 42
"""Characters of a SHA-256 in base64 of which every bit means something."""
_BEFORE_DIGEST: Final = re.compile(re.escape(AFTER_NAME))
# Other characters are left to the parser: what is not ASCII, controls, and the beginning of an escape.
_NAME: Final = rb'[^"\\\x00-\x1f\x7f-\xff]+'


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainForm:
    """How a format writes plain targets.

    `whole`: matches all of them; `some`: one or more, without the braces around them; `end`: one, from behind its name
    on. `opening`: returns the text before the first member of `signed`, for a parsed file. `digest_size`: characters of
    a digest. `written`: returns how a digest (hex) begins, as it is written. `kind`: makes a target from its name, its
    digest as it is written, and its length.
    """

    whole: re.Pattern[bytes]
    some: re.Pattern[bytes]
    end: re.Pattern[bytes]
    opening: Callable[[Mapping[str, object]], bytes]
    digest_size: int
    written: Callable[[str], bytes]
    kind: Callable[[str, str, int], TargetFile]


class NotPlain(Exception):
    """What was said to be the plain targets of a file is not, or the rest has a fault: the whole must be parsed."""


@dataclass(frozen=True)
class PlainPart:
    """The plain targets of a file: the `count` ones in `raw[start:stop]`, with strictly ascending names.

    `tags_seen`: whether it is known already that every name is a tag.
    """

    raw: bytes = field(repr=False)
    start: int
    stop: int
    count: int
    form: PlainForm = field(repr=False)
    tags_seen: bool = False

    @cached_property
    def names(self) -> list[bytes]:
        """Their names."""
        return names_in(self.raw[self.start : self.stop])

    @cached_property
    def are_tags(self) -> bool:
        """Whether every name is a tag."""
        return self.tags_seen or are_tags(texts(self.names))

    @property
    def known_tags(self) -> bool:
        """Whether every name is known to be a tag, without looking."""
        return self.tags_seen or bool(self.__dict__.get("are_tags", False))

    @property
    def most_values(self) -> int:
        """A number of values that the file does not exceed, as `json_bounds` counts them."""
        return most_values(self.rest) + self.count * VALUES

    @property
    def rest(self) -> bytes:
        """The text of the file with an empty object in the place of the targets."""
        return self.raw[: self.start] + b"{}" + self.raw[self.stop :]

    def fits(self, document: object) -> bool:
        """Return whether the empty object in the rest is `signed.targets`. `document`: the rest, parsed.

        The place is computed from the members before it and not searched for, because the same text may occur
        elsewhere. So the text must be canonical up to there.
        """
        signed = document.get("signed") if isinstance(document, dict) else None
        if not isinstance(document, dict) or not isinstance(signed, dict) or signed.get("targets") != {}:
            return False
        opening = self.form.opening(document) + _members_before(signed, to_json)
        return len(opening) == self.start and self.raw.startswith(opening)

    def payload(self, signed: Mapping[str, object]) -> bytes:
        """Return the canonical form of `signed`, which has an empty object in the place of the targets."""
        text = canonical_json.encode(signed)
        place = 1 + len(_members_before(signed, canonical_json.encode))
        # Joined at once: each `+` would copy all targets once more, and they are most of a large file.
        return b"".join((text[:place], memoryview(self.raw)[self.start : self.stop], text[place + 2 :]))

    def targets(self) -> PlainTargets:
        """Return the targets by name."""
        return PlainTargets(self)


class PlainTargets(Mapping[str, TargetFile]):
    """Targets that the regular expression has checked. Each is made when it is asked for, and not kept."""

    def __init__(self, part: PlainPart) -> None:
        self.part = part

    @cached_property
    def _digests(self) -> array[int]:
        """Where the digests begin in the text, in the order of the names."""
        part = self.part
        # No name has a quote, so this text stands after names alone.
        return array("I", (found.end() for found in _BEFORE_DIGEST.finditer(part.raw, part.start, part.stop)))

    def _index(self, name: object) -> int | None:
        """Return the place of a name in the order of all, or None if it is not among them."""
        if not isinstance(name, str) or not name.isascii():
            return None
        names, wanted = self.part.names, name.encode("ascii")
        index = bisect_left(names, wanted)
        return index if index < len(names) and names[index] == wanted else None

    def names_with(self, digest: str) -> Iterator[str]:
        """Yield the names of the targets that may have a digest (64 hex digits), without looking at the others."""
        part = self.part
        after_name = AFTER_NAME + part.form.written(digest)
        end = part.raw.find(after_name, part.start, part.stop)
        while end >= 0:
            # No name has a quote: the text stands after names alone, and what is before a name ends with one.
            yield part.raw[part.raw.rfind(b'"', part.start, end) + 1 : end].decode("ascii")
            end = part.raw.find(after_name, end + 1, part.stop)

    def __getitem__(self, name: str) -> TargetFile:
        index = self._index(name)
        if index is None:
            raise KeyError(name)
        return read_target(name, self.part.raw, self._digests[index], self.part.form)

    def __iter__(self) -> Iterator[str]:
        return (name.decode("ascii") for name in self.part.names)

    def __len__(self) -> int:
        return self.part.count

    def __contains__(self, name: object) -> bool:
        return self._index(name) is not None


class PlainTarget(TargetFile):
    """A target that the regular expression has checked, so python-tuf does not check its length and hash again."""

    def __init__(self, path: str, sha256: str, length: int) -> None:
        """Make a target. `sha256`: in hex."""
        self.length = length
        self.hashes = {"sha256": sha256}
        self.path = path
        self.unrecognized_fields = {}


class PlainNotaryTarget(TargetFile):
    """A plain target of Notary v1. Its hash is base64 and is converted to hex when it is read, which is rare."""

    def __init__(self, path: str, sha256: str, length: int) -> None:
        """Make a target. `sha256`: in base64."""
        self.length = length
        self._sha256 = sha256
        self.path = path
        self.unrecognized_fields = {}

    @property
    def hashes(self) -> dict[str, str]:  # type: ignore[override]  # an attribute in python-tuf
        """The SHA-256 in hex."""
        return {"sha256": binascii.a2b_base64(self._sha256).hex()}


def in_base64(digest: str) -> bytes:
    """Return how a digest (hex) begins in base64, as Notary v1 writes it: the last character has bits without meaning.

    So a few others begin alike.
    """
    return binascii.b2a_base64(bytes.fromhex(digest), newline=False)[:_MEANT]


def _form(
    sha256: bytes,
    *,
    digest_size: int,
    opening: Callable[[Mapping[str, object]], bytes],
    written: Callable[[str], bytes],
    kind: Callable[[str, str, int], TargetFile],
) -> PlainForm:
    after_name = re.escape(AFTER_NAME)
    rest = rb"%b%b(?:0|[1-9][0-9]{0,14})\}" % (sha256, re.escape(_BEFORE_LENGTH))
    target = rb'"%b%b%b' % (_NAME, after_name, rest)
    some = rb"%b(?:,%b)*+" % (target, target)
    return PlainForm(
        whole=re.compile(rb"\{(?:%b)?\}" % some),
        some=re.compile(some),
        end=re.compile(rb"%b%b" % (after_name, rest)),
        opening=opening,
        digest_size=digest_size,
        written=written,
        kind=kind,
    )


def _before_signed(document: Mapping[str, object]) -> bytes:
    before = {name: value for name, value in document.items() if name < "signed"}
    return to_json({**before, "signed": {}})[:-2]


TUF_FORM: Final = _form(rb"[0-9a-f]{64}", digest_size=64, opening=_before_signed, written=str.encode, kind=PlainTarget)
# Notary v1 writes `signed` before `signatures`.
NOTARY_FORM: Final = _form(
    rb"[A-Za-z0-9+/]{43}=",
    digest_size=44,
    opening=lambda _: b'{"signed":{',
    written=in_base64,
    kind=PlainNotaryTarget,
)


FORMS: Final[Mapping[str, PlainForm]] = {TUF_1_0: TUF_FORM, NOTARY_V1: NOTARY_FORM}
"""By the name of the format."""


def parse(
    role: RoleName,
    raw: bytes,
    form: PlainForm,
    *,
    values: int,
    known: PlainPart | None = None,
    wide: strict_json.Wide | None = None,
) -> tuple[strict_json.Parsed, PlainPart | None]:
    """Parse a file as `strict_json` does, but for its targets if they are plain: in their place is an empty object.

    `values`: how many the file may hold at most. `known`: what is known to be the first plain targets in the text.
    `wide`: as for `strict_json`. Raises: MalformedMetadata, TooLarge; instead of both NotPlain, if `known` is given.
    """
    part = known or find_plain_targets(raw, form)
    if part is not None and part.count * VALUES <= values:
        with suppress(MalformedMetadata, TooLarge):  # the whole text is parsed again, for its true place
            parsed = strict_json.parse(role, part.rest, values=values)
            if part.fits(parsed.value):
                return parsed, part
    if known is not None:
        raise NotPlain
    return strict_json.parse(role, raw, values=values, wide=wide), None


def find_plain_targets(raw: bytes, form: PlainForm) -> PlainPart | None:
    """Return the first object in the text that has the form of plain targets with ascending names, or None."""
    start = raw.find(MEMBER) + len(MEMBER)
    match = form.whole.match(raw, start) if start >= len(MEMBER) else None
    if match is None:
        return None
    names = names_in(match[0])
    if not are_ascending(names):
        return None
    part = PlainPart(raw, start, match.end(), len(names), form)
    part.__dict__["names"] = names
    return part


def read_target(name: str, text: bytes, start: int, form: PlainForm) -> TargetFile:
    """Return the plain target whose digest begins at `start` in a text that the form has checked."""
    stop = start + form.digest_size
    length = stop + len(_BEFORE_LENGTH)
    return form.kind(name, text[start:stop].decode("ascii"), int(text[length : text.index(b"}", length)]))


def part_of(content: Content) -> PlainPart | None:
    """Return the plain targets of a parsed file; None if it has no plain ones."""
    targets: object = content.targets if isinstance(content, Targets) else None
    return targets.part if isinstance(targets, PlainTargets) else None


def name_tags(targets: Mapping[str, TargetFile]) -> bool:
    """Return whether all names of these targets are tags."""
    return targets.part.are_tags if isinstance(targets, PlainTargets) else are_tags(targets)


def names_in(text: bytes) -> list[bytes]:
    """Return the names in a text of plain targets."""
    # No name has a quote, so this text stands after names alone; what is before it ends with one.
    return [piece.rpartition(b'"')[2] for piece in text.split(AFTER_NAME)[:-1]]


def are_ascending(names: list[bytes]) -> bool:
    """Return whether each name is greater than the one before it. Otherwise one may stand twice."""
    return not any(map(operator.ge, names, islice(names, 1, None)))


def texts(names: list[bytes]) -> list[str]:
    """Return names of plain targets as text."""
    return b"\n".join(names).decode("ascii").split("\n") if names else []


def _members_before(signed: Mapping[str, object], encode: Callable[[object], bytes]) -> bytes:
    """Return the text of `signed` before the value of `targets`, without the brace that opens it."""
    before = {name: value for name, value in signed.items() if name < "targets"}
    return encode(before)[1:-1] + (b"," if before else b"") + MEMBER
