"""What a row must look like to be stored.

What belongs here: the one rule for what comes in (writing) and what lies there (checking). What does not: what is
missing (holes), where rows come from.
"""

import numpy as np

from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS, interval_name, iso
from trading_engine.marketdata.candle_store.name import DatasetName
from trading_engine.marketdata.candle_store.rows import CANDLES, RATES, Rows, Shape, shown

LONGEST_FUNDING_MS = 8 * HOUR_MS  # no venue lets more time pass between two settlements


def shape_of(name: DatasetName) -> Shape:
    """The columns of a dataset."""
    return RATES if name.is_funding else CANDLES


def spacing_ms(name: DatasetName) -> int:
    """The time after which the next row is due: later than twice that, something is missing."""
    return LONGEST_FUNDING_MS if name.is_funding else name.interval_ms


def unsound(rows: Rows, name: DatasetName, anchor_ms: int) -> str:
    """What is wrong with the first row that must not be stored, empty where all are sound.

    anchor_ms   open time of some candle of the dataset: those of an interval that does not divide a day are counted
                from it
    """
    if not rows.size:
        return ""
    ts = rows.ts
    steps = np.diff(ts)
    if (steps <= 0).any():
        at = int((steps <= 0).argmax()) + 1
        return f"{iso(int(ts[at]))}: occurs twice" if steps[at - 1] == 0 else f"{iso(int(ts[at]))}: is out of order"
    grid_ms = MINUTE_MS if name.is_funding else name.interval_ms
    odd = (ts - (0 if DAY_MS % grid_ms == 0 else anchor_ms)) % grid_ms != 0
    if odd.any():
        what = "a full minute" if name.is_funding else f"when a {interval_name(grid_ms)} candle opens"
        return f"{iso(int(ts[int(odd.argmax())]))}: is not {what}"
    return _unsound_rate(rows) if name.is_funding else _unsound_candle(rows)


def _unsound_rate(rows: Rows) -> str:
    wrong = np.abs(rows.columns[0]) >= 10 ** rows.decimals[0]
    if not wrong.any():
        return ""
    at = int(wrong.argmax())
    return f"{iso(int(rows.ts[at]))}: rate {shown(rows.value(RATES, 0, at))} is not between -1 and 1"


def _unsound_candle(rows: Rows) -> str:
    opens, highs, lows, closes, volumes = rows.columns
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    for wrong, column, problem in (
        (lows <= 0, 2, "is not a price above 0"),
        (highs < top, 1, "is below open or close"),
        (lows > bottom, 2, "is above open or close"),
        (volumes < 0, 4, "is below 0"),
    ):
        if wrong.any():
            at = int(wrong.argmax())
            value = shown(rows.value(CANDLES, column, at))
            return f"{iso(int(rows.ts[at]))}: {CANDLES.columns[column]} {value} {problem}"
    return ""
