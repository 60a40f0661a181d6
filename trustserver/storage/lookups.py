"""Ask for one row by the driver itself: SQLAlchemy costs four times as much as the database for one row.

The statements are SQLAlchemy's all the same (statements.py), compiled once for the database that is used.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, Select
from sqlalchemy.exc import MultipleResultsFound


class Lookup:
    """A query that finds at most one row, on one engine. It may be used from several threads.

    Its columns must be of types that the driver gives as they are: numbers, texts and bytes.
    """

    def __init__(self, engine: Engine, query: Select[Any]) -> None:
        self._engine = engine
        self._row = _row_of([column.name for column in query.selected_columns])
        compiled = query.compile(dialect=engine.dialect)
        self._sql = str(compiled)
        self._given = {name: value for name, value in compiled.params.items() if value is not None}
        self._order: list[str] | None = compiled.positiontup  # None: the driver takes names

    def find(self, values: Mapping[str, str | int]) -> Any:
        """Return the row, with its columns as attributes; None if there is none.

        One statement alone needs no transaction around it. Raises: SQLAlchemyError, or the driver's own error.
        """
        given = {**self._given, **values}
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            try:
                cursor.execute(self._sql, given if self._order is None else [given[name] for name in self._order])
                rows = cursor.fetchall()
            finally:
                cursor.close()
        finally:
            connection.close()
        if len(rows) > 1:
            raise MultipleResultsFound
        return self._row._make(rows[0]) if rows else None


def _row_of(columns: list[str]) -> Any:
    """Return a class of tuples with these names."""
    return namedtuple("Found", columns)  # noqa: PYI024 - the columns are those of a query
