"""Instants and boundaries: whole milliseconds since 1970-01-01 UTC. Reads no clock.

What belongs here: arithmetic on instants and their text form. What does not: the present (system.clock).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(ts_ms: int, day_start_ms: int = 0) -> str:
    """The trading day (`YYYY-MM-DD`) an instant belongs to; `day_start_ms` after midnight UTC begins a day."""
    return _day_name((ts_ms - day_start_ms) // DAY_MS)


@lru_cache(maxsize=64)
def _day_name(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).strftime("%Y-%m-%d")


def next_day_ms(ts_ms: int, day_start_ms: int = 0) -> int:
    """The instant at which the trading day after that of `ts_ms` begins."""
    return ((ts_ms - day_start_ms) // DAY_MS + 1) * DAY_MS + day_start_ms


def floor_to(ts_ms: int, interval_ms: int) -> int:
    """The start of the UTC-aligned interval that contains `ts_ms`."""
    return ts_ms - ts_ms % interval_ms


def round_to_minute(ts_ms: int) -> int:
    """The nearest full minute; venues stamp settlements a few milliseconds late."""
    return (ts_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS


def iso(ts_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds: `2025-05-04T00:00:00.000Z`."""
    moment = _EPOCH + timedelta(milliseconds=ts_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ts_ms % 1000:03d}Z"


def parse_iso(text: str) -> int:
    """The instant named by an ISO 8601 date or time; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def interval_name(interval_ms: int) -> str:
    """`60000` as `1m`, `3600000` as `1h`, `86400000` as `1d`."""
    for unit_ms, unit in ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s")):
        if interval_ms % unit_ms == 0:
            return f"{interval_ms // unit_ms}{unit}"
    return f"{interval_ms}ms"
