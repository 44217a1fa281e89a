"""The file that `strategy new` writes: a strategy that runs as it is, to be changed.

What belongs here: its text. What does not: loading it (strategy_files).
"""

import keyword
import re
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime.strategy_files import file_of
from trading_engine.strategy.registry import BUILT_IN

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

_TEMPLATE = '''\
"""NAME: in one sentence, what is traded and why that should earn money.

A strategy is a pure function: arrays of closed candles in, arrays of signals out, one row for each candle. The same
function is run once over a whole history and live over the last candles, so it must not

- look ahead: row i may depend on rows up to i only,
- remember anything between two calls,
- write to the arrays that it is given,
- ask the clock, the network, the disk or a random number.

`trading-engine strategy check NAME` looks for all of it on data. Run it after every change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import Series, Signals, mean_margin
from trading_engine.strategy.settings import bounded, check_fields


@dataclass(frozen=True, slots=True)
class CLASS:
    """Long when a 5-minute candle closes above the highest high of the candles before it, in an uptrend.

    Confidence is the mean of these margins, each clipped to [0, 1]:

    - breakout: distance between close and highest high, in ATR
    - trend: distance between close and average, in stop distances
    """

    # The name of the file without .py, and the candles that it decides on.
    name: ClassVar[str] = "NAME"
    primary_interval_ms: ClassVar[int] = 5 * MINUTE_MS

    # Settings: default, lowest and highest value. `strategies: - name: NAME` in the configuration
    # changes them with `settings: {breakout_bars: 30}`.
    breakout_bars: int = bounded(20, 2, 1_000)
    trend_period: int = bounded(50, 2, 2_000)
    atr_period: int = bounded(14, 2, 500)
    stop_atr: float = bounded(2.0, 0.1, 100.0)
    target_atr: float = bounded(4.0, 0.0, 1_000.0)

    def __post_init__(self) -> None:
        """Refuse settings out of their bounds."""
        check_fields(self, self.name)

    @property
    def intervals(self) -> Mapping[int, int]:
        """How many closed candles of which interval (ms) make the last row as good as the whole history.

        A simple average of n needs n; whatever smooths (ATR, RSI, EMA, MACD, ADX) needs what wilder_window,
        ema_window, macd_window and adx_window of the indicators say.
        """
        window = max(ta.wilder_window(self.atr_period), self.trend_period, self.breakout_bars + 1)
        return {self.primary_interval_ms: window}

    @property
    def warm_up(self) -> int:
        """How many of its own candles come before the first signal."""
        return self.intervals[self.primary_interval_ms]

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Whether the last candle certainly gives no signal: a cheap look before `compute`. False is always right."""
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """The rules. Comparisons of `ta` ignore rounding noise and are false where a value is not known yet."""
        candles = market[self.primary_interval_ms]
        values = {  # recorded with every signal, to explain it
            "close": candles.close,
            "highest": ta.previous(ta.highest(candles.high, self.breakout_bars)),
            "average": ta.sma(candles.close, self.trend_period),
            "atr": ta.atr(candles, self.atr_period),
        }
        enters = (
            ta.greater(candles.close, values["highest"])
            & ta.greater(candles.close, values["average"])
            & ta.greater(values["atr"], 0.0)
        )
        side = enters.astype(np.int8)  # 1 enter long, -1 enter short, 0 nothing
        exit_side = np.zeros_like(side)  # 1 close a long of this strategy, -1 close a short of it
        rows = np.flatnonzero(side)
        confidence, stop, target = np.zeros((3, len(candles)))
        stop[rows] = self.stop_atr * values["atr"][rows]  # from the close, in price
        target[rows] = self.target_atr * values["atr"][rows]  # 0 for none
        confidence[rows] = mean_margin(
            (candles.close[rows] - values["highest"][rows]) / values["atr"][rows],
            (candles.close[rows] - values["average"][rows]) / stop[rows],
        )
        return Signals(side, confidence, stop, target, exit_side, values, "breakout")
'''


def text_of(name: str) -> str:
    """The file of a strategy of this name; ConfigInvalid for a name that cannot be one."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigInvalid(
            f"{name} is not a name for a strategy (lower-case letters, digits and _, as my_breakout)", exit_code=2
        )
    if name in BUILT_IN:
        raise ConfigInvalid(f"{name} is a built-in strategy; choose another name", exit_code=2)
    class_name = "".join(part.capitalize() for part in name.split("_")) or name
    return _TEMPLATE.replace("NAME", name).replace("CLASS", class_name)


def write(folder: Path, name: str) -> Path:
    """Write the file of a new strategy and return its path; ConfigInvalid where it is there already."""
    text, path = text_of(name), file_of(folder, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigInvalid(f"{path} is there already; nothing was written", exit_code=2) from error
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be written ({error.strerror})", exit_code=2) from error
    return path
