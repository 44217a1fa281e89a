"""A local order book: one snapshot, then every change in sequence, or no book at all.

What belongs here: applying snapshots and changes, noticing a gap, reading levels. What does not: fetching a
snapshot (a venue), figures computed from the book.

    change ──▶ WAITING ── snapshot ──▶ APPLIED … APPLIED ── a gap, or crossed ──▶ WAITING

A change covers the ids in (previous_id, last_id]. The first one after a snapshot must cover the snapshot's id or
begin right at it; each later one must begin where the one before has ended. Ids in between may be missing: venues
number the changes of all symbols together, so "first_id is last_id + 1" is no rule. Anything else means that a
change was missed, and a book with a hole is not shown.

Speed: a dictionary of quantities and a sorted list of prices on each side, the best at the end of the list, so
that changes near the best price move little. Asks are kept as negative prices: both sides are one code.
"""

from bisect import bisect_left, insort
from collections import deque
from enum import Enum, auto

from trading_engine.domain.streams import DepthChange, DepthSnapshot, Levels

MOST_WAITING = 2_000  # changes kept for a snapshot that is on its way: minutes of them


class Verdict(Enum):
    """What became of a snapshot or a change."""

    APPLIED = auto()
    OLD = auto()  # already contained: nothing to do
    WAITING = auto()  # kept until a snapshot comes
    GAP = auto()  # a change was missed: the book is empty until the next snapshot
    CROSSED = auto()  # bids met asks, so something was wrong: as a gap


class LocalBook:
    """The book of one symbol. Levels beyond those of the snapshot are known only where they have changed since.

    restarts   how often the book was given up because of a gap or because it was crossed
    """

    __slots__ = ("_asks", "_bids", "_is_joined", "_waiting", "is_synced", "last_id", "restarts", "symbol", "ts_ms")

    def __init__(self, symbol: str, most_waiting: int = MOST_WAITING) -> None:
        self.symbol = symbol
        self.is_synced = False
        self.last_id = 0
        self.ts_ms = 0
        self.restarts = 0
        self._is_joined = False  # a change was applied since the snapshot
        self._bids = _Half(1)
        self._asks = _Half(-1)
        self._waiting: deque[DepthChange] = deque(maxlen=most_waiting)

    def apply(self, change: DepthChange) -> Verdict:
        """Take in a change: applied in sequence, kept while a snapshot is missing, or the end of this book."""
        if not self.is_synced:
            self._waiting.append(change)
            return Verdict.WAITING
        if change.previous_id != self.last_id:
            if change.last_id <= self.last_id:
                return Verdict.OLD
            # Only the first change after a snapshot may reach back behind it.
            if self._is_joined or change.previous_id > self.last_id:
                return self._restart(change, Verdict.GAP)
        return self._set(change)

    def restore(self, snapshot: DepthSnapshot) -> Verdict:
        """Begin anew from a snapshot and the changes that wait.

        APPLIED: the book is there. GAP: the snapshot is older than what was kept, or what was kept has a hole;
        fetch another one. OLD: the book is there already and newer.
        """
        if self.is_synced and snapshot.last_id <= self.last_id:
            return Verdict.OLD
        waiting = list(self._waiting)
        self._waiting.clear()
        self._bids.fill(snapshot.bids)
        self._asks.fill(snapshot.asks)
        self.last_id, self.ts_ms = snapshot.last_id, snapshot.ts_ms
        self.is_synced, self._is_joined = True, False
        for number, change in enumerate(waiting):
            verdict = self.apply(change)
            if verdict in (Verdict.GAP, Verdict.CROSSED):
                self._waiting.extend(waiting[number + 1 :])
                return verdict
        return Verdict.APPLIED

    def drop(self) -> None:
        """Forget everything: the stream was interrupted."""
        self.is_synced = False
        self.last_id = 0
        self._bids.fill(())
        self._asks.fill(())
        self._waiting.clear()

    def best_bid(self) -> tuple[int, int] | None:
        """Highest bid and its quantity; None without bids or without a book."""
        return self._bids.best()

    def best_ask(self) -> tuple[int, int] | None:
        """Lowest ask and its quantity; None without asks or without a book."""
        return self._asks.best()

    def bids(self, count: int) -> list[tuple[int, int]]:
        """The best `count` bids, highest first; fewer where there are fewer."""
        return self._bids.top(count)

    def asks(self, count: int) -> list[tuple[int, int]]:
        """The best `count` asks, lowest first; fewer where there are fewer."""
        return self._asks.top(count)

    def _set(self, change: DepthChange) -> Verdict:
        bids, asks = self._bids, self._asks
        bids.set(change.bids)
        asks.set(change.asks)
        self.last_id, self.ts_ms = change.last_id, change.ts_ms
        self._is_joined = True
        if bids.keys and asks.keys and bids.keys[-1] >= -asks.keys[-1]:
            return self._restart(None, Verdict.CROSSED)
        return Verdict.APPLIED

    def _restart(self, change: DepthChange | None, why: Verdict) -> Verdict:
        self.restarts += 1
        self.drop()
        if change is not None:
            self._waiting.append(change)
        return why


class _Half:
    """One side: `keys` are prices times `sign`, ascending, so the best is last."""

    __slots__ = ("keys", "quantities", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.quantities: dict[int, int] = {}

    def fill(self, levels: Levels) -> None:
        self.quantities = {price * self.sign: quantity for price, quantity in levels if quantity}
        self.keys = sorted(self.quantities)

    def set(self, levels: Levels) -> None:
        keys, quantities, sign = self.keys, self.quantities, self.sign
        for price, quantity in levels:
            key = price * sign
            if quantity:
                if key not in quantities:
                    insort(keys, key)
                quantities[key] = quantity
            elif quantities.pop(key, 0):  # a level that is not known may be removed: nothing to do
                del keys[bisect_left(keys, key)]

    def best(self) -> tuple[int, int] | None:
        if not self.keys:
            return None
        key = self.keys[-1]
        return key * self.sign, self.quantities[key]

    def top(self, count: int) -> list[tuple[int, int]]:
        return [(key * self.sign, self.quantities[key]) for key in self.keys[: -count - 1 : -1]]
