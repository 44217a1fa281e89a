"""One symbol's funding rates in a Parquet or CSV file.

What belongs here: what makes a file of funding rates valid, and reading it. What does not: file formats
(columns) and what a settlement costs (rules).

A funding file has the columns `ts` (settlement time, UTC ms, an integer) and `rate` (a fraction of the
notional: 0.0001 is 0.01 %), sorted, each settlement once.
"""

import math
from pathlib import Path

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import iso, round_to_minute
from trading_engine.marketdata.columns import read_columns


def read_funding(symbol: str, path: str | Path, from_ts: int = 0, to_ts: int | None = None) -> tuple[FundingRate, ...]:
    """The settlements of a file from `from_ts` to `to_ts`, both included, in time order.

    Times are rounded to the full minute, since venues stamp settlements a few milliseconds late; rates to
    1e-8. Every row is checked, also those outside the range. Raises ConfigInvalid (exit code 78) with one
    line that names the file, the row, the value and what was expected.
    """
    path = Path(path)
    rates: list[FundingRate] = []
    before = 0
    for columns in read_columns(path, ("rate",)):
        pairs = zip(columns.ts.tolist(), columns.values[0].tolist(), strict=True)
        for row, (ts, rate) in enumerate(pairs, start=columns.first_row):
            problem = _problem(ts, rate, before)
            if problem:
                raise ConfigInvalid(f"{path}: row {row}: {problem}")
            before = round_to_minute(ts)
            if from_ts <= before and (to_ts is None or before <= to_ts):
                rates.append(FundingRate(symbol, before, money.round_money(money.from_float(rate))))
    return tuple(rates)


def _problem(ts: int, rate: float, before: int) -> str:
    """What is wrong with a row that follows one of minute `before`; empty if nothing."""
    if math.isnan(rate):
        return "rate is missing or not a number; expected a fraction between -1 and 1 (0.01 % is 0.0001)"
    if not math.isfinite(rate) or abs(rate) >= 1:
        return f"rate {rate} is not a funding rate; expected a fraction between -1 and 1 (0.01 % is 0.0001)"
    minute = round_to_minute(ts)
    if minute == before:
        return f"ts {ts} is the same settlement as the row above ({iso(minute)}); expected each once"
    if minute < before:
        return f"ts {ts} lies before {before} of the row above; expected ascending times"
    return ""
