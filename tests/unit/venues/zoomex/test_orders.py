"""Orders: what is sent for each intent, what is refused here, and when an order counts as accepted."""

import asyncio
from decimal import Decimal

import pytest
from unit.venues.zoomex.scripted import (
    BTC,
    ORDER_ID,
    OURS,
    Answer,
    Asked,
    Bench,
    capital,
    listing,
    order_row,
    request,
    run,
)

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Outcome, Rejected, Unknown
from trading_engine.ports import PositionMode
from trading_engine.venues.zoomex import facts

D = Decimal
BUY, SELL = TradeSide.BUY, TradeSide.SELL
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
STOP, TARGET = OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET
ONE_WAY, HEDGE = PositionMode.ONE_WAY, PositionMode.HEDGE


def _told(kind: str, side: str, **more: object) -> dict[str, object]:
    force = {} if kind == "Limit" else {"timeInForce": "IOC"}
    base = {"category": "linear", "symbol": BTC, "side": side, "orderType": kind, "qty": "0.01"}
    return {**base, **force, "positionIdx": 0, "reduceOnly": False, "orderLinkId": OURS, **more}


def _limit(side: str, price: str, force: str, **more: object) -> dict[str, object]:
    return _told("Limit", side, price=price, timeInForce=force, **more)


def _conditional(side: str, price: str, direction: int, **more: object) -> dict[str, object]:
    trigger = {"triggerPrice": price, "triggerDirection": direction, "triggerBy": "LastPrice", "reduceOnly": True}
    return _told("Market", side, **{**trigger, **more})


def _market(**changes: object) -> OrderRequest:
    return request(type=MARKET, price=None, **changes)


def _trigger(kind: OrderType, side: TradeSide, price: str, **changes: object) -> OrderRequest:
    values = {"reduce_only": True, "position_side": Side.LONG if side is SELL else Side.SHORT, **changes}
    return request(type=kind, side=side, price=None, trigger_price=D(price), **values)


IOC, POST = TimeInForce.IOC, TimeInForce.POST_ONLY
SHORT = Side.SHORT
MARK = "mark"
INTENTS = [
    (ONE_WAY, "last", _market(), _told("Market", "Buy")),
    (ONE_WAY, "last", _market(side=SELL, position_side=SHORT), _told("Market", "Sell")),
    (ONE_WAY, "last", _market(side=SELL, reduce_only=True), _told("Market", "Sell", reduceOnly=True)),
    (ONE_WAY, "last", _market(quantity=D("1.5")), _told("Market", "Buy", qty="1.5")),
    (ONE_WAY, "last", _market(quantity=D("1E+1")), _told("Market", "Buy", qty="10")),
    (ONE_WAY, "last", request(), _limit("Buy", "60000.5", "GTC")),
    (ONE_WAY, "last", request(time_in_force=IOC), _limit("Buy", "60000.5", "IOC")),
    (ONE_WAY, "last", request(time_in_force=POST), _limit("Buy", "60000.5", "PostOnly")),
    (ONE_WAY, "last", request(price=D("60000.00")), _limit("Buy", "60000", "GTC")),
    (ONE_WAY, "last", request(side=SELL, position_side=SHORT), _limit("Sell", "60000.5", "GTC")),
    (ONE_WAY, "last", request(side=SELL, reduce_only=True), _limit("Sell", "60000.5", "GTC", reduceOnly=True)),
    (ONE_WAY, "last", _trigger(STOP, SELL, "58500"), _conditional("Sell", "58500", 2)),
    (ONE_WAY, "last", _trigger(STOP, BUY, "61500"), _conditional("Buy", "61500", 1)),
    (ONE_WAY, "last", _trigger(TARGET, SELL, "63000"), _conditional("Sell", "63000", 1)),
    (ONE_WAY, "last", _trigger(TARGET, BUY, "57000"), _conditional("Buy", "57000", 2)),
    (ONE_WAY, MARK, _trigger(STOP, SELL, "58500"), _conditional("Sell", "58500", 2, triggerBy="MarkPrice")),
    (ONE_WAY, MARK, _trigger(TARGET, BUY, "57000"), _conditional("Buy", "57000", 2, triggerBy="MarkPrice")),
    (
        ONE_WAY,
        "last",
        _trigger(STOP, BUY, "61500", reduce_only=False),
        _conditional("Buy", "61500", 1, reduceOnly=False),
    ),
    (HEDGE, "last", _market(), _told("Market", "Buy", positionIdx=1)),
    (HEDGE, "last", _market(side=SELL, position_side=SHORT), _told("Market", "Sell", positionIdx=2)),
    (HEDGE, "last", _market(side=SELL, reduce_only=True), _told("Market", "Sell", positionIdx=1, reduceOnly=True)),
    (
        HEDGE,
        "last",
        _market(reduce_only=True, position_side=SHORT),
        _told("Market", "Buy", positionIdx=2, reduceOnly=True),
    ),
    (HEDGE, "last", request(), _limit("Buy", "60000.5", "GTC", positionIdx=1)),
    (HEDGE, "last", _trigger(STOP, SELL, "58500"), _conditional("Sell", "58500", 2, positionIdx=1)),
    (HEDGE, "last", _trigger(STOP, BUY, "61500"), _conditional("Buy", "61500", 1, positionIdx=2)),
    (
        HEDGE,
        MARK,
        _trigger(TARGET, SELL, "63000"),
        _conditional("Sell", "63000", 1, positionIdx=1, triggerBy="MarkPrice"),
    ),
    (HEDGE, "last", _trigger(TARGET, BUY, "57000"), _conditional("Buy", "57000", 2, positionIdx=2)),
]


def shown(**changes: object) -> Answer:
    """The order as the listing of open orders shows it."""
    return listing(capital(order_row(**changes)))


@pytest.mark.parametrize(("mode", "trigger_by", "intent", "expected"), INTENTS)
def test_each_intent_becomes_one_body(
    mode: PositionMode, trigger_by: str, intent: OrderRequest, expected: dict[str, object]
) -> None:
    """One POST, with these keys and no other."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.REALTIME] = shown()
        assert isinstance(await bench.venue.submit(intent), Accepted)
        (asked,) = bench.server.calls(facts.CREATE)
        assert ("POST", "/cloud/trade/v3/order/create", "") == (asked.method, asked.path, asked.query)
        assert expected == asked.json

    run(story, mode=mode, trigger_by=trigger_by)


QUESTIONS = [
    ("cancel", (BTC, OURS, ORDER_ID), facts.CANCEL, {"category": "linear", "symbol": BTC, "orderLinkId": OURS}),
    ("cancel", (BTC, "", ORDER_ID), facts.CANCEL, {"category": "linear", "symbol": BTC, "orderId": ORDER_ID}),
    ("cancel_all", (BTC,), facts.CANCEL_ALL, {"category": "linear", "symbol": BTC}),
    ("order", (BTC, OURS), facts.HISTORY, f"category=linear&symbol={BTC}&orderLinkId={OURS}&limit=50"),
    ("open_orders", (), facts.REALTIME, "category=linear&settleCoin=USDT&openOnly=0&limit=50"),
    ("positions", (), facts.POSITIONS, "category=linear&settleCoin=USDT&limit=200"),
    ("balance", (), facts.WALLET, "accountType=UNIFIED&coin=USDT"),
    ("fills_since", (1_767_225_000_000,), facts.EXECUTIONS, "category=linear&startTime=1767225000000&limit=100"),
    (
        "incomes_since",
        (1_767_225_000_000,),
        facts.EXECUTIONS,
        "category=linear&startTime=1767225000000&execType=Funding&limit=100",
    ),
]


@pytest.mark.parametrize(("method", "arguments", "path", "expected"), QUESTIONS)
def test_each_question_becomes_one_query(
    method: str, arguments: tuple[object, ...], path: str, expected: str | dict[str, object]
) -> None:
    """The last call of the path, to the letter; bodies by their keys."""

    async def story(bench: Bench) -> None:
        await getattr(bench.venue, method)(*arguments)
        asked = bench.server.calls(path)[-1]
        if isinstance(expected, str):
            assert ("GET", expected, "") == (asked.method, asked.query, asked.body)
        else:
            assert ("POST", "", expected) == (asked.method, asked.query, asked.json)

    run(story)


REFUSED_HERE = [
    (request(quantity=D("0.0105")), "precision", "not a multiple of 0.001"),
    (request(quantity=D(0)), "precision", "below the smallest order"),
    (request(quantity=D("50.001")), "precision", "above the largest order of 50.000"),
    (request(price=D("60000.55")), "precision", "not a multiple of 0.10"),
    (request(price=D(-1)), "precision", "is no price"),
    (request(price=None), "precision", "a limit order needs a price"),
    (request(price=D("0.1"), quantity=D(1)), "precision", "below the smallest notional of 5"),
    (request(quantity=D("NaN")), "precision", ""),
    (_trigger(STOP, SELL, "58500.01"), "precision", "not a multiple of 0.10"),
    (request(type=STOP, price=None), "precision", "a stop_market order needs a price"),
    (request(client_order_id="x" * 37), "client_order_id", "1 to 36"),
    (request(client_order_id="a b"), "client_order_id", "1 to 36"),
    (request(symbol="ETHUSDT"), "symbol", "ETHUSDT"),
]


@pytest.mark.parametrize(("intent", "code", "text"), REFUSED_HERE)
def test_what_the_venue_would_refuse_for_its_numbers_is_not_sent(intent: OrderRequest, code: str, text: str) -> None:
    """Rejected without a byte."""

    async def story(bench: Bench) -> Outcome:
        outcome = await bench.venue.submit(intent)
        assert [] == bench.server.asked
        return outcome

    outcome = run(story)
    assert isinstance(outcome, Rejected)
    assert code == outcome.code
    assert text in outcome.reason


def test_a_small_exit_may_go_below_the_smallest_notional() -> None:
    """Reduce-only orders are exempt."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.REALTIME] = shown()
        return await bench.venue.submit(request(price=D(100), quantity=D("0.001"), side=SELL, reduce_only=True))

    assert isinstance(run(story), Accepted)


# ── when an order counts as accepted ────────────────────────────────────────


def _submitted(*sights: Answer, intent: OrderRequest | None = None) -> Outcome:
    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.REALTIME] = list(sights)
        return await bench.venue.submit(intent or request())

    return run(story)


def test_an_order_that_is_seen_at_the_venue_is_accepted_without_fills() -> None:
    """Whatever the listing says of fills: they come by themselves."""
    outcome = _submitted(shown(orderStatus="PartiallyFilled", cumExecQty="0.004"))
    assert isinstance(outcome, Accepted)
    expected = (OURS, ORDER_ID, OrderState.ACKED, D(0))
    assert expected == (
        outcome.report.client_order_id,
        outcome.report.venue_order_id,
        outcome.report.state,
        outcome.report.filled,
    )


def test_an_order_that_is_refused_after_the_acknowledgement_is_rejected() -> None:
    """With the venue's reason."""
    outcome = _submitted(listing(), shown(orderStatus="Rejected", rejectReason="EC_NoEnoughQtyToFill"))
    assert Rejected("rejected", "EC_NoEnoughQtyToFill") == outcome


def test_a_post_only_order_that_would_have_crossed_is_told_as_cancelled() -> None:
    """The venue takes it and takes it away at once."""
    sight = shown(orderStatus="Cancelled", rejectReason="EC_PostOnlyWillTakeLiquidity")
    outcome = _submitted(sight, intent=request(time_in_force=POST))
    assert isinstance(outcome, Accepted)
    assert (OrderState.CANCELED, "EC_PostOnlyWillTakeLiquidity") == (outcome.report.state, outcome.report.reason)


@pytest.mark.parametrize("sight", [listing(), shown(orderStatus="Created"), Answer(None, 10016, "server error")])
def test_an_acknowledgement_alone_proves_nothing(sight: Answer) -> None:
    """Taken, and not seen in a moment: unknown, never accepted, never rejected."""
    outcome = _submitted(sight)
    assert isinstance(outcome, Unknown)
    assert ORDER_ID in outcome.why


def test_a_stop_is_looked_for_among_the_stops() -> None:
    """The listing of plain orders may not show it."""

    def answer(asked: Asked) -> Answer:
        is_there = "orderFilter=StopOrder" in asked.query
        return shown(orderStatus="Untriggered", triggerPrice="58500", side="Sell") if is_there else listing()

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.REALTIME] = answer
        return await bench.venue.submit(_trigger(STOP, SELL, "58500"))

    assert isinstance(run(story), Accepted)


UNCLEAR = [
    Answer(hangs_up=True),
    Answer(raw="<html>bad gateway</html>", status=502, content_type="text/html"),
    Answer({"orderId": ORDER_ID}, status=500),
    Answer(raw="{", status=200),
    Answer(raw="", status=200),
    Answer(raw="[1]", status=200),
    Answer(raw="[" * 100_000, status=200),
    Answer({"orderLinkId": OURS}),
    Answer(None),
    Answer(None, 987654, "a code of the future"),
    Answer(raw="<html>", status=400, content_type="text/html"),
    Answer(raw="", status=302),
    Answer(None, 429, "overload"),
    Answer(raw="Too many", status=429, content_type="text/plain"),
]


@pytest.mark.parametrize("answer", UNCLEAR)
def test_what_proves_nothing_is_unknown_and_sent_once(answer: Answer) -> None:
    """The request may have taken effect; it is not sent again."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.CREATE] = answer
        outcome = await bench.venue.submit(request())
        assert 1 == len(bench.server.calls(facts.CREATE))
        return outcome

    assert isinstance(run(story), Unknown)


REFUSED_AT_THE_DOOR = [
    (
        Answer(raw="unknown symbol", status=400, content_type="text/plain"),
        Rejected("http_400", "http_400: unknown symbol"),
    ),
    (
        Answer(raw="404 page not found", status=404, content_type="text/plain"),
        Rejected("http_404", "http_404: 404 page not found"),
    ),
    (Answer(raw="", status=401), Rejected("key", "http_401")),
    (
        Answer(raw="access too frequent", status=403, content_type="text/plain"),
        Rejected("busy", "http_403: access too frequent"),
    ),
    (Answer(None, 10001, "bad", status=400), Rejected("10001", "10001: bad")),
]


@pytest.mark.parametrize(("answer", "expected"), REFUSED_AT_THE_DOOR)
def test_a_refusal_at_the_door_is_a_refusal(answer: Answer, expected: Rejected) -> None:
    """Statuses without an envelope, as the venue's own door writes them."""

    async def story(bench: Bench) -> Outcome:
        bench.server.script[facts.CREATE] = answer
        return await bench.venue.submit(request())

    assert expected == run(story)


def test_nobody_listening_is_a_refusal_and_not_a_doubt() -> None:
    """No byte has left."""

    async def story(bench: Bench) -> Outcome:
        await bench.venue.close()
        return await bench.venue.submit(request())

    outcome = run(story)
    assert isinstance(outcome, Rejected)
    assert "not_sent" == outcome.code


def test_a_cancelled_submit_passes_the_cancellation_on() -> None:
    """The caller knows no more than that it was perhaps sent."""

    async def story(bench: Bench) -> None:
        task = asyncio.get_running_loop().create_task(bench.venue.submit(request()))
        await bench.until(lambda: len(bench.server.calls(facts.CREATE)) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(story)


def test_a_refusal_never_quotes_the_key() -> None:
    """The venue repeats the signed string in its refusal of a signature."""

    async def story(bench: Bench) -> Outcome:
        text = "error sign! origin_string[1767225600000test-key5000{}]"
        bench.server.script[facts.CREATE] = Answer(None, 10004, text)
        return await bench.venue.submit(request())

    outcome = run(story)
    assert isinstance(outcome, Rejected)
    assert "key" == outcome.code
    assert "origin_string" in outcome.reason
    assert "test-key" not in repr(outcome)


# ── cancelling ──────────────────────────────────────────────────────────────


def test_a_cancel_that_was_taken_proves_nothing_about_the_order() -> None:
    """Neither that it stands nor that it has ended."""

    async def story(bench: Bench) -> Outcome:
        return await bench.venue.cancel(BTC, OURS, ORDER_ID)

    outcome = run(story)
    assert isinstance(outcome, Accepted)
    assert OrderState.UNKNOWN is outcome.report.state


def test_cancel_all_asks_again_until_nothing_is_left() -> None:
    """Cancels are performed after they are answered."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.REALTIME] = [shown(), listing(), listing()]
        assert [] == list(await bench.venue.cancel_all(BTC))
        assert 2 == len(bench.server.calls(facts.CANCEL_ALL))

    run(story)


def test_cancel_all_tells_what_stays() -> None:
    """Although the cancel was refused: the list is the truth."""

    async def story(bench: Bench) -> list[OrderReport]:
        bench.server.script[facts.CANCEL_ALL] = Answer(None, 10001, "no")
        bench.server.script[facts.REALTIME] = shown()
        return list(await bench.venue.cancel_all(BTC))

    (left,) = run(story)
    assert OURS == left.client_order_id


def test_cancel_all_fails_where_nobody_knows_what_is_left() -> None:
    """An answer of "nothing" would be a lie."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.REALTIME] = Answer(None, 10016)
        with pytest.raises(VenueUnavailable):
            await bench.venue.cancel_all(BTC)

    run(story)


# ── finding ─────────────────────────────────────────────────────────────────


def test_an_order_is_looked_for_in_both_spaces_of_both_listings_before_it_is_none() -> None:
    """Open and recent ones first, then the history."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.HISTORY] = Answer(None, 110001, "order not exists")
        assert None is await bench.venue.order(BTC, OURS)
        base = f"category=linear&symbol={BTC}&orderLinkId={OURS}"
        expected = [f"{base}&orderFilter=StopOrder&limit=50", f"{base}&limit=50"]
        assert expected == [asked.query for asked in bench.server.calls(facts.REALTIME)]
        assert expected == [asked.query for asked in bench.server.calls(facts.HISTORY)]

    run(story)


@pytest.mark.parametrize("path", [facts.REALTIME, facts.HISTORY])
@pytest.mark.parametrize("answer", [Answer(None, 10016), Answer(None, 10003), Answer(raw="", status=503), Answer(None)])
def test_a_listing_that_fails_is_never_no_order(path: str, answer: Answer) -> None:
    """Whichever of the two it is."""

    async def story(bench: Bench) -> None:
        bench.server.script[path] = answer
        with pytest.raises(VenueUnavailable):
            await bench.venue.order(BTC, OURS)

    run(story)


def test_an_order_of_the_history_is_found_by_its_client_id_alone() -> None:
    """Rows of other orders, for a filter that was not heeded, are passed over."""

    async def story(bench: Bench) -> OrderReport | None:
        bench.server.script[facts.REALTIME] = listing(capital(order_row(orderLinkId="other", orderId="1")))
        done = order_row(orderStatus="Filled", cumExecQty="0.010", updatedTime="1767225600900")
        bench.server.script[facts.HISTORY] = listing(done)
        return await bench.venue.order(BTC, OURS)

    report = run(story)
    assert report is not None
    assert (OrderState.FILLED, D("0.010"), 1_767_225_600_900) == (report.state, report.filled, report.ts_ms)


def test_a_triggered_stop_and_its_child_are_one_order() -> None:
    """The one that tells most stands for both."""

    async def story(bench: Bench) -> OrderReport | None:
        stop = capital(order_row(orderStatus="Active", triggerPrice="58500"))
        child = capital(order_row(orderStatus="Filled", orderId="child", cumExecQty="0.010"))
        bench.server.script[facts.REALTIME] = listing(stop, child)
        return await bench.venue.order(BTC, OURS)

    report = run(story)
    assert report is not None
    assert OrderState.FILLED is report.state


def test_open_orders_are_one_list_over_spaces_and_pages() -> None:
    """Each order once, stops and strangers included; what has ended is left out."""

    def answer(asked: Asked) -> Answer:
        if "orderFilter=StopOrder" in asked.query:
            return listing(capital(order_row(orderId="s1", orderLinkId="", triggerPrice="58500", side="Sell")))
        if "cursor=p%3D2" in asked.query:
            return listing(capital(order_row(orderId="o2", orderLinkId="")))
        stop = capital(order_row(orderId="s1", orderLinkId="", triggerPrice="58500", side="Sell"))
        return listing(
            stop, capital(order_row(orderStatus="Filled", orderId="o9")), capital(order_row()), cursor="p%3D2"
        )

    async def story(bench: Bench) -> list[OrderReport]:
        bench.server.script[facts.REALTIME] = answer
        return list(await bench.venue.open_orders())

    found = run(story)
    assert [("s1", ""), (ORDER_ID, OURS), ("o2", "")] == [(one.venue_order_id, one.client_order_id) for one in found]


def test_pages_that_turn_in_a_circle_are_a_failure() -> None:
    """Not an endless question, and not a list."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.REALTIME] = listing(capital(order_row()), cursor="again")
        with pytest.raises(VenueUnavailable, match="circle"):
            await bench.venue.open_orders()

    run(story)
