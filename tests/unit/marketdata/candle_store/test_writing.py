"""A change of the store is whole or has not happened, whatever ends it, and only one is made at a time."""

import json
import os
import resource
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from candle_store_tools import FUNDING, MINUTES, SOURCE, START, candles, rates, store

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.marketdata.candle_store.manifest import Manifest, Source, Units, read_manifest
from trading_engine.marketdata.candle_store.name import DatasetName
from trading_engine.marketdata.candle_store.rows import Rows
from trading_engine.marketdata.candle_store.writing import Change, open_writer

DAY = 24 * 60
# Dies at the n-th step that touches the disk, for every n there is, each time on a copy of the same store.
_DEATHS = """
import json, os, shutil, sys
from pathlib import Path
from candle_store_tools import MINUTES, candles, store
from trading_engine.marketdata.candle_store.manifest import read_manifest

root = Path(sys.argv[1])
store(root / "before", candles(range(28 * 1440, 32 * 1440)))
more = candles(range(30 * 1440, 34 * 1440, 7), base=2_000)


def dying(wanted):
    left = [wanted]
    def wrap(real):
        def step(*arguments, **named):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return real(*arguments, **named)
        return step
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, wrap(getattr(os, name)))


def told(folder):
    found = read_manifest(folder, MINUTES)
    stray = [path.name for path in MINUTES.folder(folder).iterdir() if path.name != ".lock"]
    return {"digest": found.digest, "stray": len(stray) - len(found.parts) - 1}


lives = []
for wanted in range(1000):
    folder = root / str(wanted)
    shutil.copytree(root / "before", folder)
    child = os.fork()
    if not child:
        dying(wanted)
        store(folder, more, replaces=True)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    after_death = told(folder)
    store(folder, more, replaces=True)
    lives.append({"code": code, "death": after_death, "again": told(folder)})
    if code == 0:
        break
print(json.dumps({"before": told(root / "before"), "lives": lives}))
"""


def _manifest(root: Path, name: DatasetName = MINUTES) -> Manifest:
    found = read_manifest(root, name)
    assert found is not None
    return found


def _files(root: Path) -> list[str]:
    return sorted(path.name for path in MINUTES.folder(root).iterdir())


def test_the_manifest_says_what_is_stored(tmp_path: Path) -> None:
    """Rows, span, gaps, units, source."""
    rows = candles([0, 1, 4])
    with open_writer(tmp_path, MINUTES) as writer:
        units = Units(Decimal("0.1"), Decimal("0.001"), "venue")
        assert Change(3, 0, 0) == writer.write(rows, SOURCE, units=units)
    found = _manifest(tmp_path)
    assert (3, START, START + 4 * MINUTE_MS) == (found.rows, found.first_ms, found.last_ms)
    assert [(START + 2 * MINUTE_MS, START + 4 * MINUTE_MS, 2)] == [
        (gap.from_ms, gap.to_ms, gap.missing) for gap in found.gaps
    ]
    assert units == found.units
    assert (Source("import", "btc.csv", 1, 3, 3, 0),) == found.sources


def test_equal_content_has_one_digest_however_it_came(tmp_path: Path) -> None:
    """In one piece, in pieces that overlap, backwards, and with an error put right."""
    store(tmp_path / "once", candles(range(40 * DAY)))
    for part in (range(35 * DAY, 40 * DAY), range(20 * DAY), range(10 * DAY, 36 * DAY)):
        store(tmp_path / "pieces", candles(part))
    store(tmp_path / "mended", candles(range(3), base=5_000))
    store(tmp_path / "mended", candles(range(40 * DAY)), replaces=True)
    found = [_manifest(tmp_path / where) for where in ("once", "pieces", "mended")]
    assert 1 == len({one.digest for one in found})
    assert [(), (), ()] == [one.gaps for one in found]
    assert 1 == len({tuple(part.file for part in one.parts) for one in found})


def test_a_row_that_differs_is_refused_with_both_values(tmp_path: Path) -> None:
    """And nothing has changed, not even for the rows that are new."""
    store(tmp_path, candles(range(10)))
    before = _files(tmp_path)
    with pytest.raises(ConfigInvalid) as told:
        store(tmp_path, candles(range(8, 50 * DAY), base=2_000))
    assert (
        "btc.csv: 2025-05-01T00:08:00.000Z: open is 200.8, and 100.8 in the store; 2 rows differ; nothing was stored"
        " (--replace takes the new rows)"
    ) == str(told.value)
    assert before == _files(tmp_path)


def test_rows_that_differ_take_their_place_where_that_is_asked_for(tmp_path: Path) -> None:
    """Counted, and the others stay."""
    store(tmp_path, candles(range(10)))
    assert Change(2, 0, 2) == store(tmp_path, candles([8, 9, 10, 11], base=2_000), replaces=True)
    assert 12 == _manifest(tmp_path).rows


def test_storing_the_same_again_touches_nothing(tmp_path: Path) -> None:
    """No file is written, no source is noted."""
    store(tmp_path, candles(range(10)))
    stamps = {path: path.stat().st_mtime_ns for path in MINUTES.folder(tmp_path).iterdir() if path.name != ".lock"}
    assert Change(0, 10, 0) == store(tmp_path, candles(range(10)))
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    assert set(stamps) == {path for path in MINUTES.folder(tmp_path).iterdir() if path.name != ".lock"}


def test_gaps_are_closed_by_what_is_stored_later(tmp_path: Path) -> None:
    """Within a month, across months, and between the parts of a change."""
    store(tmp_path, candles([0, 1, 5, 40 * DAY]))
    store(tmp_path, candles([100 * DAY]))
    assert [3, 40 * DAY - 6, 60 * DAY - 1] == [gap.missing for gap in _manifest(tmp_path).gaps]
    store(tmp_path, candles(range(2, 5)))
    store(tmp_path, candles(range(6, 40 * DAY)))
    assert [60 * DAY - 1] == [gap.missing for gap in _manifest(tmp_path).gaps]
    store(tmp_path, candles(range(40 * DAY + 1, 100 * DAY)))
    assert () == _manifest(tmp_path).gaps


def test_only_what_is_neither_stored_nor_absent_is_missing(tmp_path: Path) -> None:
    """What a download asks for."""
    minute = MINUTE_MS
    with open_writer(tmp_path, MINUTES) as writer:
        assert [(START, START + HOUR_MS)] == writer.missing(START, START + HOUR_MS)
        absent = [(START + 5 * minute, START + 7 * minute), (START - HOUR_MS, START)]
        writer.write(candles([0, 1, 4, 9]), SOURCE, absent=absent)
        assert [
            (START - 2 * HOUR_MS, START - HOUR_MS),
            (START + 2 * minute, START + 4 * minute),
            (START + 7 * minute, START + 9 * minute),
            (START + 10 * minute, START + HOUR_MS),
        ] == writer.missing(START - 2 * HOUR_MS, START + HOUR_MS)
    with open_writer(tmp_path, MINUTES) as writer:  # also for the next one
        assert [(START + 2 * minute, START + 3 * minute)] == writer.missing(START, START + 3 * minute)


def test_missing_settlements_are_told_from_usual_distances(tmp_path: Path) -> None:
    """Eight hours at most lie between two; shorter intervals are no gap."""
    every_hour = rates([0]).ts[0] + np.arange(5, dtype=np.int64) * HOUR_MS
    hourly = Rows(every_hour + 48 * HOUR_MS, (np.full(5, 1, np.int64),), (4,))
    store(tmp_path, rates([0, 1, 2]), FUNDING)
    store(tmp_path, hourly, FUNDING)
    assert [(START + 24 * HOUR_MS, START + 48 * HOUR_MS, 3)] == [
        (gap.from_ms, gap.to_ms, gap.missing) for gap in _manifest(tmp_path, FUNDING).gaps
    ]


def test_what_one_command_writes_in_turn_is_one_source(tmp_path: Path) -> None:
    """A download stores a page after the other; another command is another source."""
    with open_writer(tmp_path, MINUTES) as writer:
        writer.write(candles(range(10)), SOURCE)
        writer.write(candles(range(5, 15)), SOURCE)
    store(tmp_path, candles(range(20)))
    with open_writer(tmp_path, MINUTES) as writer:
        writer.write(candles(range(25)), Source("download", "binance", 2, 0, 0, 0))
    assert [("import", 40, 20), ("download", 25, 5)] == [
        (one.how, one.rows, one.added) for one in _manifest(tmp_path).sources
    ]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        (1, 990, r"2025-05-01T00:01:00.000Z: high 99 is below open or close"),
        (2, 1_100, r"low 110 is above open or close"),
        (2, 0, r"low 0 is not a price above 0"),
        (4, -1, r"volume -0.001 is below 0"),
    ],
)
def test_a_candle_that_cannot_be_is_refused(tmp_path: Path, column: int, value: int, told: str) -> None:
    """Whoever brings it; nothing is stored."""
    rows = candles(range(3))
    rows.columns[column][1] = value
    with pytest.raises(ConfigInvalid, match=told):
        store(tmp_path, rows)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("shift_ms", "name", "told"),
    [
        (1_000, MINUTES, "is not when a 1m candle opens"),
        (1_000, FUNDING, "is not a full minute"),
        (60_000, DatasetName("binance", "BTCUSDT", HOUR_MS), "is not when a 1h candle opens"),
    ],
)
def test_a_row_between_the_times_of_its_interval_is_refused(
    tmp_path: Path, shift_ms: int, name: DatasetName, told: str
) -> None:
    """A candle opens at its minute, a settlement is due at one."""
    rows = rates([1]) if name.is_funding else candles([0])
    with pytest.raises(ConfigInvalid, match=told):
        store(tmp_path, rows._replace(ts=rows.ts + shift_ms), name)


def test_candles_of_weeks_keep_the_weekday_they_began_with(tmp_path: Path) -> None:
    """An interval that does not divide a day is counted from what is stored."""
    weeks = DatasetName("binance", "BTCUSDT", 7 * DAY_MS)
    rows = candles([0])
    store(tmp_path, rows, weeks)
    store(tmp_path, rows._replace(ts=rows.ts + 14 * DAY_MS), weeks)
    with pytest.raises(ConfigInvalid, match="is not when a 7d candle opens"):
        store(tmp_path, rows._replace(ts=rows.ts + 15 * DAY_MS), weeks)


def test_a_rate_of_a_whole_or_more_is_refused(tmp_path: Path) -> None:
    """A percentage in the place of a fraction."""
    with pytest.raises(ConfigInvalid, match="rate 1 is not between -1 and 1"):
        store(tmp_path, rates([0], "1"), FUNDING)


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    """The second one is told of the first; another dataset is free."""
    with open_writer(tmp_path, MINUTES) as writer:
        with pytest.raises(
            ConfigInvalid, match="another import or download of binance BTCUSDT 1m is under way"
        ) as told:
            store(tmp_path, candles([0]))
        assert 3 == told.value.exit_code
        store(tmp_path, rates([0]), FUNDING)
        writer.write(candles([0]), SOURCE)
    store(tmp_path, candles([1]))
    assert 2 == _manifest(tmp_path).rows


def test_what_has_not_come_to_be_leaves_no_folder(tmp_path: Path) -> None:
    """But what stands beside it stays."""
    store(tmp_path, rates([0]), FUNDING)
    with open_writer(tmp_path, MINUTES):
        pass
    assert ["funding"] == [path.name for path in MINUTES.folder(tmp_path).parent.iterdir()]
    store(tmp_path, candles([0]))
    assert 1 == _manifest(tmp_path).rows


def test_a_death_at_any_step_leaves_the_former_store_or_the_new_one(tmp_path: Path) -> None:
    """Before and after every write that is made durable, every rename, every removal; the next writer tidies up."""
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _DEATHS, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == told.stderr
    found = json.loads(told.stdout)
    before, after = found["before"], found["lives"][-1]["again"]
    deaths = [life["death"] for life in found["lives"] if life["code"]]
    assert len(deaths) > 8
    digests = [one["digest"] for one in deaths]
    assert {before["digest"], after["digest"]} == set(digests)
    assert digests == sorted(digests, key=lambda one: one == after["digest"])  # former ones first, then new ones
    assert any(one["stray"] for one in deaths)
    assert [after] * len(found["lives"]) == [life["again"] for life in found["lives"]]
    assert 0 == after["stray"]


def test_a_full_disk_leaves_the_former_store(tmp_path: Path) -> None:
    """One line, and no half file."""
    store(tmp_path, candles(range(10)))
    before = _files(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
    try:
        with pytest.raises(ConfigInvalid, match=r"cannot be written .*; what was stored before is whole"):
            store(tmp_path, candles(range(30 * DAY)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert before == _files(tmp_path)
    assert Change(40, 10, 0) == store(tmp_path, candles(range(50)))


def test_a_manifest_that_cannot_be_understood_is_told(tmp_path: Path) -> None:
    """Broken, of another dataset, or of a format to come."""
    store(tmp_path, candles([0]))
    path = MINUTES.folder(tmp_path) / "manifest.json"
    whole = path.read_text()
    for text, told in (
        (whole[: len(whole) // 2], "manifest.json: unreadable"),
        (whole.replace("BTCUSDT", "ETHUSDT"), "says it is binance ETHUSDT 1m; expected binance BTCUSDT 1m"),
        (whole.replace('"format": 1', '"format": 9'), "format 9 is not known here"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigInvalid, match=told):
            store(tmp_path, candles([1]))
