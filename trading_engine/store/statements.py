"""Statements that are executed with every commit, compiled once.

What belongs here: the text of a statement for one database, the order of its parameters and their conversions.
What does not: which statements there are (sql_store, tables).

SQLAlchemy compiles a statement once and caches it, but finds it again and prepares its parameters at every
execution; with five statements a commit that took longer than SQLite's own work (measured: 110 µs of 150 µs).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql import ClauseElement

Convert = Callable[[Any], Any]


class Prepared:
    """One statement for one kind of database; `execute` takes rows whose keys are its parameters' names."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        names = compiled.positiontup if compiled.positional else tuple(compiled.binds)
        self._parameters = tuple((name, _converter(compiled.binds[name].type, dialect)) for name in names)
        self._is_positional = bool(compiled.positional)

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute it for each row; the number of rows of the table that it has met. KeyError for a missing value."""
        values = [self._bind(row) for row in rows]
        return connection.exec_driver_sql(self.text, values[0] if len(values) == 1 else values).rowcount

    def _bind(self, row: Mapping[str, Any]) -> Any:
        if self._is_positional:
            return tuple([row[name] if convert is None else convert(row[name]) for name, convert in self._parameters])
        return {name: row[name] if convert is None else convert(row[name]) for name, convert in self._parameters}


def _converter(kind: Any, dialect: Dialect) -> Convert | None:
    convert: Convert | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return convert
