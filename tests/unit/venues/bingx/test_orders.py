"""Requests of ours in the venue's words, and what is refused before a byte leaves."""

from dataclasses import replace
from decimal import Decimal

import pytest
from unit.venues.bingx.bingx_server import NOW_MS, PLACE, SECRET, Bench, ok, order_row, play

from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderRequest, OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Rejected
from trading_engine.ports import PositionMode
from trading_engine.venues.bingx.rest import signature

BUY, SELL, LONG, SHORT = TradeSide.BUY, TradeSide.SELL, Side.LONG, Side.SHORT
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
STOP, TARGET = OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET
GTC, IOC, POST = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.POST_ONLY
ID = "teabcd000001e00000"
TAIL = f"&recvWindow=5000&timestamp={NOW_MS}"


def request(
    kind: OrderType = MARKET,
    side: TradeSide = BUY,
    position: Side = LONG,
    quantity: str = "0.0012",
    price: str = "",
    *,
    reduce: bool = False,
    tif: TimeInForce = GTC,
) -> OrderRequest:
    """An order on BTCUSDT."""
    at = Decimal(price) if price else None
    return OrderRequest(
        client_order_id=ID,
        symbol="BTCUSDT",
        side=side,
        type=kind,
        quantity=Decimal(quantity),
        reduce_only=reduce,
        position_side=position,
        price=at if kind is LIMIT else None,
        trigger_price=at if kind in (STOP, TARGET) else None,
        time_in_force=tif,
    )


# the request, hedge mode or not, the triggering price, and the parameters in the order in which they are sent
INTENTS: list[tuple[OrderRequest, bool, str, str]] = [
    (request(), False, "last", "positionSide=BOTH quantity=0.0012 side=BUY type=MARKET"),
    (request(side=SELL, position=SHORT), False, "last", "positionSide=BOTH quantity=0.0012 side=SELL type=MARKET"),
    (
        request(side=SELL, reduce=True),
        False,
        "last",
        "positionSide=BOTH quantity=0.0012 reduceOnly=true side=SELL type=MARKET",
    ),
    (
        request(position=SHORT, reduce=True),
        False,
        "mark",
        "positionSide=BOTH quantity=0.0012 reduceOnly=true side=BUY type=MARKET",
    ),
    (request(), True, "last", "positionSide=LONG quantity=0.0012 side=BUY type=MARKET"),
    (request(side=SELL, position=SHORT), True, "last", "positionSide=SHORT quantity=0.0012 side=SELL type=MARKET"),
    (request(side=SELL, reduce=True), True, "last", "positionSide=LONG quantity=0.0012 side=SELL type=MARKET"),
    (request(position=SHORT, reduce=True), True, "last", "positionSide=SHORT quantity=0.0012 side=BUY type=MARKET"),
    (request(quantity="1.50"), False, "last", "positionSide=BOTH quantity=1.5 side=BUY type=MARKET"),
    (request(quantity="1E+1"), False, "last", "positionSide=BOTH quantity=10 side=BUY type=MARKET"),
    (
        request(LIMIT, price="60000.10"),
        False,
        "last",
        "positionSide=BOTH price=60000.1 quantity=0.0012 side=BUY timeInForce=GTC type=LIMIT",
    ),
    (
        request(LIMIT, price="60000.1", tif=IOC),
        False,
        "last",
        "positionSide=BOTH price=60000.1 quantity=0.0012 side=BUY timeInForce=IOC type=LIMIT",
    ),
    (
        request(LIMIT, price="60000.1", tif=POST),
        False,
        "last",
        "positionSide=BOTH price=60000.1 quantity=0.0012 side=BUY timeInForce=PostOnly type=LIMIT",
    ),
    (
        request(LIMIT, SELL, price="61000", reduce=True),
        False,
        "last",
        "positionSide=BOTH price=61000 quantity=0.0012 reduceOnly=true side=SELL timeInForce=GTC type=LIMIT",
    ),
    (
        request(LIMIT, SELL, SHORT, price="6E+4"),
        False,
        "last",
        "positionSide=BOTH price=60000 quantity=0.0012 side=SELL timeInForce=GTC type=LIMIT",
    ),
    (
        request(LIMIT, price="60000.1", tif=POST),
        True,
        "last",
        "positionSide=LONG price=60000.1 quantity=0.0012 side=BUY timeInForce=PostOnly type=LIMIT",
    ),
    (
        request(LIMIT, SELL, price="61000", reduce=True),
        True,
        "last",
        "positionSide=LONG price=61000 quantity=0.0012 side=SELL timeInForce=GTC type=LIMIT",
    ),
    (
        request(STOP, SELL, price="58000.5", reduce=True),
        False,
        "last",
        "positionSide=BOTH quantity=0.0012 reduceOnly=true side=SELL stopPrice=58000.5 type=STOP_MARKET"
        " workingType=CONTRACT_PRICE",
    ),
    (
        request(STOP, SELL, price="58000.5", reduce=True),
        False,
        "mark",
        "positionSide=BOTH quantity=0.0012 reduceOnly=true side=SELL stopPrice=58000.5 type=STOP_MARKET"
        " workingType=MARK_PRICE",
    ),
    (
        request(STOP, BUY, SHORT, price="62000", reduce=True),
        False,
        "mark",
        "positionSide=BOTH quantity=0.0012 reduceOnly=true side=BUY stopPrice=62000 type=STOP_MARKET"
        " workingType=MARK_PRICE",
    ),
    (
        request(STOP, SELL, price="58000.5", reduce=True),
        True,
        "mark",
        "positionSide=LONG quantity=0.0012 side=SELL stopPrice=58000.5 type=STOP_MARKET workingType=MARK_PRICE",
    ),
    (
        request(STOP, BUY, SHORT, price="62000", reduce=True),
        True,
        "last",
        "positionSide=SHORT quantity=0.0012 side=BUY stopPrice=62000 type=STOP_MARKET workingType=CONTRACT_PRICE",
    ),
    (
        request(STOP, BUY, LONG, price="62000"),
        False,
        "last",
        "positionSide=BOTH quantity=0.0012 side=BUY stopPrice=62000 type=STOP_MARKET workingType=CONTRACT_PRICE",
    ),
    (
        request(TARGET, SELL, price="65000", reduce=True),
        False,
        "last",
        "positionSide=BOTH quantity=0.0012 reduceOnly=true side=SELL stopPrice=65000 type=TAKE_PROFIT_MARKET"
        " workingType=CONTRACT_PRICE",
    ),
    (
        request(TARGET, SELL, price="65000", reduce=True),
        True,
        "mark",
        "positionSide=LONG quantity=0.0012 side=SELL stopPrice=65000 type=TAKE_PROFIT_MARKET workingType=MARK_PRICE",
    ),
    (
        request(TARGET, BUY, SHORT, price="55000.3", reduce=True),
        False,
        "mark",
        "positionSide=BOTH quantity=0.0012 reduceOnly=true side=BUY stopPrice=55000.3 type=TAKE_PROFIT_MARKET"
        " workingType=MARK_PRICE",
    ),
    (
        request(TARGET, BUY, SHORT, price="55000.3", reduce=True),
        True,
        "last",
        "positionSide=SHORT quantity=0.0012 side=BUY stopPrice=55000.3 type=TAKE_PROFIT_MARKET"
        " workingType=CONTRACT_PRICE",
    ),
    (
        request(quantity="0.00010", side=SELL, reduce=True),
        False,
        "last",
        "positionSide=BOTH quantity=0.0001 reduceOnly=true side=SELL type=MARKET",
    ),
]


def _expected(params: str) -> str:
    pairs = [*params.split(), f"clientOrderId={ID}", "symbol=BTC-USDT", *TAIL.strip("&").split("&")]
    raw = "&".join(sorted(pairs))
    return f"{raw}&signature={signature(raw, SECRET)}"


@pytest.mark.parametrize(("intent", "is_hedge", "trigger_by", "params"), INTENTS)
def test_an_intent_is_sent_as_exactly_these_parameters(
    intent: OrderRequest, is_hedge: bool, trigger_by: str, params: str
) -> None:
    """Method, path and the whole query; an accepted answer repeats the order."""

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.submit(intent)
        assert isinstance(outcome, Accepted)
        report = outcome.report
        assert (ID, "1900000000000000123", OrderState.ACKED) == (
            report.client_order_id,
            report.venue_order_id,
            report.state,
        )
        assert (intent.symbol, intent.side, intent.type, intent.quantity, intent.price, intent.trigger_price) == (
            report.symbol,
            report.side,
            report.type,
            report.quantity,
            report.price,
            report.trigger_price,
        )

    mode = PositionMode.HEDGE if is_hedge else PositionMode.ONE_WAY
    answer = ok({"order": order_row(status="NEW", executedQty="")})
    server = play(story, {PLACE: answer}, position_mode=mode, trigger_by=trigger_by)
    (asked,) = server.asked
    assert ("POST", "/openApi/swap/v2/trade/order", b"") == (asked.method, asked.path, asked.body)
    assert _expected(params) == asked.query


REFUSALS = [
    (request(quantity="0.00015"), "0.00015 is not a multiple of 0.0001"),
    (request(quantity="0"), "above zero"),
    (request(LIMIT, price="60000.15"), "60000.15 is not a multiple of 0.1"),
    (request(STOP, SELL, price="58000.55", reduce=True), "58000.55 is not a multiple of 0.1"),
    (request(LIMIT, quantity="0.0001", price="10000"), "value 1 is below the smallest, 2"),
    (request(STOP, BUY, quantity="0.0001", price="10000"), "value 1 is below the smallest, 2"),
    (request(LIMIT), "a limit order needs a price"),
    (request(STOP, SELL), "a stop_market order needs a price"),
    (request(quantity="1E+9"), "is above the largest"),
]


@pytest.mark.parametrize(("intent", "reason"), REFUSALS)
def test_an_order_off_the_grid_is_refused_without_a_byte_sent(intent: OrderRequest, reason: str) -> None:
    """Tick, step, minimums and missing prices are seen here."""

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.submit(intent)
        assert isinstance(outcome, Rejected)
        assert "precision" == outcome.code
        assert reason in outcome.reason

    assert [] == play(story).asked


def test_an_order_below_the_smallest_quantity_is_refused() -> None:
    """Unless it only reduces: the rest of a position must stay closable."""
    small = request(quantity="0.0004")

    async def story(bench: Bench) -> None:
        instrument = bench.venue._instruments["BTCUSDT"]
        bench.venue._instruments["BTCUSDT"] = replace(instrument, min_quantity=Decimal("0.0005"))
        refused = await bench.venue.submit(small)
        assert isinstance(refused, Rejected)
        assert ("precision", "quantity 0.0004 is below the smallest, 0.0005") == (refused.code, refused.reason)
        closing = replace(small, side=SELL, reduce_only=True)
        assert isinstance(await bench.venue.submit(closing), Accepted)

    play(story, {PLACE: ok({"order": order_row()})})


@pytest.mark.parametrize(
    ("intent", "mode", "code"),
    [
        (replace(request(), client_order_id="te-1"), PositionMode.ONE_WAY, "client_order_id"),
        (replace(request(), client_order_id="TE1"), PositionMode.ONE_WAY, "client_order_id"),
        (replace(request(), client_order_id=""), PositionMode.ONE_WAY, "client_order_id"),
        (replace(request(), client_order_id="a" * 41), PositionMode.ONE_WAY, "client_order_id"),
        (replace(request(), symbol="XYZUSDT"), PositionMode.ONE_WAY, "symbol"),
        (request(side=BUY, position=LONG, reduce=True), PositionMode.HEDGE, "reduce_only"),
        (request(side=SELL, position=SHORT, reduce=True), PositionMode.HEDGE, "reduce_only"),
    ],
)
def test_what_the_venue_would_misunderstand_is_not_sent(intent: OrderRequest, mode: PositionMode, code: str) -> None:
    """Ids that it would change, unknown symbols, and "reduce" that would open in hedge mode."""

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.submit(intent)
        assert isinstance(outcome, Rejected)
        assert code == outcome.code

    assert [] == play(story, position_mode=mode).asked


@pytest.mark.parametrize(
    ("status", "executed", "kind", "expected"),
    [
        ("FILLED", "0.0012", MARKET, (OrderState.FILLED, "0.0012")),
        ("FILLED", "", MARKET, (OrderState.FILLED, "0.0012")),
        ("PENDING", "0", LIMIT, (OrderState.ACKED, "0")),
        ("PARTIALLY_FILLED", "0.0005", LIMIT, (OrderState.PARTIAL, "0.0005")),
        ("CANCELLED", "0.0005", LIMIT, (OrderState.CANCELED, "0.0005")),
        ("EXPIRED", "0", LIMIT, (OrderState.EXPIRED, "0")),
        ("FAILED", "0", LIMIT, (OrderState.EXPIRED, "0")),
        ("NEW", "", STOP, (OrderState.ACKED, "0")),
        ("FILLED", "", STOP, (OrderState.ACKED, "0")),
        ("SOMETHING", "", MARKET, (OrderState.ACKED, "0")),
        ("", "", MARKET, (OrderState.ACKED, "0")),
    ],
)
def test_an_acknowledgement_has_the_state_of_its_status(
    status: str, executed: str, kind: OrderType, expected: tuple[OrderState, str]
) -> None:
    """And the cumulative fill; an unknown status is open, and a stop that is filled at once has only triggered."""
    price = "" if kind is MARKET else "60000"

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.submit(request(kind, price=price))
        assert isinstance(outcome, Accepted)
        assert expected == (outcome.report.state, str(outcome.report.filled))

    play(story, {PLACE: ok({"order": order_row(status=status, executedQty=executed)})})
