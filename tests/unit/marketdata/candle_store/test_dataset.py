"""What was stored is read back exactly, in the units a backtest asks for."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from builders import make_instrument
from candle_store_tools import FUNDING, MINUTES, START, candles, rates, store

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.marketdata.candle_file import Gap, open_candles
from trading_engine.marketdata.candle_store.dataset import Dataset, open_dataset
from trading_engine.marketdata.replay import Replay

DAY = 24 * 60


def _open(root: Path) -> Dataset:
    return open_dataset(root, "binance", "BTCUSDT", MINUTE_MS)


def test_what_was_stored_is_read_back(tmp_path: Path) -> None:
    """Every integer of every column, across the end of a month."""
    rows = candles(range(29 * DAY, 33 * DAY))
    store(tmp_path, rows)
    dataset = _open(tmp_path)
    block = dataset.block()
    for stored, read in zip((rows.ts, *rows.columns), block[:6], strict=True):
        assert stored.tolist() == read.tolist()
    assert (rows.size, int(rows.ts[0]), int(rows.ts[-1])) == (dataset.rows, dataset.first_ts, dataset.last_ts)
    assert (Decimal("0.1"), Decimal("0.001")) == (dataset.price_unit, dataset.volume_unit)
    assert 2 == len(dataset.manifest.parts)


def test_a_stretch_begins_with_its_first_instant_and_ends_before_its_last(tmp_path: Path) -> None:
    """[from, to), also where either lies in a gap or outside."""
    store(tmp_path, candles([*range(10), *range(20, 30)]))
    dataset = _open(tmp_path)
    from_ms, to_ms = START + 5 * MINUTE_MS, START + 21 * MINUTE_MS
    wanted = [5, 6, 7, 8, 9, 20]
    assert [START + number * MINUTE_MS for number in wanted] == dataset.block(from_ms, to_ms).ts.tolist()
    assert 0 == dataset.block(START + 12 * MINUTE_MS, START + 15 * MINUTE_MS).rows
    assert 20 == dataset.block(START - DAY_MS, START + DAY_MS).rows
    assert 0 == dataset.block(START + DAY_MS).rows


def test_an_instrument_has_its_prices_in_its_own_ticks(tmp_path: Path) -> None:
    """A tick that is no power of ten, and a step that does not divide the volume: rounded down."""
    store(tmp_path, candles([0, 5, 10], base=1_000))
    instrument = make_instrument(tick=Decimal("0.5"), step=Decimal("0.002"))
    block = _open(tmp_path).block(instrument=instrument)
    assert [200, 201, 202] == block.open.tolist()
    assert [0, 3, 5] == block.volume.tolist()
    assert [100.0, 100.5, 101.0] == block.open_price.tolist()


def test_prices_off_the_tick_go_to_the_nearest_and_are_counted(tmp_path: Path) -> None:
    """100.1 lies nearer to 100.0 than to 100.5, and halves go to the even tick."""
    store(tmp_path, candles([1]))
    dataset = _open(tmp_path)
    whole = make_instrument(tick=Decimal("0.5"))
    block = dataset.block(instrument=whole)
    assert (200, 202, 199, 201) == (block.open[0], block.high[0], block.low[0], block.close[0])
    assert 4 == dataset.report(whole).off_tick
    assert 0 == dataset.report(make_instrument(tick=Decimal("0.1"))).off_tick
    assert 500 == dataset.block(instrument=make_instrument(tick=Decimal("0.2"))).open[0]  # 500.5 ticks


def test_a_store_and_a_file_of_the_same_candles_give_the_same_block(tmp_path: Path) -> None:
    """Integers and floats alike, so that a backtest cannot tell where its candles came from."""
    rows, file = candles(range(300)), tmp_path / "btc.parquet"
    names = ("open", "high", "low", "close", "volume")
    values = [column / 10.0**many for column, many in zip(rows.columns, (1, 1, 1, 1, 3), strict=True)]
    pq.write_table(pa.table({"ts": rows.ts, **dict(zip(names, values, strict=True))}), file)
    store(tmp_path, rows)
    instrument = make_instrument(tick=Decimal("0.1"), step=Decimal("0.01"))
    of_file = next(open_candles("BTCUSDT", file, instrument).blocks())
    for from_file, from_store in zip(of_file, _open(tmp_path).block(instrument=instrument), strict=True):
        assert from_file.tolist() == from_store.tolist()


def test_a_tick_that_is_too_large_for_the_prices_is_refused(tmp_path: Path) -> None:
    """A price of nothing would trade."""
    store(tmp_path, candles([0]))
    with pytest.raises(ConfigInvalid, match=r"low 99\.3 is less than half a tick of BTCUSDT \(tick 1000\)"):
        _open(tmp_path).block(instrument=make_instrument(tick=Decimal(1000)))


def test_gaps_are_what_lies_between_candles(tmp_path: Path) -> None:
    """Without bounds the inner ones; with bounds also what the store does not reach."""
    store(tmp_path, candles([0, 1, 5, 6, 31 * DAY]))
    dataset = _open(tmp_path)
    inner = (
        Gap(START + 2 * MINUTE_MS, START + 5 * MINUTE_MS, 3),
        Gap(START + 7 * MINUTE_MS, START + 31 * DAY_MS, 31 * DAY - 7),
    )
    assert inner == dataset.gaps()
    assert (Gap(START + 3 * MINUTE_MS, START + 5 * MINUTE_MS, 2),) == dataset.gaps(
        START + 3 * MINUTE_MS, START + 7 * MINUTE_MS
    )
    end = START + 31 * DAY_MS
    assert (Gap(START - HOUR_MS, START, 60), *inner, Gap(end + MINUTE_MS, end + HOUR_MS, 59)) == dataset.gaps(
        START - HOUR_MS, end + HOUR_MS
    )
    assert (Gap(end + HOUR_MS, end + DAY_MS, DAY - 60),) == dataset.gaps(end + HOUR_MS, end + DAY_MS)


def test_funding_is_read_with_both_ends(tmp_path: Path) -> None:
    """A settlement at the very end of the time asked for is due in it; rates come to 1e-8."""
    store(tmp_path, candles([0]))
    assert [] == _open(tmp_path).funding()
    store(tmp_path, rates(range(6), "0.000100004999"), FUNDING)
    dataset = _open(tmp_path)
    expected = [FundingRate("BTCUSDT", START + number * 8 * HOUR_MS, Decimal("0.00010000")) for number in (1, 2, 3)]
    assert expected == dataset.funding(START + 8 * HOUR_MS, START + 24 * HOUR_MS)
    assert 6 == len(dataset.funding())
    assert dataset.funding_manifest is not None
    assert 6 == dataset.funding_manifest.rows


def test_a_dataset_can_be_replayed(tmp_path: Path) -> None:
    """It is merged with others like a file."""
    store(tmp_path, candles(range(5)))
    instrument = make_instrument(tick=Decimal("0.1"), step=Decimal("0.001"))
    replay = Replay([_open(tmp_path).series(instrument)])
    assert [1_000, 1_001, 1_002, 1_003, 1_004] == [batch.candles[0].open for batch in replay.batches()]
    assert [1_003, 1_004] == replay.history("BTCUSDT", START + 5 * MINUTE_MS, 2).open.tolist()


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    """The one line names the way to get it."""
    store(tmp_path, candles(range(5)))
    with pytest.raises(ConfigInvalid, match=r"has no 5m candles of BTCUSDT at binance \(it has: binance BTCUSDT 1m\)"):
        open_dataset(tmp_path, "binance", "BTCUSDT", 5 * MINUTE_MS)
    with pytest.raises(ConfigInvalid, match=r"it has: nothing"):
        open_dataset(tmp_path / "elsewhere", "binance", "BTCUSDT", MINUTE_MS)


def test_a_part_that_was_lost_or_damaged_is_told(tmp_path: Path) -> None:
    """Not read over: a damaged page fails its checksum."""
    store(tmp_path, candles(range(500)))
    dataset = _open(tmp_path)
    part = MINUTES.folder(tmp_path) / dataset.manifest.parts[0].file
    whole = part.read_bytes()
    broken = bytearray(whole)
    broken[len(whole) // 3] ^= 0xFF
    part.write_bytes(broken)
    with pytest.raises(ConfigInvalid, match=r"is not readable .*data check"):
        dataset.block()
    part.unlink()
    with pytest.raises(ConfigInvalid, match=r"is missing; run `trading-engine data check --repair`"):
        dataset.block()


def test_a_dataset_that_is_replaced_after_it_was_opened_is_not_read_in_halves(tmp_path: Path) -> None:
    """What is still the same is read; the rest is told, and is there for who opens it again."""
    store(tmp_path, candles(range(29 * DAY, 33 * DAY)))
    dataset = _open(tmp_path)
    store(tmp_path, candles([32 * DAY], base=5_000), replaces=True)
    assert 2 * DAY == dataset.block(to_ms=START + 31 * DAY_MS).rows
    with pytest.raises(ConfigInvalid, match=r"^binance BTCUSDT 1m was changed since it was opened"):
        dataset.block()
    assert 4 * DAY == _open(tmp_path).block().rows


def test_other_tools_see_prices_in_a_part(tmp_path: Path) -> None:
    """Decimals of 64 bits, not bare integers."""
    store(tmp_path, candles([0, 1]))
    part = next(MINUTES.folder(tmp_path).glob("*.parquet"))
    table = pq.read_table(part)
    assert [Decimal("100.0"), Decimal("100.1")] == table.column("open").to_pylist()
    assert np.array_equal(candles([0, 1]).ts, table.column("ts").to_numpy())
    assert "INT64" == pq.ParquetFile(part).schema.column(1).physical_type
