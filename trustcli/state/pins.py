"""The user's pins on disk: `pins.toml`, which says where trust in each collection begins.

[pins."registry.example.com/team/app"]
pin = "sha256:..."
format = "tuf-1.0"
recorded = 2026-01-02T03:04:05Z
how = "init"

An entry with `named = "OTHER"` is an alias: NAME is a mirror of OTHER, or its old or new address. Pins, rollback
memory, cache and server are then those of OTHER, whose name the root must have (docs/adr/0044).

[patterns."registry.example.com/team/*"]
pin = "key:..."
recorded = 2026-01-02T03:04:05Z

is one root of trust for every name of the pattern that has no entry of its own; the most specific pattern counts alone
(docs/adr/0078). Only a key can be pinned so: a root file belongs to one collection.

A file without patterns has version 1, and says so by having no `version`: programs that know no such member read it,
too. One with patterns has version 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keys.document_version import DocumentKind
from keys.record import record, replace
from trustcli.errors import SettingsUnusable
from trustcli.state.guarded_file import GuardedFile
from trustdata import bounded_toml
from trustdata.collection_patterns import is_pattern, pattern_matches, specificity
from trustdata.document_version import refuse_newer
from trustdata.errors import (
    FormatChanged,
    InvalidName,
    PinsDisagree,
    shown,
)
from trustdata.gun import GUN, parse_gun
from trustdata.verification.trust_pinning import Pin, parse_pin
from trustdata.wire.format_names import FORMAT_NAMES

KIND: Final = DocumentKind(what="a file of pins", known=2)
HOW: Final = ("init", "tofu", "pin")

_HEADER: Final = b"# Where trust begins. Written by `trust`, which keeps no comments; change it with `trust pin`.\n\n"
_MEMBERS: Final = {"pin", "format", "recorded", "how"}
_NAMED: Final = "named"
_PINS: Final = "pins"
_PATTERNS: Final = "patterns"
_WRITER: Final = "as trust pin writes it"
_PATTERN_MEMBERS: Final = {"pin", "recorded"}


@record
class PinEntry:
    """One recorded pin.

    `format`: name of the wire format of the collection. `recorded`: UTC. `how`: `init`, `tofu` or `pin`. `named`: the
    real name of the collection, if the entry is that of an alias.
    """

    pin: Pin
    format: str
    recorded: datetime
    how: str
    named: GUN | None = None

    @property
    def stated(self) -> str:
        """What the entry states, for messages: the pin, and whose it is."""
        return f"{self.pin}, named {self.named}" if self.named else str(self.pin)


@record
class PatternPin:
    """The root key pinned for every name of a pattern that has no entry of its own. `recorded`: UTC."""

    pin: Pin
    recorded: datetime


@record
class _Content:
    """What the file holds, both sorted."""

    names: Mapping[GUN, PinEntry]
    patterns: Mapping[str, PatternPin]


class PinsFile:
    """The pins of all collections. Two processes that write at the same time both keep their changes."""

    def __init__(self, path: Path) -> None:
        self._file = GuardedFile(path)
        self._parsed: tuple[bytes, _Content] | None = None
        self._held: _Content | None = None

    @property
    def place(self) -> str:
        """The file, for messages."""
        return str(self._file.path)

    def load(self) -> Mapping[GUN, PinEntry]:
        """Return the pins of single names, sorted. Raises: FileNewer; SettingsUnusable, which says what is wrong."""
        return self._load().names

    def patterns(self) -> Mapping[str, PatternPin]:
        """Return the pins of patterns, sorted. Raises: as `load`."""
        return self._load().patterns

    def real_name(self, gun: GUN) -> GUN:
        """Return the name of the collection that a name stands for. Raises: as `load`."""
        entry = self.load().get(gun)
        return gun if entry is None else entry.named or gun

    def entries_for(self, gun: GUN) -> list[PinEntry]:
        """Return the entries of a name and, if it is an alias, of its real name. Raises: as `load`."""
        pins = self.load()
        entry = pins.get(gun)
        entries = [entry, pins.get(entry.named) if entry.named else None] if entry else []
        return [entry for entry in entries if entry is not None]

    def names_of_collections(self) -> list[GUN]:
        """Return one pinned name of each collection, sorted: an alias only if its real name is not pinned itself."""
        pins = self.load()
        aliases = {entry.named: gun for gun, entry in pins.items() if entry.named and entry.named not in pins}
        return sorted([*aliases.values(), *(gun for gun, entry in pins.items() if not entry.named)])

    def pattern_for(self, gun: GUN) -> tuple[str, PatternPin] | None:
        """Return the most specific pattern that matches a name, with its pin. Raises: as `load`."""
        patterns = self.patterns()
        fitting = [pattern for pattern in patterns if pattern_matches(pattern, gun)]
        if not fitting:
            return None
        narrowest = max(fitting, key=specificity)
        return narrowest, patterns[narrowest]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Read the file once for all questions that are asked inside, for a run over many collections of one thread.

        Raises: as `load`.
        """
        self._held = self._read()
        try:
            yield
        finally:
            self._held = None

    def _change(self, decide: Callable[[], bytes | None]) -> None:
        """Change the file, and what is held of it."""
        self._file.change(decide)
        if self._held is not None:
            self._held = self._read()

    def _load(self) -> _Content:
        return self._read() if self._held is None else self._held

    def _read(self) -> _Content:
        try:
            raw = self._file.read()
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from error
        if raw is None:
            return _Content(names={}, patterns={})
        # A run over a thousand names looks some thousand times: the file is read each time, and parsed if it differs.
        parsed = self._parsed
        if parsed is None or parsed[0] != raw:
            parsed = self._parsed = raw, self._content(raw)
        return parsed[1]

    def _content(self, raw: bytes) -> _Content:
        """Return what the file holds. Raises: FileNewer, SettingsUnusable."""
        try:
            document = bounded_toml.loads(raw)
        except (ValueError, RecursionError) as error:
            raise self._unusable(f"is not TOML: {error}") from error
        refuse_newer(KIND, document, path=str(self._file.path))
        entries, patterns = document.get(_PINS, {}), document.get(_PATTERNS, {})
        if not KIND.is_known(document):
            raise self._unusable("version must be a whole number from 1 on")
        tables = isinstance(entries, dict) and isinstance(patterns, dict)
        unknown = sorted(set(document) - {KIND.member, _PINS, _PATTERNS})
        if unknown or not tables:
            what = f"{shown(unknown[0])} is not one of its members" if unknown else "it holds something else"
            raise self._unusable(f"{what}: there are [pins.NAME] and [patterns.PATTERN], {_WRITER}")
        names = dict(sorted((self._entry(n, e) for n, e in entries.items()), key=lambda pair: pair[0]))
        return _Content(
            names=self._checked(names),
            patterns={name: self._pattern(name, patterns[name]) for name in sorted(patterns)},
        )

    def record(self, gun: GUN, entry: PinEntry) -> None:
        """Store the pin of a name that has none; the same pin again changes nothing. Durable on return.

        Raises: PinsDisagree or FormatChanged (another pin or format is recorded; only `replace` may change it),
        SettingsUnusable (also for an alias of an alias), FileNewer, MemoryUnwritable.
        """

        def added() -> bytes | None:
            content = self._read()
            known = content.names.get(gun)
            if known is None:
                return _document(replace(content, names=self._checked({**content.names, gun: entry})))
            if (known.pin, known.named) != (entry.pin, entry.named):
                raise PinsDisagree(
                    gun=gun,
                    pin=known.stated,
                    pin_source=str(self._file.path),
                    other=entry.stated,
                    other_source=entry.how,
                )
            if known.format != entry.format:
                raise FormatChanged(
                    gun=gun,
                    pinned=known.format,
                    pin_source=str(self._file.path),
                    offered=entry.format,
                    offered_by="this command",
                )
            return None

        self._change(added)

    def replace(self, gun: GUN, entry: PinEntry) -> None:
        """Store a pin, whatever was recorded before. Durable on return.

        Raises: SettingsUnusable (also for an alias of an alias), FileNewer, MemoryUnwritable.
        """

        def replaced() -> bytes:
            content = self._read()
            return _document(replace(content, names=self._checked({**content.names, gun: entry})))

        self._change(replaced)

    def remove(self, gun: GUN, entry: PinEntry) -> None:
        """Take out the pin of a name, if it is still this one. Durable on return. Raises: as `remove_pattern`."""

        def removed() -> bytes:
            content = self._read()
            if content.names.get(gun) != entry:
                raise self._unusable(f"[pins.{gun}] was changed meanwhile; it was not removed")
            return _document(replace(content, names={name: pin for name, pin in content.names.items() if name != gun}))

        self._change(removed)

    def remove_pattern(self, pattern: str, entry: PatternPin) -> None:
        """Take out the pin of a pattern, if it is still this one. Durable on return.

        Raises: SettingsUnusable (also where another pin stands there), FileNewer, MemoryUnwritable.
        """

        def removed() -> bytes:
            content = self._read()
            if content.patterns.get(pattern) != entry:
                raise self._unusable(f"[{_PATTERNS}.{pattern}] was changed meanwhile; it was not removed")
            left = {name: pin for name, pin in content.patterns.items() if name != pattern}
            return _document(replace(content, patterns=left))

        self._change(removed)

    def record_pattern(self, pattern: str, entry: PatternPin, *, replaces: bool = False) -> None:
        """Store the pin of a pattern; the same again changes nothing. Durable on return.

        `replaces`: another pin may be recorded. Raises: PinsDisagree, SettingsUnusable, FileNewer, MemoryUnwritable.
        """

        def added() -> bytes | None:
            content = self._read()
            known = content.patterns.get(pattern)
            if known is not None and known.pin == entry.pin:
                return None
            if known is not None and not replaces:
                raise PinsDisagree(
                    gun=GUN(pattern),
                    pin=str(known.pin),
                    pin_source=str(self._file.path),
                    other=str(entry.pin),
                    other_source="the command line",
                )
            return _document(replace(content, patterns={**content.patterns, pattern: entry}))

        self._change(added)

    def _entry(self, name: str, members: object) -> tuple[GUN, PinEntry]:
        place = f"[pins.{shown(name)}]"
        if not isinstance(members, dict) or set(members) - {_NAMED} != _MEMBERS:
            raise self._unusable(
                f"{place} must have {', '.join(sorted(_MEMBERS))}, may have {_NAMED}, and nothing else, {_WRITER}"
            )
        recorded = self._recorded(place, members)
        if members["format"] not in FORMAT_NAMES:
            raise self._unusable(f"{place} format must be one of {', '.join(FORMAT_NAMES)}")
        if members["how"] not in HOW:
            raise self._unusable(f"{place} how must be one of {', '.join(HOW)}")
        if not isinstance(members.get(_NAMED, ""), str):
            raise self._unusable(f"{place} {_NAMED} must be the real name of the collection")
        try:
            gun, pin = parse_gun(name), parse_pin(str(members["pin"]))
            named = parse_gun(members[_NAMED]) if _NAMED in members else None
        except InvalidName as error:
            raise self._unusable(f"{place}: {error}") from error
        return gun, PinEntry(pin=pin, format=members["format"], recorded=recorded, how=members["how"], named=named)

    def _pattern(self, pattern: str, members: object) -> PatternPin:
        place = f"[{_PATTERNS}.{shown(pattern)}]"
        if not is_pattern(pattern) or not pattern.endswith("/*"):
            raise self._unusable(
                f"{place} must be the beginning of names before /*, such as registry.example.com/team/*"
            )
        if not isinstance(members, dict) or set(members) != _PATTERN_MEMBERS:
            raise self._unusable(
                f"{place} must have {', '.join(sorted(_PATTERN_MEMBERS))}, and nothing else, {_WRITER}"
            )
        recorded = self._recorded(place, members)
        try:
            pin = parse_pin(str(members["pin"]))
        except InvalidName as error:
            raise self._unusable(f"{place}: {error}") from error
        if pin.kind != "key":
            raise self._unusable(f"{place} pin must be key:HEX: a root file belongs to one collection")
        return PatternPin(pin=pin, recorded=recorded)

    def _recorded(self, place: str, members: Mapping[str, object]) -> datetime:
        recorded = members["recorded"]
        if not isinstance(recorded, datetime) or recorded.tzinfo is None:
            raise self._unusable(f"{place} recorded must be a time with its offset, such as 2026-01-02T03:04:05Z")
        return recorded.astimezone(UTC)

    def _checked(self, pins: dict[GUN, PinEntry]) -> dict[GUN, PinEntry]:
        """Return the pins; refuse an alias of an alias, whose real name nobody could tell at a glance."""
        for gun, entry in pins.items():
            if entry.named == gun:
                raise self._unusable(f"[pins.{gun}] named must be another name than its own")
            if entry.named is not None and entry.named in pins and pins[entry.named].named is not None:
                raise self._unusable(f"[pins.{gun}] named must be no alias, as {entry.named} is one")
        return pins

    def _unusable(self, reason: str) -> SettingsUnusable:
        return SettingsUnusable(place=str(self._file.path), reason=reason)


def _document(content: _Content) -> bytes:
    import tomli_w  # most invocations only read

    tables = {
        gun: {
            "pin": str(entry.pin),
            "format": entry.format,
            "recorded": _whole_seconds(entry.recorded),
            "how": entry.how,
            **({_NAMED: entry.named} if entry.named is not None else {}),
        }
        for gun, entry in sorted(content.names.items())
    }
    document: dict[str, object] = {_PINS: tables}
    if content.patterns:
        document = {KIND.member: KIND.stated, **document}
        document[_PATTERNS] = {
            pattern: {"pin": str(entry.pin), "recorded": _whole_seconds(entry.recorded)}
            for pattern, entry in sorted(content.patterns.items())
        }
    return _HEADER + tomli_w.dumps(document).encode()


def _whole_seconds(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
