"""The market on which every Venue adapter is tested, and the words of its cases.

What belongs here: the instruments, prices and terms that a bench must offer, and what cases say often. What
does not: the cases themselves (venue_contract, venue_matching_contract), any venue.
"""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import pytest

from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderRequest, TradeSide
from trading_engine.domain.reports import Accepted, Outcome, Rejected, VenuePosition
from trading_engine.ports import Venue, VenueEvent

T = TypeVar("T")

BUY, SELL = TradeSide.BUY, TradeSide.SELL
BTC, ETH, UNLISTED = "BTCUSDT", "ETHUSDT", "NOSUCHUSDT"
DEPOSIT = Decimal(10_000)
LEVERAGE = Decimal(10)
VOLUME_SHARE = Decimal("0.1")  # the part of a candle's volume that orders may take
SPARE_VOLUME = Decimal(1_000)
_TIERS = (MarginTier(Decimal(10_000_000), Decimal("0.005"), Decimal(0), Decimal(50)),)

INSTRUMENTS = (
    Instrument(
        symbol=BTC,
        tick=Decimal("0.1"),
        step=Decimal("0.001"),
        min_quantity=Decimal("0.002"),
        max_quantity=Decimal(5),
        min_notional=Decimal(200),
        max_leverage=Decimal(50),
        tiers=_TIERS,
    ),
    Instrument(
        symbol=ETH,
        tick=Decimal("0.01"),
        step=Decimal("0.01"),
        min_quantity=Decimal("0.01"),
        max_quantity=Decimal(500),
        min_notional=Decimal(20),
        max_leverage=Decimal(50),
        tiers=_TIERS,
    ),
)
PRICES = {BTC: Decimal(50_000), ETH: Decimal(2_000)}  # where a bench's market stands at first


@dataclass(frozen=True)
class Bar:
    """One candle in quote currency and base coin."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = SPARE_VOLUME


def bar(*prices: int, volume: Decimal | int = SPARE_VOLUME) -> Bar:
    """A candle that begins at the first price, ends at the last and reaches all of them."""
    told = [Decimal(price) for price in prices]
    return Bar(told[0], max(told), min(told), told[-1], Decimal(volume))


@dataclass(frozen=True)
class Traits:
    """In what venues differ; a case that has no meaning under a trait is skipped and says so.

    trades_at_once       a marketable order trades when it arrives and rests never; otherwise with the next candle
    tells_transfers      deposits are told as incomes
    tells_income_live    funding is told by the stream, not only by reading
    tells_pnl            a fill names the PnL that it realised
    tells_max_quantity   the largest order is published
    stops_may_open       a stop may be an entry; otherwise every stop is reduce-only
    refuses_post_only    a post-only order that would take is refused; otherwise accepted and cancelled
    tells_order_time     an acknowledgement is dated as the order is later
    reads_by_the_second  reading from an instant tells what happened in the same second before it as well
    paces_cancels        a second cancel at once is told to wait, which proves nothing
    """

    trades_at_once: bool = False
    tells_transfers: bool = True
    tells_income_live: bool = True
    tells_pnl: bool = True
    tells_max_quantity: bool = True
    stops_may_open: bool = True
    refuses_post_only: bool = True
    tells_order_time: bool = True
    paces_cancels: bool = False
    reads_by_the_second: bool = False


class Bench(Protocol):
    """A venue of one account with INSTRUMENTS, DEPOSIT and LEVERAGE, whose market only the test moves.

    traits   what this venue does differently, by its own documentation
    """

    traits: "Traits"

    @property
    def venue(self) -> Venue:
        """The adapter under test; at the start every symbol stands at its price in PRICES."""
        ...

    def call(self, question: Coroutine[Any, Any, T]) -> T:
        """Run one call of the venue to its answer."""
        ...

    def move(self, bars: Mapping[str, Bar], funding: Mapping[str, Decimal] | None = None) -> None:
        """Settle funding at these rates, then let the next candle of the symbols named pass."""
        ...

    def drain(self) -> list[VenueEvent]:
        """What the venue has sent to its subscriber since the last call."""
        ...


class VenueCases:
    """What the cases say in one word; the module that runs them gives the fixture `bench`."""

    @pytest.fixture(autouse=True)
    def _sit_down(self, bench: Bench) -> None:
        self._bench = bench
        self.venue = bench.venue
        self._ids = 0

    def needs_a_venue_that_waits(self) -> None:
        """Skip a case that has no meaning where a marketable order trades at once or not at all."""
        if self.traits.trades_at_once:
            pytest.skip("a market order trades when it arrives here")

    def needs_stops_that_open(self) -> None:
        """Skip a case about stops as entries where every stop only reduces."""
        if not self.traits.stops_may_open:
            pytest.skip("every stop is reduce-only here")

    @property
    def traits(self) -> Traits:
        """In what the venue differs."""
        return self._bench.traits

    def same(self, told: OrderReport, known: OrderReport) -> bool:
        """Two reports of one order, of one time where the venue tells it."""
        return told == (known if self.traits.tells_order_time else replace(known, ts_ms=told.ts_ms))

    def request(self, side: TradeSide, quantity: str, **changes: Any) -> OrderRequest:
        """A market order of a new client id, or what the changes make of it."""
        self._ids += 1
        plain = OrderRequest(
            client_order_id=f"teaaaa00000{self._ids}e00000"[-18:],
            symbol=BTC,
            side=side,
            type=OrderType.MARKET,
            quantity=Decimal(quantity),
            reduce_only=False,
            position_side=Side.LONG if side is BUY else Side.SHORT,
        )
        return replace(plain, **changes)

    def limit(self, side: TradeSide, quantity: str, price: object, **changes: Any) -> OrderRequest:
        """A limit order."""
        return self.request(side, quantity, type=OrderType.LIMIT, price=Decimal(str(price)), **changes)

    def stop(self, side: TradeSide, quantity: str, trigger: object, **changes: Any) -> OrderRequest:
        """A stop-market order; reduce-only unless told otherwise, as the engine's stops are."""
        kind = {"type": OrderType.STOP_MARKET, "trigger_price": Decimal(str(trigger)), "reduce_only": True}
        return self.request(side, quantity, **{**kind, **changes})

    def target(self, side: TradeSide, quantity: str, trigger: object, **changes: Any) -> OrderRequest:
        """A take-profit-market order, reduce-only unless told otherwise."""
        return self.stop(side, quantity, trigger, type=OrderType.TAKE_PROFIT_MARKET, **changes)

    def submit(self, request: OrderRequest) -> Outcome:
        """What the venue answers."""
        return self._bench.call(self.venue.submit(request))

    def accept(self, request: OrderRequest) -> OrderReport:
        """The report of an order that must be accepted."""
        outcome = self.submit(request)
        assert isinstance(outcome, Accepted), outcome
        return outcome.report

    def refuse(self, request: OrderRequest) -> Rejected:
        """The proof of an order that must be refused, and of which nothing may be left."""
        outcome = self.submit(request)
        assert isinstance(outcome, Rejected), outcome
        assert outcome.code
        assert outcome.reason
        assert self.look_up(request) is None
        assert request.client_order_id not in self.open_ids()
        return outcome

    def cancel(self, request: OrderRequest) -> Outcome:
        """What the venue answers to a cancel by client id."""
        return self._bench.call(self.venue.cancel(request.symbol, request.client_order_id, ""))

    def look_up(self, request: OrderRequest) -> OrderReport | None:
        """What the venue knows of an order."""
        return self._bench.call(self.venue.order(request.symbol, request.client_order_id))

    def known(self, request: OrderRequest) -> OrderReport:
        """What the venue knows of an order that it must know."""
        report = self.look_up(request)
        assert report is not None
        return report

    def open_ids(self) -> list[str]:
        """Client ids of the open orders, sorted."""
        return sorted(report.client_order_id for report in self._bench.call(self.venue.open_orders()))

    def fills(self, since_ms: int = 0) -> Sequence[Fill]:
        """All fills since an instant."""
        return self._bench.call(self.venue.fills_since(since_ms))

    def incomes(self, since_ms: int = 0) -> Sequence[Income]:
        """All incomes since an instant."""
        return self._bench.call(self.venue.incomes_since(since_ms))

    def wallet(self) -> Decimal:
        """Settled money."""
        return self._bench.call(self.venue.balance()).wallet

    def available(self) -> Decimal:
        """What new orders may use."""
        return self._bench.call(self.venue.balance()).available

    def positions(self) -> Sequence[VenuePosition]:
        """Every position."""
        return self._bench.call(self.venue.positions())

    def signed(self, symbol: str = BTC) -> Decimal:
        """Net quantity held of a symbol, negative when short."""
        return sum(
            (held.quantity if held.side is Side.LONG else -held.quantity)
            for held in self.positions()
            if held.symbol == symbol
        ) or Decimal(0)

    def move(self, *prices: int, volume: Decimal | int = SPARE_VOLUME) -> None:
        """Let one candle of BTC pass."""
        self._bench.move({BTC: bar(*prices, volume=volume)})

    def hold(self, side: TradeSide, quantity: str) -> None:
        """Open a position by a market order at 50,000."""
        self.accept(self.request(side, quantity))
        self.move(50_000)
        assert Decimal(quantity) * side.sign == self.signed()
