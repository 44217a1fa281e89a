"""Candles by asking: each once, in order, whole minutes together, whatever fails in between."""

import asyncio
from collections.abc import Sequence

import pytest

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import Candle
from trading_engine.marketdata.feed import Notice, NoticeKind
from trading_engine.marketdata.polling import PATIENCE_MS, SETTLE_MS, STALE_MS, PollingFeed

MINUTE = 60_000
START = 1_746_316_800_000
BTC, ETH = "BTCUSDT", "ETHUSDT"


class Enough(Exception):
    """The test has seen what it wanted."""


class Market:
    """A venue's history on a clock that moves when somebody sleeps."""

    def __init__(self, symbols: Sequence[str] = (BTC, ETH)) -> None:
        self.time_ms = START + 200
        self.ends_ms = START + 10 * MINUTE
        self.missing: set[tuple[str, int]] = set()
        self.broken_until: dict[str, int] = {}
        self.questions: list[tuple[str, int, int]] = []
        self.told: list[tuple[Candle, ...]] = []
        self.notices: list[Notice] = []
        self.feed = PollingFeed(self, symbols, self, START, self._sleep, self.notices.append)
        self.feed.subscribe(lambda candles: self.told.append(tuple(candles)))

    def now_ms(self) -> int:
        """The clock of the test."""
        return self.time_ms

    async def _sleep(self, seconds: float) -> None:
        self.time_ms += round(seconds * 1000)
        if self.time_ms > self.ends_ms:
            raise Enough

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """What has closed, unless the test broke it."""
        self.questions.append((symbol, since_ms, until_ms))
        if self.time_ms < self.broken_until.get(symbol, 0):
            raise VenueUnavailable("no answer")
        closed = range(since_ms, min(until_ms, self.time_ms - MINUTE + 1), interval_ms)
        return [
            Candle(symbol, open_ms, MINUTE, 1, 1, 1, 1, 1)
            for open_ms in closed
            if (symbol, open_ms) not in self.missing
        ]

    def run(self, minutes: int) -> list[tuple[tuple[str, int], ...]]:
        """What was told in so many minutes: symbol and number of the minute."""
        self.ends_ms = START + minutes * MINUTE + SETTLE_MS + 100
        with pytest.raises(Enough):
            asyncio.run(self.feed.run())
        return [tuple((one.symbol, (one.open_time_ms - START) // MINUTE) for one in batch) for batch in self.told]


def test_every_minute_is_told_once_with_all_symbols() -> None:
    """In order, a moment after it has closed, with one question a symbol."""
    market = Market()
    assert [((BTC, n), (ETH, n)) for n in range(3)] == market.run(3)
    assert 6 == len(market.questions)


def test_a_venue_that_fails_for_minutes_leaves_no_gap() -> None:
    """What was missed is asked for at once when it answers again, oldest first."""
    market = Market()
    market.broken_until = {BTC: START + 3 * MINUTE, ETH: START + 3 * MINUTE}
    assert [((BTC, n), (ETH, n)) for n in range(4)] == market.run(4)


def test_one_symbol_that_fails_holds_the_others_back_for_a_while_only() -> None:
    """A minute is told whole where that is a matter of seconds."""
    market = Market()
    market.broken_until = {ETH: START + MINUTE + 10_000}
    assert [((BTC, 0), (ETH, 0)), ((BTC, 1), (ETH, 1))] == market.run(2)
    slow = Market()
    slow.broken_until = {ETH: START + MINUTE + PATIENCE_MS + 15_000}
    assert [((BTC, 0),), ((BTC, 1), (ETH, 1))] == slow.run(2)


def test_a_minute_without_trades_of_one_symbol_is_told_without_it() -> None:
    """And is never told afterwards."""
    market = Market()
    market.missing = {(ETH, START + MINUTE)}
    assert [((BTC, 0), (ETH, 0)), ((BTC, 1),), ((BTC, 2), (ETH, 2))] == market.run(3)


def test_the_age_of_the_data_grows_while_nothing_comes() -> None:
    """By symbol: that a question is answered proves nothing."""
    market = Market()
    market.broken_until = {ETH: START + 99 * MINUTE}
    market.run(3)
    ages = market.feed.data_age_ms()
    assert ages[BTC] < MINUTE + SETTLE_MS + 1_000
    assert ages[ETH] >= ages[BTC]


def test_a_symbol_without_candles_is_stale_although_the_others_go_on() -> None:
    """Told once when it begins and once when it ends."""
    market = Market()
    market.broken_until = {ETH: START + 5 * MINUTE}
    market.run(7)
    assert [(NoticeKind.STALE, ETH), (NoticeKind.FRESH, ETH)] == [(one.kind, one.symbol) for one in market.notices]
    assert START + STALE_MS <= market.notices[0].ts_ms < START + 3 * MINUTE


def test_warm_up_gives_closed_candles_and_what_follows_joins_on() -> None:
    """As a feed on a stream does it."""
    market = Market()
    market.time_ms = START + 3 * MINUTE + 2_000
    warm = asyncio.run(market.feed.open({BTC: 2}))
    assert [START + MINUTE, START + 2 * MINUTE] == [candle.open_time_ms for candle in warm[BTC]]
    assert () == warm[ETH]
    assert [((BTC, n), (ETH, n)) for n in (3, 4)] == market.run(5)
