"""What a row must look like to be stored.

What belongs here: the one rule for what comes in (writing) and what lies there (checking). What does not: what is
missing (holes), where rows come from.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trading_engine.domain.time import DAY_MS, MINUTE_MS, interval_name, iso
from trading_engine.marketdata.candle_store.name import DatasetName
from trading_engine.marketdata.candle_store.rows import CANDLES, RATES, Rows, Shape, shown


def shape_of(name: DatasetName) -> Shape:
    """The columns of a dataset."""
    return RATES if name.is_funding else CANDLES


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
    found = _first_unsound(rows, name)
    return found[1] if found else ""


def only_sound(rows: Rows, name: DatasetName) -> tuple[Rows, list[str]]:
    """The rows without those whose values cannot be, and what is wrong with each of these."""
    problems = []
    while (found := _first_unsound(rows, name)) is not None:
        problems.append(found[1])
        rows = Rows(
            np.delete(rows.ts, found[0]), tuple(np.delete(column, found[0]) for column in rows.columns), rows.decimals
        )
    return rows, problems


def _first_unsound(rows: Rows, name: DatasetName) -> tuple[int, str] | None:
    """The first row whose values cannot be, and what is wrong with it; None where all can."""
    for wrong, column, problem in _rate_rules(rows) if name.is_funding else _candle_rules(rows):
        if wrong.any():
            at = int(wrong.argmax())
            shape = shape_of(name)
            value = shown(rows.value(shape, column, at))
            return at, f"{iso(int(rows.ts[at]))}: {shape.columns[column]} {value} {problem}"
    return None


def _rate_rules(rows: Rows) -> Iterator[tuple[NDArray[np.bool_], int, str]]:
    yield np.abs(rows.columns[0]) >= 10 ** rows.decimals[0], 0, "is not between -1 and 1"


def _candle_rules(rows: Rows) -> Iterator[tuple[NDArray[np.bool_], int, str]]:
    opens, highs, lows, closes, volumes = rows.columns
    yield lows <= 0, 2, "is not a price above 0"
    yield highs < np.maximum(opens, closes), 1, "is below open or close"
    yield lows > np.minimum(opens, closes), 2, "is above open or close"
    yield volumes < 0, 4, "is below 0"
