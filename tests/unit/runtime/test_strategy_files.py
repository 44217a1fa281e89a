"""Strategies from files: what loads, and each way in which a file is wrong, as FILE:LINE."""

from pathlib import Path

import numpy as np
import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import MINUTE_MS
from trading_engine.runtime import strategy_files, strategy_template
from trading_engine.runtime.strategy_files import create, load_kind
from trading_engine.strategy.api import Series

FIVE = 5 * MINUTE_MS


def _template(folder: Path, *changes: tuple[str, str]) -> Path:
    """The template as mine.py, with texts replaced."""
    text = strategy_template.text_of("mine")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


def _line(path: Path, part: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if part in line)


def _series(count: int = 500) -> Series:
    closes = 100 + np.cumsum(np.random.default_rng(1).normal(0, 1, count))
    ts = np.arange(count, dtype=np.int64) * FIVE
    return Series(ts, closes, closes + 0.5, closes - 0.5, closes, np.ones(count), FIVE)


def _complaint(path: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        create(path, {}).compute({FIVE: _series()})
    assert 1 == len(str(caught.value).splitlines())
    return str(caught.value)


def test_the_template_runs_as_it_is(tmp_path: Path) -> None:
    """It takes settings like any strategy, gives signals, and leaves nothing beside its file."""
    path = strategy_template.write(tmp_path / "mine", "my_breakout")
    strategy = create(path, {"breakout_bars": 10, "stop_atr": 3})
    assert ("my_breakout", FIVE, 388) == (strategy.name, strategy.primary_interval_ms, strategy.warm_up)
    assert (10, 3.0) == (strategy.breakout_bars, strategy.stop_atr)  # type: ignore[attr-defined]
    signals = strategy.compute({FIVE: _series()})
    assert 5 < signals.side.sum() < 100
    assert ["my_breakout.py"] == [item.name for item in path.parent.iterdir()]
    assert ("my_breakout",) == strategy_files.names_in(path.parent)


def test_the_template_passes_the_checks_of_this_project(tmp_path: Path) -> None:
    """It is an example to follow: no line is longer than here, every name of it is defined."""
    text = strategy_template.write(tmp_path, "x").read_text(encoding="utf-8")
    assert "NAME" not in text
    assert "CLASS" not in text
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("name", ["", "My", "2fast", "a-b", "a/b", "class", "../x", "trend_vwap", "a" * 41])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written."""
    with pytest.raises(ConfigInvalid):
        strategy_template.write(tmp_path, name)
    assert [] == list(tmp_path.iterdir())


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    """Somebody's work is in it."""
    path = strategy_template.write(tmp_path, "mine")
    path.write_text("precious", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"mine\.py is there already"):
        strategy_template.write(tmp_path, "mine")
    assert "precious" == path.read_text(encoding="utf-8")


def test_settings_are_checked_as_those_of_any_strategy(tmp_path: Path) -> None:
    """One line for each mistake."""
    with pytest.raises(ConfigInvalid) as caught:
        create(_template(tmp_path), {"breakout_bars": 1, "stop_art": 2})
    assert [
        "mine.stop_art is not a setting of this strategy (did you mean stop_atr?)",
        "mine.breakout_bars = 1 is not a whole number from 2 to 1000 (default 20)",
    ] == str(caught.value).splitlines()


def test_a_syntax_error_is_told_with_its_line(tmp_path: Path) -> None:
    """What Python says about it, in one line."""
    path = tmp_path / "mine.py"
    path.write_text("x = 1\ndef broken(:\n", encoding="utf-8")
    assert _complaint(path).startswith(f"{path}:2: invalid syntax")


def test_an_error_while_loading_is_told_with_its_line(tmp_path: Path) -> None:
    """A misspelt import, or anything else at the top of the file."""
    path = _template(tmp_path, ("import numpy as np", "import numpie as np"))
    line = _line(path, "numpie")
    assert f"{path}:{line}: ModuleNotFoundError: No module named 'numpie'" == _complaint(path)
    path.write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    assert f"{path}:2: SystemExit: 3" == _complaint(path)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('ClassVar[str] = "mine"', 'ClassVar[str] = "other"', 'no class with name = "mine", the name of the file; '),
        ("frozen=True, slots=True", "slots=True", "Mine is not a @dataclass(frozen=True)"),
        ("    def is_silent(", "    def is_quiet(", "Mine lacks is_silent (see `strategy new`)"),
        ("5 * MINUTE_MS", "90_000", "primary_interval_ms = 90000 is not a whole number of minutes in ms"),
        ("{self.primary_interval_ms: window}", "{}", "intervals = {} is not a mapping that has primary_interval_ms"),
        ("{self.primary_interval_ms: window}", "{self.primary_interval_ms: 0}", "intervals[300000] = 0 is not"),
        (
            "{self.primary_interval_ms: window}",
            "{self.primary_interval_ms: 5, 7: 5}",
            "intervals has 7, which is not a whole number of minutes in ms",
        ),
        ("self.intervals[self.primary_interval_ms]\n", "-1\n", "warm_up = -1 is not a number of candles from 0"),
        ("return Signals(side,", "return (side,", "compute gives tuple, not Signals"),
        ("return Signals(side,", "return Signals(side[1:],", "side has the shape (499,), expected one value for each"),
        ("stop, target, exit_side,", "-stop, target, exit_side,", "stop_distance is not above 0 on a candle with"),
        ("return Signals(side,", "return Signals(side != 0,", "side holds bool, expected numbers"),
        ('"breakout")', "None)", "tag is None, expected a short text"),
        ('"breakout")', '"breakout", stop_level=5.0)', "stop_level has the shape float, expected one value for each"),
    ],
)
def test_what_is_no_strategy_is_told_with_the_line_of_its_class(tmp_path: Path, old: str, new: str, what: str) -> None:
    """Wrong names, wrong declarations, wrong results."""
    path = _template(tmp_path, (old, new))
    assert _complaint(path).startswith(f"{path}:{_line(path, 'class Mine')}: {what}")


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('"average": ta.sma(', '"average": ta.smma(', "AttributeError: module"),
        ("enters.astype(np.int8)", "enters.astype(np.int8)[[9_999]]", "IndexError: index 9999 is out of bounds"),
        ("check_fields(self, self.name)", "check_fields(self, 1 / 0)", "ZeroDivisionError: division by zero"),
        ("max(ta.wilder_window(self.atr_period)", "max(ta.wilder_window(self.atr)", "AttributeError: 'Mine' object"),
    ],
)
def test_an_error_at_work_is_told_with_its_line(tmp_path: Path, old: str, new: str, error: str) -> None:
    """In settings, declarations or rules: the last line of the file that was passed."""
    path = _template(tmp_path, (old, new))
    assert _complaint(path).startswith(f"{path}:{_line(path, new)}: {error}")


def test_candles_cannot_be_written_to(tmp_path: Path) -> None:
    """Others look at the same arrays: a strategy that changes them is told its line, and they stay as they are."""
    path = _template(tmp_path, ("        enters = (\n", "        candles.close[-1] = 0.0\n        enters = (\n"))
    series = _series()
    before = series.close.copy()
    with pytest.raises(ConfigInvalid, match="read-only") as caught:
        create(path, {}).compute({FIVE: series})
    assert str(caught.value).startswith(f"{path}:{_line(path, 'candles.close[-1] = 0.0')}: ")
    assert before.tolist() == series.close.tolist()
    assert series.close.flags.writeable


def test_a_file_that_is_not_there_or_bears_a_taken_name_is_told(tmp_path: Path) -> None:
    """A built-in strategy is never replaced by a file."""
    with pytest.raises(ConfigInvalid, match=r"mine\.py: cannot be read"):
        load_kind(tmp_path / "mine.py")
    taken = tmp_path / "momentum.py"
    taken.write_text("", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="momentum is a built-in strategy"):
        load_kind(taken)


def test_two_classes_of_one_name_are_one_too_many(tmp_path: Path) -> None:
    """Which of them is meant nobody can tell; an imported class is none of the file's."""
    path = _template(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n\nclass Again(Mine):\n    pass\n", encoding="utf-8")
    assert 'more than one class with name = "mine"' in _complaint(path)
