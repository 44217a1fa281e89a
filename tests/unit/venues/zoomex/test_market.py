"""Instruments and candles."""

from decimal import Decimal

import pytest
from unit.venues.zoomex.scripted import BTC, START_MS, Answer, Bench, instrument_row, listing, run

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle
from trading_engine.ports import FeeRates
from trading_engine.venues.zoomex import facts

D = Decimal
MINUTE, HOUR = 60_000, 3_600_000


def _tier(cap: str, rate: object, leverage: str) -> dict[str, object]:
    return {"symbol": BTC, "riskLimitValue": cap, "maintenanceMargin": rate, "maxLeverage": leverage}


def _instrument(row: dict[str, object], *tiers: dict[str, object]) -> Instrument:
    async def story(bench: Bench) -> Instrument:
        bench.server.script[facts.INSTRUMENTS] = [listing(instrument_row("OTHER"), cursor="x"), listing(row)]
        bench.server.script[facts.RISK_LIMITS] = listing(*tiers)
        (found,) = await bench.venue.instruments()
        return found

    return run(story, reads_instruments=False)


def test_an_instrument_is_told_with_its_tiers() -> None:
    """The smaller of the two maxima holds; tiers by ascending notional."""
    found = _instrument(instrument_row(), _tier("4000000", "0.01", "50"), _tier("2000000", "0.005", "100"))
    tiers = (MarginTier(D(2_000_000), D("0.005"), D(0), D(100)), MarginTier(D(4_000_000), D("0.01"), D(0), D(50)))
    expected = Instrument(BTC, D("0.10"), D("0.001"), D("0.001"), D(50), D(5), D(100), tiers)
    assert expected == found


def test_a_rate_in_percent_is_understood() -> None:
    """No leverage of 100 bears a maintenance margin of half the value."""
    assert D("0.005") == _instrument(instrument_row(), _tier("1", 0.5, "100")).tiers[0].maintenance_rate


def test_a_smallest_notional_that_is_not_told_is_five() -> None:
    """The venue's sample lacks it."""
    lot = {"maxOrderQty": "100", "minOrderQty": "0.001", "qtyStep": "0.001"}
    assert D(5) == _instrument(instrument_row(lotSizeFilter=lot), _tier("1", "0.005", "100")).min_notional


def test_a_symbol_that_is_not_listed_is_a_mistake_of_the_configuration() -> None:
    """With its name."""
    with pytest.raises(ConfigInvalid, match="BTCUSDT is not listed at zoomex"):
        _instrument(instrument_row("ETHUSDT"), _tier("1", "0.005", "100"))


def test_a_symbol_that_settles_in_another_asset_is_a_mistake_as_well() -> None:
    """It would be paid in what the account does not hold."""
    with pytest.raises(ConfigInvalid, match="perpetual in USDT"):
        _instrument(instrument_row(settleCoin="USDC"), _tier("1", "0.005", "100"))


def test_an_instrument_without_tiers_is_a_failure() -> None:
    """Margin cannot be reckoned without."""
    with pytest.raises(VenueUnavailable, match="risk limits"):
        _instrument(instrument_row())


def test_an_odd_row_of_another_symbol_stops_nobody() -> None:
    """Only what is configured is read."""

    async def story(bench: Bench) -> int:
        bench.server.script[facts.INSTRUMENTS] = listing({"symbol": "ODD"}, instrument_row())
        return len(await bench.venue.instruments())

    assert 1 == run(story, reads_instruments=False)


def test_a_symbol_of_the_innovation_zone_pays_more() -> None:
    """Where the account's own rates cannot be asked for."""

    async def story(bench: Bench) -> FeeRates:
        bench.server.script[facts.INSTRUMENTS] = listing(instrument_row(tags=["Innovation Zone"]))
        await bench.venue.instruments()
        return await bench.venue.fee_rates(BTC)

    assert FeeRates(D("0.0004"), D("0.0011")) == run(story, reads_instruments=False)


# ── candles ─────────────────────────────────────────────────────────────────


def _row(open_ms: int, close: str = "60020.3", volume: str = "12.3456") -> list[str]:
    return [str(open_ms), "60010.1", "60050.0", "59990.5", close, volume, "740951.10"]


def _klines(*rows: list[str]) -> Answer:
    return Answer({"symbol": BTC, "category": "linear", "list": list(rows)})


def test_candles_are_turned_round_and_the_unfinished_one_is_left_out() -> None:
    """By the venue's own time; those outside of the window as well."""

    async def story(bench: Bench) -> list[Candle]:
        first = START_MS - 3 * HOUR
        opens = (START_MS, START_MS - HOUR, START_MS - 2 * HOUR, first, first - HOUR)
        bench.server.script[facts.KLINES] = _klines(*(_row(open_ms) for open_ms in opens))
        found = list(await bench.venue.candles(BTC, HOUR, first, START_MS + HOUR))
        (asked,) = bench.server.calls(facts.KLINES)
        query = f"category=linear&symbol=BTCUSDT&interval=60&start={first}&end="
        assert asked.query.startswith(query)
        assert asked.query.endswith("&limit=1000")
        return found

    found = run(story)
    assert [START_MS - 3 * HOUR, START_MS - 2 * HOUR, START_MS - HOUR] == [candle.open_time_ms for candle in found]
    assert Candle(BTC, START_MS - HOUR, HOUR, 600_101, 600_500, 599_905, 600_203, 12_345) == found[-1]


def test_the_venues_time_decides_although_our_clock_is_ahead() -> None:
    """An hour ahead would take the present candle for closed."""

    async def story(bench: Bench) -> list[Candle]:
        bench.server.script[facts.KLINES] = _klines(_row(START_MS), _row(START_MS - HOUR))
        return list(await bench.venue.candles(BTC, HOUR, START_MS - HOUR, START_MS + HOUR))

    assert [START_MS - HOUR] == [candle.open_time_ms for candle in run(story, skew_ms=2 * HOUR)]


def test_a_price_between_two_ticks_goes_to_the_nearest() -> None:
    """Ticks were finer once."""

    async def story(bench: Bench) -> Candle:
        bench.server.script[facts.KLINES] = _klines(_row(START_MS - HOUR, close="60020.37"))
        (found,) = await bench.venue.candles(BTC, HOUR, START_MS - HOUR, START_MS)
        return found

    assert 600_204 == run(story).close


def test_a_long_span_is_read_in_windows_that_fit_a_page() -> None:
    """Without a gap and without an overlap."""

    async def story(bench: Bench) -> list[tuple[int, int]]:
        bench.server.script[facts.KLINES] = _klines()
        await bench.venue.candles(BTC, MINUTE, START_MS - 2_000 * MINUTE, START_MS)
        queries = [dict(part.split("=") for part in asked.query.split("&")) for asked in bench.server.asked]
        return [(int(query["start"]), int(query["end"])) for query in queries]

    spans = run(story)
    assert 3 == len(spans)
    assert (START_MS - 2_000 * MINUTE, START_MS - 1) == (spans[0][0], spans[-1][1])
    assert [end + 1 for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert all((end - start) // MINUTE < 1_000 for start, end in spans)


def test_an_interval_that_the_venue_lacks_is_a_mistake_of_the_configuration() -> None:
    """With what it has."""

    async def story(bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match="no 7m candles; it has 1m, 3m"):
            await bench.venue.candles(BTC, 7 * MINUTE, 0, START_MS)

    run(story)


@pytest.mark.parametrize("answer", [Answer(None, 10001), _klines(["1", "2"]), _klines(["1", "x", "1", "1", "1", "1"])])
def test_candles_that_cannot_be_read_are_a_failure(answer: Answer) -> None:
    """Never a gap."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.KLINES] = answer
        with pytest.raises(VenueUnavailable):
            await bench.venue.candles(BTC, HOUR, START_MS - HOUR, START_MS)

    run(story)
