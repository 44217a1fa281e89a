"""A file of funding rates is read exactly, or refused with one line that says what to mend."""

import math
from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.market import FundingRate
from trading_engine.marketdata.funding_file import read_funding

START = 1_746_316_800_000  # 2025-05-04T00:00Z
EIGHT_HOURS = 28_800_000
TIMES = [START + EIGHT_HOURS * row for row in range(4)]
RATES = [0.0001, -0.00003745, 0.0, 0.000123456789]


def _parquet(tmp_path: Path, times: list[int], rates: list[float]) -> Path:
    path = tmp_path / "funding.parquet"
    pq.write_table(pa.table({"rate": rates, "ts": times, "mark": [1.0] * len(times)}), path)
    return path


def _csv(tmp_path: Path, times: list[int], rates: list[float]) -> Path:
    path = tmp_path / "funding.csv"
    pc.write_csv(pa.table({"rate": rates, "ts": times}), path)
    return path


def test_columns_may_have_the_names_of_archives_of_venues(tmp_path: Path) -> None:
    """As Binance's files of funding rates have them."""
    path = tmp_path / "funding.csv"
    path.write_text(f"calc_time,funding_interval_hours,last_funding_rate\n{START + 3},8,0.00010000\n")
    assert (FundingRate("BTCUSDT", START, Decimal("0.0001")),) == read_funding("BTCUSDT", path)


def test_rates_become_exact_decimals_of_eight_places(tmp_path: Path) -> None:
    """The float's shortest text is what was meant; the ninth place is rounded half-even."""
    expected = tuple(
        FundingRate("BTCUSDT", ts, Decimal(rate))
        for ts, rate in zip(TIMES, ("0.0001", "-0.00003745", "0", "0.00012346"), strict=True)
    )
    assert expected == read_funding("BTCUSDT", _parquet(tmp_path, TIMES, RATES))
    assert expected == read_funding("BTCUSDT", _csv(tmp_path, TIMES, RATES))


def test_times_are_rounded_to_the_minute(tmp_path: Path) -> None:
    """Venues stamp a settlement a few milliseconds late or early."""
    path = _parquet(tmp_path, [START + 7, START + EIGHT_HOURS - 3], [0.1, 0.1])
    assert [START, START + EIGHT_HOURS] == [rate.ts_ms for rate in read_funding("BTCUSDT", path)]


def test_a_range_includes_both_ends(tmp_path: Path) -> None:
    """Only the settlements of the range are kept, judged by their full minute."""
    path = _parquet(tmp_path, [ts + 5 for ts in TIMES], RATES)
    assert TIMES[1:3] == [rate.ts_ms for rate in read_funding("BTCUSDT", path, TIMES[1], TIMES[2])]
    assert TIMES[2:] == [rate.ts_ms for rate in read_funding("BTCUSDT", path, from_ts=TIMES[2])]
    assert () == read_funding("BTCUSDT", path, from_ts=TIMES[3] + 1)


@pytest.mark.parametrize(
    ("ts", "rate", "message"),
    [
        (TIMES[2], math.nan, "row 3: rate is missing or not a number; expected a fraction"),
        (TIMES[2], math.inf, "row 3: rate inf is not a funding rate"),
        (TIMES[2], -1.0, "row 3: rate -1.0 is not a funding rate"),
        (TIMES[2] // 1000, 0.0, "row 3: ts 1746374400 looks like seconds"),
        (TIMES[2] * 1000, 0.0, "row 3: ts 1746374400000000 looks like microseconds"),
        (TIMES[1] + 9, 0.0, "row 3: ts 1746345600009 is the same settlement as the row above"),
        (TIMES[0], 0.0, "row 3: ts 1746316800000 lies before 1746345600000 of the row above"),
    ],
)
def test_a_bad_row_is_refused_even_outside_the_range(tmp_path: Path, ts: int, rate: float, message: str) -> None:
    """One line names the file, the row, the value and what was expected."""
    times, rates = [*TIMES[:2], ts, TIMES[3]], [*RATES[:2], rate, RATES[3]]
    for path in (_parquet(tmp_path, times, rates), _csv(tmp_path, times, rates)):
        with pytest.raises(ConfigInvalid) as caught:
            read_funding("BTCUSDT", path, to_ts=TIMES[0])
        assert str(caught.value).startswith(f"{path}: {message}")
        assert 78 == caught.value.exit_code


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A file of candles is not a file of funding rates."""
    path = tmp_path / "candles.csv"
    path.write_text("ts,open,close\n1746316800000,1,1\n")
    with pytest.raises(ConfigInvalid, match=r'has no column "rate" \(it has: ts, open, close\); expected ts, rate'):
        read_funding("BTCUSDT", path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    """A header alone is no data."""
    path = tmp_path / "funding.csv"
    path.write_text("ts,rate\n")
    with pytest.raises(ConfigInvalid, match="has no rows"):
        read_funding("BTCUSDT", path)
