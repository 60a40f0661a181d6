"""The file of a share: text to print, its words numbered. It is read again, also if somebody has typed it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from keys.backup.archive import SharedSeal
from keys.backup.errors import ShareMalformed, SharesUnsupported
from keys.backup.slip39 import EXTRA, Share, read_share
from keys.extras import how_to_install
from keys.record import record
from keys.rfc3339 import to_rfc3339

MAX_SHARE_FILE: Final = 64 * 1024
_IN_A_LINE: Final = 4
_TITLE: Final = re.compile(r"SHARE ([0-9]{1,2}) OF [0-9]{1,2}\b", re.ASCII)
_BACKUP: Final = re.compile(r"Backup: +([0-9a-f]{32})", re.ASCII)
_NUMBERED: Final = re.compile(r"([0-9]{1,2})[.)]? +([A-Za-z]+)", re.ASCII)
_NUMBERED_LINE: Final = re.compile(rf"\s*(?:{_NUMBERED.pattern}\s*)+", re.ASCII)
_QUIET: Final = 4
"""Modules of margin around a QR code, as its standard wants them."""


@record
class ReadShare:
    """A share as a file has it. `place`: the file. `backup`: the name of its backup, "" if the file does not say."""

    share: Share
    place: str
    backup: str


def write_share(
    share: Share, seal: SharedSeal, *, backup: str, file: str, created: datetime, by: str, qr: bool = False
) -> bytes:
    """Return the text of a share. `file`: the name of the backup's file. `qr`: with its words as a QR code.

    Raises: SharesUnsupported, if the library of QR codes is not installed.
    """
    lines = [
        f"SHARE {share.number} OF {seal.count} of a backup of signing keys (content-trust)",
        "",
        f"Backup:  {backup}",
        f"File:    {ascii(file)[1:-1]}",
        f"Made:    {to_rfc3339(created)} by {ascii(by)[1:-1]}",
        f"Opens:   any {seal.threshold} of the {seal.count} shares, together with the backup's file.",
        "         Fewer open nothing, and say nothing about the keys.",
        "",
        *_words(share.words),
        "",
        "What to do with it",
        "  Keep it where none of the other shares is, and not beside the backup's file.",
        "  Print it, and delete this file; or keep the file on a medium of its own.",
        "  Show it to nobody who does not name the backup above.",
        "What to do when keys are lost",
        "  Bring it to whoever has the backup's file, and type there:",
        "    trust key backup-verify FILE --share THIS --share ANOTHER ...",
        "    trust key restore FILE --share THIS --share ANOTHER ...",
        "  From paper: type the words into a file in this order, with or without their numbers.",
        "  The words are SLIP-39, without a passphrase: other programs can put them together, too.",
        *(["", *_qr_code(" ".join(share.words).upper())] if qr else []),
    ]
    return ("\n".join(lines) + "\n").encode()


def read_share_text(data: bytes, *, place: str) -> ReadShare:
    """Read a share from its file, or from one that holds its words alone, in order, with numbers or without.

    Raises: ShareMalformed, SharesUnsupported.
    """
    if len(data) > MAX_SHARE_FILE:
        raise ShareMalformed(place=place, number=0, reason=f"larger than {MAX_SHARE_FILE} bytes")
    text = data.decode("utf-8-sig", errors="replace")
    title, backup = _TITLE.search(text), _BACKUP.search(text)
    number = int(title[1]) if title else 0
    words = _numbered_words(text, place=place, number=number) or _bare_words(text, place=place, number=number)
    share = read_share(words, place=place, number=number)
    return ReadShare(share=share, place=place, backup=backup[1] if backup else "")


def require_qr_library() -> None:
    """Raise SharesUnsupported if the library of QR codes is not installed."""
    _qr_library()


def _words(words: tuple[str, ...]) -> list[str]:
    numbered = [f"{position:2} {word:<10}" for position, word in enumerate(words, 1)]
    rows = [numbered[first : first + _IN_A_LINE] for first in range(0, len(numbered), _IN_A_LINE)]
    return [("  " + "  ".join(row)).rstrip() for row in rows]


def _numbered_words(text: str, *, place: str, number: int) -> list[str]:
    """Return the words of the lines that hold nothing but numbers with words. Raises: ShareMalformed."""
    found = [pair for line in text.splitlines() if _NUMBERED_LINE.fullmatch(line) for pair in _NUMBERED.findall(line)]
    for expected, (position, _) in enumerate(found, 1):
        if int(position) != expected:
            reason = f"word {expected} should come where word {position} stands"
            raise ShareMalformed(place=place, number=number, reason=reason)
    return [word for _, word in found]


def _bare_words(text: str, *, place: str, number: int) -> list[str]:
    words = text.split()
    if not words or not all(word.isascii() and word.isalpha() for word in words):
        raise ShareMalformed(place=place, number=number, reason="it does not hold the words of a share")
    return words


def _qr_code(text: str) -> list[str]:
    """Return a QR code as lines of text, two rows of it in each, dark on light paper. Raises: SharesUnsupported."""
    rows = [[bool(module) for module in row] for row in _qr_library().make_qr(text, error="m").matrix]
    width = len(rows[0]) + 2 * _QUIET
    margin = [[False] * width] * _QUIET
    # Every QR code has an odd number of rows. With one more row of margin the last one has a partner, too.
    padded = [*margin, *([False] * _QUIET + row + [False] * _QUIET for row in rows), *margin, [False] * width]
    blocks = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    return [
        "".join(blocks[padded[row][column], padded[row + 1][column]] for column in range(width))
        for row in range(0, len(padded), 2)
    ]


def _qr_library() -> Any:
    """Import the library, which has no types."""
    try:
        import segno
    except ImportError as error:
        raise SharesUnsupported(place="QR codes", library="segno", command=how_to_install(EXTRA)) from error
    return segno
