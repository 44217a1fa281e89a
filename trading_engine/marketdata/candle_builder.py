"""Candles from trades, and closed candles out of the updates of forming ones.

What belongs here: when a candle is closed, whether it is known to be whole, which minutes are missing. What does
not: fetching what is missing, handing candles on (feed), higher intervals (strategy).

A candle is closed when the venue says so or when the next one starts, and never changes afterwards: whatever
comes late is counted and left out. A candle that may lack something (the stream broke, a number is missing, it was
joined midway) is handed out as not whole, for somebody who can ask.
"""

from typing import NamedTuple

from trading_engine.domain.market import Candle
from trading_engine.domain.streams import CandleUpdate, Trade
from trading_engine.domain.time import MINUTE_MS, floor_to


class Built(NamedTuple):
    """A closed candle; `is_whole` where nothing of it can have been missed."""

    candle: Candle
    is_whole: bool


class Progress(NamedTuple):
    """What a trade or an update has closed, oldest first, and the open times of candles nothing is known of."""

    closed: tuple[Built, ...] = ()
    missing: range = range(0)


NOTHING = Progress()


class CandleUpdates:
    """Closed candles of one symbol from the updates of forming ones.

    A candle is whole when the venue has called it final, or when the next one started while the stream was
    unbroken since before it began or since an update of it: updates are cumulative, so the last one counts.

    late   updates of candles that were closed already
    """

    def __init__(self, interval_ms: int = MINUTE_MS) -> None:
        self._interval_ms = interval_ms
        self._forming: CandleUpdate | None = None
        self._is_broken = False
        self._next_ms = 0  # open time of the first candle that is not closed; 0 before the first
        self.late = 0

    def interrupt(self) -> None:
        """The stream broke: until the next update of the forming candle its end may be missed."""
        self._is_broken = True

    def add(self, update: CandleUpdate) -> Progress:
        """Take in an update."""
        open_ms = update.candle.open_time_ms
        if open_ms < self._next_ms:
            self.late += 1
            return NOTHING
        forming = self._forming
        if forming is not None and forming.candle.open_time_ms == open_ms:
            if update.ts_ms < forming.ts_ms and not update.is_final:
                self.late += 1
                return NOTHING
            self._is_broken = False
            return self._take(update, (), range(0))
        expected_ms = self._next_ms or open_ms
        closed: tuple[Built, ...] = ()
        if forming is not None:
            closed = (Built(forming.candle, is_whole=not self._is_broken),)
            expected_ms = forming.candle.open_time_ms + self._interval_ms
        self._is_broken = False
        return self._take(update, closed, range(expected_ms, open_ms, self._interval_ms))

    def _take(self, update: CandleUpdate, closed: tuple[Built, ...], missing: range) -> Progress:
        open_ms = update.candle.open_time_ms
        if update.is_final:
            self._forming = None
            self._next_ms = open_ms + self._interval_ms
            closed = (*closed, Built(update.candle, is_whole=True))
        else:
            self._forming = update
            self._next_ms = open_ms
        return Progress(closed, missing) if closed or missing else NOTHING


class CandleTrades:
    """Candles of one symbol from its trades; minutes without a trade repeat the last close with no volume.

    next_id   number of the first trade of a candle, where it is known; without it the first candle is not whole

    late   trades of closed candles, and trades told twice; `lost` trades that were missed, by their numbers
    """

    def __init__(self, symbol: str, interval_ms: int = MINUTE_MS, next_id: int = 0) -> None:
        self._symbol = symbol
        self._interval_ms = interval_ms
        self._next_id = next_id
        self._is_whole = next_id > 0  # no trade of the forming candle was missed before the last one
        self._in_doubt = False  # and perhaps some after it
        self._open_ms = 0  # of the forming candle, or of the next one; 0 before the first trade
        self._forming: list[int] = []  # open, high, low, close, volume; empty without a trade
        self._close = 0
        self.late = 0
        self.lost = 0

    def interrupt(self) -> None:
        """The stream broke: whether something was missed is told by the number of the next trade."""
        self._in_doubt = True

    def add(self, trade: Trade) -> Progress:
        """Take in a trade."""
        if trade.trade_id < self._next_id:
            self.late += 1
            return NOTHING
        missed = trade.trade_id - self._next_id if self._next_id else 0
        self.lost += missed
        self._next_id = trade.trade_id + 1
        self._in_doubt = False
        if missed:
            self._is_whole = False
        if not trade.is_matched:
            return NOTHING
        open_ms = floor_to(trade.ts_ms, self._interval_ms)
        if open_ms < self._open_ms:
            self.late += 1
            return NOTHING
        progress = NOTHING
        if not self._open_ms:
            self._open_ms = open_ms
        elif open_ms > self._open_ms:
            progress = self._close_before(open_ms, is_unbroken=not missed)
        self._put(trade)
        return progress

    def close_until(self, ts_ms: int) -> Progress:
        """The venue says that all trades before `ts_ms` were told: candles that end by then are closed."""
        open_ms = floor_to(ts_ms, self._interval_ms)
        if not self._open_ms or open_ms <= self._open_ms:
            return NOTHING
        return self._close_before(open_ms, is_unbroken=not self._in_doubt)

    def _put(self, trade: Trade) -> None:
        price, forming = trade.price, self._forming
        if not forming:
            self._forming = [price, price, price, price, trade.quantity]
            return
        forming[1] = max(forming[1], price)
        forming[2] = min(forming[2], price)
        forming[3] = price
        forming[4] += trade.quantity

    def _close_before(self, open_ms: int, *, is_unbroken: bool) -> Progress:
        """Close what ends by `open_ms`, which becomes the open time of the forming candle."""
        closed: list[Built] = []
        from_ms = self._open_ms
        if self._forming:
            opened, high, low, close, volume = self._forming
            candle = Candle(self._symbol, from_ms, self._interval_ms, opened, high, low, close, volume)
            closed.append(Built(candle, is_whole=self._is_whole and is_unbroken))
            self._forming, self._close = [], close
            from_ms += self._interval_ms
        quiet = range(from_ms, open_ms, self._interval_ms)
        self._open_ms = open_ms
        self._is_whole = is_unbroken or self._in_doubt  # a doubt is settled by the number of the next trade
        if not is_unbroken:
            return Progress(tuple(closed), quiet)
        closed.extend(Built(self._flat(at_ms), is_whole=True) for at_ms in quiet)
        return Progress(tuple(closed))

    def _flat(self, open_ms: int) -> Candle:
        return Candle(self._symbol, open_ms, self._interval_ms, self._close, self._close, self._close, self._close, 0)
