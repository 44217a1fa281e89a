"""The generated market is the same each time, sound in every candle, and lively enough to trade on."""

import subprocess
import sys
from decimal import Decimal
from itertools import islice

import numpy as np
import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.marketdata.block import CandleBlock
from trading_engine.marketdata.replay import CandleSource
from trading_engine.marketdata.synth import Character, SyntheticMarket

START = 1_746_316_800_000  # 2025-05-04T00:00Z
MINUTE = 60_000
CANDLES = 6_000


def _instrument(symbol: str, tick: str, step: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        tick=Decimal(tick),
        step=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(1000),
        min_notional=Decimal(5),
        max_leverage=Decimal(100),
        tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(100)),),
    )


BTC = {"BTCUSDT": _instrument("BTCUSDT", "0.1", "0.001")}
SYMBOLS = BTC | {
    "ETHUSDT": _instrument("ETHUSDT", "0.01", "0.001"),
    "XUSDT": _instrument("XUSDT", "0.5", "1"),
}


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    """One market of three symbols for all tests that only look."""
    return SyntheticMarket(7, SYMBOLS, START, CANDLES)


def _all(source: CandleSource, symbol: str) -> CandleBlock:
    return source.history(symbol, source.last_ts + MINUTE, 10**6)


def _same(left: CandleBlock, right: CandleBlock) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


def test_equal_seeds_give_equal_markets(market: SyntheticMarket) -> None:
    """A restart sees the very same candles and funding."""
    again = SyntheticMarket(7, SYMBOLS, START, CANDLES)
    assert list(market.batches()) == list(again.batches())
    assert market.funding_between(0, market.last_ts) == again.funding_between(0, market.last_ts)


def test_other_seeds_and_symbols_give_other_paths(market: SyntheticMarket) -> None:
    """Nothing is shared that should differ."""
    other = SyntheticMarket(8, BTC, START, CANDLES)
    assert not _same(_all(market, "BTCUSDT"), _all(other, "BTCUSDT"))
    btc, eth = (np.diff(np.log(_all(market, name).close_price)) for name in ("BTCUSDT", "ETHUSDT"))
    assert abs(np.corrcoef(btc, eth)[0, 1]) < 0.2


def test_a_symbol_does_not_depend_on_the_others(market: SyntheticMarket) -> None:
    """Adding a symbol leaves the candles of the rest as they are."""
    alone = SyntheticMarket(7, BTC, START, CANDLES)
    assert _same(_all(market, "BTCUSDT"), _all(alone, "BTCUSDT"))


def test_a_longer_market_begins_with_the_shorter_one(market: SyntheticMarket) -> None:
    """Asking for more candles never rewrites those that were traded on."""
    short = SyntheticMarket(7, SYMBOLS, START, 2_000)
    assert list(short.batches()) == list(islice(market.batches(), 2_000))


def test_a_restart_goes_on_with_the_same_candles(market: SyntheticMarket) -> None:
    """Beginning in the middle gives the tail of the full run."""
    cut = START + 4_321 * MINUTE
    assert list(islice(market.batches(), 4_321, None)) == list(market.batches(cut))


def test_every_candle_is_sound(market: SyntheticMarket) -> None:
    """One candle a minute, opens at the last close, high and low bound it, volume is not negative."""
    for symbol in market.symbols:
        block = _all(market, symbol)
        assert [START + MINUTE * row for row in range(CANDLES)] == block.ts.tolist()
        assert np.array_equal(block.close[:-1], block.open[1:])
        assert (block.high >= np.maximum(block.open, block.close)).all()
        assert (block.low <= np.minimum(block.open, block.close)).all()
        assert (block.low >= 1).all()
        assert (block.volume >= 0).all()


def test_prices_and_volumes_are_whole_ticks_and_steps(market: SyntheticMarket) -> None:
    """The floats are the integers times tick and step."""
    block = _all(market, "BTCUSDT")
    assert np.array_equal(block.close * 0.1, block.close_price)
    assert np.array_equal(block.volume * 0.001, block.base_volume)
    assert 950_000 == block.open[0]
    assert 20_000 == _all(market, "XUSDT").open[0]


def test_volatility_clusters_and_tails_are_fat(market: SyntheticMarket) -> None:
    """Large moves follow large moves, and some are far larger than usual."""
    for symbol in market.symbols:
        moves = np.abs(np.diff(np.log(_all(market, symbol).close_price)))
        assert np.corrcoef(moves[1:], moves[:-1])[0, 1] > 0.1
        assert moves.max() > 6 * moves.mean()


def test_volume_rises_with_the_move_and_towards_the_ends_of_the_day(market: SyntheticMarket) -> None:
    """Jumps come with volume, noon is quiet."""
    for symbol in market.symbols:
        block = _all(market, symbol)
        moves = np.abs(np.diff(np.log(block.close_price)))
        assert np.corrcoef(moves, block.volume[1:])[0, 1] > 0.4
        hour = block.ts // 3_600_000 % 24
        noon, midnight = (hour >= 10) & (hour < 14), (hour < 2) | (hour >= 22)
        assert block.volume[midnight].mean() > 1.3 * block.volume[noon].mean()


def test_breakouts_with_body_and_volume_happen_both_ways(market: SyntheticMarket) -> None:
    """Close beyond the last 20 candles, body of 60 % and twice the usual volume: several times a day."""
    for symbol in market.symbols:
        block = _all(market, symbol)
        windows = np.lib.stride_tricks.sliding_window_view
        highs, lows = windows(block.high, 20).max(axis=1)[:-1], windows(block.low, 20).min(axis=1)[:-1]
        usual = windows(block.volume, 20).mean(axis=1)[:-1]
        body, span = np.abs(block.close - block.open)[20:], (block.high - block.low)[20:]
        explosive = (body >= 0.6 * span) & (block.volume[20:] >= 2 * usual)
        assert (explosive & (block.close[20:] > highs)).sum() >= 8
        assert (explosive & (block.close[20:] < lows)).sum() >= 8


def test_trends_and_ranges_alternate(market: SyntheticMarket) -> None:
    """Within four days there are hours of clear rise and hours of clear fall."""
    for symbol in market.symbols:
        close = _all(market, symbol).close_price
        moves = np.log(close[240:] / close[:-240])
        assert moves.max() > 0.015
        assert moves.min() < -0.015


def test_funding_settles_every_eight_hours(market: SyntheticMarket) -> None:
    """At 00, 08 and 16 UTC from behind the first candle's open to the last candle's close, within caps."""
    rates = market.funding_between(0, market.last_ts + MINUTE)
    times = [START + 28_800_000 * number for number in range(1, CANDLES // 480 + 1)]
    assert [(ts, symbol) for ts in times for symbol in market.symbols] == [(r.ts_ms, r.symbol) for r in rates]
    assert all(abs(rate.rate) <= Decimal("0.003") for rate in rates)
    assert all(-8 <= int(rate.rate.as_tuple().exponent) for rate in rates)
    assert any(rate.rate < 0 for rate in rates)


def test_a_market_begins_at_a_full_minute() -> None:
    """The start is rounded down, so that candles align with those of venues."""
    market = SyntheticMarket(1, BTC, START + 59_999, 1)
    assert (START, START, MINUTE, ("BTCUSDT",)) == (
        market.first_ts,
        market.last_ts,
        market.interval_ms,
        market.symbols,
    )


@pytest.mark.parametrize(
    ("seed", "candles", "message"),
    [(-1, 10, "seed = -1 cannot seed a market"), (1, 0, "a market of 0 candles cannot be traded")],
)
def test_a_market_that_cannot_be_made_is_refused(seed: int, candles: int, message: str) -> None:
    """One line names the value and what was expected."""
    with pytest.raises(ConfigInvalid, match=message):
        SyntheticMarket(seed, BTC, START, candles)


def test_a_generated_market_does_not_load_pyarrow() -> None:
    """The demo does not pay for file formats that it does not read."""
    code = (
        "import sys; import trading_engine.marketdata.synth, trading_engine.marketdata.candle_file;"
        "sys.exit('pyarrow' in sys.modules or 'pandas' in sys.modules)"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def _character(character: Character, days: int = 10) -> CandleBlock:
    return _all(SyntheticMarket(7, BTC, START, days * 1_440, character), "BTCUSDT")


def test_a_character_is_the_same_each_time_and_longer_when_longer() -> None:
    """As the mixed market: the first days of ten are those of three."""
    for character in Character:
        short, long = _character(character, 3), _character(character, 4)
        assert _same(short, long.part(0, short.rows)), character


def test_the_mixed_market_is_the_one_without_a_character() -> None:
    """The demo's."""
    assert _same(_all(SyntheticMarket(7, BTC, START, 1_000), "BTCUSDT"), _character(Character.MIXED, 1).part(0, 1_000))


def test_a_trending_market_goes_further_than_one_in_a_range() -> None:
    """Ten days of each: the way made good, and the most that a range leaves its middle."""
    trend, flat = _character(Character.TREND), _character(Character.RANGE)
    assert np.ptp(np.log(trend.close_price)) > 3 * np.ptp(np.log(flat.close_price))
    assert np.abs(np.log(flat.close_price / flat.close_price[0])).max() < 0.1


def test_a_market_with_gaps_lacks_candles_and_nothing_else() -> None:
    """What is left are the candles of the mixed market; its funding is that of the whole."""
    gappy = SyntheticMarket(7, BTC, START, 10 * 1_440, Character.GAPS)
    block, whole = _all(gappy, "BTCUSDT"), _character(Character.MIXED)
    at = np.searchsorted(whole.ts, block.ts)
    assert 50 < whole.rows - block.rows < 2_000
    assert START == block.ts[0]
    assert block.close.tolist() == whole.close[at].tolist()
    mixed = SyntheticMarket(7, BTC, START, 10 * 1_440)
    assert mixed.funding_between(0, mixed.last_ts) == gappy.funding_between(0, mixed.last_ts)


def test_a_crash_takes_a_seventh_within_two_hours_and_gives_half_back() -> None:
    """On the first day, and again every week; candles stay sound."""
    block = _character(Character.CRASH, 14)
    for week in (0, 7):
        log_close = np.log(block.close_price[week * 1_440 : (week + 7) * 1_440])
        fall = log_close[120:] - log_close[:-120]
        assert fall.min() < np.log(1 - 0.12)
    assert (block.low <= np.minimum(block.open, block.close)).all()
    assert (block.high >= np.maximum(block.open, block.close)).all()
