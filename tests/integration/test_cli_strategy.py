"""`strategy` from the command line: listing, showing, beginning, checking; and a file of one's own in a run."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from trading_engine.cli.main import main
from trading_engine.domain.time import MINUTE_MS

START_MS = 1_735_689_600_000
CONFIG = """\
mode: paper
symbols: [BTCUSDT, ETHUSDT]
strategies:
  - name: mine
    symbols: [BTCUSDT]
    settings: {breakout_bars: 10, trend_period: 20, atr_period: 2}
FILTERS
demo: {seed: 7, candles: 1200}
logging: {level: ERROR, file: false}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a strategy of one's own in strategies/mine.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # nothing is wrapped where nobody looks through a window
    assert 0 == main(["strategy", "new", "mine"])
    return tmp_path


def _change(folder: Path, old: str, new: str) -> int:
    """Change a text of mine.py; the line it stands on."""
    path = folder / "strategies" / "mine.py"
    text = path.read_text(encoding="utf-8")
    assert 1 == text.count(old)
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def _market(folder: Path, count: int = 4_000) -> str:
    """A random walk as CSV, and the argument that names it."""
    random = np.random.default_rng(3)
    closes = np.round(150 + np.cumsum(random.normal(0, 0.05, count)), 2)
    rows = ["ts,open,high,low,close,volume"]
    opened = 150.0
    for row, close in enumerate(closes.tolist()):
        high, low = max(opened, close) + 0.02, min(opened, close) - 0.02
        rows.append(f"{START_MS + row * MINUTE_MS},{opened:.2f},{high:.2f},{low:.2f},{close:.2f},{5 + row % 7}")
        opened = close
    path = folder / "sol.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return f"SOLUSDT={path}"


def test_the_list_holds_built_in_strategies_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be used is listed with what is wrong with it, and the exit code is 1."""
    capsys.readouterr()
    assert 0 == main(["strategy", "list", "--json"])
    listed = json.loads(capsys.readouterr().out)["strategies"]
    built_in = ["momentum", "multi_timeframe_long", "rsi_bollinger", "trend_distance_short", "trend_vwap"]
    assert [*built_in, "mine"] == [item["name"] for item in listed]
    assert {None} == {item["error"] for item in listed}
    (folder / "strategies" / "worse.py").write_text("1 +\n", encoding="utf-8")
    assert 1 == main(["strategy", "list"])
    shown = capsys.readouterr().out
    assert "strategies/worse.py:1: invalid syntax" in shown
    assert " 7 strategies, 2 of strategies/" in shown


def test_a_strategy_is_shown_with_rules_settings_and_needs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Built in or from a file, as text or as JSON; an unknown one lists the known."""
    assert folder.exists()
    capsys.readouterr()
    assert 0 == main(["strategy", "show", "momentum"])
    shown = capsys.readouterr().out
    for part in ("MACD(fast, slow) crosses above", "trend_period  200", "needs 2,964 candles of 15m"):
        assert part in shown
    assert 0 == main(["strategy", "show", "mine", "--json"])
    mine = json.loads(capsys.readouterr().out)
    assert ("strategies/mine.py", "5m", {"5m": 388}, 388) == (
        mine["source"],
        mine["interval"],
        mine["windows"],
        mine["warm_up"],
    )
    assert {"name": "breakout_bars", "default": 20, "lowest": 2, "highest": 1_000} == mine["settings"][0]
    assert 2 == main(["strategy", "show", "nope"])
    assert "strategy 'nope' does not exist; there are momentum," in capsys.readouterr().err


def test_a_new_strategy_passes_its_check_on_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The template as it is, on recorded candles."""
    assert 0 == main(["strategy", "check", "mine", "--data", _market(folder), "--windows", "100"])
    out = capsys.readouterr().out
    assert "ok       SOLUSDT: 93 prefixes and 93 windows agree with the whole history: 27 signals" in out
    assert " mine passes · 0 errors, 0 warnings" in out


def test_a_look_ahead_is_named_with_its_candle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The high of the next candle instead of the one before."""
    _change(folder, "ta.previous(ta.highest(candles.high, self.breakout_bars))", "np.roll(candles.high, -1) - 0.04")
    assert 1 == main(["strategy", "check", "mine", "--data", _market(folder), "--windows", "50"])
    out = capsys.readouterr().out
    assert "error    SOLUSDT: looks ahead: on the candle of 2025-01-" in out
    assert " mine does not pass · 1 error, 0 warnings" in out


def test_a_price_that_knows_the_future_is_named_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A target at the next candle's high."""
    _change(folder, '"breakout")', '"breakout", target_level=np.roll(candles.high, -1) + 1)')
    assert 1 == main(["strategy", "check", "mine", "--data", _market(folder), "--windows", "50"])
    assert " target_level is " in capsys.readouterr().out


def test_a_check_warns_of_entries_that_nobody_will_make(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stop above the close of a long is refused each time; the strategy is honest all the same."""
    _change(folder, '"breakout")', '"breakout", stop_level=candles.close + 1)')
    assert 0 == main(["strategy", "check", "mine", "--data", _market(folder), "--windows", "50"])
    out = capsys.readouterr().out
    assert "warning  SOLUSDT: " in out
    assert "27 of 27 entries would be refused: the stop or the target that it names lies on the wrong side" in out


def test_what_a_strategy_prints_is_not_the_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When it is loaded and at work; it goes to standard error, and JSON stays JSON."""
    _change(folder, "import numpy as np", 'import numpy as np\n\nprint("loaded")')
    _change(folder, "        enters = (", '        print("at work")\n        enters = (')
    settings = CONFIG.replace("FILTERS\n", "").replace("BTCUSDT, ETHUSDT", "SOLUSDT").replace("[BTCUSDT]", "[SOLUSDT]")
    (folder / "mine.yaml").write_text(settings, encoding="utf-8")
    capsys.readouterr()
    assert 0 == main(["strategy", "show", "mine", "--json"])
    told = capsys.readouterr()
    assert ("mine", True) == (json.loads(told.out)["name"], "loaded" in told.err)
    assert 0 == main(["backtest", "--config", "mine.yaml", "--data", _market(folder, 1_200), "--json"])
    told = capsys.readouterr()
    assert (True, True) == (bool(json.loads(told.out)), "at work" in told.err)


def test_a_folder_of_the_home_directory_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the configuration no shell has seen the ~, nor behind --folder=."""
    monkeypatch.setenv("HOME", str(folder))
    settings = CONFIG.replace("FILTERS\n", "strategy_folder: ~/elsewhere\n").replace("name: mine", "name: other")
    (folder / "other.yaml").write_text(settings, encoding="utf-8")
    assert 0 == main(["strategy", "new", "other", "--folder", "~/elsewhere"])
    assert (folder / "elsewhere" / "other.py").is_file()
    assert 0 == main(["validate", "--config", "other.yaml"])
    assert 0 == main(["strategy", "check", "other", "--config", "other.yaml", "--windows", "20"])
    capsys.readouterr()
    assert 0 == main(["strategy", "show", "other", "--folder", "~/elsewhere", "--json"])
    assert "other" == json.loads(capsys.readouterr().out)["name"]


def test_a_check_without_data_draws_a_market(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two symbols of it; settings are those of the configuration."""
    (folder / "mine.yaml").write_text(CONFIG.replace("FILTERS\n", ""), encoding="utf-8")
    assert 0 == main(["strategy", "check", "mine", "--config", "mine.yaml", "--windows", "20"])
    assert ["BTCUSDT:", "SOLUSDT:"] == [line.split()[1] for line in capsys.readouterr().out.splitlines()[-3:-1]]


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["check", "nope"], 2, "strategy 'nope' does not exist; there are momentum,"),
        (["list", "--folder", "~nobody-at-all/x"], 78, "~nobody-at-all/x: there is no such home directory"),
        (["check", "mine", "--data", "SOLUSDT=none.csv"], 78, "none.csv"),
        (["check", "mine", "--data", "sol.csv"], 2, "--data sol.csv is not SYMBOL=FILE"),
        (["new", "mine"], 2, "strategies/mine.py is there already"),
        (["new", "Mine!"], 2, "is not a name for a strategy"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, part: str
) -> None:
    """With the exit code of their kind."""
    assert folder.exists()
    capsys.readouterr()
    assert code == main(["strategy", *arguments])
    err = capsys.readouterr().err
    assert 1 == len(err.splitlines())
    assert part in err


def _run(folder: Path, filters: str = "") -> int:
    (folder / "run.yaml").write_text(CONFIG.replace("FILTERS\n", filters), encoding="utf-8")
    return main(["run", "--config", "run.yaml", "--state", "state"])


def _signals(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "state" / "engine.db")) as connection:
        return connection.execute("SELECT fate, reason FROM signals ORDER BY seq").fetchall()


def test_a_strategy_of_ones_own_trades(folder: Path) -> None:
    """By the name of its file, like any other."""
    assert 0 == _run(folder)
    fates = Counter(fate for fate, _ in _signals(folder))
    assert fates["taken"] > 2
    assert not fates["filtered"]


def test_what_a_filter_refuses_is_recorded_with_the_reason(folder: Path) -> None:
    """Each refusal that applies, by its name; nothing else is lost."""
    filters = (
        "    filters: {session: {hours: ['06:00-12:00']}, reference: {symbol: ETHUSDT, interval: 5m, period: 20}}\n"
    )
    assert 0 == _run(folder, filters)
    found = _signals(folder)
    refused = [reason for fate, reason in found if fate == "filtered"]
    assert 0 < len(refused) < len(found)
    assert all(reason.startswith(("reference: long while the price", "session: no entries at")) for reason in refused)
    assert any("; session: no entries at " in reason for reason in refused)


def test_a_stop_on_the_wrong_side_ends_its_signal_and_not_the_run(folder: Path) -> None:
    """On every other candle it lies above the close of a long; on the others it is traded with."""
    level = "np.where(candles.ts // 300_000 % 2, candles.close * 0.99, candles.close + 1)"
    _change(folder, '"breakout")', f'"breakout", stop_level={level})')
    assert 0 == _run(folder)
    found = _signals(folder)
    refused = {reason for fate, reason in found if fate == "filtered"}
    assert {"stop: it does not lie on the losing side of the close"} == refused
    assert "taken" in {fate for fate, _ in found}
    assert 0 == main(["audit", "--state", "state"])


def test_what_stands_beside_an_exit_does_not_end_the_run(folder: Path) -> None:
    """Neither a confidence nor a distance that is no number."""
    _change(
        folder,
        "        return Signals(side,",
        "        for column in (confidence, stop, target):\n            column[side == 0] = np.nan\n"
        "        exit_side[::7] = 1\n        return Signals(side,",
    )
    assert 0 == _run(folder)
    assert {"taken", "exited"} <= {fate for fate, _ in _signals(folder)}


def test_an_error_at_work_ends_the_run_with_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 78, for a restart cures it not; once mended the run goes on where it stopped."""
    line = _change(
        folder,
        "enters.astype(np.int8)",
        "enters.astype(np.int8)[[9_999] if candles.ts[-1] > 1_735_740_000_000 else slice(None)]",
    )
    assert 78 == _run(folder)
    err = capsys.readouterr().err
    assert 1 == len(err.splitlines())
    assert f"strategies/mine.py:{line}: IndexError: index 9999 is out of bounds" in err
    before = len(_signals(folder))
    _change(folder, "[[9_999] if candles.ts[-1] > 1_735_740_000_000 else slice(None)]", "")
    assert 0 == _run(folder)
    assert len(_signals(folder)) > before > 0
    assert 0 == main(["audit", "--state", "state"])


def test_validate_computes_a_strategy_of_ones_own_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An error at work shows before the run, with its line."""
    (folder / "mine.yaml").write_text(CONFIG.replace("FILTERS\n", ""), encoding="utf-8")
    assert 0 == main(["validate", "--config", "mine.yaml"])
    assert "mine: computed on " in capsys.readouterr().out
    line = _change(folder, "enters.astype(np.int8)", "enters.astype(np.int8)[[999_999]]")
    assert 78 == main(["validate", "--config", "mine.yaml"])
    assert f"strategies/mine.py:{line}: IndexError: index 999999 is out of bounds" in capsys.readouterr().out


def test_data_too_short_to_say_anything_are_told_beforehand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`validate` warns of what would run in silence."""
    text = CONFIG.replace("FILTERS\n", "    filters: {trend: {}}\n  - name: momentum\n")
    (folder / "long.yaml").write_text(text, encoding="utf-8")
    assert 0 == main(["validate", "--config", "long.yaml"])
    out = capsys.readouterr().out
    assert "momentum: says nothing before 2965 candles of 15m; the data are shorter" in out
    assert "mine, filter trend: refuses every entry before it has seen 200 candles of 1d; the data are shorter" in out
