"""Log lines: JSON, with the fields that were given, foreign text made harmless, nothing of foreign messages."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from trustserver.process import logs
from trustserver.process.logs import BURST_BYTES, BYTES_PER_SECOND, JsonLines, LineWriter


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


def logged(path: Path, records: Iterable[tuple[str, float]]) -> list[dict[str, object]]:
    """The lines that a writer writes for these events at these times."""
    with path.open("wb") as file:
        writer = LineWriter(file.fileno())
        writer.setFormatter(JsonLines())
        for event, at in records:
            values = {"msg": event, "levelname": "INFO", "name": "x", "created": at, "reason": "y" * 900}
            writer.handle(logging.makeLogRecord(values))
    return [json.loads(each) for each in path.read_text().splitlines()]


def refusals() -> list[str]:
    """The events of the server's code that say of a request that it was refused."""
    folder = Path(logs.__file__).parents[1]
    texts = [file.read_text(encoding="utf-8") for file in folder.rglob("*.py")]
    found = {event for text in texts for event in re.findall(r'_log\.\w+\(\s*(?:[^"]*,\s*)?"([^"]+)"', text)}
    return sorted(event for event in found if event.endswith("refused") or event.startswith("wrong"))


def test_refusals_are_found_in_the_code() -> None:
    assert {"token refused", "publish refused", "client certificate refused"} <= set(refusals())


@pytest.mark.parametrize("event", refusals())
def test_refusals_that_anybody_can_cause_do_not_fill_the_disk(tmp_path: Path, event: str) -> None:
    path = tmp_path / "log"
    lines = logged(path, ((event, number / 1000) for number in range(20_000)))
    assert BURST_BYTES <= path.stat().st_size <= BURST_BYTES + 20 * BYTES_PER_SECOND + 4000
    assert len(lines) + sum(int(str(each.get("left_out", 0))) for each in lines) > 19_000, "they are counted"


def test_what_was_changed_is_always_logged(tmp_path: Path) -> None:
    events = [event for _ in range(5_000) for event in ("publish refused", "published")]
    lines = logged(tmp_path / "log", ((event, 0.0) for event in events))
    assert [each["event"] for each in lines].count("published") == 5_000
    assert [each["event"] for each in lines].count("publish refused") < 1_500


def test_after_a_flood_refusals_are_logged_again_and_say_how_many_are_missing(tmp_path: Path) -> None:
    flood = [("token refused", 0.0)] * 3_000
    lines = logged(tmp_path / "log", [*flood, ("token refused", 5.0), ("token refused", 5.0)])
    written = [each for each in lines if each["time"] == "1970-01-01T00:00:00.000+00:00"]
    first, second = lines[-2:]
    assert first["left_out"] == 3_000 - len(written)
    assert "left_out" not in second


def test_libraries_do_not_log_each_signature_that_does_not_fit() -> None:
    """Anybody can send such uploads, as often as they like; one of them writes lines that are not JSON."""
    code = (
        "import logging, tuf.api.metadata, securesystemslib\n"
        "from trustserver.process.logs import start_logging\n"
        "start_logging('debug')\n"
        "for name in ('tuf.api._payload', 'securesystemslib.signer._key'):\n"
        "    logging.getLogger(name).info('noise')\n"
        "    logging.getLogger(name).warning('noise')\n"
        "    logging.getLogger(name).error('fault')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["fault", "fault"]
