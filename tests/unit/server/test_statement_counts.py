"""What a cold read, /metrics and the operator's commands ask the database does not grow with what is stored."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from tests.support.cli_runner import CliRunner
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_site import GUN_A
from trustserver.__main__ import app
from trustserver.admin import check, commands
from trustserver.settings import Settings
from trustserver.storage.opening import open_sealer, open_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with five collections, one of them of Notary v1."""
    with working(tmp_path / "data") as site:
        for gun in (GUN_A, *(f"registry.example.com/more{number}" for number in range(3))):
            site.begin(gun)
        site.begin_notary()
    return tmp_path / "data"


@contextlib.contextmanager
def working(folder: Path) -> Iterator[NotarySite]:
    """A server that has just started: its caches are empty."""
    settings = Settings(data=folder)
    with contextlib.closing(open_store(settings)) as store:
        yield NotarySite(store, sealer=open_sealer(settings, store))


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
    """The statements that the database gets, whoever sends them, without those that only open a connection."""
    statements: list[str] = []

    def note(statement: str) -> None:
        if statement not in {"ROLLBACK", "COMMIT"}:  # what ends a transaction is no question
            statements.append(statement)

    def trace(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(note)

    event.listen(Pool, "checkout", trace)
    try:
        yield statements
    finally:
        event.remove(Pool, "checkout", trace)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/tuf/{GUN_A}/metadata/timestamp.json", 200),
        (f"/tuf/{GUN_A}/metadata/1.snapshot.json", 200),
        (f"/tuf/{GUN_A}/metadata/1.targets.json", 200),
        (f"/tuf/{GUN_A}/metadata/1.root.json", 200),
        (f"/tuf/{GUN_A}/metadata/2.root.json", 404),
        (f"/v2/{GUN_N}/_trust/tuf/timestamp.json", 200),
        (f"/v2/{GUN_N}/_trust/tuf/snapshot.json", 200),
        (f"/v2/{GUN_N}/_trust/tuf/1.root.json", 200),
    ],
)
def test_a_cold_read_is_one_question(folder: Path, path: str, status: int) -> None:
    with working(folder) as site, noted() as statements:
        assert site.get(path).status_code == status
        assert len(statements) == 1
        assert site.get(path).status_code == status
    assert len(statements) == 1, "the second time it is in memory"


def test_metrics_read_one_entry_of_an_index_for_each_kind_of_role(folder: Path) -> None:
    with working(folder) as site, noted() as statements:
        assert site.get("/metrics").status_code == 200
        asked = [statement for statement in statements if statement.startswith("SELECT")]
        counted = [statement for statement in asked if "max(collection.id)" in statement]
        asked = [statement for statement in asked if statement not in counted]
        plans = [_plan(site, statement) for statement in asked]
    assert len(asked) == 5
    assert len(counted) == 1, "one row at the end of the table"
    assert all("SEARCH current_file USING COVERING INDEX ix_current_file_kind_expires" in plan for plan in plans)


def _plan(site: NotarySite, statement: str) -> str:
    with site.store._engine.connect() as connection:  # type: ignore[attr-defined]
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
        return " ".join(str(row.detail) for row in rows)


def test_the_check_asks_for_a_batch_and_not_for_each_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trustserver.process.kernel_clock.now", lambda: datetime(2026, 11, 1, 12, tzinfo=UTC))

    def asked(batch: int) -> int:
        monkeypatch.setattr(check, "_BATCH", batch)
        with noted() as statements:
            CliRunner().invoke(app, ["check", "--data", str(folder)])
        return len(statements)

    assert asked(100) < asked(2) < asked(1)


def test_the_list_is_read_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CliRunner().invoke(app, ["collections", "list", "--data", str(folder)]).stdout
    monkeypatch.setattr(commands, "_BATCH", 2)
    with noted() as statements:
        assert CliRunner().invoke(app, ["collections", "list", "--data", str(folder)]).stdout == whole
    assert len(whole.splitlines()) == 5
    assert sum("LIMIT" in statement for statement in statements) == 4
