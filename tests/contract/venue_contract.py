"""What every Venue adapter must do, whatever stands behind it: orders and accounts.

What belongs here: submitting, looking up, cancelling, listing; positions, money and income. What does not:
what trades when (venue_matching_contract), anything that only one venue does. Expectations leave room for
what venues differ in.

A test module gives a fixture `bench` and subclasses the classes that apply to its venue.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from contract.venue_bench import BTC, BUY, DEPOSIT, ETH, INSTRUMENTS, LEVERAGE, SELL, UNLISTED, VenueCases, bar

from trading_engine.domain.events import FillSeen, IncomeSeen
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Rejected, Unknown


class OrderContract(VenueCases):
    """Submitting, looking up, cancelling, listing; needs no more of the market than that it exists."""

    def test_an_accepted_order_is_acknowledged_without_a_fill(self) -> None:
        """The reply names the order and no execution, also for a market order."""
        request = self.request(BUY, "0.01")
        report = self.accept(request)
        assert request.client_order_id == report.client_order_id
        assert report.venue_order_id
        if not self.traits.trades_at_once:
            assert (OrderState.ACKED, Decimal(0)) == (report.state, report.filled)
            assert [] == list(self.fills())

    @pytest.mark.parametrize("kind", list(OrderType))
    def test_the_acknowledgement_repeats_the_order(self, kind: OrderType) -> None:
        """Symbol, side, type, quantity and the prices of the type come back as they were sent."""
        price = Decimal(49_000) if kind is OrderType.LIMIT else None
        trigger = {OrderType.STOP_MARKET: Decimal(51_000), OrderType.TAKE_PROFIT_MARKET: Decimal(49_000)}.get(kind)
        is_reducing = trigger is not None and not self.traits.stops_may_open
        if is_reducing:
            self.hold(SELL, "0.01")
        request = self.request(
            BUY, "0.01", type=kind, price=price, trigger_price=trigger, reduce_only=is_reducing, position_side=Side.LONG
        )
        report = self.accept(request)
        assert (BTC, BUY, kind) == (report.symbol, report.side, report.type)
        assert (Decimal("0.01"), price, trigger) == (report.quantity, report.price, report.trigger_price)
        assert is_reducing == report.reduce_only

    def test_an_open_order_is_found_by_its_client_id(self) -> None:
        """The look-up tells what the acknowledgement told."""
        request = self.limit(BUY, "0.01", 49_000)
        assert self.same(self.accept(request), self.known(request))

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
        assert self.same(first, self.known(request))

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
        """Also a market order that had not met a price yet, where such a one rests."""
        at_once = self.traits.trades_at_once
        request = self.limit(BUY, "0.01", 49_000) if at_once else self.request(BUY, "0.01")
        self.accept(request)
        self.cancel(request)
        self.move(50_000, 48_000)
        assert [] == list(self.fills())

    def test_a_second_cancel_is_refused(self) -> None:
        """Rejected, and the order stays cancelled."""
        request = self.limit(BUY, "0.01", 49_000)
        self.accept(request)
        self.cancel(request)
        again = self.cancel(request)
        assert isinstance(again, Rejected) or (self.traits.paces_cancels and isinstance(again, Unknown))
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
        opens = self.traits.stops_may_open
        if not opens:
            self.hold(SELL, "0.01")
        resting = [
            self.limit(BUY, "0.01", 49_000),
            self.stop(BUY, "0.01", 52_000, reduce_only=not opens),
            self.target(BUY, "0.01", 48_000, reduce_only=not opens),
            self.limit(BUY, "0.1", 1_900, symbol=ETH),
        ]
        reports = [self.accept(request) for request in resting]
        assert sorted(request.client_order_id for request in resting) == self.open_ids()
        listed = {report.client_order_id: report for report in self._bench.call(self.venue.open_orders())}
        assert all(self.same(report, listed[report.client_order_id]) for report in reports)

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
            self.move(50_000)
        every = self.fills()
        assert list(every[1:]) == list(self.fills(every[1].ts_ms))
        next_ms = 1_000 if self.traits.reads_by_the_second else 1
        assert list(every[2:]) == list(self.fills(every[1].ts_ms + next_ms))
        assert [] == list(self.fills(every[2].ts_ms + next_ms))

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
        self._bench.drain()
        self.accept(self.request(BUY, "0.01"))
        self.move(50_000)
        told = [event.fill for event in self._bench.drain() if isinstance(event, FillSeen)]
        assert list(self.fills()) == told

    def test_the_opening_deposit_is_an_income(self) -> None:
        """A transfer of the settle asset; the wallet holds it."""
        if self.traits.tells_transfers:
            (deposit,) = self.incomes()
            assert (PnlKind.TRANSFER, DEPOSIT, "USDT") == (deposit.kind, deposit.amount, deposit.asset)
        assert DEPOSIT == self.wallet()

    def test_the_configured_instruments_are_listed(self) -> None:
        """With their units and bounds."""
        listed = self._bench.call(self.venue.instruments())
        if not self.traits.tells_max_quantity:
            largest = {one.symbol: one.max_quantity for one in INSTRUMENTS}
            listed = [replace(one, max_quantity=largest[one.symbol]) for one in listed]
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


class AccountContract(VenueCases):
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
        assert (0 if self.traits.tells_pnl else None) == fill.realized_pnl
        assert 0 < fill.fee < 1
        assert DEPOSIT - fill.fee == self.wallet()

    @pytest.mark.parametrize(("side", "sign"), [(BUY, 1), (SELL, -1)])
    def test_a_closing_fill_realises_the_difference_of_the_prices(self, side: TradeSide, sign: int) -> None:
        """Quantity × (exit − entry), negative for a short that rose."""
        self.hold(side, "0.02")
        self.accept(self.request(SELL if side is BUY else BUY, "0.02", reduce_only=True))
        self.move(51_000)
        entry, leave = self.fills()
        gained = (leave.price - entry.price) * Decimal("0.02") * sign
        assert (gained if self.traits.tells_pnl else None) == leave.realized_pnl
        assert DEPOSIT + gained - entry.fee - leave.fee == self.wallet()

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
        fills = self.fills()
        # Flat at the end: what was received less what was paid is the PnL, whoever tells it or not.
        received = sum(fill.price * fill.quantity * -fill.side.sign for fill in fills)
        if self.traits.tells_pnl:
            assert received == sum(fill.realized_pnl or 0 for fill in fills)
        booked = received - sum(fill.fee for fill in fills)
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
        told = [event.income for event in self._bench.drain() if isinstance(event, IncomeSeen)]
        assert ([income] if self.traits.tells_income_live else []) == told

    @pytest.mark.parametrize(("side", "rate"), [(SELL, "0.0001"), (BUY, "-0.0001")])
    def test_who_is_owed_funding_receives_it(self, side: TradeSide, rate: str) -> None:
        """The other half of the same settlements."""
        self.hold(side, "0.02")
        self._bench.move({BTC: bar(50_000)}, {BTC: Decimal(rate)})
        assert Decimal("0.1") == self.incomes()[-1].amount

    def test_funding_is_for_positions_held_before_the_settlement(self) -> None:
        """Neither for a flat account nor for an order that fills at the same instant."""
        self.needs_a_venue_that_waits()
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
        expected = 3 + self.traits.tells_transfers
        assert expected == len({income.key for income in every}) == len(every)
        assert sorted(income.ts_ms for income in every) == [income.ts_ms for income in every]
        assert list(every[-2:]) == list(self.incomes(every[-2].ts_ms))
        assert list(every[-1:]) == list(self.incomes(every[-2].ts_ms + 1))
        assert [] == list(self.incomes(every[-1].ts_ms + 1))

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
