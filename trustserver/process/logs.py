"""Logs: one JSON object per line on standard error. Only chosen fields are logged, never a whole request.

What changes a collection or is refused is logged, and no read: an access log is the front's or a proxy's business
(docs/adr/0017), since most reads are answered before anything of the application is asked.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from trustdata.errors import shown

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST: Final = 2000  # characters of one field
LIMITED_EVENTS: Final = frozenset(
    {
        "token refused",
        "API token refused",
        "client certificate refused",
        "wrong name or password",
        "publish refused",
        "request failed",
        "a client took too little of an answer",
        "the server behind takes no connection",
    }
)
"""Events that people without any right can cause as often as they like. All others are written whatever happens: they
say what was changed."""
BURST_BYTES: Final = 1024 * 1024
BYTES_PER_SECOND: Final = 2048
"""Each limited event may have BURST_BYTES of lines, and from then on so many in a second: 170 MB in a day."""


class JsonLines(logging.Formatter):
    """Format a record as one line of JSON: time (RFC 3339, UTC), level, logger, event, then the record's extra fields.

    All text is escaped and shortened, since it may come from outside.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": shown(record.getMessage(), _LONGEST),
        }
        extra = {key: value for key, value in vars(record).items() if key not in _OWN}
        line |= {key: _plain(value) for key, value in extra.items()}
        if record.exc_info and record.exc_info[1] is not None:
            # The traceback shows code and no values. The message is left out: it could contain what a client sent.
            line["exception"] = "".join(traceback.format_tb(record.exc_info[2]))
            line["exception_type"] = type(record.exc_info[1]).__name__
        return orjson.dumps(line).decode()


@dataclass(slots=True)
class _Allowance:
    """How many bytes of one event may be written, as of `since`, and how many lines were left out."""

    left: float
    since: float
    left_out: int = 0


class LineLimits(logging.Filter):
    """Leave out lines of LIMITED_EVENTS when there are too many, so that nobody fills the disk with refusals.

    The next line that is written has `left_out`: how many before it were not.
    """

    def __init__(self) -> None:
        super().__init__()
        self._allowances: dict[str, _Allowance] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written."""
        event = record.getMessage()
        if event not in LIMITED_EVENTS:
            return True
        allowance = self._allowances.setdefault(event, _Allowance(left=BURST_BYTES, since=record.created))
        gained = max(record.created - allowance.since, 0) * BYTES_PER_SECOND
        allowance.left = min(allowance.left + gained, BURST_BYTES)
        allowance.since = record.created
        if allowance.left <= 0:
            allowance.left_out += 1
            return False
        if allowance.left_out:
            record.left_out = allowance.left_out
            allowance.left_out = 0
        return True

    def wrote(self, record: logging.LogRecord, size: int) -> None:
        """Count the bytes of a line that was written."""
        allowance = self._allowances.get(record.getMessage())
        if allowance is not None:
            allowance.left -= size


class LineWriter(logging.Handler):
    """Write each record as one whole line to a file descriptor, within LineLimits.

    If the disk is full the rest of a line is lost. The next record then still begins on a line of its own.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._line_is_cut = False
        self._limits = LineLimits()
        self.addFilter(self._limits)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            unwritten = f"{self.format(record)}\n".encode()
        except Exception:  # noqa: BLE001 - as in logging's own handlers: a failing log must not break the work
            self.handleError(record)
            return
        self._limits.wrote(record, len(unwritten))
        if self._line_is_cut:
            unwritten = b"\n" + unwritten
        try:
            while unwritten:
                unwritten = unwritten[os.write(self._descriptor, unwritten) :]
                self._line_is_cut = bool(unwritten)
        except OSError:
            return  # the disk is full, or the reader of the pipe has ended: the server goes on without logs


def start_logging(level: str) -> None:
    """Send the records of all loggers to standard error, as lines of JSON. Replaces the handlers of the root logger."""
    handler = LineWriter(sys.stderr.fileno())
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # They log each signature that does not fit, which anybody can send as often as they like: what it means for an
    # upload is logged by us. The second has a handler of its own, whose lines are not JSON.
    for foreign in ("tuf", "securesystemslib"):
        logging.getLogger(foreign).handlers.clear()
        logging.getLogger(foreign).setLevel(logging.ERROR)
    root.setLevel(level.upper())
    for noisy in ("alembic", "sqlalchemy", "python_multipart", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return shown(str(value), _LONGEST)
