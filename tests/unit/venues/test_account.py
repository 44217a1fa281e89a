"""The arithmetic of one account: opening, reducing, flipping, liquidation price."""

from decimal import Decimal

import pytest

from trading_engine.domain.instrument import Instrument
from trading_engine.rules.margin import Tier
from trading_engine.venues.embedded.account import ExchangeOrder, ExchangePosition, Kind, Status, trade
from trading_engine.venues.embedded.facts import known_instrument, single_tier
from trading_engine.venues.embedded.terms import Contract

E8 = 100_000_000


def _instrument(tick: str = "1", step: str = "1") -> Instrument:
    return Instrument(
        symbol="ANY",
        tick=Decimal(tick),
        step=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(1_000),
        min_notional=Decimal(5),
        max_leverage=Decimal(50),
        tiers=single_tier(Decimal("0.005"), Decimal(50)),
    )


CONTRACT = Contract.of(_instrument())


def test_a_contract_holds_the_instrument_in_whole_numbers() -> None:
    """Steps, 1e-8 money and parts per million."""
    contract = Contract.of(_instrument("0.1", "0.001"))
    assert (10_000, 1, 1_000_000, 5 * E8) == (
        contract.value_e8,
        contract.min_steps,
        contract.max_steps,
        contract.min_notional_e8,
    )
    assert (Tier(10_000_000_000 * E8, 5_000, 0),) == contract.tiers


def test_an_instrument_whose_money_is_not_exact_has_no_contract() -> None:
    """One tick of one step must be a whole number of 1e-8."""
    with pytest.raises(ValueError, match="is not a multiple of"):
        Contract.of(_instrument("0.00001", "0.0001"))


@pytest.mark.parametrize("sign", [1, -1])
def test_an_opening_trade_adds_cost_and_margin_and_realises_nothing(sign: int) -> None:
    """Two trades: the costs add up, a tenth of them is the margin at 10x."""
    position = ExchangePosition("ANY")
    assert 0 == trade(position, CONTRACT, 10_000, sign, 3, 100)
    assert 0 == trade(position, CONTRACT, 10_000, sign, 1, 104)
    assert (sign, 4, 404 * E8) == (position.sign, position.steps, position.cost_e8)
    assert 404 * E8 // 10 == position.margin_e8


@pytest.mark.parametrize(("sign", "expected"), [(1, 20 * E8), (-1, -20 * E8)])
def test_a_reducing_trade_realises_its_share(sign: int, expected: int) -> None:
    """Two of four steps, ten ticks higher; cost and margin shrink by half."""
    position = ExchangePosition("ANY")
    trade(position, CONTRACT, 10_000, sign, 4, 100)
    assert expected == trade(position, CONTRACT, 10_000, -sign, 2, 110)
    assert (sign, 2, 200 * E8, 20 * E8) == (position.sign, position.steps, position.cost_e8, position.margin_e8)


def test_a_closing_trade_leaves_nothing_behind() -> None:
    """No rest of cost, margin or liquidation price, whatever the shares before were rounded to."""
    position = ExchangePosition("ANY")
    trade(position, CONTRACT, 10_000, 1, 7, 101)
    gross = sum(trade(position, CONTRACT, 10_000, -1, steps, 103) for steps in (3, 2, 2))
    assert 14 * E8 == gross
    assert ExchangePosition("ANY") == position


def test_a_trade_beyond_the_position_opens_the_other_side() -> None:
    """The first part realises, the rest is a new position at the price of the trade."""
    position = ExchangePosition("ANY")
    trade(position, CONTRACT, 10_000, 1, 4, 100)
    assert -40 * E8 == trade(position, CONTRACT, 10_000, -1, 6, 90)
    assert (-1, 2, 180 * E8, 18 * E8) == (position.sign, position.steps, position.cost_e8, position.margin_e8)
    assert position.liquidation > 90


@pytest.mark.parametrize(("sign", "expected"), [(1, 9_046), (-1, 10_945)])
def test_the_liquidation_price_is_where_the_margin_is_down_to_maintenance(sign: int, expected: int) -> None:
    """Entry 10,000 at 10x: 9,000 / 0.995 rounded up for a long, 11,000 / 1.005 rounded down for a short."""
    position = ExchangePosition("ANY")
    trade(position, CONTRACT, 10_000, sign, 1, 10_000)
    assert expected == position.liquidation


def test_a_long_without_leverage_is_never_liquidated() -> None:
    """Its margin outlasts a price of zero."""
    position = ExchangePosition("ANY")
    trade(position, CONTRACT, 1_000, 1, 5, 100)
    assert 0 == position.liquidation


@pytest.mark.parametrize("status", list(Status))
def test_only_new_and_working_orders_may_still_trade(status: Status) -> None:
    """All others have ended."""
    assert (status in {Status.NEW, Status.WORKING}) is status.is_open


def test_what_remains_of_an_order_is_what_was_not_filled() -> None:
    """In steps."""
    order = ExchangeOrder("a", 1, "ANY", Kind.LIMIT, 1, 10, 100, False, 0, 0, filled=4)
    assert 6 == order.remaining


def test_well_known_symbols_have_built_in_facts() -> None:
    """Every one of them gives exact money; others have none."""
    for symbol in ("BTCUSDT", "ETHUSDT", "DOGEUSDT", "AVAXUSDT"):
        instrument = known_instrument(symbol)
        assert instrument is not None
        assert symbol == instrument.symbol
        assert Contract.of(instrument).value_e8 > 0
    assert known_instrument("NOSUCHUSDT") is None
