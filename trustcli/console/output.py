"""Output of a command: results on standard output, everything else on standard error.

With `--json`, one document and nothing else is written to standard output, also after a failure.
"""

from __future__ import annotations

import json
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
        """Print text whose bytes are fixed (`trust inspect`)."""
        self._stdout.write(text)

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
