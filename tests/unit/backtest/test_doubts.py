"""What is told of the ground a backtest stands on."""

from decimal import Decimal

import pytest
from fakes.backtest_bench import MINUTE_MS, START_MS, instrument
from fakes.report_bench import walk

from trading_engine.backtest import doubts
from trading_engine.backtest.market import Market, make_market
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.strategy import registry

DAYS = 4
SYMBOLS = ("AAAUSDT", "BBBUSDT")


@pytest.fixture(scope="module")
def market() -> Market:
    """Four days of two symbols, from midnight on."""
    return make_market({symbol: walk(DAYS * 1440, symbol) for symbol in SYMBOLS}, [], MINUTE_MS)


def rates(symbol: str, hours: range, rate: str = "0.0001") -> list[FundingRate]:
    return [FundingRate(symbol, START_MS + hour * HOUR_MS, Decimal(rate)) for hour in hours]


def test_prices_off_the_tick_are_counted() -> None:
    """A wrong tick makes another market of the same file; symbols without such prices are not named."""
    instruments = {symbol: instrument(symbol) for symbol in SYMBOLS}
    rows = dict.fromkeys(SYMBOLS, 1_000)
    assert [] == list(doubts.moved_prices({"AAAUSDT": 0, "BBBUSDT": 40}, rows, instruments))
    (told,) = doubts.moved_prices({"AAAUSDT": 0, "BBBUSDT": 1_234}, rows, instruments)
    assert told.startswith(
        "prices that are not on the tick were moved to the nearest: 1,234 of BBBUSDT (tick 0.1); paper."
    )


def test_symbols_with_candles_for_a_part_of_the_span_are_told(market: Market) -> None:
    """A late listing, or a file that ends early; a hundredth of the span is no matter."""
    assert [] == list(doubts.uneven_spans(market))
    rows = DAYS * 1440
    early, late = walk(rows, "AAAUSDT").part(0, rows - 1_500), walk(rows, "BBBUSDT").part(57, rows)
    uneven = make_market({"AAAUSDT": early, "BBBUSDT": late}, [], MINUTE_MS)
    (told,) = doubts.uneven_spans(uneven)
    assert told.startswith("not all symbols have candles for the whole span: AAAUSDT to 2025-05-06 23:00 only;")
    later = make_market({"AAAUSDT": walk(rows, "AAAUSDT"), "BBBUSDT": late.part(3, rows - 57)}, [], MINUTE_MS)
    (told,) = doubts.uneven_spans(later)
    assert "span: BBBUSDT from 2025-05-04 01:00 only;" in told


def test_funding_for_the_whole_span_is_no_doubt(market: Market) -> None:
    """Every eight hours, or every four; the candles may begin and end between two settlements."""
    known = [*rates("AAAUSDT", range(0, DAYS * 24, 8)), *rates("BBBUSDT", range(3, DAYS * 24, 4))]
    assert [] == list(doubts.funding(known, market))


def test_funding_that_ends_early_is_told_with_its_stretch(market: Market) -> None:
    """Two days of rates for four days of candles: the rest would be traded for nothing."""
    known = [*rates("AAAUSDT", range(0, 49, 8)), *rates("BBBUSDT", range(0, DAYS * 24, 8))]
    assert [
        "no funding of AAAUSDT is known for 2.0 days of the span, the longest part of it 2025-05-06 00:00 to"
        " 2025-05-08 00:00: nothing is charged there"
    ] == list(doubts.funding(known, market))


def test_one_missing_settlement_is_told(market: Market) -> None:
    """Sixteen hours without one."""
    known = [*rates("AAAUSDT", range(0, 40, 8)), *rates("AAAUSDT", range(48, DAYS * 24, 8))]
    found = list(doubts.funding([*known, *rates("BBBUSDT", range(0, DAYS * 24, 8))], market))
    assert ["no funding of AAAUSDT is known for 0.7 days"] == [one[:43] for one in found]


def test_symbols_without_any_funding_are_told_together(market: Market) -> None:
    """In one line."""
    assert ["no funding is charged on AAAUSDT, BBBUSDT: no rates are given"] == list(doubts.funding([], market))


def test_rates_of_another_time_are_not_said_to_be_none(market: Market) -> None:
    """Given, and none of them in the span, beside a symbol for which none were given."""
    assert [
        "no funding is charged on AAAUSDT: no rates are given",
        "no funding is charged on BBBUSDT: none of the rates that are given lies in the span",
    ] == list(doubts.funding([], market, {"BBBUSDT"}))


def test_rates_in_percent_are_noticed(market: Market) -> None:
    """0.01 stands for 1 %: a hundred times what the writer meant."""
    known = [*rates("AAAUSDT", range(0, DAYS * 24, 8), "-0.01"), *rates("BBBUSDT", range(0, DAYS * 24, 8))]
    (told,) = doubts.funding(known, market)
    assert told.startswith("funding rates of AAAUSDT are 1 % in the middle")


def test_a_strategy_that_never_speaks_is_told(market: Market) -> None:
    """Momentum needs a month; a fifth of the span in silence is told with its end, less is not."""
    momentum, minutes = registry.create("momentum", {}), registry.create("multi_timeframe_long", {})
    averages = registry.create("trend_vwap", {})
    strategies = {"AAAUSDT": (momentum, minutes, averages), "BBBUSDT": (momentum,)}
    fresh = dict.fromkeys(SYMBOLS, START_MS)
    assert [
        "momentum says nothing at all: it needs 2,965 candles of 15m first; candles that lie before --from count",
        "trend_vwap says nothing before 2025-05-05 09:00: it needs 389 candles of 5m first (on AAAUSDT); candles that"
        " lie before --from count",
    ] == list(doubts.silent_beginnings(strategies, fresh, market))
    warm = dict.fromkeys(SYMBOLS, START_MS - 40 * DAY_MS)
    assert [] == list(doubts.silent_beginnings(strategies, warm, market))


def test_the_end_of_all_entries_is_told() -> None:
    """A year whose trading ended in its first month is not a year of trading."""
    assert [] == list(doubts.ended(0, Decimal(10)))
    (told,) = doubts.ended(START_MS, Decimal("2.5"))
    assert told.startswith("no entry was made after 2025-05-04 00:00, when the drawdown limit of 2.5 % was reached")


def test_signals_that_came_to_nothing_are_told_with_their_fates() -> None:
    """Or with the way to learn them; no signal is no doubt."""
    assert [] == list(doubts.unheard(0, {}))
    assert ["1 signal for an entry, and none became a position: `--engine full` tells why"] == list(
        doubts.unheard(1, {})
    )
    (told,) = doubts.unheard(1_016, {"refused (below the venue's minimum)": 1_000, "never filled": 16})
    assert told.endswith("none became a position: 1,000 refused (below the venue's minimum), 16 never filled")
