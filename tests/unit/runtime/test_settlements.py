"""Funding of a live market: asked for when an hour has passed, announced rates where nobody answers."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import FundingRate
from trading_engine.domain.streams import MarkPrice
from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.runtime.settlements import Settlements

BTC, ETH = "BTCUSDT", "ETHUSDT"
EIGHT = 1_746_316_800_000 + 8 * HOUR_MS
PAID = Decimal("0.0001")


class History:
    """A venue that settles at eight, and may be down."""

    def __init__(self) -> None:
        self.is_down = False
        self.asked: list[tuple[str, int, int]] = []

    async def settlements(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[FundingRate]:
        """What was settled in the span."""
        self.asked.append((symbol, since_ms, until_ms))
        if self.is_down:
            raise VenueUnavailable("no answer")
        return [FundingRate(symbol, EIGHT, PAID)] if since_ms <= EIGHT < until_ms else []


async def no_wait(seconds: float) -> None:
    del seconds


def settlements(history: History, symbols: Sequence[str] = (BTC,)) -> Settlements:
    return Settlements(history, symbols, EIGHT - 10 * MINUTE_MS, no_wait)


def collect(item: Settlements, *minutes: int) -> list[FundingRate]:
    """What is charged at these minutes from eight on."""
    charged: list[FundingRate] = []
    for minute in minutes:
        asyncio.run(item.collect(EIGHT + minute * MINUTE_MS))
        charged += item.take(EIGHT + minute * MINUTE_MS)
    return charged


def announce(item: Settlements, rate: str, ts_ms: int = EIGHT) -> None:
    price = Decimal(50_000)
    item.on_market(MarkPrice(BTC, ts_ms - MINUTE_MS, price, price, Decimal(rate), ts_ms))


def test_a_settlement_is_charged_once_at_its_own_instant() -> None:
    """History is asked when the hour is over, and not each minute."""
    history = History()
    item = settlements(history, (BTC, ETH))
    charged = collect(item, -2, -1, 0, 1, 2)
    assert [FundingRate(BTC, EIGHT, PAID), FundingRate(ETH, EIGHT, PAID)] == charged
    assert [BTC, ETH] == [symbol for symbol, _, _ in history.asked]


def test_history_counts_and_not_what_was_announced() -> None:
    """An announcement is an estimate until the instant."""
    item = settlements(History())
    announce(item, "0.0009")
    assert [PAID] == [rate.rate for rate in collect(item, 0)]


def test_where_history_is_down_the_last_announcement_is_charged() -> None:
    """Once: when history is back it is not charged again."""
    history = History()
    history.is_down = True
    item = settlements(history)
    announce(item, "0.0005")
    announce(item, "0.0007")
    announce(item, "0.0002", EIGHT + 8 * HOUR_MS)
    assert [FundingRate(BTC, EIGHT, Decimal("0.0007"))] == collect(item, 0)
    history.is_down = False
    assert [] == collect(item, 1, 2)


def test_what_nobody_tells_is_charged_when_somebody_does() -> None:
    """Late, at its own instant."""
    history = History()
    history.is_down = True
    item = settlements(history)
    assert [] == collect(item, 0, 1)
    history.is_down = False
    assert [FundingRate(BTC, EIGHT, PAID)] == collect(item, 2)


def test_a_market_that_begins_on_the_hour_charges_that_hour() -> None:
    """A position that was held over the restart owes it."""
    item = Settlements(History(), (BTC,), EIGHT - 1, no_wait)
    assert [EIGHT] == [rate.ts_ms for rate in collect(item, 0)]
