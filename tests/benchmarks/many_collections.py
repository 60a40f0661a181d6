"""A server with very many collections: cold reads, its memory, /metrics, the operator's list and check.

The peer of a row is a budget, in the time of the machine on which it was set; in `make bench` that of cold reads is
Go's server with PostgreSQL, measured in the same run. Most collections are copies of one under other names, made in the
database; the check is of real ones. `python -m tests.benchmarks.many_collections` measures only the server.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.benchmarks import cpu
from tests.benchmarks.our_server import BenchCollection, OurServer, start_ours
from tests.benchmarks.small_parent import run_measured
from tests.benchmarks.table import Row, show
from trustdata.gun import parse_gun

_COPIES: Final = 100_000
_REAL: Final = 500
_READS: Final = 3000
_OF_GO: Final = 0.3
"""Where the budget of a cold read was set, 0.4 ms, Go's server took 1.3 to 1.8 ms for a read over 16 connections."""


def rows(folder: Path, *, go_read: float) -> list[Row]:
    """Measure a server with 100 000 collections, and the check of 500. `go_read`: of Go's server for a read, in ms."""
    measured = serving_rows(folder, go_read=go_read)
    seconds, _ = _command("collections", "list", data=folder / "many" / "data")
    measured.append(Row(what=f"list of {_COPIES} collections: CPU", ours=seconds, peer=3.0, unit="s", wanted=1.0))
    with start_ours(folder / "one") as server:
        _begin(server, 1)
    start, _ = _command("check", data=folder / "one" / "data")
    with start_ours(folder / "real") as server:
        _begin(server, _REAL + 1)
    seconds, memory = _command("check", data=folder / "real" / "data")
    each = (seconds - start) / _REAL * 1e3
    measured.append(Row(what="check of a collection: CPU", ours=each, peer=1.5, unit="ms", wanted=1.0))
    measured.append(Row(what=f"check of {_REAL} collections: memory", ours=memory, peer=400.0, unit="MB", wanted=1.0))
    return measured


def serving_rows(folder: Path, *, go_read: float | None = None) -> list[Row]:
    """Measure what a server with 100 000 collections answers. `go_read`: None for the budget."""
    cold_peer = (0.4, 1.0) if go_read is None else (go_read, _OF_GO)
    with start_ours(folder / "many") as server:
        _begin(server, 1)
    copy_under(folder / "many" / "data" / "trust.db", _COPIES)
    with start_ours(folder / "many", options=["--view-bytes", "1000000"]) as server:
        return list(_serving(server, *cold_peer))


def _serving(server: OurServer, cold_peer: float, cold_wanted: float) -> Iterator[Row]:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(server.url).netloc)) as connection:
        for file in ("timestamp.json", "1.targets.json", "2.root.json"):
            paths = [f"/tuf/{copied_name(each)}/metadata/{file}" for each in random.sample(range(_COPIES), _READS)]
            each = _cpu_of(server, connection, paths)
            yield Row(what=f"cold read of {file}: CPU", ours=each * 1e3, peer=cold_peer, unit="ms", wanted=cold_wanted)
        each = _cpu_of(server, connection, ["/metrics"] * 20)
        yield Row(what=f"/metrics with {_COPIES} collections: CPU", ours=each * 1e3, peer=25.0, unit="ms", wanted=1.0)
    yield Row(what=f"{_COPIES} collections: memory", ours=cpu.megabytes(server.pid), peer=400, unit="MB", wanted=1.0)


def _cpu_of(server: OurServer, connection: http.client.HTTPConnection, paths: list[str]) -> float:
    before = cpu.settle([server.pid])
    for path in paths:
        connection.request("GET", path)
        connection.getresponse().read()
    return (cpu.settle([server.pid]) - before) / len(paths)


def _begin(server: OurServer, count: int) -> None:
    for number in range(count):
        BenchCollection(server, parse_gun(f"registry.example.com/real/app{number}")).init()


def begin_one(server: OurServer) -> str:
    """Make one collection, to be copied; return its pin."""
    return BenchCollection(server, parse_gun("registry.example.com/real/app0")).init()


def copied_name(number: int) -> str:
    """Return the name of a copy."""
    return f"registry.example.com/copy{number % 100}/app{number}"


def copy_under(database: Path, copies: int) -> None:
    """Store the one collection under many other names, without its keys."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.row_factory = sqlite3.Row
        original = dict(connection.execute("SELECT * FROM collection").fetchone())
        files = [dict(row) for row in connection.execute("SELECT * FROM file")]
        newest = {row["file_id"]: dict(row) for row in connection.execute("SELECT * FROM current_file")}
        for number in range(copies):
            collection = _insert(connection, "collection", {**original, "gun": copied_name(number), "id": None})
            for file in files:
                added = _insert(connection, "file", {**file, "collection_id": collection, "id": None})
                if file["id"] in newest:
                    row = {**newest[file["id"]], "collection_id": collection, "file_id": added}
                    _insert(connection, "current_file", row)


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, object]) -> int:
    marks = ",".join(f":{name}" for name in row)
    return connection.execute(f"INSERT INTO {table} ({','.join(row)}) VALUES ({marks})", row).lastrowid or 0


def _command(*words: str, data: Path | None) -> tuple[float, float]:
    """Run a command of the operator. Return its CPU seconds and its memory, in MB. Raises: RuntimeError if it fails."""
    options = ["--data", str(data)] if data else []
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}
    command = [sys.executable, "-m", "trustserver", *words, *options]
    used = run_measured(command, environ=environ, stdout=subprocess.DEVNULL)
    return used.cpu_seconds, used.megabytes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="trust-bench-") as name:
        show(serving_rows(Path(name)), [])
