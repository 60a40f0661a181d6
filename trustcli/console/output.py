"""Output of a command: results on standard output, everything else on standard error.

With `--json`, one document and nothing else is written to standard output, also after a failure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from trustcli.console.failure_table import Failure, row_for


class Output:
    """Standard output and standard error of one run."""

    def __init__(self, *, stdout: TextIO, stderr: TextIO, as_json: bool) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.as_json = as_json

    def result(self, text: str) -> None:
        """Print a line of the result for people; with `--json` print nothing."""
        if not self.as_json:
            self._stdout.write(text + "\n")

    def raw(self, text: str) -> None:
        """Print text whose bytes are fixed."""
        self._stdout.write(text)

    def pieces(self, pieces: Iterable[str]) -> None:
        """Print a text whose bytes are fixed, piece by piece, without holding the whole of it (`trust inspect`).

        If one cannot be written in the encoding of the output, none is.
        """
        encoding = getattr(self._stdout, "encoding", None) or "utf-8"
        if encoding.lower() in {"utf-8", "utf8"}:  # has every character
            self._stdout.writelines(pieces)
        else:
            self._stdout.write("".join(pieces))

    def document(self, document: object) -> None:
        """Print the result as JSON; without `--json` print nothing."""
        if self.as_json:
            self._stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")

    def notice(self, text: str) -> None:
        """Print a line of progress or a warning on standard error."""
        self._stderr.write(text + "\n")
        self._stderr.flush()

    def warn(self, text: str) -> None:
        self.notice(f"warning: {text}")

    def failure(self, error: Failure, *, subject: str = "") -> int:
        """Print what failed, why, and what to do next; return the exit status.

        With `--json` the caller prints the document.
        """
        row = row_for(error)
        place = f"{subject}: " if subject and subject.partition("@")[0] not in str(error) else ""
        self.notice(f"error: {place}{error}")
        advice = row.advice(error)
        if advice:
            self.notice(f"  next: {advice}")
        return row.status


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
