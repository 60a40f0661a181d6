"""A stored file that is parsed when its content is asked for. Most of a collection is not needed to change a part."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from trustdata.envelope import Envelope
from trustdata.model import Content, Signature, Targets
from trustdata.wire import WireFormat
from trustdata.wire.plain_targets import NotPlain, PlainPart, part_of
from trustserver.storage.ports import StoredFile


class StoredEnvelope(Envelope):
    """An Envelope of a stored file. Role, bytes, hash, version and expiry are known without parsing it.

    So is the number of tags of one that another process has judged.

    What is parsed is kept. Two threads may parse the same file at one time; the result is the same. Reading `payload`,
    `content` or `signatures` raises what `WireFormat.parse` raises.
    """

    __slots__ = ("_file", "_parsed", "_plain", "_wire")
    _file: StoredFile
    _parsed: Envelope | None
    _plain: PlainPart | None
    _wire: WireFormat

    def __init__(self, file: StoredFile, wire: WireFormat, *, plain: PlainPart | None = None) -> None:
        """Make the envelope. `plain`: the plain targets of the file, if they are known."""
        values = {"role": file.role, "raw": file.raw, "sha256": file.sha256, "_file": file, "_parsed": None}
        for name, value in {**values, "_plain": plain, "_wire": wire}.items():
            object.__setattr__(self, name, value)  # the base class is frozen

    @property
    def parsed(self) -> bool:
        """Whether the content has been asked for."""
        return self._parsed is not None

    @property
    def plain(self) -> PlainPart | None:
        """The plain targets of the file, as far as they are known without parsing it."""
        return self._plain if self._parsed is None else part_of(self._parsed.content)

    @property
    def tags(self) -> int | None:
        """How many tags the file lists, as StoredFile has it."""
        return self._file.tags

    @property
    def version(self) -> int:
        return self._file.version

    @property
    def expires(self) -> datetime:
        return self._file.expires

    @property
    def payload(self) -> bytes:
        return self._whole().payload

    @property
    def content(self) -> Content:
        return self._whole().content

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._whole().signatures

    def _whole(self) -> Envelope:
        parsed = self._parsed
        if parsed is None:
            parsed = self._parse()
            object.__setattr__(self, "_parsed", parsed)
        return parsed

    def _parse(self) -> Envelope:
        if self._plain is not None:
            with suppress(NotPlain):
                return self._wire.parse(self.role, self.raw, plain=self._plain)
        return self._wire.parse(self.role, self.raw)


def known_plain(envelope: Envelope) -> PlainPart | None:
    """Return the plain targets of a file, as far as they are known without parsing it."""
    return envelope.plain if isinstance(envelope, StoredEnvelope) else part_of(envelope.content)


def listed_tags(envelope: Envelope) -> int | None:
    """Return how many tags a file lists that is to be stored; None for a role that lists none. Nothing is parsed."""
    if isinstance(envelope, StoredEnvelope):
        return envelope.tags
    return len(envelope.targets.targets) if isinstance(envelope.content, Targets) else None
