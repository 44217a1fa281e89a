"""Many symbols' candles come back in time order, with history and funding around them."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.marketdata.candle_file import CandleFile, open_candles
from trading_engine.marketdata.replay import Batch, CandleSource, Replay

START = 1_746_316_800_000  # 2025-05-04T00:00Z
MINUTE = 60_000


def _instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        tick=Decimal("0.5"),
        step=Decimal("0.25"),
        min_quantity=Decimal("0.25"),
        max_quantity=Decimal(1000),
        min_notional=Decimal(5),
        max_leverage=Decimal(100),
        tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(100)),),
    )


def _file(tmp_path: Path, symbol: str, minutes: Sequence[int], interval_ms: int = MINUTE) -> CandleFile:
    """Candles at these minutes, whose open says which one it is."""
    prices = [10.0 + minute for minute in minutes]
    path = tmp_path / f"{symbol}.parquet"
    columns = {
        "ts": [START + interval_ms * minute for minute in minutes],
        "open": prices,
        "high": [price + 2 for price in prices],
        "low": [price - 1 for price in prices],
        "close": [price + 0.5 for price in prices],
        "volume": [2.5] * len(prices),
    }
    pq.write_table(pa.table(columns), path)
    return open_candles(symbol, path, _instrument(symbol))


def _seen(batches: Sequence[Batch]) -> list[tuple[int, list[str]]]:
    return [((batch.open_time_ms - START) // MINUTE, [candle.symbol for candle in batch.candles]) for batch in batches]


def test_a_batch_holds_the_candles_in_integers_and_floats(tmp_path: Path) -> None:
    """Ticks and steps for the rules, prices and base coin for the strategies, aligned."""
    source: CandleSource = Replay([_file(tmp_path, "BTC", range(3))])
    first = next(source.batches())
    candle = Candle("BTC", START, MINUTE, open=20, high=24, low=18, close=21, volume=10)
    assert Batch(START, (candle,), ((10.0, 12.0, 9.0, 10.5, 2.5),)) == first
    assert isinstance(first.candles[0], Candle)
    assert int is type(first.candles[0].open)
    assert float is type(first.floats[0][0])
    assert START + MINUTE == first.candles[0].close_time_ms


def test_symbols_come_by_name_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    """The order of arguments never changes a run."""
    files = [_file(tmp_path, symbol, range(3)) for symbol in ("SOL", "BTC", "ETH")]
    expected = list(Replay(files).batches())
    assert [(minute, ["BTC", "ETH", "SOL"]) for minute in range(3)] == _seen(expected)
    assert expected == list(Replay(files[::-1]).batches())
    assert ("BTC", "ETH", "SOL") == Replay(files).symbols


def test_symbols_may_begin_pause_and_end_at_different_times(tmp_path: Path) -> None:
    """A symbol without a candle is absent; an instant without any is skipped."""
    replay = Replay([_file(tmp_path, "BTC", [0, 1, 2, 5]), _file(tmp_path, "ETH", [1, 3, 5, 6, 9])])
    both = ["BTC", "ETH"]
    expected = [(0, ["BTC"]), (1, both), (2, ["BTC"]), (3, ["ETH"]), (5, both), (6, ["ETH"]), (9, ["ETH"])]
    assert expected == _seen(list(replay.batches()))
    assert (START, START + 9 * MINUTE, MINUTE) == (replay.first_ts, replay.last_ts, replay.interval_ms)


def test_floats_stay_aligned_with_candles_when_symbols_are_absent(tmp_path: Path) -> None:
    """The n-th floats always belong to the n-th candle."""
    replay = Replay([_file(tmp_path, "BTC", [0, 1, 2, 5]), _file(tmp_path, "ETH", [1, 3, 5, 6, 9])])
    for batch in replay.batches():
        assert [candle.open * 0.5 for candle in batch.candles] == [values[0] for values in batch.floats]


def test_a_pause_far_longer_than_the_data_is_skipped(tmp_path: Path) -> None:
    """A million empty minutes cost nothing and lose nothing."""
    minutes = [0, 1, 1_000_000, 1_000_001, 2_500_000]
    replay = Replay([_file(tmp_path, "BTC", minutes)])
    assert minutes == [minute for minute, _ in _seen(list(replay.batches()))]


def test_a_replay_may_begin_anywhere(tmp_path: Path) -> None:
    """Candles that open at the time or later, and none where it lies behind the end."""
    replay = Replay([_file(tmp_path, "BTC", range(5)), _file(tmp_path, "ETH", range(2, 7))])
    assert [4, 5, 6] == [minute for minute, _ in _seen(list(replay.batches(START + 3 * MINUTE + 1)))]
    assert [] == list(replay.batches(START + 7 * MINUTE))


def test_two_iterations_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each call reads for itself."""
    replay = Replay([_file(tmp_path, "BTC", range(5))])
    first = replay.batches()
    next(first)
    assert [0, 1, 2, 3, 4] == [minute for minute, _ in _seen(list(replay.batches()))]
    assert [1, 2, 3, 4] == [minute for minute, _ in _seen(list(first))]


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        (5, 3, [2, 3, 4]),
        (5, 5, [0, 1, 2, 3, 4]),
        (5, 99, [0, 1, 2, 3, 4]),
        (5, 0, []),
        (0, 3, []),
        (-1_000, 3, []),
        (21, 2, [6, 20]),
        (21, 3, [5, 6, 20]),
        (20, 2, [5, 6]),
        (1_000_000, 1, [20]),
        (1_000_000, 4, [4, 5, 6, 20]),
    ],
)
def test_history_is_the_last_candles_before_a_time(
    tmp_path: Path, before: int, count: int, expected: list[int]
) -> None:
    """Missing candles are made up for by older ones; the start of the data ends the search."""
    replay = Replay([_file(tmp_path, "BTC", [0, 1, 2, 3, 4, 5, 6, 20]), _file(tmp_path, "ETH", range(30))])
    block = replay.history("BTC", START + before * MINUTE, count)
    assert [START + minute * MINUTE for minute in expected] == block.ts.tolist()
    assert [2 * (10 + minute) for minute in expected] == block.open.tolist()
    assert [10.0 + minute for minute in expected] == block.open_price.tolist()


def test_history_ends_where_the_batches_begin(tmp_path: Path) -> None:
    """Warm-up and run share no candle and miss none."""
    replay = Replay([_file(tmp_path, "BTC", range(3_000))])
    cut = START + 2_345 * MINUTE
    warm_up = replay.history("BTC", cut, 10_000).ts.tolist()
    run = [batch.open_time_ms for batch in replay.batches(cut)]
    assert [START + minute * MINUTE for minute in range(3_000)] == warm_up + run


def test_funding_is_given_behind_one_time_up_to_another(tmp_path: Path) -> None:
    """(after, until]: consecutive calls see each settlement once, by time and symbol."""
    rates = [FundingRate(symbol, START + hour * 3_600_000, Decimal(1)) for symbol in ("ETH", "BTC") for hour in (0, 8)]
    replay = Replay([_file(tmp_path, "BTC", range(3)), _file(tmp_path, "ETH", range(3))], rates)
    late = START + 8 * 3_600_000
    assert [("BTC", START), ("ETH", START)] == [rate[:2] for rate in replay.funding_between(START - 1, START)]
    assert [("BTC", late), ("ETH", late)] == [rate[:2] for rate in replay.funding_between(START, late)]
    assert () == replay.funding_between(START, late - 1)
    assert () == replay.funding_between(late, late + 1)


def test_files_of_different_intervals_are_refused(tmp_path: Path) -> None:
    """One clock for all symbols."""
    files = [_file(tmp_path, "BTC", range(3)), _file(tmp_path, "ETH", range(3), 5 * MINUTE)]
    with pytest.raises(ConfigInvalid, match="ETH has 5m candles and BTC 1m candles; expected one interval"):
        Replay(files)


def test_a_symbol_given_twice_is_refused(tmp_path: Path) -> None:
    """Two files of one symbol are not merged by guess."""
    file = _file(tmp_path, "BTC", range(3))
    with pytest.raises(ConfigInvalid, match="BTC is given twice"):
        Replay([file, file])


def test_a_replay_of_nothing_is_refused() -> None:
    """No file, no market."""
    with pytest.raises(ConfigInvalid, match="no candles to replay"):
        Replay([])


def test_funding_of_a_symbol_without_candles_is_refused(tmp_path: Path) -> None:
    """A slip in a symbol's name must not silently drop its funding."""
    rate = FundingRate("BTCUSD", START, Decimal(0))
    with pytest.raises(ConfigInvalid, match="funding for BTCUSD but no candles; expected only BTC"):
        Replay([_file(tmp_path, "BTC", range(3))], [rate])
