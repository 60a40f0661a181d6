"""Read an upload: multipart/form-data with one part for each role. `PartRules` says how a part names its role.

There are limits for the size of each part, the size of the upload, the time that it takes, and the memory of all
uploads together. Nothing above a limit is kept in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from io import BytesIO
from typing import Final, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from trustdata.errors import TooLarge, TrustError
from trustdata.limits import size_limit
from trustdata.roles import RoleName, role_from_path
from trustserver.api.gun_path import Receive, Scope
from trustserver.api.upload_room import UploadPlace
from trustserver.errors import BadRequest, EncodingRefused, RequestTooSlow

MAX_UPLOAD: Final = 16 * 1024 * 1024
"""The highest number of bytes in one upload: three roles of the largest size."""
MAX_PARTS: Final = 1024
MAX_PIECES: Final = 4096
PIECE_BYTES: Final = 256
"""A body may arrive in MAX_PIECES pieces, and one more for each PIECE_BYTES: each costs some microseconds, and without
a limit a client could have millions."""
_SLICE: Final = 8192
"""The most bytes that are parsed at one time, on the event loop."""
_DATA: Final = 64 * 1024
"""The most bytes that are taken at one time, on the event loop, from within a part: nothing of them is parsed."""
_LONGEST_TYPE: Final = 1024
"""Longest Content-Type, in bytes. Its parser takes a quarter of a millisecond for so many."""
_LONGEST_DISPOSITION: Final = 2048
"""Longest Content-Disposition: a role of 255 characters, percent-encoded, has 765."""
_FIELD: Final = b"files"
_PLAIN_ENCODINGS: Final = frozenset({b"identity", b""})


class PartRules(Protocol):
    """The rules for the parts of an upload.

    `max_upload`: the highest number of bytes in the whole upload. `may_be_empty`: whether it may have no parts.
    """

    @property
    def max_upload(self) -> int: ...

    @property
    def may_be_empty(self) -> bool: ...

    def role(self, place: str, kind: bytes, options: Mapping[bytes, bytes]) -> RoleName:
        """Return the role that a part is for.

        `place`: names the part in errors. `kind`, `options`: the value of its Content-Disposition and the parameters.
        Raises: BadRequest, InvalidName.
        """

    def size_limit(self, role: RoleName) -> int:
        """Return the highest number of bytes that the part for this role may have."""

    def duplicate_error(self, role: RoleName, filename: str) -> TrustError:
        """Return the error for a second part for the same role. `filename`: the name that the part has."""

    def files_to_publish(self, files: Mapping[RoleName, bytes]) -> Mapping[RoleName, bytes]:
        """Return the files that are to be published. Raises: MalformedMetadata."""


class TufParts:
    """The PartRules for TUF 1.0: each part has the field name `files`; its file name is the role, percent-encoded."""

    may_be_empty: Final = False

    @property
    def max_upload(self) -> int:
        """The highest number of bytes that the upload may have."""
        return MAX_UPLOAD

    def role(self, place: str, kind: bytes, options: Mapping[bytes, bytes]) -> RoleName:
        """Return the role that a part is for. Raises: BadRequest, InvalidName."""
        if kind != b"form-data" or options.get(b"name") != _FIELD:
            raise BadRequest(place=place, reason='must be form-data with the name "files"')
        filename = options.get(b"filename", b"").decode("latin-1")
        if not filename:
            raise BadRequest(place=place, reason="has no file name: the role, percent-encoded")
        return role_from_path(filename)

    def size_limit(self, role: RoleName) -> int:
        """Return the highest number of bytes that the part for this role may have."""
        return size_limit(role)

    def duplicate_error(self, role: RoleName, filename: str) -> TrustError:
        """Return the error for a second part for the same role."""
        del role
        return BadRequest(place=f"part {filename}", reason="comes twice")

    def files_to_publish(self, files: Mapping[RoleName, bytes]) -> Mapping[RoleName, bytes]:
        """Return the files that are to be published: all of them."""
        return files


def announced_size(scope: Scope, rules: PartRules) -> int:
    """Return how many bytes a request says that its body has, and no more than are read; those if it does not say."""
    length = _declared_length({name.lower(): value for name, value in scope["headers"]})
    return rules.max_upload if length is None else min(length, rules.max_upload)


async def discard(scope: Scope, receive: Receive, rules: PartRules, *, seconds: float) -> None:
    """Read the body of a request that is refused, and drop it, unless it is far too long."""
    declared = _declared_length({name.lower(): value for name, value in scope["headers"]})
    if declared is None or declared <= 2 * rules.max_upload:
        await _discard_rest(receive, seconds, rules.max_upload)


class Upload:
    """One upload. `place`: counts the memory that it takes."""

    def __init__(self, place: UploadPlace, rules: PartRules) -> None:
        self._place = place
        self._rules = rules
        self._ended = False

    async def read(self, scope: Scope, receive: Receive, *, seconds: float) -> Mapping[RoleName, bytes]:
        """Read the body of a request, and return the files by role, byte for byte. `seconds`: how long it may take.

        Raises: EncodingRefused, BadRequest (names the place), InvalidName, TooLarge, RequestTooSlow, Overloaded.
        """
        headers = {name.lower(): value for name, value in scope["headers"]}
        declared = _declared_length(headers)
        try:
            async with self._place.arriving(seconds=seconds):
                return await self._read(headers, receive, declared)
        except RequestTooSlow:
            raise
        except TrustError as error:
            refusal = _without_frames(error)
        self._place.release()
        # A client that is still sending would get a connection reset instead of the response.
        if not (self._ended or self._place.gave_way) and (declared is None or declared <= 2 * self._rules.max_upload):
            await _discard_rest(receive, seconds, self._rules.max_upload)
        raise refusal

    async def _read(
        self, headers: Mapping[bytes, bytes], receive: Receive, declared: int | None
    ) -> Mapping[RoleName, bytes]:
        parts = _Parts(_boundary(headers), self._rules)
        if declared is not None and declared > self._rules.max_upload:
            raise TooLarge(what="upload", limit=self._rules.max_upload)
        try:
            await self._feed(receive, parts)
            return parts.files()
        finally:
            parts.forget()

    async def _feed(self, receive: Receive, parts: _Parts) -> None:
        pieces = 0
        while not self._ended:
            message = await receive()
            self._ended = not message.get("more_body", False)
            if message["type"] == "http.disconnect":
                raise BadRequest(place="body", reason="the connection ended before the body did")
            chunk: bytes = message.get("body", b"")
            if self._place.held + len(chunk) > self._rules.max_upload:
                raise TooLarge(what="upload", limit=self._rules.max_upload)
            self._place.take(len(chunk))
            pieces += 1
            if pieces > MAX_PIECES + self._place.held // PIECE_BYTES:
                raise BadRequest(place="body", reason="comes in pieces that are too small")
            start = 0
            while start < len(chunk):
                await self._place.turn()  # a slice may be a hundred parts
                stop = start + (_DATA if parts.holds_data(chunk, start, start + _DATA) else _SLICE)
                parts.write(chunk[start:stop])
                start = stop


class _Parts:
    """Parses the parts of an upload while they arrive.

    The parser refuses an upload without parts. So the first bytes are kept back until it is clear that there is a part.
    """

    def __init__(self, boundary: bytes, rules: PartRules) -> None:
        self._rules = rules
        self._files: dict[RoleName, BytesIO] = {}
        self._delimiter = b"--" + boundary
        self._empty_body = b"--" + boundary + b"--"
        self._first_bytes: bytearray | None = bytearray() if rules.may_be_empty else None
        self._count = 0
        self._ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._current: tuple[RoleName, BytesIO, int] | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise BadRequest(place="Content-Type", reason="the boundary is too long") from error

    def holds_data(self, chunk: bytes, start: int, stop: int) -> bool:
        """Return whether `chunk[start:stop]` lies within one part, so that it is searched and copied and no more."""
        in_data = self._parser.state is MultipartState.PART_DATA and self._parser.index == 0
        return in_data and self._first_bytes is None and chunk.find(self._delimiter, start, stop) < 0

    def write(self, chunk: bytes) -> None:
        if self._first_bytes is not None:
            self._first_bytes += chunk
            if len(self._first_bytes) <= len(self._empty_body) + 4:
                return
            chunk, self._first_bytes = bytes(self._first_bytes), None
        self._parse(chunk)

    def _parse(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            place = f"part {self._count}" if self._count else "body"
            raise BadRequest(place=place, reason="is not well-formed multipart/form-data") from error

    def files(self) -> Mapping[RoleName, bytes]:
        if self._first_bytes is not None:
            if bytes(self._first_bytes).removeprefix(b"\r\n").removesuffix(b"\r\n") == self._empty_body:
                return {}
            self._parse(bytes(self._first_bytes))
        if not self._ended:
            raise BadRequest(place=f"part {self._count}" if self._count else "body", reason="ends before its boundary")
        if not self._files:
            raise BadRequest(place="body", reason="has no part named files")
        self._current = None
        return {role: content.getvalue() for role, content in self._files.items()}  # which is no copy

    def forget(self) -> None:
        """Drop what was read. The parser refers to this object, so that both would live until the next collection."""
        for content in self._files.values():
            content.close()
        self._files.clear()
        self._first_bytes = self._current = None

    def _on_part_begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise TooLarge(what="number of parts", limit=MAX_PARTS)
        self._headers = {}
        self._current = None

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        if len(disposition) > _LONGEST_DISPOSITION:
            reason = f"has a Content-Disposition of more than {_LONGEST_DISPOSITION} bytes"
            raise BadRequest(place=f"part {self._count}", reason=reason)
        kind, options = parse_options_header(disposition)
        role = self._rules.role(f"part {self._count}", kind, options)
        encoding = self._headers.get(b"content-encoding", b"").strip().lower()
        if encoding not in _PLAIN_ENCODINGS:
            raise EncodingRefused(encoding=encoding.decode("latin-1"))
        if role in self._files:
            raise self._rules.duplicate_error(role, options.get(b"filename", b"").decode("latin-1"))
        self._files[role] = BytesIO()
        self._current = (role, self._files[role], self._rules.size_limit(role))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is None:
            raise BadRequest(place=f"part {self._count}", reason="has no headers")
        role, content, limit = self._current
        if content.tell() + end - start > limit:
            content.close()  # the error's frames still refer to it
            raise TooLarge(what=role, limit=limit)
        content.write(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


def _without_frames(error: TrustError) -> TrustError:
    """Drop the frames of an error, which hold what has arrived of the upload."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__context__
    return error


async def _discard_rest(receive: Receive, seconds: float, limit: int) -> None:
    """Read the rest of a refused body and drop it, within limits of bytes and time."""
    remaining, pieces = limit, 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while remaining > 0:
                message = await receive()
                remaining -= len(message.get("body", b""))
                pieces += 1
                if pieces > MAX_PIECES + (limit - remaining) // PIECE_BYTES:
                    return
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _declared_length(headers: Mapping[bytes, bytes]) -> int | None:
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else None


def _boundary(headers: Mapping[bytes, bytes]) -> bytes:
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise EncodingRefused(encoding=encoding.decode("latin-1"))
    content_type = headers.get(b"content-type", b"")
    if len(content_type) > _LONGEST_TYPE:
        raise BadRequest(place="Content-Type", reason=f"has more than {_LONGEST_TYPE} bytes")
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise BadRequest(place="Content-Type", reason="must be multipart/form-data with a boundary")
    return boundary
