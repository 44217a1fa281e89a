"""What signals look like: arrays of one length, numbers that an entry can have.

What belongs here: what is wrong with the answer of a strategy, whatever it says. What does not: whether it says the
same again, and what it looked at (check); where a level lies (levels).
"""

from collections.abc import Mapping

import numpy as np

from trading_engine.strategy.api import FloatArray, SideArray, Signals


def shape_mistake(signals: Signals, rows: int) -> str:
    """What keeps the arrays from being signals for so many candles; empty where nothing does.

    Where a level lies is no mistake: that depends on the market, and is judged entry by entry (levels.objections).
    """
    if not (isinstance(signals.tag, str) and signals.tag.isprintable()):
        return f"tag is {signals.tag!r}, expected a short text"
    explain: object = signals.explain
    if not isinstance(explain, Mapping):
        return f"explain is {type(explain).__name__}, expected a mapping of names to arrays"
    named: dict[str, object] = {**decision(signals), **named_levels(signals)}
    for name, column in explain.items():
        if not (isinstance(name, str) and name.isprintable()):
            return f"explain has the name {name!r}, expected a short text"
        named[f"explain[{name!r}]"] = column
    wrong = next(filter(None, (_column_mistake(name, column, rows) for name, column in named.items())), "")
    return wrong or _range_mistake(signals)


def _column_mistake(name: str, column: object, rows: int) -> str:
    shape = getattr(column, "shape", type(column).__name__)
    if not isinstance(column, np.ndarray) or shape != (rows,):
        return f"{name} has the shape {shape}, expected one value for each of {rows} candles"
    if type(column) is not np.ndarray:
        return f"{name} is a {type(column).__name__}, expected a plain array (`.filled(np.nan)` of a masked one)"
    if column.dtype.kind not in "iuf":
        return f"{name} holds {column.dtype}, expected numbers (`.astype(np.int8)` for sides, `.astype(float)` else)"
    return ""


def _range_mistake(signals: Signals) -> str:
    """Numbers that no entry can have; a distance does not count where a level takes its place."""
    if not (_are_sides(signals.side) and _are_sides(signals.exit_side)):
        return "side or exit_side holds something other than −1, 0 and 1"
    asks = signals.side != 0
    levels = named_levels(signals)
    confidence = signals.confidence[asks]
    stop = signals.stop_distance[asks & ~np.isfinite(levels.get("stop_level", np.nan))]
    target = signals.target_distance[asks & ~np.isfinite(levels.get("target_level", np.nan))]
    if not ((confidence >= 0) & (confidence <= 1)).all():
        return "confidence leaves [0, 1] on a candle with a signal"
    if not ((stop > 0) & np.isfinite(stop)).all():
        return "stop_distance is not above 0 on a candle with a signal"
    if not ((target >= 0) & np.isfinite(target)).all():
        return "target_distance is not a number from 0 on a candle with a signal"
    return ""


def _are_sides(column: SideArray) -> bool:
    return bool(((column == 0) | (column == 1) | (column == -1)).all())


def decision(signals: Signals) -> dict[str, FloatArray]:
    """The columns that an entry or an exit is made of, levels apart."""
    names = ("side", "exit_side", "confidence", "stop_distance", "target_distance")
    return {name: getattr(signals, name) for name in names}


def named_levels(signals: Signals) -> dict[str, FloatArray]:
    """The levels that it names."""
    named = {"stop_level": signals.stop_level, "target_level": signals.target_level}
    return {name: column for name, column in named.items() if column is not None}
