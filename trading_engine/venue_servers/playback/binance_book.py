"""The recorded book of a symbol as the server's clients may ask for it, and its way from one turn to the next.

What belongs here: following the recorded changes, showing levels, the change that leads from the end of a turn to
the begin of the next one. What does not: who is told (binance).

A client that was in step at the end of a turn stays in step: changes recorded before the book's snapshot are told in
the first turn only, and in front of the first one after it stands a change that replaces every level.
"""

from collections.abc import Iterable

from trading_engine.domain.streams import DepthChange, DepthSnapshot
from trading_engine.marketdata.book import LocalBook, Verdict
from trading_engine.venue_servers.binance.book import Levels
from trading_engine.venue_servers.binance.shapes import Json, decimals, fixed
from trading_engine.venue_servers.playback.binance_facts import Facts
from trading_engine.venues.binance.market import MarketDecoder

_ALL = 1 << 40
_Side = list[tuple[int, int]]


class RecordedBook:
    """The book behind every copy of a recorded symbol. Numbers are those of the turn that is played.

    last_ticks  not 0: there is nothing to be made up
    """

    def __init__(self, facts: Facts) -> None:
        self._instrument = facts.instrument
        self._symbol = facts.instrument.symbol
        self._decoder = MarketDecoder([facts.instrument])
        self._updates = facts.shift.updates
        self._local = LocalBook(self._symbol)
        self._first = self._decoder.snapshot(self._symbol, facts.snapshot) if facts.snapshot else None
        self._shift = 0
        self._told_id = 0  # the last number that was told, in its turn's numbering
        self._left: tuple[_Side, _Side] | None = None  # levels at the end of the turn before, until they are replaced
        self.last_ticks = 1

    @property
    def update_id(self) -> int:
        """The number of the last change in what is shown."""
        return self._shown().last_id + self._shift

    def move(self, last_ticks: int) -> None:
        """A recorded book does not follow a price."""
        del last_ticks

    def top(self, limit: int) -> tuple[Levels, Levels]:
        """Bids and asks, the best first, so many of each; before the first snapshot came, those of the snapshot."""
        shown = self._shown()
        return self._texts(shown.bids[:limit]), self._texts(shown.asks[:limit])

    def _shown(self) -> DepthSnapshot:
        if self._left is not None:
            return DepthSnapshot(self._symbol, self._told_id - self._shift, 0, *self._left)
        if self._local.is_synced or self._first is None:
            local = self._local
            return DepthSnapshot(self._symbol, local.last_id, local.ts_ms, local.bids(_ALL), local.asks(_ALL))
        return self._first

    def turn(self, number: int) -> None:
        """The tape begins again."""
        if self._local.is_synced:
            self._left = self._local.bids(_ALL), self._local.asks(_ALL)
        self._local.drop()
        self._shift = number * self._updates

    def restore(self, raw: bytes) -> None:
        """A recorded snapshot has come."""
        self._local.restore(self._decoder.snapshot(self._symbol, raw))

    def apply(self, raw: bytes, now_ms: int) -> tuple[bool, Json | None]:
        """A recorded change has come: whether it is told, and what is told in front of it."""
        change = self._decoder.decode(raw)
        if not isinstance(change, DepthChange):
            return False, None
        bridge = None
        if self._left is not None:
            if not self._local.is_synced or change.last_id <= self._local.last_id:
                self._local.apply(change)
                return False, None
            bridge = self._bridge(change, self._left, now_ms)
            self._left = None
        is_told = self._local.apply(change) is not Verdict.OLD
        if is_told:
            self._told_id = change.last_id + self._shift
        return is_told, bridge

    def _bridge(self, change: DepthChange, left: tuple[_Side, _Side], now_ms: int) -> Json:
        """The change from the end of the turn before to what stands before `change`."""
        bids, asks = self._local.bids(_ALL), self._local.asks(_ALL)
        return {
            "e": "depthUpdate",
            "E": now_ms,
            "T": now_ms,
            "s": self._symbol,
            "U": self._told_id + 1,
            "u": change.previous_id + self._shift,
            "pu": self._told_id,
            "b": self._texts(_difference(left[0], bids)),
            "a": self._texts(_difference(left[1], asks)),
        }

    def _texts(self, levels: Iterable[tuple[int, int]]) -> Levels:
        tick, step = decimals(self._instrument.tick), decimals(self._instrument.step)
        to_price, to_quantity = self._instrument.ticks_to_price, self._instrument.steps_to_quantity
        return [[fixed(to_price(price), tick), fixed(to_quantity(quantity), step)] for price, quantity in levels]


def _difference(before: _Side, after: _Side) -> _Side:
    """What must be told to somebody who has `before`: levels that go, with 0, and those that are other or new."""
    now, then = dict(after), dict(before)
    gone = [(price, 0) for price, _ in before if price not in now]
    return gone + [(price, quantity) for price, quantity in after if then.get(price) != quantity]
