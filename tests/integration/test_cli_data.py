"""`data import`, `list`, `check`, `synth` and `download` from the command line, as a person meets them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trading_engine.cli.main import main
from trading_engine.domain.time import MINUTE_MS
from trading_engine.marketdata.candle_store.dataset import open_dataset
from trading_engine.runtime import market_download

START = 1_746_057_600_000  # 2025-05-01T00:00Z


SYNTH = ["synth", "--seed", "7", "--symbol", "BTCUSDT", "--days", "1"]


def _csv(path: Path, minutes: range, price: str = "95505.4") -> str:
    rows = [f"{START + minute * MINUTE_MS},{price},{price},{price},{price},0.125" for minute in minutes]
    path.write_text("\n".join(["open_time,open,high,low,close,volume", *rows]) + "\n")
    return str(path)


def _import(*arguments: str) -> int:
    return main(["data", "import", *arguments, "--venue", "binance", "--symbol", "BTCUSDT"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # nothing is wrapped where nobody looks through a window
    return tmp_path


def _listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert 0 == main(["data", "list", "--json", *arguments])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["datasets"]
    return found


def test_files_that_overlap_become_one_dataset(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What each file holds, and what became of the dataset; below `data`, unless another folder is named."""
    first, second = _csv(folder / "a.csv", range(100)), _csv(folder / "b.csv", range(60, 200))
    assert 0 == _import(first, second)
    told = capsys.readouterr().out.splitlines()
    assert [
        " FILE   DATA  ROWS  FROM              TO                MISSING",
        " a.csv  1m     100  2025-05-01 00:00  2025-05-01 01:39        0",
        " b.csv  1m     140  2025-05-01 01:00  2025-05-01 03:19        0",
        "",
        " binance BTCUSDT 1m: 200 added",
        " 200 candles from 2025-05-01 00:00 to 2025-05-01 03:19, none missing · data/binance/BTCUSDT/1m",
    ] == told
    assert 200 == open_dataset(Path("data"), "binance", "BTCUSDT", MINUTE_MS).rows
    assert 0 == _import(first, "--data", "elsewhere")
    assert 100 == open_dataset(Path("elsewhere"), "binance", "BTCUSDT", MINUTE_MS).rows


def test_rows_that_differ_are_refused_until_they_are_wanted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file, the time and both values, and nothing of the files is stored."""
    assert 0 == _import(_csv(folder / "a.csv", range(10)))
    capsys.readouterr()
    assert 78 == _import(_csv(folder / "b.csv", range(8, 30), "95505.5"))
    assert (
        "error: b.csv: 2025-05-01T00:08:00.000Z: open is 95505.5, and 95505.4 in the store; 2 rows differ; nothing was"
        " stored (--replace takes the new rows)\n"
    ) == capsys.readouterr().err.replace(f"{folder}/", "")
    assert 10 == open_dataset(Path("data"), "binance", "BTCUSDT", MINUTE_MS).rows
    assert 0 == _import(str(folder / "b.csv"), "--replace")
    assert "20 added · 2 replaced" in capsys.readouterr().out


def test_funding_rates_lie_beside_the_candles(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Listed with them."""
    (folder / "f.csv").write_text(f"ts,rate\n{START},0.0001\n{START + 8 * 3_600_000},-0.00005\n")
    assert 0 == _import(_csv(folder / "a.csv", range(10)))
    assert 0 == _import("f.csv", "--funding")
    assert "binance BTCUSDT funding: 2 added\n 2 settlements from" in capsys.readouterr().out
    assert ["1m", "funding"] == [one["data"] for one in _listed(capsys)]
    rates = open_dataset(Path("data"), "binance", "BTCUSDT", MINUTE_MS).funding()
    assert ["0.00010000", "-0.00005000"] == [str(rate.rate) for rate in rates]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nofile.csv"], 78, "nofile.csv: no such file"),
        (["a.csv", "--interval", "5m"], 2, "a.csv: holds 1m candles; expected 5m, --interval 5m asks for them"),
        (["a.csv", "--interval", "5x"], 2, "--interval 5x: expected the length of a candle"),
        (["a.csv", "--interval", "1m", "--funding"], 2, "--interval and --funding"),
        (["a.csv", "--funding"], 78, 'a.csv: has no column "rate"'),
        (["a.csv", "five.csv"], 2, "five.csv: holds 5m candles; expected 1m, as a.csv has them"),
        (["a.csv", "--venue", "Bi nance"], 2, "--venue Bi nance: expected a name in small letters"),
        (["a.csv", "--symbol", "../x"], 2, "--symbol ../x is not a symbol"),
        (["a.csv", "--data", "a.csv"], 78, "cannot be written (Not a directory)"),
    ],
)
def test_a_mistake_is_one_line_and_stores_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    """What is wrong and what was expected."""
    _csv(folder / "a.csv", range(10))
    _csv(folder / "five.csv", range(0, 50, 5))
    assert code == main(["data", "import", "--venue", "binance", "--symbol", "BTCUSDT", *arguments])
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error
    assert 1 == error.count("\n")
    assert not (folder / "data").exists()


def test_a_list_tells_what_there_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON with the gaps, the units, the sources; as a table with what is missing."""
    assert 0 == main(["data", "list"])
    assert "data holds nothing yet" in capsys.readouterr().out
    _csv(folder / "a.csv", range(10))
    _csv(folder / "b.csv", range(15, 20))
    assert 0 == _import("a.csv")
    assert 0 == _import("b.csv")
    (one,) = _listed(capsys, "--symbol", "BTCUSDT")
    gap = {"from": "2025-05-01T00:10:00.000Z", "to": "2025-05-01T00:15:00.000Z", "missing": 5}
    assert ("binance", "1m", 15, 5, [gap], "0.1", "0.001", None) == tuple(
        one[key] for key in ("venue", "data", "rows", "missing", "gaps", "tick", "step", "problem")
    )
    assert ("2025-05-01T00:00:00.000Z", "2025-05-01T00:19:00.000Z") == (one["first"], one["last"])
    assert [("b.csv", 5), ("a.csv", 10)] == [(source["from"], source["added"]) for source in one["sources"]]
    assert 0 == main(["data", "list"])
    heading, row, _, last = capsys.readouterr().out.splitlines()
    assert re.search(r"ROWS.*FROM.*TO.*MISSING.*GAPS", heading)
    assert re.search(r"binance +BTCUSDT +1m +15 .* 5 +1 +\d\.\d kB +import \d{4}-\d\d-\d\d$", row)
    assert last.startswith(" 1 dataset · 15 rows · ")
    assert 2 == main(["data", "list", "--venue", "zoomex"])
    assert "data: holds nothing of zoomex (it has: binance BTCUSDT)" in capsys.readouterr().err


def test_a_list_goes_on_where_one_dataset_cannot_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are shown, and the exit code tells."""
    assert 0 == main(["data", "synth", "--seed", "1", "--symbol", "BTCUSDT", "--symbol", "ETHUSDT", "--days", "1"])
    (folder / "data/synth-1-mixed/BTCUSDT/1m/manifest.json").write_text("{")
    assert 1 == main(["data", "list"])
    told = capsys.readouterr().out
    assert "manifest.json: unreadable" in told
    assert "synth-1-mixed  ETHUSDT  1m       1,440" in told


def test_a_check_tells_what_is_broken_and_a_repair_gives_it_up(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 until what was lost is stored again; a gap is told and is no fault."""
    _csv(folder / "a.csv", range(10))
    _csv(folder / "b.csv", range(15, 20))
    assert 0 == _import("a.csv", "b.csv")
    assert 0 == main(["data", "check"])
    told = capsys.readouterr().out
    assert "binance BTCUSDT 1m lacks 2025-05-01 00:10 for 5m" in told
    assert "15 rows in 1 dataset are as they were written" in told
    (part,) = (folder / "data/binance/BTCUSDT/1m").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-50])
    assert 1 == main(["data", "check"])
    assert "1 of 1 dataset broken; `data check --repair`" in capsys.readouterr().out
    assert 1 == main(["data", "check", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (False, False) == (found["ok"], found["datasets"][0]["ok"])
    assert "is not readable" in found["datasets"][0]["problems"][0]
    assert 1 == main(["data", "check", "--repair"])
    assert "1 dataset repaired: 15 rows given up; import or download them again" in capsys.readouterr().out
    assert 0 == _import("a.csv", "b.csv")
    assert 0 == main(["data", "check", "--json"])


def test_a_dataset_without_its_manifest_is_not_said_to_be_repaired(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its files can be imported again."""
    assert 0 == _import(_csv(folder / "a.csv", range(10)))
    home = folder / "data/binance/BTCUSDT/1m"
    (home / "manifest.json").unlink()
    capsys.readouterr()
    assert 1 == main(["data", "check", "--repair"])
    told = capsys.readouterr().out
    assert "has rows and no manifest.json" in told
    assert told.endswith(" 1 dataset cannot be repaired without a manifest: restore it or import again\n")
    home.rename(folder / "aside")
    assert 0 == _import(*(str(path) for path in (folder / "aside").glob("*.parquet")))
    assert 0 == main(["data", "check"])


def test_a_generated_market_is_stored_with_its_funding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under a name that tells the seed; more days go on where fewer ended, other regimes lie beside it."""
    make = ["data", "synth", "--seed", "7", "--symbol", "BTCUSDT"]
    assert 0 == main([*make, "--days", "1"])
    assert "synth-7-mixed BTCUSDT 1m: 1,440 added" in capsys.readouterr().out
    assert 0 == main([*make, "--days", "2"])
    assert "synth-7-mixed BTCUSDT 1m: 1,440 added · 1,440 stored already" in capsys.readouterr().out
    for regime in ("trend", "range", "gaps", "crash"):
        assert 0 == main([*make, "--days", "1", "--regime", regime])
    found = {(one["venue"], one["data"]): one for one in _listed(capsys)}
    assert {f"synth-7-{regime}" for regime in ("mixed", "trend", "range", "gaps", "crash")} == {
        venue for venue, _ in found
    }
    assert 6 == found["synth-7-mixed", "funding"]["rows"]
    assert found["synth-7-gaps", "1m"]["missing"] > 0
    assert 0 == main(["data", "check"])
    assert 0 == main(["data", "synth", "--seed", "7", "--symbol", "ZZZUSDT", "--days", "1", "--venue", "made-up"])
    assert 1_440 == open_dataset(Path("data"), "made-up", "ZZZUSDT", MINUTE_MS).rows


def test_a_generated_market_may_take_the_place_of_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The way out that a refusal names is there; the last day of the last year can be had."""
    assert 0 == main(["data", *SYNTH, "--venue", "made-up", "--from", "2099-12-31"])
    other = ["data", *SYNTH, "--venue", "made-up", "--from", "2099-12-31", "--regime", "crash"]
    capsys.readouterr()
    assert 78 == main(other)
    assert "(--replace takes the new rows)" in capsys.readouterr().err
    assert 0 == main([*other, "--replace"])
    assert "replaced" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["list", "check"])
def test_a_file_is_no_store(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """It does not hold nothing yet: it never will."""
    file = _csv(folder / "ok.csv", range(3))
    assert 2 == main(["data", command, "--data", file])
    assert f"--data {file} is not a folder; name the folder of the store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["synth", "--seed", "7", "--symbol", "BTCUSDT", "--days", "1", "--regime", "boom"], "--regime boom"),
        (["synth", "--seed", "-7", "--symbol", "BTCUSDT", "--days", "1"], "--seed -7 is not a whole number"),
        (["synth", "--seed", "7", "--symbol", "BTCUSDT", "--days", "1", "--from", "x"], "--from x is not a date"),
        ([*SYNTH, "--from", "1960-01-01"], "1 day from then on do not lie in the years 2000 to 2099"),
        ([*SYNTH, "--from", "1970-01-01"], "--from 1970-01-01: 1 day"),
        ([*SYNTH, "--from", "9999-12-31"], "--from 9999-12-31: 1 day"),
        ([*SYNTH, "--from", "2100-01-01"], "--from 2100-01-01: 1 day"),
        ([*SYNTH[:-1], "366", "--from", "2099-01-01"], "--from 2099-01-01: 366 days from then on"),
        ([*SYNTH, "--from", "2025-01-01T09:30"], "begins at midnight UTC; give the day alone"),
        (["download", "--venue", "kraken", "--symbol", "BTCUSDT", "--from", "2025-01-01"], "--venue kraken"),
        (["download", "--venue", "bingx", "--symbol", "b", "--from", "2025-01-01"], "--symbol b is not a symbol"),
        (
            ["download", "--venue", "bingx", "--symbol", "BTCUSDT", "--from", "2025-01-02", "--to", "2025-01-01"],
            "--to 2025-01-01 is not after --from 2025-01-02",
        ),
        (
            ["download", "--venue", "bingx", "--symbol", "BTCUSDT", "--from", "2999-01-02"],
            "--from 2999-01-02 is yet to come",
        ),
        (
            ["download", "--venue", "bingx", "--symbol", "BTCUSDT", "--from", "2025-01-02", "--interval", "7d"],
            "--interval 7d: expected one that a day is made of",
        ),
    ],
)
def test_a_mistake_on_the_command_line_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    """One line, exit code 2, nothing begun."""
    assert 2 == main(["data", *arguments])
    error = capsys.readouterr().err
    assert told in error
    assert 1 == error.count("\n")
    assert not (folder / "data").exists()


def test_a_download_from_nobody_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some tries; nothing is stored."""
    monkeypatch.setattr(market_download, "WAITS_S", (0.01, 0.01, 0.01))
    where = ["--venue", "zoomex", "--symbol", "BTCUSDT", "--from", "2025-01-01", "--rest-url", "http://127.0.0.1:9"]
    assert 1 == main(["data", "download", *where])
    *notes, error = capsys.readouterr().err.splitlines()
    assert 3 == sum("trying again" in note for note in notes)
    assert error.startswith("error: zoomex")
    assert error.endswith("; nothing was stored")
    assert not (folder / "data").exists()
