"""Candles and sides."""

from builders import make_candle

from trading_engine.domain.market import Side


def test_a_candle_is_complete_when_the_next_begins() -> None:
    """Open time and interval."""
    assert 120_000 == make_candle(open_time_ms=60_000).close_time_ms


def test_sides_have_a_sign() -> None:
    """Plus for long, minus for short."""
    assert (1, -1) == (Side.LONG.sign, Side.SHORT.sign)
