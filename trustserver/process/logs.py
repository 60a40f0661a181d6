"""Logs: one JSON object per line on standard error. What is logged is chosen field by field; no request is dumped."""

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
    """time (RFC 3339, UTC), level, logger, event, then the record's extra fields; foreign text is escaped and cut."""

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
            # The traceback shows code, not values: a message of a foreign exception might hold what was sent.
            line["exception"] = "".join(traceback.format_tb(record.exc_info[2]))
            line["exception_type"] = type(record.exc_info[1]).__name__
        return orjson.dumps(line).decode()


class LineWriter(logging.Handler):
    """Whole lines to a file descriptor. What finds no space is lost; the next line begins a new one all the same."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._cut = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            left = f"{self.format(record)}\n".encode()
        except Exception:  # noqa: BLE001 - as logging's own handlers: a record must not break what it reports
            self.handleError(record)
            return
        if self._cut:
            left = b"\n" + left
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
                self._cut = bool(left)
        except OSError:
            return  # a full disk, or nobody who reads: the server's work goes on


def start_logging(level: str) -> None:
    """Send every logger's records to standard error as JSON lines."""
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
