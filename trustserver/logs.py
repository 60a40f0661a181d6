"""Logs: one JSON object per line on standard error. What is logged is chosen field by field; no request is dumped."""

from __future__ import annotations

import logging
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


def start_logging(level: str) -> None:
    """Send every logger's records to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
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
