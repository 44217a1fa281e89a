"""Which closed candles may be handed on, and which must be asked for first.

What belongs here: what is known of every symbol's next candles, how well it is known, the order in which candles
leave. What does not: asking, waiting, clocks (feed): every method is told the time, so this is pure.

How a candle is known, from worst to best: SEEN on a stream that may have missed its end, WHOLE by the stream's own
account, REST as the venue's history has it. History wins where they differ, unless it holds less volume than the
stream and the close is so fresh that history may not have settled. Once handed on a candle is never changed.

Candles leave instant by instant, oldest first, all symbols of an instant together. A symbol whose candle is not to
be had holds the others up for `grace_ms`; then they go on without it until it has caught up, and its candles
follow in order, each instant for itself: a symbol never skips a candle that the venue has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from trading_engine.domain.market import Candle


class Proof(IntEnum):
    """How well a candle is known."""

    SEEN = 0
    WHOLE = 1
    REST = 2


@dataclass(frozen=True, slots=True)
class Patience:
    """How long candles are waited for, in ms after their close.

    check_every  of so many instants one is compared with REST before it leaves; 1 for each, 0 for none
    check_ms     a whole candle leaves unchecked where REST has not answered by then
    settle_ms    from then on history has the last trades: what the stream has not closed is asked for, and REST's
                 word is final even where it holds less than the stream
    grace_ms     so long the symbols that are ready wait for one that is not
    """

    check_every: int = 1
    check_ms: int = 3_000
    settle_ms: int = 2_000
    grace_ms: int = 10_000


class Difference(NamedTuple):
    """The stream and REST disagree about a candle; `rest` is None where the venue's history has none."""

    seen: Candle
    rest: Candle | None


class Span(NamedTuple):
    """Candles that open in [from_ms, until_ms) are to be asked for; `is_gap` where one of them is missing."""

    from_ms: int
    until_ms: int
    is_gap: bool


@dataclass(slots=True)
class _Symbol:
    """next_ms is the open time of the candle that leaves next; `absent` are those the venue has none for."""

    next_ms: int
    known: dict[int, tuple[Candle, Proof]] = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)


class Assembly:
    """The candles of several symbols on their way out. Each begins with its own `first_ms` (open time)."""

    def __init__(self, interval_ms: int, first_ms: dict[str, int], patience: Patience) -> None:
        self._interval_ms = interval_ms
        self._patience = patience
        self._symbols = {symbol: _Symbol(first_ms[symbol]) for symbol in sorted(first_ms)}
        self._late: set[str] = set()
        self._held: tuple[int, int] | None = None  # an instant that waits, and since when
        self._newest_ms = -1  # open time of the newest candle that has left

    def next_ms(self, symbol: str) -> int:
        """Open time of the candle of a symbol that leaves next."""
        return self._symbols[symbol].next_ms

    def see(self, candle: Candle, *, is_whole: bool) -> None:
        """The stream has closed a candle. Nothing that has left, and nothing better, is replaced."""
        one = self._symbols[candle.symbol]
        proof = Proof.WHOLE if is_whole else Proof.SEEN
        known = one.known.get(candle.open_time_ms)
        if candle.open_time_ms >= one.next_ms and (known is None or known[1] < proof):
            one.known[candle.open_time_ms] = (candle, proof)
            one.absent.discard(candle.open_time_ms)

    def wanted(self, symbol: str, now_ms: int) -> Span | None:
        """What REST is to be asked for at once; None for nothing."""
        one = self._symbols[symbol]
        open_ms, from_ms, until_ms, is_gap = one.next_ms, -1, -1, False
        while open_ms + self._interval_ms <= now_ms or open_ms in one.known:
            age_ms = now_ms - open_ms - self._interval_ms
            known = one.known.get(open_ms)
            is_missing = (known is None or known[1] is Proof.SEEN) and open_ms not in one.absent
            is_missing = is_missing and age_ms >= self._patience.settle_ms
            is_unchecked = known is not None and known[1] is Proof.WHOLE and self._is_checked(open_ms)
            if is_missing or (is_unchecked and age_ms < self._patience.check_ms):
                from_ms = open_ms if from_ms < 0 else from_ms
                until_ms = open_ms + self._interval_ms
                is_gap = is_gap or is_missing
            open_ms += self._interval_ms
        return Span(from_ms, until_ms, is_gap) if from_ms >= 0 else None

    def take_history(self, symbol: str, span: Span, candles: Iterable[Candle], now_ms: int) -> tuple[Difference, ...]:
        """REST has answered what was asked; what differs from what the stream said, oldest first."""
        one = self._symbols[symbol]
        found = {candle.open_time_ms: candle for candle in candles}
        newest_ms = max(found, default=-1)
        differences: list[Difference] = []
        for open_ms in range(max(span.from_ms, one.next_ms), span.until_ms, self._interval_ms):
            is_settled = now_ms >= open_ms + self._interval_ms + self._patience.settle_ms
            candle, known = found.get(open_ms), one.known.get(open_ms)
            if candle is None:
                # History that reaches beyond a candle without having it never will.
                if is_settled and newest_ms > open_ms:
                    one.known.pop(open_ms, None)
                    one.absent.add(open_ms)
                    if known is not None:
                        differences.append(Difference(known[0], None))
            elif is_settled or (known is not None and candle.volume >= known[0].volume):
                one.known[open_ms] = (candle, Proof.REST)
                if known is not None and known[1] is Proof.WHOLE and known[0] != candle:
                    differences.append(Difference(known[0], candle))
        return tuple(differences)

    def release(self, now_ms: int) -> list[tuple[Candle, ...]]:
        """What may leave now: one sequence an instant, oldest first, symbols in order of name."""
        batches: list[tuple[Candle, ...]] = []
        while True:
            self._pass_absent()
            ready = [symbol for symbol, one in self._symbols.items() if self._may_leave(one, now_ms)]
            if not ready:
                return batches
            open_ms = min(self._symbols[symbol].next_ms for symbol in ready)
            if self._is_held(open_ms, ready, now_ms):
                return batches
            leaving = [symbol for symbol in ready if self._symbols[symbol].next_ms == open_ms]
            batches.append(tuple(self._leave(symbol) for symbol in leaving))

    @property
    def laggards(self) -> tuple[str, ...]:
        """Symbols that the others do not wait for any more, until they have caught up."""
        return tuple(sorted(self._late))

    def _is_held(self, open_ms: int, ready: Sequence[str], now_ms: int) -> bool:
        """An instant waits for symbols that are not so far, but not for ever; those are laggards then."""
        behind = {symbol for symbol, one in self._symbols.items() if one.next_ms <= open_ms and symbol not in ready}
        behind -= self._late
        if behind:
            if self._held is None or self._held[0] != open_ms:
                self._held = (open_ms, max(now_ms, open_ms + self._interval_ms))
            if now_ms < self._held[1] + self._patience.grace_ms:
                return True
            self._late |= behind
        self._held = None
        return False

    def _is_checked(self, open_ms: int) -> bool:
        every = self._patience.check_every
        return every > 0 and open_ms // self._interval_ms % every == 0

    def _may_leave(self, one: _Symbol, now_ms: int) -> bool:
        known = one.known.get(one.next_ms)
        if known is None or known[1] is Proof.SEEN:
            return False
        if known[1] is Proof.REST or not self._is_checked(one.next_ms):
            return True
        return now_ms >= one.next_ms + self._interval_ms + self._patience.check_ms

    def _leave(self, symbol: str) -> Candle:
        one = self._symbols[symbol]
        candle, _ = one.known.pop(one.next_ms)
        self._newest_ms = max(self._newest_ms, one.next_ms)
        one.next_ms += self._interval_ms
        if one.next_ms > self._newest_ms:
            self._late.discard(symbol)
        return candle

    def _pass_absent(self) -> None:
        for one in self._symbols.values():
            while one.next_ms in one.absent:
                one.absent.remove(one.next_ms)
                one.next_ms += self._interval_ms
