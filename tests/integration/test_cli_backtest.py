"""`backtest` from the command line: both engines, the shape of its JSON, what it says of bad input."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trading_engine
from trading_engine.backtest import cache
from trading_engine.cli.main import main
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, iso
from trading_engine.marketdata.synth import SyntheticMarket
from trading_engine.venues.embedded.facts import known_instrument

START_MS = 1_746_316_800_000
ROWS = 4_000
END_MS = START_MS + ROWS * MINUTE_MS
SYMBOLS = ("BTCUSDT", "ETHUSDT")
CONFIG = """\
mode: live
venue: binance
account: main
symbols: [BTCUSDT, ETHUSDT]
strategies: [{name: multi_timeframe_long}, {name: trend_vwap}]
credentials: {key: '${BACKTEST_KEY}', secret: '${BACKTEST_SECRET}'}
"""

pytestmark = pytest.mark.xdist_group("compiled")  # machine code is made once


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration for real money, candles of two symbols and a funding file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    instruments = {symbol: known for symbol in SYMBOLS if (known := known_instrument(symbol)) is not None}
    market = SyntheticMarket(3, instruments, START_MS, ROWS)
    for symbol in SYMBOLS:
        block = market.history(symbol, END_MS, ROWS)
        columns = (block.ts, block.open_price, block.high_price, block.low_price, block.close_price, block.base_volume)
        write_candles(tmp_path / f"{symbol}.csv", zip(*[column.tolist() for column in columns], strict=True))
    rates = [f"{START_MS + hour * HOUR_MS},0.0001" for hour in range(8, 72, 8)]
    (tmp_path / "funding.csv").write_text("\n".join(["ts,rate", *rates]) + "\n", encoding="utf-8")
    (tmp_path / "engine.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def write_candles(path: Path, rows: Any) -> None:
    lines = ["ts,open,high,low,close,volume", *(",".join(repr(value) for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def files(*symbols: str) -> list[str]:
    return ["--data", *(f"{symbol}={symbol}.csv" for symbol in symbols or SYMBOLS)]


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Mapping[str, Any]:
    """The JSON of a backtest that ends well."""
    capsys.readouterr()
    assert 0 == main(["backtest", "--config", "engine.yaml", *arguments, "--json"])
    shape: Mapping[str, Any] = json.loads(capsys.readouterr().out)
    return shape


@pytest.mark.usefixtures("folder")
def test_both_engines_agree_and_say_the_same_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Every trade and the equity; equal inputs give equal results, but for the time it took."""
    arguments = (*files(), "--funding", "BTCUSDT=funding.csv", "--engine", "both")
    first = told(capsys, *arguments)
    assert {"compared": len(first["trades"]), "differences": []} == first["parity"]
    assert len(first["trades"]) > 10
    assert first["handed_over"] is None
    again = told(capsys, *arguments)
    assert {**first, "timing": None} == {**again, "timing": None}


def test_candles_that_are_known_give_the_same_result_and_tell_of_the_same_gaps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is read once, and again after somebody has damaged what was made of it."""
    lines = (folder / "BTCUSDT.csv").read_text(encoding="utf-8").splitlines()
    del lines[100:107]
    (folder / "BTCUSDT.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = cache.candle_folder()
    assert kept is not None
    before = set(kept.glob("*.candles"))
    first = told(capsys, *files())
    assert {"BTCUSDT": 7, "ETHUSDT": 0} == first["missing_candles"]
    assert {**first, "timing": None} == {**told(capsys, *files()), "timing": None}
    for entry in set(kept.glob("*.candles")) - before:
        damaged = folder / entry.name  # another file: who has the old one mapped keeps it
        damaged.write_bytes(entry.read_bytes()[:-8] + bytes(8))
        damaged.replace(entry)
    assert {**first, "timing": None} == {**told(capsys, *files()), "timing": None}


@pytest.mark.usefixtures("folder")
def test_the_figures_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Start balance and net PnL of all trades are the final balance; the curve begins and ends there."""
    shape = told(capsys, *files())
    metrics = shape["metrics"]
    net = sum(float(trade["net_pnl"]) for trade in shape["trades"])
    assert float(metrics["final_balance"]) == pytest.approx(float(metrics["initial_balance"]) + net, abs=1e-7)
    assert [iso(START_MS), metrics["initial_balance"]] == shape["equity_curve"][0]
    assert iso(END_MS) == shape["equity_curve"][-1][0]
    assert metrics["total_trades"] == metrics["winning_trades"] + metrics["losing_trades"] == len(shape["trades"])
    assert 2 * ROWS == shape["dataset"]["rows"]
    assert {"BTCUSDT": 0, "ETHUSDT": 0} == shape["missing_candles"]
    closed = [trade["closed_at"] for trade in shape["trades"]]
    assert sorted(closed, reverse=True) == closed


@pytest.mark.usefixtures("folder")
def test_a_part_of_the_data_is_traded_with_warm_strategies(capsys: pytest.CaptureFixture[str]) -> None:
    """From the second day on the signals are those of the whole history; candles outside are not traded."""
    start = START_MS + DAY_MS
    part = told(capsys, *files("BTCUSDT"), "--from", iso(start), "--to", iso(start + DAY_MS))
    assert DAY_MS // MINUTE_MS == part["dataset"]["rows"]
    assert (iso(start), iso(start + DAY_MS)) == (part["dataset"]["from"], part["dataset"]["to"])
    assert all(iso(start) <= trade["opened_at"] for trade in part["trades"])


@pytest.mark.usefixtures("folder")
def test_what_is_not_charged_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr and in the result: a backtest without funding rates looks better than it is."""
    capsys.readouterr()
    arguments = ["--config", "engine.yaml", *files(), "--funding", "BTCUSDT=funding.csv", "--json"]
    arguments += ["--from", iso(START_MS + 2 * DAY_MS)]  # what lies before is enough for every strategy
    assert 0 == main(["backtest", *arguments])
    out, err = capsys.readouterr()
    compiling = "note: the fast engine is compiled, once for this version; that takes about a minute"
    assert ["note: no funding is charged on ETHUSDT: no rates are given"] == [
        line for line in err.splitlines() if line != compiling
    ]
    assert ["no funding is charged on ETHUSDT: no rates are given"] == json.loads(out)["remarks"]


def test_costs_that_are_written_down_and_not_charged_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr and in the result, with those that are: nobody shall believe a result for the wrong reason."""
    (folder / "engine.yaml").write_text(
        CONFIG + "paper: {slippage: depth, impact_pct: 0.3, range_share_pct: 5}\n", encoding="utf-8"
    )
    assert 0 == main(["backtest", "--config", "engine.yaml", *files(), "--json"])
    out, err = capsys.readouterr()
    shape = json.loads(out)
    assert ("0.02", "0.3") == (shape["costs"]["slippage_pct"], shape["costs"]["slippage_impact_pct"])
    line = (
        "paper.range_share_pct = 5 has no effect with paper.slippage = depth; it is read by spread_volatility: leave it"
        " out, or choose another model"
    )
    assert f"note: {line}\n" in err
    assert line in shape["remarks"]


def test_a_tick_and_step_too_fine_for_money_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With both, since neither is wrong alone."""
    facts = "paper: {instruments: {BTCUSDT: {tick: 0.000001, step: 0.001}}}\n"
    (folder / "engine.yaml").write_text(CONFIG + facts, encoding="utf-8")
    assert 78 == main(["backtest", "--config", "engine.yaml", *files()])
    assert "BTCUSDT: 1E-9 is not a multiple of 1E-8 (tick 0.000001, step 0.001)" in capsys.readouterr().err


def test_a_run_without_a_trade_says_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signals that the account is too small for, in the summary and the result; the full engine names the bound."""
    (folder / "engine.yaml").write_text(CONFIG + "paper: {balance: 10}\n", encoding="utf-8")
    fast, full = (told(capsys, *files(), "--engine", engine) for engine in ("fast", "full"))
    assert [] == fast["trades"] == full["trades"]
    many = fast["signals"]["entries"]
    assert many > 10
    assert {"entries": many, "fates": None} == fast["signals"]
    assert {"entries": many, "fates": {"refused (below the venue's minimum)": many}} == full["signals"]
    told_by = [f"{many} signals for an entry, and none became a position: {why}" for why in
               ("`--engine full` tells why", f"{many} refused (below the venue's minimum)")]  # fmt: skip
    assert told_by == [shape["remarks"][-1] for shape in (fast, full)]


def test_trading_that_the_drawdown_limit_ended_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the instant, on which both engines agree; no trade was opened later."""
    (folder / "engine.yaml").write_text(CONFIG + "risk: {max_drawdown_pct: 0.1}\n", encoding="utf-8")
    shape = told(capsys, *files(), "--engine", "both")
    assert [] == shape["parity"]["differences"]
    (remark,) = [one for one in shape["remarks"] if one.startswith("no entry was made after ")]
    ended = remark.removeprefix("no entry was made after ")[:16].replace(" ", "T")
    assert all(trade["opened_at"][:16] <= ended for trade in shape["trades"])
    assert ended in {trade["closed_at"][:16] for trade in shape["trades"]}


@pytest.mark.usefixtures("folder")
def test_every_signal_has_its_fate(capsys: pytest.CaptureFixture[str]) -> None:
    """They add up to the signals; taken are those that have become positions."""
    shape = told(capsys, *files(), "--engine", "full")
    fates = shape["signals"]["fates"]
    assert shape["signals"]["entries"] == sum(fates.values())
    assert shape["metrics"]["total_trades"] + shape["metrics"]["open_positions"] == fates["taken"]


@pytest.mark.usefixtures("folder")
def test_what_open_positions_have_booked_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """So that gross, fees and funding of closed trades add up to the net PnL with it."""
    whole = told(capsys, *files("BTCUSDT"))
    opened = max(np.datetime64(trade["opened_at"].rstrip("Z"), "ms") for trade in whole["trades"])
    cut = ["--to", iso(int(opened.astype(np.int64)) + MINUTE_MS)]
    metrics = told(capsys, *files("BTCUSDT"), *cut)["metrics"]
    assert 1 == metrics["open_positions"]
    assert 0 == main(["backtest", "--config", "engine.yaml", *files("BTCUSDT"), *cut])
    row = next(line for line in capsys.readouterr().out.splitlines() if "open positions" in line)
    booked = f"{abs(float(metrics['booked_open'])):.2f}"
    assert f"booked so far −{booked}, open PnL" in row


def test_a_result_that_cannot_be_written_is_shown_nevertheless(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Minutes of waiting are not lost with a place that turns out to be none."""
    (folder / "taken" / "result.json").mkdir(parents=True)
    capsys.readouterr()
    arguments = ["--config", "engine.yaml", *files("BTCUSDT"), "--output", "taken"]
    assert 78 == main(["backtest", *arguments])
    out, err = capsys.readouterr()
    assert "final balance" in out
    assert "taken/result.json cannot be written" in err


@pytest.mark.parametrize("options", [["--output", "taken"], ["--output", "taken/below"], ["--output", "/dev/full"]])
def test_an_output_that_is_no_folder_is_refused_before_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """Nothing is read, let alone traded."""
    (folder / "taken").write_text("a file\n", encoding="utf-8")
    capsys.readouterr()
    assert 2 == main(["backtest", "--config", "nowhere.yaml", *options])
    out, err = capsys.readouterr()
    assert "" == out
    assert f"--output {options[1]}: " in err
    assert "is not a folder; name one" in err


def test_files_are_written_although_nobody_reads_to_the_end(folder: Path) -> None:
    """`| head` goes away: the files are there, and the exit code is not that of findings."""
    arguments = ["--config", "engine.yaml", *files("BTCUSDT"), "--engine", "full", "--output", "out", "--report"]
    environ = {**os.environ, "PYTHONPATH": str(Path(trading_engine.__file__).parents[1])}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "trading_engine", "backtest", *arguments],
            stdout=writer, stderr=subprocess.PIPE, check=False, cwd=folder, env=environ, timeout=120,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert 141 == done.returncode
    assert b"Broken" not in done.stderr
    names = ["equity.csv", "report.html", "result.json", "trades.csv"]
    assert names == sorted(path.name for path in (folder / "out").iterdir())


def test_a_page_of_an_earlier_run_does_not_stay_beside_other_results(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is removed, which is told; a second time there is nothing to tell."""
    arguments = ["backtest", "--config", "engine.yaml", *files("BTCUSDT"), "--output", "out"]
    assert 0 == main([*arguments, "--report"])
    capsys.readouterr()
    assert 0 == main([*arguments, "--leverage", "2"])
    assert f"note: {Path('out') / 'report.html'} is removed: it was of an earlier run" in capsys.readouterr().err
    assert ["equity.csv", "result.json", "trades.csv"] == sorted(path.name for path in (folder / "out").iterdir())
    assert 0 == main(arguments)
    assert "removed" not in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_one_strategy_may_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """The others of the configuration are left out, and the hash tells it apart."""
    every, one = told(capsys, *files()), told(capsys, *files(), "--strategy", "multi_timeframe_long")
    assert {"multi_timeframe_long"} == {trade["strategy"] for trade in one["trades"]}
    assert every["config_hash"] != one["config_hash"]


@pytest.mark.usefixtures("folder")
def test_what_a_person_sees_names_trades_costs_and_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a figure, one a strategy and symbol, and the verdict of the comparison."""
    capsys.readouterr()
    assert 0 == main(["backtest", "--config", "engine.yaml", *files(), "--engine", "both"])
    out = capsys.readouterr().out
    for text in ("start balance  1,000.00", "buy and hold", "max drawdown", "fees", "BTCUSDT"):
        assert text in out
    assert "both engines agree on all of" in out


def test_the_result_is_written_as_files_and_as_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same bytes for the same inputs; the page without a folder goes to ./backtest."""
    for name in ("one", "two"):
        arguments = ["--config", "engine.yaml", *files("BTCUSDT"), "--output", name, "--report"]
        assert 0 == main(["backtest", *arguments])
    assert f"written: {Path('two') / 'report.html'}" in capsys.readouterr().out
    names = ["equity.csv", "report.html", "result.json", "trades.csv"]
    assert names == sorted(path.name for path in (folder / "one").iterdir())
    assert all((folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes() for name in names)
    written = json.loads((folder / "one" / "result.json").read_bytes())
    printed = told(capsys, *files("BTCUSDT"))
    assert written["trades"] == printed["trades"]
    assert 0 == main(["backtest", "--config", "engine.yaml", *files("BTCUSDT"), "--report"])
    assert ["report.html"] == [path.name for path in (folder / "backtest").iterdir()]


@pytest.mark.usefixtures("folder")
def test_stored_candles_give_what_the_files_give(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --data every symbol comes from the store, with its funding; equal candles, equal trades and hash."""
    for symbol in SYMBOLS:
        assert 0 == main(["data", "import", f"{symbol}.csv", "--venue", "binance", "--symbol", symbol])
    funding = ["--venue", "binance", "--symbol", "BTCUSDT", "--funding"]
    assert 0 == main(["data", "import", "funding.csv", *funding])
    stored, of_files = told(capsys), told(capsys, *files(), "--funding", "BTCUSDT=funding.csv")
    assert {**of_files, "timing": None} == {**stored, "timing": None}


@pytest.mark.usefixtures("folder")
def test_a_strategy_that_trades_more_than_the_candles_hold_runs_on_the_full_engine(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fast engine says what it does not model instead of guessing; nothing is called compared."""
    lines = (folder / "BTCUSDT.csv").read_text(encoding="utf-8").splitlines()
    thin = [line if row == 0 else line.rpartition(",")[0] + ",0.008" for row, line in enumerate(lines)]
    (folder / "BTCUSDT.csv").write_text("\n".join(thin) + "\n", encoding="utf-8")
    config = CONFIG.replace("multi_timeframe_long}", "multi_timeframe_long, settings: {volume_ratio: 0.5}}")
    (folder / "engine.yaml").write_text(config, encoding="utf-8")
    capsys.readouterr()
    assert 0 == main(["backtest", "--config", "engine.yaml", *files("BTCUSDT"), "--engine", "both", "--json"])
    out, err = capsys.readouterr()
    shape = json.loads(out)
    assert "the full engine ran in place of the fast one" in err
    assert ("full", {"compared": 0, "differences": []}) == (shape["engine"], shape["parity"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([*files(), "--strategy", "momentum"], 2, "--strategy momentum: it is not among the strategies"),
        (["--data", "SOLUSDT=BTCUSDT.csv"], 2, "SOLUSDT is not among the symbols of engine.yaml"),
        (["--data", "BTCUSDT=nowhere.csv"], 78, "nowhere.csv"),
        ([*files("BTCUSDT"), "--funding", "ETHUSDT=funding.csv"], 2, "there is no --data ETHUSDT=FILE for it"),
        ([*files(), "--from", "2025-06-01", "--to", "2025-05-01"], 2, "is not before --to"),
        ([*files("BTCUSDT"), "--from", "2030-01-01"], 2, "no candle from 2030-01-01"),
        ([*files("BTCUSDT"), "--from", "soon"], 2, "--from soon is not a date or time"),
        (["--data", "BTCUSDT=BTCUSDT.csv", "ETHUSDT=hours.csv"], 78, "expected one interval in all files"),
        (["--data", "BTCUSDT=broken.csv"], 78, "broken.csv: row 3"),
        (["--data", "BTCUSDT=hours.csv"], 78, "the candles are 1h: multi_timeframe_long needs candles of 1m, which"),
        ([*files(), "--leverage", "much"], 2, "--leverage much is not a number"),
        ([], 78, "data: there are no candles of BTCUSDT at binance; name files with --data BTCUSDT=FILE"),
        (["--venue", "zoomex"], 78, "there are no candles of BTCUSDT at zoomex"),
    ],
)
def test_bad_input_has_one_line_with_the_value_and_what_was_expected(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """And nothing is printed on standard output."""
    write_candles(folder / "hours.csv", [(START_MS + row * HOUR_MS, 10.0, 10.0, 10.0, 10.0, 1.0) for row in range(9)])
    broken = [(START_MS + row * MINUTE_MS, 10.0, 10.0, np.nan if row == 2 else 10.0, 10.0, 1.0) for row in range(9)]
    write_candles(folder / "broken.csv", broken)
    capsys.readouterr()
    assert code == main(["backtest", "--config", "engine.yaml", *arguments])
    out, err = capsys.readouterr()
    assert "" == out
    (line,) = [text for text in err.splitlines() if not text.startswith("see `")]
    assert said in line
