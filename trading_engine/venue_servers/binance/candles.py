"""Candles of every interval, made of those of a minute.

What belongs here: where a candle of an interval begins and ends, joining, the row that a client reads. What does not:
which rows are asked for (market), who is told (streams).
"""

import calendar
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.venue_servers.binance.shapes import Json, decimals, fixed
from trading_engine.venue_servers.exchange import MINUTE_MS

_HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * _HOUR_MS
_MONTH = -1
_FIRST_MONDAY_MS = 4 * DAY_MS  # 1970-01-05
INTERVALS: Mapping[str, int] = {
    **{f"{count}m": count * MINUTE_MS for count in (1, 3, 5, 15, 30)},
    **{f"{count}h": count * _HOUR_MS for count in (1, 2, 4, 6, 8, 12)},
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    "1M": _MONTH,
}


def opened_at(open_ms: int, interval: str) -> int:
    """When the candle of an interval began that covers an instant."""
    length = INTERVALS[interval]
    if length == _MONTH:
        day = datetime.fromtimestamp(open_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return int(day.timestamp()) * 1000
    origin = _FIRST_MONDAY_MS if interval == "1w" else 0
    return (open_ms - origin) // length * length + origin


def ends_at(open_ms: int, interval: str) -> int:
    """When the candle that began at `open_ms` is complete."""
    if INTERVALS[interval] == _MONTH:
        day = datetime.fromtimestamp(open_ms / 1000, UTC)
        return open_ms + calendar.monthrange(day.year, day.month)[1] * DAY_MS
    return open_ms + INTERVALS[interval]


def joined(minutes: Sequence[Candle], interval: str) -> list[Candle]:
    """Candles of an interval, the last as far as it has come."""
    rows = []
    for open_ms, group in groupby(minutes, key=lambda minute: opened_at(minute.open_time_ms, interval)):
        part = list(group)
        rows.append(
            Candle(
                part[0].symbol,
                open_ms,
                ends_at(open_ms, interval) - open_ms,
                part[0].open,
                max(minute.high for minute in part),
                min(minute.low for minute in part),
                part[-1].close,
                sum(minute.volume for minute in part),
            )
        )
    return rows


def value(instrument: Instrument, row: Candle) -> Decimal:
    """Turnover of a candle, near enough: the exchange keeps none."""
    middle = instrument.ticks_to_price((row.high + row.low) // 2)
    return middle * instrument.steps_to_quantity(row.volume)


def trades_of(row: Candle) -> int:
    """How many trades a candle is said to have."""
    return max(1, row.volume // 100)


def kline_row(instrument: Instrument, row: Candle) -> list[object]:
    """A row of `klines`."""
    tick_places, step_places = decimals(instrument.tick), decimals(instrument.step)
    prices = [
        fixed(instrument.ticks_to_price(ticks), tick_places) for ticks in (row.open, row.high, row.low, row.close)
    ]
    volume, turnover = instrument.steps_to_quantity(row.volume), value(instrument, row)
    return [
        row.open_time_ms,
        *prices,
        fixed(volume, step_places),
        row.close_time_ms - 1,
        fixed(turnover, 5),
        trades_of(row),
        fixed(volume / 2, step_places),
        fixed(turnover / 2, 5),
        "0",
    ]


def kline_event(instrument: Instrument, row: Candle, interval: str, *, is_closed: bool) -> Json:
    """What a `kline` message has under `k`."""
    opened, open_, high, low, close, volume, closes, turnover, trades, taken, taken_value, ignored = kline_row(
        instrument, row
    )
    return {
        "t": opened,
        "T": closes,
        "s": row.symbol,
        "i": interval,
        "f": 1,
        "L": trades,
        "o": open_,
        "c": close,
        "h": high,
        "l": low,
        "v": volume,
        "n": trades,
        "x": is_closed,
        "q": turnover,
        "V": taken,
        "Q": taken_value,
        "B": ignored,
    }
