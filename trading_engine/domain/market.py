"""What the market says: closed candles, funding rates, signals derived from candles.

What belongs here: immutable market values. What does not: how they are fetched (marketdata), series of
them (strategy works on arrays), what follows from them (core).
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Side(StrEnum):
    """Direction of a position or of the exposure a signal asks for."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for long, −1 for short."""
        return 1 if self is Side.LONG else -1


class Candle(NamedTuple):
    """One closed candle in the instrument's own integers.

    Prices are ticks and the volume is steps (rounded down), so nothing downstream meets a float. The
    candle covers [open_time_ms, open_time_ms + interval_ms).
    """

    symbol: str
    open_time_ms: int
    interval_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    @property
    def close_time_ms(self) -> int:
        """The instant at which the candle is complete and the next one begins."""
        return self.open_time_ms + self.interval_ms


class FundingRate(NamedTuple):
    """A settlement: at `ts_ms` longs pay `rate` × notional to shorts (negative: the reverse)."""

    symbol: str
    ts_ms: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Signal:
    """What a strategy asks for on the close of one candle.

    side            desired direction, or None where only an exit is asked for
    confidence      in [0, 1], mean of the margins of the conditions
    close_ticks     close of the signal's candle, ticks; stop and target are counted from it
    stop_ticks      distance of the stop from the close, ticks, > 0 (0 where side is None, or where it is refused)
    target_ticks    distance of the target from the close, ticks, 0 for none
    exit_side       side of a position of this strategy to close (early exit), None for none
    candle_ts_ms    open time of the signal's candle: strategy, symbol and this are unique
    explanation     the values that explain it, as (name, text) pairs
    atr_mticks      average true range of the strategy's own candles, thousandths of a tick, 0 where nobody asks
    refusals        what is against the entry, each with the filter's name, or `stop` or `target` where that can be
                    none; an exit is never refused
    """

    strategy: str
    symbol: str
    side: Side | None
    confidence: float
    close_ticks: int
    stop_ticks: int
    target_ticks: int
    candle_ts_ms: int
    tag: str = ""
    exit_side: Side | None = None
    explanation: tuple[tuple[str, str], ...] = ()
    refusals: tuple[str, ...] = ()
    atr_mticks: int = 0
