"""An emergency close at a venue that answers badly: nothing is sent twice in haste."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import cast

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderReport, OrderRequest
from trading_engine.domain.reports import Outcome, Unknown, VenuePosition
from trading_engine.ports import Venue
from trading_engine.runtime.emergency import LONGEST_CLOSE_MS, Flattening
from trading_engine.venues.embedded.venue import CAPABILITIES

BTC = "BTCUSDT"


@dataclass
class Mute:
    """It shows a position, takes orders without a word, and cannot say what became of them."""

    now: int = 0
    sent_ms: list[int] = field(default_factory=list)
    capabilities = CAPABILITIES

    def now_ms(self) -> int:
        """The present instant."""
        return self.now

    async def pause(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds

    async def open_orders(self) -> Sequence[OrderReport]:
        """None is shown."""
        return []

    async def positions(self) -> Sequence[VenuePosition]:
        """One, which stays."""
        one = Decimal(1)
        return [VenuePosition(BTC, Side.LONG, one, Decimal(50_000), Decimal(50_000), None, one)]

    async def submit(self, request: OrderRequest) -> Outcome:
        """No answer."""
        assert request.reduce_only
        self.sent_ms.append(self.now)
        return Unknown("no answer")

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """No answer either."""
        raise VenueUnavailable(f"{symbol} {client_order_id}: no answer")


def test_a_close_that_cannot_be_asked_after_is_waited_for_before_another_is_sent() -> None:
    """Not known is not absent; but a position does not stay for ever for want of an answer."""
    mute, told = Mute(), list[str]()
    work = Flattening(cast("Venue", mute), {BTC: Decimal(10)}, mute, mute.pause, told.append)
    assert asyncio.run(work.run()) is False
    waits = [later - earlier for earlier, later in pairwise(mute.sent_ms)]
    assert len(waits) > 2
    assert min(waits) >= LONGEST_CLOSE_MS
    assert any("STILL OPEN, WITHOUT any protective order" in text for text in told)
