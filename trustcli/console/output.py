"""What a command says: results on standard output, everything else on standard error.

With `--json` one document goes to standard output, also on failure; nothing else does.
"""

from __future__ import annotations

import json
from typing import TextIO

from trustcli.console.exit_codes import Failure, row_for


class Output:
    """Standard output and standard error of one invocation."""

    def __init__(self, *, stdout: TextIO, stderr: TextIO, as_json: bool) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.as_json = as_json

    def result(self, text: str) -> None:
        """A line of the result, for people. Nothing with `--json`."""
        if not self.as_json:
            self._stdout.write(text + "\n")

    def raw(self, text: str) -> None:
        """Text whose every byte is fixed (`trust inspect`)."""
        self._stdout.write(text)

    def document(self, document: object) -> None:
        """The result with `--json`."""
        if self.as_json:
            self._stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")

    def notice(self, text: str) -> None:
        """Progress, warnings: a line on standard error."""
        self._stderr.write(text + "\n")
        self._stderr.flush()

    def warn(self, text: str) -> None:
        self.notice(f"warning: {text}")

    def failure(self, error: Failure, *, subject: str = "") -> int:
        """Say what, why and the next command; returns the exit status. With `--json` the caller writes the document."""
        row = row_for(error)
        place = f"{subject}: " if subject and subject.partition("@")[0] not in str(error) else ""
        self.notice(f"error: {place}{error}")
        advice = row.advice(error)
        if advice:
            self.notice(f"  next: {advice}")
        return row.status


def failure_document(error: Failure) -> dict[str, object]:
    """The `error` member of JSON output: the same facts as the sentences."""
    row = row_for(error)
    return {
        "code": error.code,
        "message": str(error),
        "details": error.details(),
        "next": row.advice(error),
        "exit": row.status,
    }
