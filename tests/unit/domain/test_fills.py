"""Fills and incomes: the keys that make each of them count once."""

from builders import make_fill, make_income

from trading_engine.domain.fills import PnlKind


def test_a_fill_is_one_fill_per_account() -> None:
    """Venue, account and trade id."""
    assert "embedded:paper:1" == make_fill().key


def test_an_income_is_one_income_per_kind() -> None:
    """Some venues number each kind by itself."""
    assert "embedded:paper:funding:1" == make_income().key
    assert "embedded:paper:transfer:1" == make_income(kind=PnlKind.TRANSFER).key
