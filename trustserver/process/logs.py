"""Logs: one JSON object per line on standard error. Only chosen fields are logged, never a whole request."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Final

import orjson

from trustdata.errors import shown

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST: Final = 2000


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


class LineWriter(logging.Handler):
    """Write each record as one whole line to a file descriptor.

    If the disk is full the rest of a line is lost. The next record then still begins on a line of its own.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._line_is_cut = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            unwritten = f"{self.format(record)}\n".encode()
        except Exception:  # noqa: BLE001 - as in logging's own handlers: a failing log must not break the work
            self.handleError(record)
            return
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
    root.setLevel(level.upper())
    for noisy in ("alembic", "sqlalchemy", "python_multipart", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return shown(str(value), _LONGEST)
