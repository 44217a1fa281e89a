"""Statements compiled once write what SQLAlchemy's own execution writes."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Text, bindparam, create_engine, insert, select, update
from sqlalchemy.dialects import postgresql

from trading_engine.store.statements import Prepared
from trading_engine.store.tables import WHOLE, Flag, Money

_METADATA = MetaData()
_TABLE = Table(
    "sums",
    _METADATA,
    Column("id", WHOLE, primary_key=True),
    Column("amount", Money),
    Column("is_paid", Flag),
    Column("text", Text),
)
_ROWS: list[dict[str, Any]] = [
    {"id": 1, "amount": Decimal("1.500"), "is_paid": True, "text": "a"},
    {"id": 2, "amount": None, "is_paid": False, "text": None},
]


@pytest.mark.parametrize("rows", [_ROWS, _ROWS[:1]])
def test_a_prepared_insert_writes_what_sqlalchemy_writes(rows: list[dict[str, Any]]) -> None:
    """Conversions, order and missing values are those of the table's types, for one row and for several."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        _METADATA.create_all(connection)
        assert len(rows) == Prepared(insert(_TABLE), connection.dialect).execute(connection, rows)
        found = connection.execute(select(_TABLE)).mappings().all()
        connection.execute(_TABLE.delete())
        connection.execute(insert(_TABLE), rows)
        assert connection.execute(select(_TABLE)).mappings().all() == found
        assert connection.exec_driver_sql("SELECT amount FROM sums WHERE id = 1").scalar() == "1.5"


def test_a_prepared_update_counts_the_rows_it_has_met() -> None:
    """The guard against a second writer lives on this number."""
    engine = create_engine("sqlite://")
    statement = update(_TABLE).values(text=bindparam("new_text")).where(_TABLE.c.id == bindparam("key_id"))
    with engine.connect() as connection:
        _METADATA.create_all(connection)
        Prepared(insert(_TABLE), connection.dialect).execute(connection, _ROWS)
        prepared = Prepared(statement, connection.dialect)
        assert prepared.execute(connection, [{"key_id": 1, "new_text": "b"}, {"key_id": 7, "new_text": "c"}]) == 1


def test_a_row_without_a_parameter_is_refused() -> None:
    """Nothing is filled in silently."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        _METADATA.create_all(connection)
        with pytest.raises(KeyError, match="text"):
            Prepared(insert(_TABLE), connection.dialect).execute(connection, [{"id": 1, "amount": None, "is_paid": 1}])


def test_a_database_that_names_its_parameters_gets_them_by_name() -> None:
    """Where parameters have names instead of places, the text names them."""
    dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
    assert "%(amount)s" in Prepared(insert(_TABLE), dialect).text
