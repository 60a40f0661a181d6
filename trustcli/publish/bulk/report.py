"""The report of a bulk run: a row for each collection, as JSON and as CSV, for the person who has to answer for it.

The JSON is the document that the command prints with `--json`. The CSV has a line for each collection; its cells are
those of `console/csv_cells.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from keys.durable_file import write_atomically
from keys.rfc3339 import to_rfc3339
from trustcli.console.csv_cells import csv_text
from trustcli.errors import UsageError
from trustdata.errors import shown

COLUMNS: Final = ("collection", "state", "role", "keys", "code", "message", "next", "begun")
"""The columns of the CSV. `code`, `message`: of what has failed. `next`: what somebody has to do now. `begun`: UTC."""
ENDINGS: Final = (".json", ".csv")


def check_report_file(file: Path | None) -> None:
    """Check, before anything is done, that a report can be written. Raises: UsageError."""
    if file is None:
        return
    if file.suffix not in ENDINGS:
        raise UsageError(f"--report {shown(str(file), 300)}: its name must end with {' or '.join(ENDINGS)}")
    if not file.parent.is_dir():
        raise UsageError(f"--report {shown(str(file), 300)}: there is no folder {shown(str(file.parent), 300)}")


def write_report(file: Path, document: Mapping[str, Any], *, begun: datetime) -> None:
    """Write the report, as CSV or JSON by the file's name. Raises: UsageError."""
    content = csv_report(document["collections"], begun=begun) if file.suffix == ".csv" else _json(document)
    try:
        write_atomically(file, content.encode(), mode=0o644)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"--report {shown(str(file), 300)} cannot be written: {reason}") from error


def csv_report(rows: Sequence[Mapping[str, Any]], *, begun: datetime) -> str:
    """Return the table, with its header."""
    return csv_text([COLUMNS, *(_cells(row, begun) for row in rows)])


def _cells(row: Mapping[str, Any], begun: datetime) -> Sequence[str]:
    error = row.get("error") or {}
    keys = row.get("keys") or ()
    return (
        str(row["gun"]),
        str(row["state"]),
        str(row.get("role", "")),
        " ".join(map(str, keys)),
        str(error.get("code", "")),
        str(error.get("message", "")),
        str(row.get("next") or error.get("next", "")),
        to_rfc3339(begun),
    )


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
