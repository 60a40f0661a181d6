"""Log lines: JSON, with the fields that were given, foreign text made harmless, nothing of foreign messages."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
from pathlib import Path

from trustserver.process.logs import JsonLines, LineWriter


def line(message: str, **extra: object) -> dict[str, object]:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "x", "created": 0.0, **extra})
    formatted = JsonLines().format(record)
    assert "\n" not in formatted
    found: dict[str, object] = json.loads(formatted)
    return found


def test_fields_and_time() -> None:
    assert line("published", gun="example.com/a", revision=3) == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "logger": "x",
        "event": "published",
        "gun": "example.com/a",
        "revision": 3,
    }


def test_foreign_text_is_escaped_and_cut() -> None:
    found = line("a\nb", reason="\x1b[31m" + "x" * 5000)
    assert found["event"] == "a\\nb"
    reason = str(found["reason"])
    assert reason.startswith("\\x1b[31m")
    assert len(reason) < 2100


def test_an_exception_shows_where_but_not_its_message() -> None:
    try:
        raise ValueError("the passphrase is hunter2")  # noqa: TRY301
    except ValueError as error:
        found = line("failed", exc_info=(type(error), error, error.__traceback__))
    assert found["exception_type"] == "ValueError"
    assert "test_logs.py" in str(found["exception"])
    assert "passphrase is" not in str(found["exception"]).replace('raise ValueError("the passphrase is hunter2")', "")


def test_a_line_that_was_cut_off_is_ended_by_the_next(tmp_path: Path) -> None:
    """A file may not grow beyond a limit, as on a full disk; then it may."""
    path = tmp_path / "log"
    record = logging.makeLogRecord({"msg": "x" * 200, "levelname": "INFO", "name": "x"})
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    handler = LineWriter(descriptor)
    handler.setFormatter(JsonLines())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))
        for _ in range(5):
            handler.emit(record)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.stat().st_size == 400
    handler.emit(record)
    handler.emit(record)
    os.close(descriptor)
    first, cut, *others = path.read_text().splitlines()
    assert [json.loads(each)["event"] for each in (first, *others)] == ["x" * 200] * 3
    assert len(cut) < len(first)
