"""The column types that keep money exact."""

from decimal import Decimal

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert, select
from sqlalchemy.exc import StatementError

from trading_engine.store import tables
from trading_engine.store.tables import Flag, Money


def _table() -> Table:
    columns = (Column("id", Integer, primary_key=True), Column("amount", Money), Column("flag", Flag))
    return Table("sample", MetaData(), *columns)


def test_money_comes_back_digit_by_digit() -> None:
    """What a float or NUMERIC column would round stays as it is."""
    table, engine = _table(), create_engine("sqlite://")
    exact = Decimal("123456789.123456789123456789")
    with engine.connect() as connection:
        table.create(connection)
        connection.execute(insert(table), [{"amount": exact, "flag": True}, {"amount": None, "flag": None}])
        rows = connection.execute(select(table.c.amount, table.c.flag)).all()
        raw = connection.exec_driver_sql("SELECT amount, flag FROM sample").first()
    engine.dispose()
    assert [(exact, True), (None, None)] == [tuple(row) for row in rows]
    assert raw is not None
    assert ("123456789.123456789123456789", 1) == tuple(raw)


@pytest.mark.parametrize("value", [1.5, 1, "1.5", Decimal("NaN"), Decimal("Infinity")])
def test_only_finite_decimals_are_money(value: object) -> None:
    """A float is refused before it reaches a row."""
    table, engine = _table(), create_engine("sqlite://")
    with engine.connect() as connection:
        table.create(connection)
        with pytest.raises(StatementError, match="money must be a finite Decimal"):
            connection.execute(insert(table), {"amount": value, "flag": False})
    engine.dispose()


def test_nothing_cascades() -> None:
    """No foreign key deletes or changes a row by itself."""
    keys = [key for table in tables.metadata.tables.values() for key in table.foreign_keys]
    assert keys
    assert {(None, None)} == {(key.ondelete, key.onupdate) for key in keys}


def test_constraints_have_names() -> None:
    """A later migration can address each of them."""
    unnamed = [
        constraint
        for table in tables.metadata.tables.values()
        for constraint in table.constraints
        if constraint.name is None
    ]
    assert [] == unnamed
