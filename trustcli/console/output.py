"""Output of a command: results on standard output, everything else on standard error.

With `--json`, one document and nothing else is written to standard output, also after a failure.

Whatever comes from users, servers or files passes here on its way to a terminal, and only here it is made harmless:
what is not printable, line ends within a line among it, is escaped. What was escaped before stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, TextIO

from trustcli.console.exit_codes import INTERRUPTED, OTHER
from trustcli.console.failure_table import Failure, row_for
from trustcli.errors import UsageError

_ODD: Final = re.compile(r"[^ -~\n\t]")
"""What is perhaps not printable: a long text of plain characters is passed over at once."""
_ODD_IN_LINE: Final = re.compile(r"[^ -~\t]")
_LINES_TOLD: Final = 10
"""How many bad lines of a file are shown to people; `details` has all."""
INTERRUPTION: Final[Mapping[str, object]] = {
    "code": "interrupted",
    "message": "interrupted",
    "details": {},
    "next": "",
    "exit": INTERRUPTED,
}
"""The `error` member of JSON output after Ctrl-C."""


class Output:
    """Standard output and standard error of one run."""

    def __init__(self, *, stdout: TextIO, stderr: TextIO, as_json: bool) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._warned: set[str] = set()
        self._progress = False
        self.as_json = as_json

    def result(self, text: str) -> None:
        """Print a line of the result for people; with `--json` print nothing."""
        if not self.as_json:
            self.progress("")
            self._stdout.write(one_line(text) + "\n")

    def raw(self, text: str) -> None:
        """Print text whose form is fixed, several lines of it."""
        self._stdout.write(several_lines(text))

    def pieces(self, pieces: Iterable[str]) -> None:
        """Print a text whose form is fixed, piece by piece, without holding the whole of it (`trust inspect`).

        If one cannot be written in the encoding of the output, none is.
        """
        encoding = getattr(self._stdout, "encoding", None) or "utf-8"
        safe = map(several_lines, pieces)
        if encoding.lower() in {"utf-8", "utf8"}:  # has every character
            self._stdout.writelines(safe)
        else:
            self._stdout.write("".join(safe))

    def document(self, document: object) -> None:
        """Print the result as JSON; without `--json` print nothing."""
        if self.as_json:
            self._stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")

    def notice(self, text: str) -> None:
        """Print a line of progress or a warning on standard error."""
        self.progress("")
        self._stderr.write(one_line(text) + "\n")
        self._stderr.flush()

    def progress(self, text: str) -> None:
        """Show a line on a terminal until the next line is printed; an empty one removes it. Elsewhere do nothing."""
        if (text or self._progress) and self._stderr.isatty():
            self._stderr.write("\r\x1b[K" + one_line(text))
            self._stderr.flush()
            self._progress = bool(text)

    def paragraph(self, *lines: str) -> None:
        """Print lines of this program's own on standard error; in each, what is not printable is escaped."""
        for line in lines:
            self.notice(line)

    def warn(self, text: str) -> None:
        """Print a warning, once: what is checked before it is done would give it twice."""
        if text not in self._warned:
            self._warned.add(text)
            self.notice(f"warning: {text}")

    def failure(self, error: Failure, *, subject: str = "") -> int:
        """Print what failed, why, and what to do next; return the exit status.

        With `--json` the caller prints the document.
        """
        row = row_for(error)
        place = f"{subject}: " if subject and subject.partition("@")[0] not in str(error) else ""
        self.notice(f"error: {place}{error}")
        for line in lines_told(error):
            self.notice(f"  {line}")
        advice = row.advice(error)
        if advice:
            self.notice(f"  next: {advice}")
        return row.status


def lines_told(error: Failure) -> list[str]:
    """Return the lines of a file that are no names, one a line, if there are several: of one the sentence says all."""
    bad = error.lines if isinstance(error, UsageError) and len(error.lines) > 1 else ()
    more = [f"and {len(bad) - _LINES_TOLD} more"] if len(bad) > _LINES_TOLD else []
    return [*map(str, bad[:_LINES_TOLD]), *more]


def one_line(text: str) -> str:
    """Return text as one harmless line: what is not printable is escaped, except tabs, which separate columns."""
    return _ODD_IN_LINE.sub(lambda found: _shown(found[0], found[0].encode("unicode_escape").decode()), text)


def several_lines(text: str) -> str:
    """Return lines of text, harmless: escapes are those of JSON, since the text may be some."""
    return _ODD.sub(lambda found: _shown(found[0], _json_escape(found[0])), text)


def _shown(character: str, escaped: str) -> str:
    return character if character.isprintable() else escaped


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def internal_document(message: str) -> dict[str, object]:
    """Return the `error` member of JSON output for an error that is this program's fault."""
    return {"code": "internal", "message": message, "details": {}, "next": "", "exit": OTHER}


def failure_document(error: Failure) -> dict[str, object]:
    """Return the `error` member of JSON output, which holds the same as the sentences."""
    row = row_for(error)
    return {
        "code": error.code,
        "message": str(error),
        "details": error.details(),
        "next": row.advice(error),
        "exit": row.status,
    }
