"""What every Venue adapter must do, whatever stands behind it: what is refused, what trades, how much of it.

What belongs here: filters, triggers, fills, reduce-only. What does not: bookkeeping of orders and accounts
(venue_contract); at which exact price an embedded exchange fills (its own tests).
"""

from decimal import Decimal

import pytest
from contract.venue_bench import BTC, BUY, ETH, SELL, VOLUME_SHARE, VenueCases, bar

from trading_engine.domain.order_type import TimeInForce
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.reports import Accepted


class MatchingContract(VenueCases):
    """What is refused, what trades, and how much of it."""

    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_a_market_order_fills_at_the_next_price_or_a_little_worse(self, side: TradeSide) -> None:
        """Never better than the market, within one per cent."""
        self.accept(self.request(side, "0.01"))
        self.move(50_100, 50_200, 50_000, 50_100)
        (fill,) = self.fills()
        price = 50_000 if self.traits.trades_at_once else 50_100
        assert 0 <= (fill.price - price) * side.sign <= 501
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
        """It must not pay the taker's fee: refused, or accepted and cancelled without a fill."""
        request = self.limit(side, "0.01", price, time_in_force=TimeInForce.POST_ONLY)
        if self.traits.refuses_post_only:
            self.refuse(request)
            return
        assert OrderState.CANCELED is self.accept(request).state
        assert [] == list(self.fills())

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
        self.needs_stops_that_open()
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
        self.needs_a_venue_that_waits()
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
        self.needs_a_venue_that_waits()
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
        self.needs_a_venue_that_waits()
        self.hold(BUY, "0.01")
        stop = self.stop(SELL, "0.01", 49_000)
        entry = self.request(BUY, "0.1", symbol=ETH)
        self.accept(stop)
        self.accept(entry)
        self._bench.move({BTC: bar(50_000, 48_000, 50_000, volume=0), ETH: bar(2_000, volume=0)})
        assert 1 == len(self.fills())
        self._bench.move({BTC: bar(50_000), ETH: bar(2_000)})
        assert [stop.client_order_id, entry.client_order_id] == [fill.client_order_id for fill in self.fills()[1:]]
