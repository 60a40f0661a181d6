"""SQLite connections that tests forget to close: Python 3.13 tells of each, in whatever test it frees it."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys

_opened: list[tuple[sqlite3.Connection, str]] = []
_references_of_a_forgotten_one: list[int] = []
"""How many references lead to an open connection that only `_opened` holds. A connection holds itself, too."""


def watch_databases() -> None:
    """Remember from now on each SQLite connection of this process, with the test that has opened it."""
    if _references_of_a_forgotten_one:  # an audit hook cannot be taken away
        return
    sys.addaudithook(_remember)
    sqlite3.connect(":memory:")  # which is forgotten at once
    connection, _ = _opened.pop()
    _references_of_a_forgotten_one.append(sys.getrefcount(connection))
    connection.close()


def _remember(event: str, arguments: tuple[object, ...]) -> None:
    if event == "sqlite3.connect/handle":
        connection = arguments[0]
        assert isinstance(connection, sqlite3.Connection)
        _opened.append((connection, os.environ.get("PYTEST_CURRENT_TEST", "no test")))


def forgotten_databases() -> list[str]:
    """Name the tests whose connections are open though nothing refers to them any more, once each; close these."""
    _opened[:] = [(connection, test) for connection, test in _opened if _is_open(connection)]
    if not _opened:
        return []
    gc.collect()
    forgotten, kept = set(), []
    while _opened:
        connection, test = _opened.pop()
        if sys.getrefcount(connection) <= _references_of_a_forgotten_one[0]:
            forgotten.add(test)
            connection.close()
        else:
            kept.append((connection, test))
    _opened.extend(kept)
    return sorted(forgotten)


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False
