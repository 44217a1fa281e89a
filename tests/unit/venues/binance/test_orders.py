"""Intents become calls, letter by letter; what the grid would refuse never leaves."""

from dataclasses import replace
from decimal import Decimal

import pytest
from unit.venues.binance.scripted import OURS, STOP, Server, algo, plain, play

from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderRequest, TradeSide
from trading_engine.domain.reports import Accepted, Outcome, Rejected
from trading_engine.ports import PositionMode
from trading_engine.venues.binance.venue import BinanceVenue

BUY, SELL = TradeSide.BUY, TradeSide.SELL
ONE_WAY, HEDGE = PositionMode.ONE_WAY, PositionMode.HEDGE
ORDER, ALGO = "POST /fapi/v1/order ", "POST /fapi/v1/algoOrder "


def market(side: TradeSide, quantity: str = "0.01", **changes: object) -> OrderRequest:
    request = OrderRequest(
        OURS, "BTCUSDT", side, OrderType.MARKET, Decimal(quantity), False, Side.LONG if side is BUY else Side.SHORT
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def limit(side: TradeSide, price: str, quantity: str = "0.01", **changes: object) -> OrderRequest:
    return market(side, quantity, type=OrderType.LIMIT, price=Decimal(price), **changes)


def stop(side: TradeSide, trigger: str, **changes: object) -> OrderRequest:
    kept: dict[str, object] = {
        "client_order_id": STOP,
        "type": OrderType.STOP_MARKET,
        "trigger_price": Decimal(trigger),
        "reduce_only": True,
        "position_side": Side.LONG if side is SELL else Side.SHORT,
    }
    return market(side, **(kept | changes))  # type: ignore[arg-type]


def target(side: TradeSide, trigger: str, **changes: object) -> OrderRequest:
    return stop(side, trigger, type=OrderType.TAKE_PROFIT_MARKET, **changes)


def exit_(side: TradeSide, quantity: str = "0.01") -> OrderRequest:
    return market(side, quantity, reduce_only=True, position_side=Side.LONG if side is SELL else Side.SHORT)


PLAIN_END = f"newClientOrderId={OURS}&newOrderRespType=RESULT"
IOC, POST = TimeInForce.IOC, TimeInForce.POST_ONLY
B, S = "symbol=BTCUSDT&side=BUY&", "symbol=BTCUSDT&side=SELL&"
A = "algoType=CONDITIONAL&"
LAST, MARK = f"workingType=CONTRACT_PRICE&clientAlgoId={STOP}", f"workingType=MARK_PRICE&clientAlgoId={STOP}"
R = "reduceOnly=true&"

INTENTS = [
    (ONE_WAY, "last", market(BUY), f"{ORDER}{B}type=MARKET&quantity=0.01&{PLAIN_END}"),
    (ONE_WAY, "last", market(SELL), f"{ORDER}{S}type=MARKET&quantity=0.01&{PLAIN_END}"),
    (ONE_WAY, "last", market(BUY, "1.500"), f"{ORDER}{B}type=MARKET&quantity=1.5&{PLAIN_END}"),
    (ONE_WAY, "last", market(BUY, "1E+2"), f"{ORDER}{B}type=MARKET&quantity=100&{PLAIN_END}"),
    (ONE_WAY, "last", exit_(SELL), f"{ORDER}{S}type=MARKET&quantity=0.01&{R}{PLAIN_END}"),
    (ONE_WAY, "last", exit_(BUY), f"{ORDER}{B}type=MARKET&quantity=0.01&{R}{PLAIN_END}"),
    (ONE_WAY, "last", exit_(SELL, "0.001"), f"{ORDER}{S}type=MARKET&quantity=0.001&{R}{PLAIN_END}"),
    (
        ONE_WAY,
        "last",
        limit(BUY, "60000.10"),
        f"{ORDER}{B}type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000.1&{PLAIN_END}",
    ),
    (
        ONE_WAY,
        "last",
        limit(SELL, "60000"),
        f"{ORDER}{S}type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000&{PLAIN_END}",
    ),
    (
        ONE_WAY,
        "last",
        limit(BUY, "60000", time_in_force=IOC),
        f"{ORDER}{B}type=LIMIT&timeInForce=IOC&quantity=0.01&price=60000&{PLAIN_END}",
    ),
    (
        ONE_WAY,
        "last",
        limit(BUY, "60000", time_in_force=POST),
        f"{ORDER}{B}type=LIMIT&timeInForce=GTX&quantity=0.01&price=60000&{PLAIN_END}",
    ),
    (
        ONE_WAY,
        "last",
        limit(SELL, "60000", reduce_only=True),
        f"{ORDER}{S}type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000&{R}{PLAIN_END}",
    ),
    (ONE_WAY, "last", stop(SELL, "58000"), f"{ALGO}{A}{S}type=STOP_MARKET&quantity=0.01&triggerPrice=58000&{R}{LAST}"),
    (ONE_WAY, "mark", stop(SELL, "58000"), f"{ALGO}{A}{S}type=STOP_MARKET&quantity=0.01&triggerPrice=58000&{R}{MARK}"),
    (
        ONE_WAY,
        "last",
        stop(BUY, "61000.5"),
        f"{ALGO}{A}{B}type=STOP_MARKET&quantity=0.01&triggerPrice=61000.5&{R}{LAST}",
    ),
    (
        ONE_WAY,
        "last",
        stop(BUY, "61000", reduce_only=False),
        f"{ALGO}{A}{B}type=STOP_MARKET&quantity=0.01&triggerPrice=61000&{LAST}",
    ),
    (
        ONE_WAY,
        "last",
        target(SELL, "66000"),
        f"{ALGO}{A}{S}type=TAKE_PROFIT_MARKET&quantity=0.01&triggerPrice=66000&{R}{LAST}",
    ),
    (
        ONE_WAY,
        "mark",
        target(BUY, "55000"),
        f"{ALGO}{A}{B}type=TAKE_PROFIT_MARKET&quantity=0.01&triggerPrice=55000&{R}{MARK}",
    ),
    (
        ONE_WAY,
        "last",
        market(BUY, client_order_id="a:b/c.D_e-1"),
        f"{ORDER}{B}type=MARKET&quantity=0.01&newClientOrderId=a%3Ab%2Fc.D_e-1&newOrderRespType=RESULT",
    ),
    (
        ONE_WAY,
        "last",
        market(BUY, symbol="ETHUSDT"),
        f"{ORDER}symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.01&{PLAIN_END}",
    ),
    (HEDGE, "last", market(BUY), f"{ORDER}{B}positionSide=LONG&type=MARKET&quantity=0.01&{PLAIN_END}"),
    (HEDGE, "last", market(SELL), f"{ORDER}{S}positionSide=SHORT&type=MARKET&quantity=0.01&{PLAIN_END}"),
    (HEDGE, "last", exit_(SELL), f"{ORDER}{S}positionSide=LONG&type=MARKET&quantity=0.01&{PLAIN_END}"),
    (HEDGE, "last", exit_(BUY), f"{ORDER}{B}positionSide=SHORT&type=MARKET&quantity=0.01&{PLAIN_END}"),
    (
        HEDGE,
        "last",
        limit(BUY, "60000"),
        f"{ORDER}{B}positionSide=LONG&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000&{PLAIN_END}",
    ),
    (
        HEDGE,
        "last",
        stop(SELL, "58000"),
        f"{ALGO}{A}{S}positionSide=LONG&type=STOP_MARKET&quantity=0.01&triggerPrice=58000&{LAST}",
    ),
    (
        HEDGE,
        "mark",
        target(BUY, "55000"),
        f"{ALGO}{A}{B}positionSide=SHORT&type=TAKE_PROFIT_MARKET&quantity=0.01&triggerPrice=55000&{MARK}",
    ),
]


def submit(request: OrderRequest, mode: PositionMode, trigger_by: str) -> tuple[list[str], Outcome]:
    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[str], Outcome]:
        server.say("POST /fapi/v1/order", plain(symbol=request.symbol))
        server.say("POST /fapi/v1/algoOrder", algo(symbol=request.symbol))
        outcome = await venue.submit(request)
        return server.told(), outcome

    return play(scene, mode=mode, trigger_by=trigger_by)


@pytest.mark.parametrize(("mode", "trigger_by", "request_", "expected"), INTENTS)
def test_an_intent_becomes_exactly_this_call(
    mode: PositionMode, trigger_by: str, request_: OrderRequest, expected: str
) -> None:
    """Method, path and parameters in their order; one call and no more."""
    told, outcome = submit(request_, mode, trigger_by)
    assert [expected] == told
    assert isinstance(outcome, Accepted)


REFUSED = [
    (market(BUY, "0.0105"), "precision", "not a multiple of 0.001"),
    (market(BUY, "0"), "precision", "quantity 0"),
    (market(BUY, "120.001"), "precision", "quantity 120.001"),
    (limit(BUY, "60000", "1000.001"), "precision", "quantity 1000.001"),
    (limit(BUY, "60000.05"), "precision", "not a multiple of 0.1"),
    (limit(BUY, "0"), "precision", "positive price"),
    (limit(BUY, "9999.9"), "precision", "value 99.999 is below the least of 100"),
    (market(BUY, type=OrderType.LIMIT), "precision", "positive price"),
    (stop(SELL, "58000.01"), "precision", "not a multiple of 0.1"),
    (stop(SELL, "58000", trigger_price=None), "precision", "positive price"),
    (stop(SELL, "9999.9", reduce_only=False), "precision", "below the least"),
    (market(BUY, client_order_id="ä"), "client_order_id", "is not 1 to 36"),
    (market(BUY, client_order_id="x" * 37), "client_order_id", "is not 1 to 36"),
    (market(BUY, symbol="NOSUCHUSDT"), "symbol", "NOSUCHUSDT"),
]


@pytest.mark.parametrize(("request_", "code", "reason"), REFUSED)
def test_what_the_grid_refuses_never_leaves(request_: OrderRequest, code: str, reason: str) -> None:
    """Tick, step, bounds and least value are judged here: no byte is sent."""
    told, outcome = submit(request_, ONE_WAY, "last")
    assert isinstance(outcome, Rejected)
    assert code == outcome.code
    assert reason in outcome.reason
    assert [] == told


def test_an_order_that_reduces_may_be_smaller_than_the_least_value() -> None:
    """The least value is for orders that open."""
    told, outcome = submit(limit(SELL, "9999.9", "0.001", reduce_only=True), ONE_WAY, "last")
    assert isinstance(outcome, Accepted)
    assert 1 == len(told)
