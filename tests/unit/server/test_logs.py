"""Log lines: JSON, with the fields that were given, foreign text made harmless, nothing of foreign messages."""

from __future__ import annotations

import json
import logging

from trustserver.logs import JsonLines


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
