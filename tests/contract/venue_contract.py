"""What every Venue adapter must do, whatever stands behind it.

What belongs here: the market that a bench offers, and the cases in three classes: orders (bookkeeping, no
price needed beyond one that stands), matching (what trades when) and account (positions, money, income).
What does not: anything that only one venue does; expectations leave room for what venues differ in.

A test module gives a fixture `bench` and subclasses the classes that apply to its venue.
"""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import pytest

from trading_engine.domain.events import FillSeen, IncomeSeen
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState, OrderType, TimeInForce, TradeSide
from trading_engine.domain.reports import Accepted, Outcome, Rejected, Unknown, VenuePosition
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


class Bench(Protocol):
    """A venue of one account with INSTRUMENTS, DEPOSIT and LEVERAGE, whose market only the test moves."""

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


class _Cases:
    """What the cases say in one word."""

    @pytest.fixture(autouse=True)
    def _sit_down(self, bench: Bench) -> None:
        self._bench = bench
        self.venue = bench.venue
        self._ids = 0

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


class OrderContract(_Cases):
    """Submitting, looking up, cancelling, listing; needs no more of the market than that it exists."""

    def test_an_accepted_order_is_acknowledged_without_a_fill(self) -> None:
        """The reply names the order and no execution, also for a market order."""
        request = self.request(BUY, "0.01")
        report = self.accept(request)
        assert (OrderState.ACKED, Decimal(0)) == (report.state, report.filled)
        assert request.client_order_id == report.client_order_id
        assert report.venue_order_id
        assert [] == list(self.fills())

    @pytest.mark.parametrize("kind", list(OrderType))
    def test_the_acknowledgement_repeats_the_order(self, kind: OrderType) -> None:
        """Symbol, side, type, quantity and the prices of the type come back as they were sent."""
        price = Decimal(49_000) if kind is OrderType.LIMIT else None
        trigger = {OrderType.STOP_MARKET: Decimal(51_000), OrderType.TAKE_PROFIT_MARKET: Decimal(49_000)}.get(kind)
        request = self.request(BUY, "0.01", type=kind, price=price, trigger_price=trigger)
        report = self.accept(request)
        assert (BTC, BUY, kind) == (report.symbol, report.side, report.type)
        assert (Decimal("0.01"), price, trigger) == (report.quantity, report.price, report.trigger_price)
        assert not report.reduce_only

    def test_an_open_order_is_found_by_its_client_id(self) -> None:
        """The look-up tells what the acknowledgement told."""
        request = self.limit(BUY, "0.01", 49_000)
        assert self.accept(request) == self.known(request)

    def test_a_filled_order_is_found_by_its_client_id(self) -> None:
        """Filled orders do not vanish."""
        request = self.request(BUY, "0.01")
        sent = self.accept(request)
        self.move(50_000)
        report = self.known(request)
        assert (OrderState.FILLED, Decimal("0.01")) == (report.state, report.filled)
        assert sent.venue_order_id == report.venue_order_id

    def test_a_cancelled_order_is_found_by_its_client_id(self) -> None:
        """Cancelled orders do not vanish."""
        request = self.limit(BUY, "0.01", 49_000)
        self.accept(request)
        self.cancel(request)
        report = self.known(request)
        assert (OrderState.CANCELED, Decimal(0)) == (report.state, report.filled)

    def test_an_unknown_client_id_is_none(self) -> None:
        """No such order, said as such; neither an error nor an empty report."""
        self.accept(self.limit(BUY, "0.01", 49_000))
        assert self.look_up(self.request(BUY, "0.01")) is None

    @pytest.mark.parametrize("symbol", [BTC, ETH])
    def test_an_order_on_an_unlisted_symbol_is_refused(self, symbol: str) -> None:
        """With proof, and the listed symbols go on working."""
        unlisted = self.request(BUY, "0.1", symbol=UNLISTED)
        assert isinstance(self.submit(unlisted), Rejected)
        self.accept(self.request(BUY, "0.1", symbol=symbol))

    def test_a_used_client_id_makes_no_second_open_order(self) -> None:
        """While the first rests: one open order, and the answer is never a proof that it does not exist."""
        request = self.limit(BUY, "0.01", 49_000)
        first = self.accept(request)
        assert isinstance(self.submit(replace(request, quantity=Decimal("0.02"))), Accepted | Unknown)
        assert [request.client_order_id] == self.open_ids()
        assert first == self.known(request)

    def test_a_used_client_id_never_trades_again(self) -> None:
        """After the first was filled."""
        request = self.request(BUY, "0.01")
        self.accept(request)
        self.move(50_000)
        assert isinstance(self.submit(request), Accepted | Unknown)
        self.move(50_000)
        assert [Decimal("0.01")] == [fill.quantity for fill in self.fills()]

    def test_a_used_client_id_does_not_revive_a_cancelled_order(self) -> None:
        """After the first was cancelled."""
        request = self.limit(BUY, "0.01", 49_000)
        self.accept(request)
        self.cancel(request)
        assert isinstance(self.submit(request), Accepted | Unknown)
        assert [] == self.open_ids()
        assert OrderState.CANCELED is self.known(request).state

    def test_a_cancel_ends_an_open_order(self) -> None:
        """The answer carries the final state, and the order is not open any more."""
        request = self.limit(BUY, "0.01", 49_000)
        self.accept(request)
        outcome = self.cancel(request)
        assert isinstance(outcome, Accepted)
        assert request.client_order_id == outcome.report.client_order_id
        assert OrderState.CANCELED is self.known(request).state
        assert [] == self.open_ids()

    def test_a_cancelled_order_does_not_trade(self) -> None:
        """Also a market order that had not met a price yet."""
        request = self.request(BUY, "0.01")
        self.accept(request)
        self.cancel(request)
        self.move(50_000)
        assert [] == list(self.fills())

    def test_a_second_cancel_is_refused(self) -> None:
        """Rejected, and the order stays cancelled."""
        request = self.limit(BUY, "0.01", 49_000)
        self.accept(request)
        self.cancel(request)
        assert isinstance(self.cancel(request), Rejected)
        assert OrderState.CANCELED is self.known(request).state

    def test_a_cancel_of_an_unknown_order_is_refused(self) -> None:
        """And makes none."""
        request = self.limit(BUY, "0.01", 49_000)
        assert isinstance(self.cancel(request), Rejected)
        assert self.look_up(request) is None

    def test_a_cancel_of_a_filled_order_is_refused(self) -> None:
        """Rejected, and the order stays filled."""
        request = self.request(BUY, "0.01")
        self.accept(request)
        self.move(50_000)
        assert isinstance(self.cancel(request), Rejected)
        assert OrderState.FILLED is self.known(request).state

    def test_open_orders_lists_stops_and_plain_orders_together(self) -> None:
        """Whatever spaces a venue keeps them in, and every symbol."""
        resting = [
            self.limit(BUY, "0.01", 49_000),
            self.stop(BUY, "0.01", 52_000, reduce_only=False),
            self.target(BUY, "0.01", 48_000, reduce_only=False),
            self.limit(BUY, "0.1", 1_900, symbol=ETH),
        ]
        reports = [self.accept(request) for request in resting]
        assert sorted(request.client_order_id for request in resting) == self.open_ids()
        listed = {report.client_order_id: report for report in self._bench.call(self.venue.open_orders())}
        assert {report.client_order_id: report for report in reports} == listed

    def test_open_orders_lists_nothing_that_has_ended(self) -> None:
        """Neither filled nor cancelled orders."""
        filled, cancelled, open_one = (
            self.request(BUY, "0.01"),
            self.limit(BUY, "0.01", 48_000),
            self.limit(BUY, "0.01", 49_000),
        )
        for request in (filled, cancelled, open_one):
            self.accept(request)
        self.cancel(cancelled)
        self.move(50_000)
        assert [open_one.client_order_id] == self.open_ids()

    def test_a_fill_names_its_order(self) -> None:
        """Client id, venue id, symbol, side, quantity, and whose account it was."""
        request = self.request(SELL, "0.01")
        sent = self.accept(request)
        self.move(50_000)
        (fill,) = self.fills()
        assert (request.client_order_id, sent.venue_order_id) == (fill.client_order_id, fill.venue_order_id)
        assert (BTC, SELL, Decimal("0.01")) == (fill.symbol, fill.side, fill.quantity)
        assert (self.venue.name, self.venue.account) == (fill.venue, fill.account)
        assert not fill.is_liquidation

    def test_fills_are_read_from_the_watermark_on(self) -> None:
        """Inclusive: what happened at the watermark itself is told again."""
        for _ in range(3):
            self.accept(self.request(BUY, "0.01"))
            self.move(50_000)
        every = self.fills()
        assert list(every[1:]) == list(self.fills(every[1].ts_ms))
        assert list(every[2:]) == list(self.fills(every[1].ts_ms + 1))
        assert [] == list(self.fills(every[2].ts_ms + 1))

    def test_fills_are_in_the_order_of_time_with_one_id_each(self) -> None:
        """However many, and however often they are read."""
        for _ in range(3):
            self.accept(self.request(BUY, "0.01"))
            self.accept(self.request(BUY, "0.1", symbol=ETH))
            self._bench.move({BTC: bar(50_000), ETH: bar(2_000)})
        every = self.fills()
        assert 6 == len({fill.trade_id for fill in every}) == len(every)
        assert sorted(fill.ts_ms for fill in every) == [fill.ts_ms for fill in every]
        assert list(every) == list(self.fills())

    def test_a_fill_is_sent_to_the_subscriber_as_it_is_read_later(self) -> None:
        """Stream and query tell of one fill with one key."""
        self.accept(self.request(BUY, "0.01"))
        self._bench.drain()
        self.move(50_000)
        told = [event.fill for event in self._bench.drain() if isinstance(event, FillSeen)]
        assert list(self.fills()) == told

    def test_the_opening_deposit_is_an_income(self) -> None:
        """A transfer of the settle asset; the wallet holds it."""
        (deposit,) = self.incomes()
        assert (PnlKind.TRANSFER, DEPOSIT, "USDT") == (deposit.kind, deposit.amount, deposit.asset)
        assert DEPOSIT == self.wallet()

    def test_the_configured_instruments_are_listed(self) -> None:
        """With their units and bounds."""
        listed = self._bench.call(self.venue.instruments())
        assert {one.symbol: one for one in INSTRUMENTS} == {one.symbol: one for one in listed}

    def test_the_leverage_that_is_set_is_accepted_again(self) -> None:
        """Unchanged is no error."""
        assert isinstance(self._bench.call(self.venue.set_leverage(BTC, LEVERAGE)), Accepted)

    def test_leverage_of_an_unlisted_symbol_is_refused(self) -> None:
        """With proof."""
        assert isinstance(self._bench.call(self.venue.set_leverage(UNLISTED, LEVERAGE)), Rejected)

    def test_a_flat_account_has_no_positions(self) -> None:
        """Not even of quantity zero."""
        assert [] == list(self.positions())


class MatchingContract(_Cases):
    """What is refused, what trades, and how much of it."""

    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_a_market_order_fills_at_the_next_price_or_a_little_worse(self, side: TradeSide) -> None:
        """Never better than the market, within one per cent."""
        self.accept(self.request(side, "0.01"))
        self.move(50_100, 50_200, 50_000, 50_100)
        (fill,) = self.fills()
        assert 0 <= (fill.price - 50_100) * side.sign <= 501
        assert Decimal("0.01") * side.sign == self.signed()

    def test_a_limit_order_rests_while_the_price_stays_away(self) -> None:
        """It is open and unfilled."""
        request = self.limit(BUY, "0.01", 49_000)
        self.accept(request)
        self.move(50_000, 50_500, 49_500)
        assert OrderState.ACKED is self.known(request).state

    @pytest.mark.parametrize(("side", "price", "through"), [(BUY, 49_500, 49_000), (SELL, 50_500, 51_000)])
    def test_a_limit_order_fills_at_its_limit_or_better(self, side: TradeSide, price: int, through: int) -> None:
        """Once the price trades through it."""
        request = self.limit(side, "0.01", price)
        self.accept(request)
        self.move(50_000, through)
        (fill,) = self.fills()
        assert (fill.price - price) * side.sign <= 0
        assert OrderState.FILLED is self.known(request).state

    @pytest.mark.parametrize(("side", "price"), [(BUY, 50_500), (SELL, 49_500)])
    def test_a_post_only_order_that_would_take_is_refused(self, side: TradeSide, price: int) -> None:
        """It must not pay the taker's fee."""
        self.refuse(self.limit(side, "0.01", price, time_in_force=TimeInForce.POST_ONLY))

    @pytest.mark.parametrize(("side", "price", "through"), [(BUY, 49_500, 49_000), (SELL, 50_500, 51_000)])
    def test_a_post_only_order_fills_as_a_maker(self, side: TradeSide, price: int, through: int) -> None:
        """When it rests first."""
        self.accept(self.limit(side, "0.01", price, time_in_force=TimeInForce.POST_ONLY))
        self.move(50_000, through)
        (fill,) = self.fills()
        assert fill.is_maker
        assert Decimal(price) == fill.price

    @pytest.mark.parametrize(
        ("side", "trigger", "quiet", "beyond"),
        [(SELL, 49_000, 49_500, 48_900), (BUY, 51_000, 50_500, 51_100)],
    )
    def test_a_stop_waits_for_its_trigger_and_closes_at_market(
        self, side: TradeSide, trigger: int, quiet: int, beyond: int
    ) -> None:
        """At the trigger or worse, within one per cent, and not before."""
        self.hold(BUY if side is SELL else SELL, "0.01")
        stop = self.stop(side, "0.01", trigger)
        self.accept(stop)
        self.move(50_000, quiet, 50_000)
        assert OrderState.ACKED is self.known(stop).state
        self.move(50_000, beyond)
        fill = self.fills()[-1]
        assert stop.client_order_id == fill.client_order_id
        assert 0 <= (fill.price - trigger) * side.sign <= 600
        assert OrderState.FILLED is self.known(stop).state
        assert 0 == self.signed()

    @pytest.mark.parametrize(
        ("side", "trigger", "quiet", "beyond"),
        [(SELL, 51_000, 50_500, 51_100), (BUY, 49_000, 49_500, 48_900)],
    )
    def test_a_take_profit_waits_for_its_trigger_and_closes_at_market(
        self, side: TradeSide, trigger: int, quiet: int, beyond: int
    ) -> None:
        """Within one per cent of the trigger, and not before."""
        self.hold(BUY if side is SELL else SELL, "0.01")
        target = self.target(side, "0.01", trigger)
        self.accept(target)
        self.move(50_000, quiet, 50_000)
        assert OrderState.ACKED is self.known(target).state
        self.move(50_000, beyond)
        fill = self.fills()[-1]
        assert target.client_order_id == fill.client_order_id
        assert abs(fill.price - trigger) <= 600
        assert 0 == self.signed()

    def test_a_stop_may_open_a_position(self) -> None:
        """A stop that is not reduce-only is an entry on a breakout."""
        self.accept(self.stop(BUY, "0.01", 51_000, reduce_only=False))
        self.move(50_000, 51_100)
        assert Decimal("0.01") == self.signed()

    @pytest.mark.parametrize(("side", "trigger"), [(SELL, 50_500), (BUY, 49_500)])
    def test_a_stop_that_is_beyond_its_trigger_already_is_refused(self, side: TradeSide, trigger: int) -> None:
        """With proof, so that the position is closed at once instead."""
        self.hold(BUY if side is SELL else SELL, "0.01")
        self.refuse(self.stop(side, "0.01", trigger))

    @pytest.mark.parametrize(("side", "trigger"), [(SELL, 49_500), (BUY, 50_500)])
    def test_a_take_profit_that_is_beyond_its_trigger_already_is_refused(self, side: TradeSide, trigger: int) -> None:
        """With proof."""
        self.hold(BUY if side is SELL else SELL, "0.01")
        self.refuse(self.target(side, "0.01", trigger))

    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_a_reduce_only_order_without_a_position_is_refused(self, side: TradeSide) -> None:
        """It would open one."""
        self.refuse(self.request(side, "0.01", reduce_only=True))

    def test_a_reduce_only_order_that_would_increase_the_position_is_refused(self) -> None:
        """A buy while long."""
        self.hold(BUY, "0.01")
        self.refuse(self.request(BUY, "0.01", reduce_only=True))

    def test_a_reduce_only_order_is_cut_to_the_position(self) -> None:
        """It closes what there is, never flips, and ends with what it filled."""
        self.hold(BUY, "0.01")
        request = self.request(SELL, "0.05", reduce_only=True)
        self.accept(request)
        self.move(50_000)
        assert 0 == self.signed()
        report = self.known(request)
        assert Decimal("0.01") == report.filled
        assert report.state.is_terminal
        assert [] == self.open_ids()

    def test_a_reduce_only_order_that_outlives_its_position_never_opens_one(self) -> None:
        """A stop that triggers while flat ends without a fill."""
        self.hold(BUY, "0.01")
        stop = self.stop(SELL, "0.01", 49_000)
        self.accept(stop)
        self.accept(self.request(SELL, "0.01", reduce_only=True))
        self.move(50_000)
        assert 0 == self.signed()
        self.move(50_000, 48_000)
        self.move(48_000)
        assert 0 == self.signed()
        report = self.known(stop)
        assert report.state.is_terminal
        assert 0 == report.filled

    def test_an_order_larger_than_the_opposite_position_flips_it(self) -> None:
        """One-way mode: what is left of it opens the other side."""
        self.hold(BUY, "0.01")
        self.accept(self.request(SELL, "0.03"))
        self.move(50_000)
        assert Decimal("-0.02") == self.signed()

    @pytest.mark.parametrize("quantity", ["0.0105", "0.00201"])
    def test_a_quantity_off_the_step_is_refused(self, quantity: str) -> None:
        """It is the engine that rounds, downwards, before sending."""
        self.refuse(self.request(BUY, quantity))

    @pytest.mark.parametrize("quantity", ["0.001", "0"])
    def test_a_quantity_below_the_minimum_is_refused(self, quantity: str) -> None:
        """Whatever it is worth."""
        self.refuse(self.request(BUY, quantity))

    def test_a_quantity_above_the_maximum_is_refused(self) -> None:
        """Also a reduce-only one."""
        self.refuse(self.request(BUY, "5.001"))

    def test_a_notional_below_the_minimum_is_refused(self) -> None:
        """0.004 at 49,000 is worth 196, less than 200."""
        self.refuse(self.limit(BUY, "0.004", 49_000))

    def test_a_reduce_only_order_needs_no_notional(self) -> None:
        """The smallest rest of a position can be closed."""
        self.hold(BUY, "0.01")
        self.accept(self.request(SELL, "0.002", reduce_only=True))
        self.move(50_000)
        assert Decimal("0.008") == self.signed()

    def test_a_price_off_the_tick_is_refused(self) -> None:
        """Limits and triggers alike."""
        self.refuse(self.limit(BUY, "0.01", "49000.05"))
        self.refuse(self.stop(BUY, "0.01", "51000.05", reduce_only=False))

    def test_an_order_beyond_the_margin_is_refused(self) -> None:
        """10,000 at 10x carry 2 BTC at 50,000 less fees."""
        self.refuse(self.request(BUY, "2.01"))
        self.accept(self.request(BUY, "1.9"))

    def test_open_entries_use_up_the_margin(self) -> None:
        """Two orders that fit one by one do not fit together."""
        self.accept(self.limit(BUY, "1.5", 49_000))
        self.refuse(self.limit(BUY, "1.5", 49_000))

    def test_a_fill_is_bounded_by_the_share_of_the_volume(self) -> None:
        """A tenth of 0.5 traded is 0.05; the rest goes on in the next candle."""
        request = self.request(BUY, "0.08")
        self.accept(request)
        self.move(50_000, volume=Decimal("0.5"))
        assert Decimal("0.5") * VOLUME_SHARE == self.signed()
        assert Decimal("0.05") == self.known(request).filled
        assert [request.client_order_id] == self.open_ids()
        self.move(50_000, volume=Decimal("0.5"))
        report = self.known(request)
        assert (OrderState.FILLED, Decimal("0.08")) == (report.state, report.filled)
        assert Decimal("0.08") == sum(fill.quantity for fill in self.fills())

    def test_a_cancel_of_a_partly_filled_order_keeps_its_fills(self) -> None:
        """Cancelled, with the quantity that was filled before."""
        request = self.request(BUY, "0.08")
        self.accept(request)
        self.move(50_000, volume=Decimal("0.5"))
        assert isinstance(self.cancel(request), Accepted)
        self.move(50_000)
        report = self.known(request)
        assert (OrderState.CANCELED, Decimal("0.05")) == (report.state, report.filled)
        assert Decimal("0.05") == self.signed()

    def test_a_candle_without_volume_fills_nothing(self) -> None:
        """Neither a market order nor a stop that triggers; both fill when there is volume again."""
        self.hold(BUY, "0.01")
        stop = self.stop(SELL, "0.01", 49_000)
        entry = self.request(BUY, "0.1", symbol=ETH)
        self.accept(stop)
        self.accept(entry)
        self._bench.move({BTC: bar(50_000, 48_000, 50_000, volume=0), ETH: bar(2_000, volume=0)})
        assert 1 == len(self.fills())
        self._bench.move({BTC: bar(50_000), ETH: bar(2_000)})
        assert [stop.client_order_id, entry.client_order_id] == [fill.client_order_id for fill in self.fills()[1:]]


class AccountContract(_Cases):
    """Positions, money and income."""

    @pytest.mark.parametrize(("side", "held_side"), [(BUY, Side.LONG), (SELL, Side.SHORT)])
    def test_a_position_tells_side_quantity_and_prices(self, side: TradeSide, held_side: Side) -> None:
        """The quantity is unsigned, the entry is the price of the fill, the mark is the last price."""
        self.hold(side, "0.02")
        self.move(50_000, 50_300)
        (held,) = self.positions()
        (fill,) = self.fills()
        assert (BTC, held_side, Decimal("0.02")) == (held.symbol, held.side, held.quantity)
        assert (fill.price, Decimal(50_300)) == (held.entry_price, held.mark_price)
        assert LEVERAGE == held.leverage

    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_the_liquidation_price_lies_on_the_losing_side(self, side: TradeSide) -> None:
        """At 10x about nine and a half per cent away."""
        self.hold(side, "0.02")
        (held,) = self.positions()
        assert held.liquidation_price is not None
        distance = (held.entry_price - held.liquidation_price) * side.sign / held.entry_price
        assert Decimal("0.08") < distance < Decimal("0.1")

    def test_a_position_that_reaches_its_liquidation_price_is_taken_over(self) -> None:
        """The fill says so and names no order of ours; nothing is held any more."""
        self.hold(BUY, "0.02")
        (held,) = self.positions()
        self.move(50_000, 44_000)
        fill = self.fills()[-1]
        assert fill.is_liquidation
        assert ("", SELL, Decimal("0.02")) == (fill.client_order_id, fill.side, fill.quantity)
        assert fill.price <= (held.liquidation_price or 0)
        assert 0 == self.signed()

    def test_a_closed_position_is_not_listed(self) -> None:
        """Symbols that are still held stay."""
        self.hold(BUY, "0.02")
        self.accept(self.request(SELL, "0.5", symbol=ETH))
        self.accept(self.request(SELL, "0.02", reduce_only=True))
        self._bench.move({BTC: bar(50_000), ETH: bar(2_000)})
        assert [(ETH, Side.SHORT)] == [(held.symbol, held.side) for held in self.positions()]

    def test_an_opening_fill_realises_nothing_but_its_fee(self) -> None:
        """The wallet is the deposit less the fee."""
        self.hold(BUY, "0.02")
        (fill,) = self.fills()
        assert 0 == fill.realized_pnl
        assert 0 < fill.fee < 1
        assert DEPOSIT - fill.fee == self.wallet()

    @pytest.mark.parametrize(("side", "sign"), [(BUY, 1), (SELL, -1)])
    def test_a_closing_fill_realises_the_difference_of_the_prices(self, side: TradeSide, sign: int) -> None:
        """Quantity × (exit − entry), negative for a short that rose."""
        self.hold(side, "0.02")
        self.accept(self.request(SELL if side is BUY else BUY, "0.02", reduce_only=True))
        self.move(51_000)
        entry, leave = self.fills()
        assert (leave.price - entry.price) * Decimal("0.02") * sign == leave.realized_pnl

    def test_the_wallet_is_deposit_plus_pnl_less_fees_plus_funding_exactly(self) -> None:
        """To the last digit, after entries, partial exits, a flip and settlements."""
        for side, quantity, price in ((BUY, "0.021", 50_000), (SELL, "0.007", 50_713), (SELL, "0.033", 49_877)):
            self.accept(self.request(side, quantity))
            self._bench.move({BTC: bar(price)}, {BTC: Decimal("0.00012345")})
        self._bench.move({BTC: bar(49_001)}, {BTC: Decimal("-0.0000777")})
        self.accept(self.request(BUY, "0.019", reduce_only=True))
        self._bench.move({BTC: bar(49_333)}, {BTC: Decimal("0.0001")})
        funding = [income.amount for income in self.incomes() if income.kind is PnlKind.FUNDING]
        assert 4 == len(funding)
        assert 0 == self.signed()
        booked = sum((fill.realized_pnl or 0) - fill.fee for fill in self.fills())
        assert DEPOSIT + booked + sum(funding) == self.wallet() == self.available()

    @pytest.mark.parametrize(("side", "rate"), [(BUY, "0.0001"), (SELL, "-0.0001")])
    def test_who_owes_funding_pays_it(self, side: TradeSide, rate: str) -> None:
        """A long at a positive rate, a short at a negative one: 0.02 × 50,000 × 0.01 % is 0.1."""
        self.hold(side, "0.02")
        before = self.wallet()
        self._bench.drain()
        self._bench.move({BTC: bar(50_000)}, {BTC: Decimal(rate)})
        income = self.incomes()[-1]
        assert (PnlKind.FUNDING, BTC, Decimal("-0.1")) == (income.kind, income.symbol, income.amount)
        assert before + income.amount == self.wallet()
        assert [income] == [event.income for event in self._bench.drain() if isinstance(event, IncomeSeen)]

    @pytest.mark.parametrize(("side", "rate"), [(SELL, "0.0001"), (BUY, "-0.0001")])
    def test_who_is_owed_funding_receives_it(self, side: TradeSide, rate: str) -> None:
        """The other half of the same settlements."""
        self.hold(side, "0.02")
        self._bench.move({BTC: bar(50_000)}, {BTC: Decimal(rate)})
        assert Decimal("0.1") == self.incomes()[-1].amount

    def test_funding_is_for_positions_held_before_the_settlement(self) -> None:
        """Neither for a flat account nor for an order that fills at the same instant."""
        self.accept(self.request(BUY, "0.02"))
        self._bench.move({BTC: bar(50_000)}, {BTC: Decimal("0.0001")})
        assert Decimal("0.02") == self.signed()
        assert [PnlKind.TRANSFER] == [income.kind for income in self.incomes()]

    def test_incomes_are_read_from_the_watermark_on(self) -> None:
        """Inclusive, oldest first, one id each, however often they are read."""
        self.hold(BUY, "0.02")
        for _ in range(3):
            self._bench.move({BTC: bar(50_000)}, {BTC: Decimal("0.0001")})
        every = self.incomes()
        assert 4 == len({income.key for income in every}) == len(every)
        assert sorted(income.ts_ms for income in every) == [income.ts_ms for income in every]
        assert list(every[2:]) == list(self.incomes(every[2].ts_ms))
        assert list(every[3:]) == list(self.incomes(every[2].ts_ms + 1))
        assert [] == list(self.incomes(every[3].ts_ms + 1))

    def test_a_position_and_its_open_loss_use_up_what_is_available(self) -> None:
        """The initial margin is tied up; a loss as well, a gain is not lent out."""
        self.hold(BUY, "0.2")
        flat = self.wallet()
        at_entry = self.available()
        assert flat - Decimal(1_050) < at_entry < flat - Decimal(990)
        self.move(50_000, 49_000)
        assert at_entry - Decimal(210) < self.available() < at_entry - Decimal(190)
        self.move(49_000, 52_000)
        assert flat - Decimal(1_050) < self.available() < flat - Decimal(990)
        assert flat == self.wallet()

    def test_a_reduce_only_order_ties_up_nothing(self) -> None:
        """A stop beside a position is free."""
        self.hold(BUY, "0.02")
        before = self.available()
        self.accept(self.stop(SELL, "0.02", 49_000))
        assert before == self.available()

    def test_a_cancelled_entry_gives_its_margin_back(self) -> None:
        """All of it."""
        request = self.limit(BUY, "0.2", 49_000)
        self.accept(request)
        assert self.available() < DEPOSIT - Decimal(900)
        self.cancel(request)
        assert DEPOSIT == self.available()
