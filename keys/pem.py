"""Read PEM files as people really bring them: liberal about the container, strict about what is in it.

A key comes through editors, mail, CI variables and secret stores. These leave the key as it is and change what is
around it: byte order marks, UTF-16, line ends, blanks or a backslash and `n` in their place, base64 over the whole
file, certificates and parameters beside the key. All of that is read. The content of a block must be complete: sound
base64 and, unless it is encrypted as a whole, exactly one DER SEQUENCE.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from keys.der import is_one_sequence
from keys.errors import KeyFileMalformed, KeyIsPrivate
from keys.foreign_files import ForeignFile, Wanted, foreign_block, foreign_file, sealed_key
from keys.record import record

MAX_KEY_FILE: Final = 65_536
"""The maximum size of a key file, in bytes. An encrypted RSA key of 8192 bits has about 6 700."""
MAX_BLOCKS: Final = 256
"""The maximum number of PEM blocks in a file; `notary key export` writes one for each key."""
_MAX_WRAPPINGS: Final = 2  # a CI secret in base64, in a manifest that has it in base64 again

_BEGIN: Final = re.compile(r"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,62})-----")
_END: Final = re.compile(r"-----END ([A-Z0-9][A-Z0-9 ]{0,62})-----")
_WRITTEN_LINE_END: Final = re.compile(r"\\{1,4}[nr]")
_DER_LABELS: Final = frozenset(
    {
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "EC PRIVATE KEY",
        "RSA PRIVATE KEY",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
        "CERTIFICATE",
    }
)
"""Blocks that hold a DER SEQUENCE: those that are used. The others may hold anything."""
_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
_QUOTES: Final = "'\"`"
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the one of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@record
class PemBlock:
    """One block of a PEM file. `label`: as in `-----BEGIN EC PRIVATE KEY-----`. `headers`: by name in lower case.

    `content`: the decoded base64; if `encrypted_as_a_whole` (`DEK-Info`, as before PKCS#8), it is no DER yet.
    """

    label: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def encrypted_as_a_whole(self) -> bool:
        """Whether the headers say that the content is encrypted."""
        return "dek-info" in self.headers or "ENCRYPTED" in self.headers.get("proc-type", "")

    def __repr__(self) -> str:
        return f"PemBlock({self.label!r})"


def read_pem(data: bytes, *, place: str, wanted: Wanted = "private key") -> tuple[PemBlock, ...]:
    """Return the blocks of a PEM file; what stands around them is ignored. There is at least one.

    `place`: the name of the file in error messages. `wanted`: what the caller looks for. Raises: KeyFileMalformed,
    which says what the file is instead, or what is wrong with it.
    """
    if len(data) > MAX_KEY_FILE:
        raise KeyFileMalformed(place=place, reason=f"larger than {MAX_KEY_FILE} bytes")
    if not data.strip():
        raise KeyFileMalformed(place=place, reason="it is empty")
    text = unwrapped(data)
    blocks: list[PemBlock] = []
    begin = None if sealed_key(text) else _BEGIN.search(text)
    if begin is None:
        raise _without_blocks(data, text, place=place, wanted=wanted)
    while begin is not None:
        if len(blocks) == MAX_BLOCKS:
            raise KeyFileMalformed(place=place, reason=f"more than {MAX_BLOCKS} PEM blocks in it")
        end = _END.search(text, begin.end())
        following = _BEGIN.search(text, begin.end())
        if end is None or (following is not None and following.start() < end.start()):
            raise KeyFileMalformed(place=place, reason=f"it is cut off: -----END {begin[1]}----- is missing")
        if end[1] != begin[1]:
            raise KeyFileMalformed(place=place, reason=f"it begins as {begin[1]} and ends as {end[1]}")
        blocks.append(_block(begin[1], text[begin.end() : end.start()], place=place))
        begin = following
    return tuple(blocks)


def write_pem(blocks: Iterable[PemBlock]) -> bytes:
    """Return blocks as a PEM file that every program reads, without the headers `role` and `gun`."""
    lines: list[str] = []
    for block in blocks:
        text = base64.b64encode(block.content).decode()
        lines += [f"-----BEGIN {block.label}-----", *(text[at : at + 64] for at in range(0, len(text), 64))]
        lines += [f"-----END {block.label}-----"]
    return "".join(f"{line}\n" for line in lines).encode()


def unwrapped(data: bytes) -> str:
    """Return the text of a file without what only wraps it: encoding, byte order mark, quotes, base64 over a file.

    Bytes that are no text come back as surrogates. Base64 is taken off only if a PEM block or a JSON document is below.
    """
    text = candidate = text_of(data)
    for _ in range(_MAX_WRAPPINGS):
        if _holds_a_key(candidate):
            break
        try:
            candidate = text_of(base64.b64decode("".join(candidate.split()).strip(_QUOTES), validate=True))
        except ValueError:  # also if it is not ASCII
            break
    return candidate if _holds_a_key(candidate) else text


def kind_of(blocks: Sequence[PemBlock]) -> str:
    """Return what a PEM file holds, with its article, such as `a certificate`, for sentences."""
    labels = [block.label for block in blocks]
    if foreign := _foreign(blocks):
        return foreign.kind
    if any(label.endswith("CERTIFICATE") for label in labels):
        return "a certificate"
    if any("PUBLIC KEY" in label for label in labels):
        return "a public key"
    return a_block(labels[0])


def lacking(blocks: Sequence[PemBlock], *, place: str, wanted: Wanted) -> KeyFileMalformed:
    """Return the error about a PEM file without what is wanted: what it holds, and by which command that is read."""
    foreign = _foreign(blocks)
    unread = foreign or any("PRIVATE" in block.label and block.label not in _DER_LABELS for block in blocks)
    why = ", a form that is not read here" if unread else f" where a {wanted.removeprefix('unencrypted ')} is wanted"
    command = foreign.command(wanted, place) if foreign else ""
    return KeyFileMalformed(place=place, reason=f"it holds {kind_of(blocks)}{why}", command=command)


def a_block(label: str) -> str:
    """Return the label of a block with its article, for sentences."""
    return f"{'an' if label[0] in 'AEIOX' else 'a'} {label}"


def text_of(data: bytes) -> str:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32; bytes that are no text come back as surrogates."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
    # UTF-16 without its mark: every other byte of ASCII is zero.
    if data[1:4:2] == b"\0\0":
        return data.decode("utf-16-le", "replace")
    if data[0:3:2] == b"\0\0":
        return data.decode("utf-16-be", "replace")
    return data.decode("utf-8", "surrogateescape")


def _holds_a_key(text: str) -> bool:
    return "-----BEGIN " in text or text.lstrip().startswith("{")


def _block(label: str, body: str, *, place: str) -> PemBlock:
    if label.startswith("PGP "):  # its base64 ends with a checksum
        return PemBlock(label=label, headers={}, content=b"")
    body = _WRITTEN_LINE_END.sub("\n", body)
    first, line_end, _ = body.replace("\r", "\n").partition("\n")
    headers, encoded = _split_lines(body) if line_end and not first.strip() else _split_words(body.split())
    if len({name for name, _ in headers}) != len(set(headers)):
        raise KeyFileMalformed(place=place, reason="it has one header twice, with two values")
    if not all(value.isprintable() for _, value in headers):
        raise KeyFileMalformed(place=place, reason="its headers are no text")
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise KeyFileMalformed(place=place, reason="its PEM is not base64: cut or altered") from error
    block = PemBlock(label=label, headers=dict(headers), content=content)
    if label in _DER_LABELS and not block.encrypted_as_a_whole and not is_one_sequence(content):
        raise KeyFileMalformed(place=place, reason="its content is cut or altered")
    return block


def _split_lines(body: str) -> tuple[list[tuple[str, str]], str]:
    """Return headers and base64 of a block. As in Go, the first line without a colon ends the headers."""
    headers: list[tuple[str, str]] = []
    lines = [line for line in body.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        name, colon, value = line.partition(":")
        if not colon:
            return headers, "".join("".join(lines[number:]).split())
        headers.append((name.strip().lower(), value.strip()))
    return headers, ""


def _split_words(words: list[str]) -> tuple[list[tuple[str, str]], str]:
    """Return headers and base64 of a block whose line ends became blanks: a header is `NAME:` and a word."""
    headers = []
    at = 0
    while at + 1 < len(words) and words[at].endswith(":") and _HEADER_NAME.fullmatch(words[at][:-1]):
        headers.append((words[at][:-1].lower(), words[at + 1]))
        at += 2
    return headers, "".join(words[at:])


def _without_blocks(data: bytes, text: str, *, place: str, wanted: Wanted) -> KeyFileMalformed:
    """Return what is wrong with a file without PEM blocks, as far as that can be seen."""
    if foreign := sealed_key(text) or foreign_file(data, text):
        if foreign.is_private and wanted == "public key":
            return KeyIsPrivate(place=place)
        command = foreign.command(wanted, place)
        return KeyFileMalformed(place=place, reason=f"it is {foreign.kind}, and PEM is wanted", command=command)
    reason = "no PEM block in it"
    if _is_base64_of_der(text):
        reason = "it has no PEM block: the lines -----BEGIN ...----- and -----END ...----- are missing"
    elif "BEGIN " in text and "KEY" in text:
        reason = "no PEM block in it: its line -----BEGIN ...----- was altered"
    return KeyFileMalformed(place=place, reason=reason)


def _foreign(blocks: Sequence[PemBlock]) -> ForeignFile | None:
    return next(filter(None, (foreign_block(block.label, block.content) for block in blocks)), None)


def _is_base64_of_der(text: str) -> bool:
    try:
        return is_one_sequence(base64.b64decode("".join(text.split()), validate=True))
    except ValueError:
        return False
