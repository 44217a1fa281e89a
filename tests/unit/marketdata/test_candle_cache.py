"""A file that has been read is read again from what was made of it, and never otherwise than the file itself."""

import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.marketdata import candle_cache
from trading_engine.marketdata.candle_cache import Held, read_candles
from trading_engine.marketdata.candle_file import Gap

START = 1_746_316_800_000  # 2025-05-04T00:00Z
MINUTE = 60_000
BTC = Instrument(
    symbol="BTCUSDT",
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(5),
    max_leverage=Decimal(100),
    tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(100)),),
)
WITHOUT_PYARROW = """
import sys
from decimal import Decimal
from pathlib import Path
from trading_engine.marketdata.candle_cache import read_candles
from trading_engine.venues.embedded.facts import known_instrument
read_candles("BTCUSDT", Path(sys.argv[1]), known_instrument("BTCUSDT"), Path(sys.argv[2]))
print("pyarrow" in sys.modules)
"""


def write(path: Path, rows: int = 60, *, lacking: range = range(0), first: float = 100.0) -> Path:
    """Candles of a minute, some of them missing, with prices beside the tick."""
    kept = [row for row in range(rows) if row not in lacking]
    lines = [f"{START + row * MINUTE},{first + row},{102.5 + row},{99.74 + row},{101 + row},0.3" for row in kept]
    path.write_text("\n".join(["ts,open,high,low,close,volume", *lines]) + "\n", encoding="utf-8")
    return path


def assert_same(expected: Held, found: Held) -> None:
    assert expected.report == found.report
    for mine, its in zip(expected.units, found.units, strict=True):
        assert mine.dtype == its.dtype
        np.testing.assert_array_equal(mine, its)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kept"
    made.mkdir()
    return made


def test_a_second_reading_gives_what_the_first_one_gave(tmp_path: Path, folder: Path) -> None:
    """Every column, every gap and the count of prices beside the tick, as without a cache."""
    path = write(tmp_path / "a.csv", lacking=range(20, 23))
    plain = read_candles("BTCUSDT", path, BTC, None)
    assert (Gap(START + 20 * MINUTE, START + 23 * MINUTE, 3),) == plain.report.gaps
    assert 57 == plain.report.off_tick
    for _ in range(2):
        assert_same(plain, read_candles("BTCUSDT", path, BTC, folder))
    assert 1 == len(list(folder.iterdir()))


def test_a_file_that_is_known_is_not_parsed(tmp_path: Path, folder: Path) -> None:
    """Nor is the library loaded that would: the first process has it, the second has not."""
    path = write(tmp_path / "a.csv")
    asked = [sys.executable, "-c", WITHOUT_PYARROW, str(path), str(folder)]
    runs = [subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)]
    assert ["True", "False"] == runs


def test_an_entry_belongs_to_bytes_and_units_not_to_a_name(tmp_path: Path, folder: Path) -> None:
    """The same bytes elsewhere are known, other bytes of the same name and other units are not."""
    path = write(tmp_path / "a.csv")
    first = read_candles("BTCUSDT", path, BTC, folder)
    assert_same(first, read_candles("BTCUSDT", write(tmp_path / "b.csv"), BTC, folder))
    assert 1 == len(list(folder.iterdir()))
    coarse = read_candles("BTCUSDT", path, replace(BTC, tick=Decimal("0.5")), folder)
    assert [200, 202] == coarse.units.open.tolist()[:2]
    stamp = path.stat()
    write(path, first=100.5)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert [1005, 1015] == read_candles("BTCUSDT", path, BTC, folder).units.open.tolist()[:2]
    assert 3 == len(list(folder.iterdir()))


@pytest.mark.parametrize("at", [0, 33, 60, 200, 1_000, -1])
def test_a_damaged_entry_is_made_anew(tmp_path: Path, folder: Path, at: int) -> None:
    """Wherever the damage is: digest, length, report, padding or columns."""
    path = write(tmp_path / "a.csv")
    first = read_candles("BTCUSDT", path, BTC, folder)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 1
    entry.write_bytes(damaged)
    assert_same(first, read_candles("BTCUSDT", path, BTC, folder))
    assert whole == entry.read_bytes()


@pytest.mark.parametrize("length", [0, 10, 32, 100, 2_000])
def test_an_entry_that_is_cut_short_is_made_anew(tmp_path: Path, folder: Path, length: int) -> None:
    """An empty one as well."""
    path = write(tmp_path / "a.csv")
    first = read_candles("BTCUSDT", path, BTC, folder)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:length])
    assert_same(first, read_candles("BTCUSDT", path, BTC, folder))
    assert whole == entry.read_bytes()


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """The candles are what counts."""
    path, nowhere = write(tmp_path / "a.csv"), tmp_path / "file"
    nowhere.write_text("", encoding="utf-8")
    assert_same(read_candles("BTCUSDT", path, BTC, None), read_candles("BTCUSDT", path, BTC, nowhere))


def test_a_file_that_is_refused_is_refused_each_time_and_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    """The message is that of the reader."""
    path = write(tmp_path / "a.csv", first=300.0)
    messages = []
    for place in (None, folder, folder):
        with pytest.raises(ConfigInvalid) as caught:
            read_candles("BTCUSDT", path, BTC, place)
        messages.append(str(caught.value))
    assert "row 1: high 102.5 is below the open or close 300.0" in messages[0]
    assert [messages[0]] * 3 == messages
    assert [] == list(folder.iterdir())
    with pytest.raises(ConfigInvalid, match="no such file"):
        read_candles("BTCUSDT", tmp_path / "none.csv", BTC, folder)


def test_what_was_of_use_longest_ago_is_thrown_away(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading counts as use; the folder never holds more than it may."""
    paths = [write(tmp_path / f"{number}.csv", first=100.0 + number / 10) for number in range(4)]
    made = []
    for day, path in enumerate(paths[:3]):
        read_candles("BTCUSDT", path, BTC, folder)
        (entry,) = set(folder.iterdir()) - set(made)
        os.utime(entry, (day, day))
        made.append(entry)
    read_candles("BTCUSDT", paths[0], BTC, folder)
    monkeypatch.setattr(candle_cache, "MOST_BYTES", 3 * made[0].stat().st_size)
    read_candles("BTCUSDT", paths[3], BTC, folder)
    assert [True, False, True] == [entry.exists() for entry in made]
    monkeypatch.setattr(candle_cache, "MOST_ENTRIES", 1)
    read_candles("BTCUSDT", write(tmp_path / "5.csv", first=100.9), BTC, folder)
    assert 1 == len(list(folder.iterdir()))


def test_what_is_kept_cannot_be_changed_by_who_reads_it(tmp_path: Path, folder: Path) -> None:
    """The columns are the entry itself, in memory."""
    path = write(tmp_path / "a.csv")
    read_candles("BTCUSDT", path, BTC, folder)
    known = read_candles("BTCUSDT", path, BTC, folder)
    with pytest.raises(ValueError, match="read-only"):
        known.units.open[0] = 1
