"""Filters: what may keep a strategy's signal from becoming an entry, and why.

What belongs here: one small value a filter, its question and its answer. What does not: which filters stand before
which strategy (config), what becomes of a refused signal (core). Exits are never filtered.

A filter sees the entry that is asked for and trailing candles, the same number of them live and in history. What it
cannot judge for want of candles it refuses: a filter that is switched on and cannot look is no filter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from trading_engine.domain.market import Side
from trading_engine.domain.time import DAY_MS, MINUTE_MS, interval_name, iso
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import FloatArray, Series

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Need(NamedTuple):
    """Trailing closed candles that a filter looks at; `symbol` is empty for the signal's own."""

    symbol: str
    interval_ms: int
    candles: int


class Entry(NamedTuple):
    """An entry as a filter sees it.

    close              close of the signal's candle, quote currency; stop and target are counted from it
    stop_distance      > 0
    target_distance    0 for none
    closed_ms          when the signal's candle closed
    """

    side: Side
    close: float
    stop_distance: float
    target_distance: float
    closed_ms: int


Look = Callable[[Need], Series]


class Filter(Protocol):
    """A named question about an entry; a frozen value whose fields are its settings."""

    @property
    def name(self) -> str:
        """How a refusal begins."""

    @property
    def needs(self) -> Sequence[Need]:
        """The candles it will ask `look` for."""

    def against(self, entry: Entry, look: Look) -> str:
        """Why the entry is refused, empty where it is not."""


@dataclass(frozen=True, slots=True)
class TrendFilter:
    """Longs above, shorts below the EMA(period) of the closed candles of `interval_ms`.

    Of the signal's own symbol the signal's close is compared; of a reference `symbol` the close of the last of
    those candles, which must not be older than two of them. Judged as soon as `period` candles are known: an EMA
    of little more than its period still leans on where its history begins.
    """

    interval_ms: int = DAY_MS
    period: int = 200
    symbol: str = ""

    @property
    def name(self) -> str:
        """`trend`, or `reference` of another symbol."""
        return "reference" if self.symbol else "trend"

    @property
    def needs(self) -> Sequence[Need]:
        """As many as the EMA remembers."""
        return (Need(self.symbol, self.interval_ms, ta.ema_window(self.period)),)

    def against(self, entry: Entry, look: Look) -> str:
        """A price on the wrong side of the average, or one that is not known."""
        candles = look(self.needs[0])
        of = f"{self.symbol} " if self.symbol else ""
        average = f"{of}{interval_name(self.interval_ms)} EMA({self.period})"
        if len(candles) < self.period:
            return f"{average} is not known yet ({len(candles)} of {self.period} candles)"
        if self.symbol and int(candles.close_times[-1]) + 2 * self.interval_ms <= entry.closed_ms:
            return f"{average} is too old: no candle since {iso(int(candles.close_times[-1]))}"
        price = float(candles.close[-1]) if self.symbol else entry.close
        level = float(ta.ema(candles.close, self.period)[-1])
        if _exceeds(price, level) if entry.side is Side.LONG else _exceeds(level, price):
            return ""
        wanted = "above" if entry.side is Side.LONG else "below"
        return f"{entry.side} while the price {price:.8g} is not {wanted} the {average} of {level:.8g}"


@dataclass(frozen=True, slots=True)
class VolatilityFilter:
    """No entry while ATR(period) is above `most` × its mean of `mean_period` candles, the last included."""

    interval_ms: int
    period: int = 14
    mean_period: int = 100
    most: float = 2.0

    @property
    def name(self) -> str:
        """`volatility`."""
        return "volatility"

    @property
    def needs(self) -> Sequence[Need]:
        """Enough for each ATR of the mean to have forgotten its start."""
        return (Need("", self.interval_ms, ta.wilder_window(self.period) + self.mean_period),)

    def against(self, entry: Entry, look: Look) -> str:
        """An ATR far above the usual one."""
        del entry
        candles = look(self.needs[0])
        usual = _last(ta.sma(_known(ta.atr(candles, self.period)), self.mean_period))
        if np.isnan(usual):
            return _too_few(f"mean ATR({self.period})", candles, self.period + self.mean_period)
        now = _last(ta.atr(candles, self.period))
        if not _exceeds(now, self.most * usual):
            return ""
        return f"ATR({self.period}) of {now:.6g} is above {self.most:g} × its mean of {usual:.6g}"


@dataclass(frozen=True, slots=True)
class VolumeFilter:
    """No entry while the volume is below `least` × its mean of `period` candles, the last included."""

    interval_ms: int
    period: int = 20
    least: float = 0.8

    @property
    def name(self) -> str:
        """`volume`."""
        return "volume"

    @property
    def needs(self) -> Sequence[Need]:
        """The candles of the mean."""
        return (Need("", self.interval_ms, self.period),)

    def against(self, entry: Entry, look: Look) -> str:
        """A volume far below the usual one, or none."""
        del entry
        candles = look(self.needs[0])
        usual = _last(ta.sma(candles.volume, self.period))
        if np.isnan(usual):
            return _too_few("mean volume", candles, self.period)
        now = _last(candles.volume)
        if now > 0 and not _exceeds(self.least * usual, now):
            return ""
        return f"a volume of {now:.6g} is below {self.least:g} × its mean of {usual:.6g}"


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Entries only within `hours` and on `weekdays`, judged by the UTC time at which the signal's candle closed.

    hours      (first, end) minutes of the day, the end excluded, past midnight where it does not come after the first
    weekdays   0 for Monday to 6 for Sunday

    Where there are none of a kind, all are meant.
    """

    hours: tuple[tuple[int, int], ...] = ()
    weekdays: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """`session`."""
        return "session"

    @property
    def needs(self) -> Sequence[Need]:
        """No candles."""
        return ()

    def against(self, entry: Entry, look: Look) -> str:
        """Another hour, or another day."""
        del look
        day, weekday_ms = divmod(entry.closed_ms, DAY_MS)
        minute, weekday = weekday_ms // MINUTE_MS, (day + _EPOCH_WEEKDAY) % 7
        if self.weekdays and weekday not in self.weekdays:
            return f"no entries on a {_WEEKDAYS[weekday]}"
        if self.hours and not any(_within(minute, first, end) for first, end in self.hours):
            return f"no entries at {minute // 60:02d}:{minute % 60:02d} UTC"
        return ""


@dataclass(frozen=True, slots=True)
class RewardRiskFilter:
    """No entry whose target is closer than `least` × the distance of its stop, or that has no target."""

    least: float = 1.5

    @property
    def name(self) -> str:
        """`reward_risk`."""
        return "reward_risk"

    @property
    def needs(self) -> Sequence[Need]:
        """No candles."""
        return ()

    def against(self, entry: Entry, look: Look) -> str:
        """A target that is not worth the stop."""
        del look
        if not entry.target_distance:
            return f"no target, and a reward of {self.least:g} × the risk is asked for"
        if _exceeds(self.least * entry.stop_distance, entry.target_distance):
            ratio = entry.target_distance / entry.stop_distance
            return f"the reward is {ratio:.3g} × the risk, less than {self.least:g}"
        return ""


def refusals(filters: Sequence[Filter], entry: Entry, look: Look) -> tuple[str, ...]:
    """Every reason against an entry, each with the name of its filter; empty where it may go on."""
    answers = ((each.name, each.against(entry, look)) for each in filters)
    return tuple(f"{name}: {answer}" for name, answer in answers if answer)


def widest(filters: Sequence[Filter], own: str) -> Mapping[str, Mapping[int, int]]:
    """The candles that these filters of a signal on the symbol `own` need, by symbol and interval."""
    found: dict[str, dict[int, int]] = {}
    for need in (need for each in filters for need in each.needs):
        of_symbol = found.setdefault(need.symbol or own, {})
        of_symbol[need.interval_ms] = max(need.candles, of_symbol.get(need.interval_ms, 0))
    return found


def _within(minute: int, first: int, end: int) -> bool:
    return first <= minute < end if first < end else minute >= first or minute < end


def _exceeds(left: float, right: float) -> bool:
    """Whether left > right by more than rounding noise; false for NaN."""
    return left - right > ta.TOLERANCE * max(abs(left), abs(right))


def _last(values: FloatArray) -> float:
    return float(values[-1]) if len(values) else float("nan")


def _known(values: FloatArray) -> FloatArray:
    """The values from the first number on: TA-Lib begins its sums there."""
    known: FloatArray = values[np.isnan(values).sum() :]
    return known


def _too_few(what: str, candles: Series, wanted: int) -> str:
    return f"the {what} is not known yet ({len(candles)} of {wanted} candles of {interval_name(candles.interval_ms)})"
