"""Files come in with every digit they have, or are refused with one line."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from candle_store_tools import MINUTES, START, candles, store

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.marketdata.candle_file import Gap
from trading_engine.marketdata.candle_store.intake import Taken, join_files, take_candles, take_funding
from trading_engine.marketdata.candle_store.rows import CANDLES, RATES, digest

Row = tuple[int, str, str, str, str, str]


def _row(minute: int, price: str = "100.5", volume: str = "3") -> Row:
    return (START + minute * MINUTE_MS, price, price, price, price, volume)


def _csv(path: Path, rows: list[Row]) -> Path:
    lines = ["ts,open,high,low,close,volume", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def _take(folder: Path, rows: list[Row], name: str = "btc.csv") -> Taken:
    return take_candles("BTCUSDT", _csv(folder / name, rows))


def test_prices_keep_every_digit(tmp_path: Path) -> None:
    """Whatever tick the instrument has today."""
    taken = _take(tmp_path, [_row(0, "95505.4", "0.125"), _row(1, "95505.4375", "7"), _row(4, "95506", "0")])
    assert (4, 3) == taken.rows.decimals
    assert [Decimal("95505.4000"), Decimal("95505.4375"), Decimal("95506.0000")] == [
        taken.rows.value(CANDLES, 3, row) for row in range(3)
    ]
    assert [125, 7_000, 0] == taken.rows.columns[4].tolist()
    assert (MINUTE_MS, (Gap(START + 2 * MINUTE_MS, START + 4 * MINUTE_MS, 2),), "") == (
        taken.interval_ms,
        taken.gaps,
        taken.note,
    )


def test_text_and_floats_of_the_same_numbers_are_the_same_rows(tmp_path: Path) -> None:
    """CSV or Parquet."""
    rows = [_row(0, "1827.29", "0.3"), _row(1, "1827.3", "12.008")]
    names = ("ts", "open", "high", "low", "close", "volume")
    columns = [list(column) for column in zip(*rows, strict=True)]
    floats = {name: [float(one) for one in column] for name, column in zip(names, columns, strict=True)}
    path = tmp_path / "btc.parquet"
    pq.write_table(pa.table({**floats, "ts": columns[0]}), path)
    assert digest(_take(tmp_path, rows).rows) == digest(take_candles("BTCUSDT", path).rows)


def test_a_part_of_a_store_can_be_taken_in_again(tmp_path: Path) -> None:
    """To another store, or after its manifest was lost."""
    store(tmp_path, candles(range(100)))
    (part,) = MINUTES.folder(tmp_path).glob("*.parquet")
    assert digest(candles(range(100))) == digest(take_candles("BTCUSDT", part).rows)


def test_volumes_with_the_noise_of_sums_are_rounded_and_that_is_told(tmp_path: Path) -> None:
    """To 1e-8 of a coin; prices never are."""
    taken = _take(tmp_path, [_row(0, volume="123456.7890000123"), _row(1, volume="0.1000000000001")])
    assert [12_345_678_900_001, 10_000_000] == taken.rows.columns[4].tolist()
    assert "volumes have more digits than decimals keep: rounded to 8" == taken.note


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([_row(0), _row(1, "nan")], r"row 2: open is missing or not a number"),
        ([_row(0), _row(1, volume="inf")], r"row 2: volume inf is not a volume"),
        ([_row(0, "0.05"), _row(1, "-3")], r"row 2: open -3.0 is not a price"),
        ([_row(1), _row(0)], r"row 2: ts .* lies before"),
        ([_row(0), _row(0)], r"row 2: ts .* occurs twice"),
        ([_row(0, "0.00000000123"), _row(1, "123456")], r"have more digits than decimals can keep"),
        ([_row(0)], r"has one row"),
    ],
)
def test_a_file_that_cannot_be_kept_is_refused(tmp_path: Path, rows: list[Row], told: str) -> None:
    """With the line of a replay where it is no file of candles."""
    with pytest.raises(ConfigInvalid, match=told) as caught:
        _take(tmp_path, rows)
    assert str(caught.value).startswith(f"{tmp_path / 'btc.csv'}: ")


def test_files_that_overlap_are_joined(tmp_path: Path) -> None:
    """Whatever order they are given in."""
    files = [
        _take(tmp_path, [_row(number) for number in numbers], f"{number}.csv")
        for number, numbers in enumerate((range(5, 9), range(3), range(2, 6)))
    ]
    assert [START + number * MINUTE_MS for number in range(9)] == join_files(files, CANDLES, replaces=False).ts.tolist()


def test_files_that_differ_are_refused_with_both_names_and_values(tmp_path: Path) -> None:
    """Or the later one is right, where that is asked for."""
    files = [
        _take(tmp_path, [_row(0), _row(1)], "a.csv"),
        _take(tmp_path, [_row(3), _row(4)], "b.csv"),
        _take(tmp_path, [_row(1, "100.6"), _row(2)], "c.csv"),
    ]
    with pytest.raises(ConfigInvalid) as told:
        join_files(files, CANDLES, replaces=False)
    assert (
        f"{tmp_path / 'c.csv'}: 2025-05-01T00:01:00.000Z: open is 100.6, and 100.5 in {tmp_path / 'a.csv'};"
        " nothing was stored (--replace takes the new rows)"
    ) == str(told.value)
    assert [1_005, 1_006, 1_005, 1_005, 1_005] == join_files(files, CANDLES, replaces=True).columns[0].tolist()


def test_funding_rates_keep_every_digit_and_stand_at_their_minute(tmp_path: Path) -> None:
    """Venues settle some milliseconds late."""
    path = tmp_path / "funding.csv"
    path.write_text(f"ts,rate\n{START + 7},0.00012345\n{START + 8 * HOUR_MS},-0.0000000375\n{START + 32 * HOUR_MS},0\n")
    taken = take_funding("BTCUSDT", path)
    assert [START, START + 8 * HOUR_MS, START + 32 * HOUR_MS] == taken.rows.ts.tolist()
    assert [Decimal("0.00012345"), Decimal("-3.75E-8"), Decimal(0)] == [
        taken.rows.value(RATES, 0, row) for row in range(3)
    ]
    assert (0, (Gap(START + 16 * HOUR_MS, START + 32 * HOUR_MS, 2),)) == (taken.interval_ms, taken.gaps)
