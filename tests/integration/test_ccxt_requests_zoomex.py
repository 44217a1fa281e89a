"""What the Zoomex adapter sends, beside what the client library ccxt sends to Bybit for the same intent.

The library does not know Zoomex, whose calls are those of Bybit's fifth version under another prefix: its `bybit` is
taken and the prefix put right in what it has written, which is no part of what is signed. Permissions of the key are
asked for by its plain call of the endpoint.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from integration.ccxt_requests import (
    ABSENT,
    ANY,
    BTC,
    CREDENTIALS,
    FEWEST,
    NAME,
    NOW_MS,
    OURS,
    STOP_NAME,
    SYMBOL,
    Capture,
    Client,
    Clock,
    Desk,
    Difference,
    Intent,
    Sent,
    Told,
    gather,
    idle,
    limit,
    loose,
    order,
    post_only,
    stop,
    target,
    unlisted,
)
from unit.venues.zoomex.scripted import ORDER_ID, capital, instrument_row, order_row

from trading_engine.domain.order_type import TimeInForce
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.time import DAY_MS, MINUTE_MS
from trading_engine.ports import MarginMode, PositionMode
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.zoomex import facts
from trading_engine.venues.zoomex.venue import ZoomexVenue

ccxt = pytest.importorskip("ccxt")
pytestmark = pytest.mark.xdist_group("ccxt requests")  # one process gathers for all tests of a module

BUY, SELL = TradeSide.BUY, TradeSide.SELL
HEDGED = {"hedged": True}
REDUCES = {"reduceOnly": True}
MARK = {"triggerBy": "MarkPrice"}
TRIGGER = {"trigger": True}
UNSEEN = "teabcd000009e00001"
SINCE_MS = NOW_MS - DAY_MS
LISTED = instrument_row(baseCoin="BTC", quoteCoin="USDT", priceScale="2", launchTime="1585526400000")


def _page(*rows: object) -> dict[str, Any]:
    return {"list": list(rows), "nextPageCursor": "", "category": "linear"}


def _realtime(sent: Sent) -> Any:
    """The order that is asked for rests; one id is known nowhere, and nothing is open otherwise."""
    name = sent.params.get("orderLinkId", UNSEEN)
    return _said(_page() if name == UNSEEN else _page(capital(order_row(orderLinkId=name))))


def _said(result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": NOW_MS}


def _placed(sent: Sent) -> Any:
    return _said({"orderId": ORDER_ID, "orderLinkId": sent.params.get("orderLinkId", "")})


def _wallet(_: Sent) -> Any:
    coin = {"coin": "USDT", "walletBalance": "1000.10", "availableToWithdraw": "900"}
    return _said(_page({"accountType": "UNIFIED", "totalAvailableBalance": "993.03", "coin": [coin]}))


TIER = {"id": 1, "symbol": BTC, "riskLimitValue": "2000000", "maintenanceMargin": "0.005", "maxLeverage": "100.00"}
FLAT = {"symbol": BTC, "side": "None", "size": "0", "positionIdx": 0, "tradeMode": 0, "leverage": "10"}
RESULTS: Mapping[str, Any] = {
    f"GET {facts.TIME}": {"timeSecond": str(NOW_MS // 1_000), "timeNano": str(NOW_MS * 1_000_000)},
    f"GET {facts.INSTRUMENTS}": _page(LISTED),
    f"GET {facts.RISK_LIMITS}": _page(TIER),
    f"GET {facts.KLINES}": {"symbol": BTC, "category": "linear", "list": []},
    f"POST {facts.CANCEL_ALL}": {"list": [], "success": "1"},
    f"GET {facts.HISTORY}": _page(),
    f"GET {facts.EXECUTIONS}": _page(),
    f"GET {facts.POSITIONS}": _page(FLAT),
    f"POST {facts.LEVERAGE}": {},
    f"POST {facts.SWITCH_MODE}": {},
    f"POST {facts.SWITCH_ISOLATED}": {},
    f"GET {facts.FEE_RATE}": _page({"symbol": BTC, "makerFeeRate": "0.0002", "takerFeeRate": "0.0006"}),
    f"GET {facts.KEY_FACTS}": {"permissions": {"ContractTrade": ["Order", "Position"]}, "readOnly": 0},
}


def _prefixed(name: str) -> str:
    method, _, path = name.partition(" ")
    return f"{method} {facts.PREFIX}{path}"


SCRIPT: Mapping[str, Any] = {
    **{_prefixed(name): _said(result) for name, result in RESULTS.items()},
    _prefixed(f"POST {facts.CREATE}"): _placed,
    _prefixed(f"POST {facts.CANCEL}"): _placed,
    _prefixed(f"GET {facts.REALTIME}"): _realtime,
    _prefixed(f"GET {facts.WALLET}"): _wallet,
}
CONFIRMS = (_prefixed(f"GET {facts.REALTIME}"),)  # an acknowledgement proves nothing here: each order is looked for

# ── the intents ─────────────────────────────────────────────────────────────


async def _isolate_classic(desk: Desk) -> object:
    """The wallet of the older generation of accounts; in a unified one no documented call sets the mode."""
    desk.one_way._account._generation = "CONTRACT"
    return await desk.one_way.set_margin_mode(BTC, MarginMode.ISOLATED)


def _isolate(client: Client) -> object:
    client.options["enableUnifiedAccount"] = False
    return client.set_margin_mode("isolated", SYMBOL, {"leverage": "10"})


ORDERS = (
    Intent(
        "market buy",
        lambda desk: desk.one_way.submit(order(BUY)),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.01, None, NAME),),
        beside=CONFIRMS,
    ),
    Intent(
        "market sell",
        lambda desk: desk.one_way.submit(order(SELL)),
        (lambda client: client.create_order(SYMBOL, "market", "sell", 0.01, None, NAME),),
        beside=CONFIRMS,
    ),
    Intent(
        "limit buy",
        lambda desk: desk.one_way.submit(limit(BUY)),
        (lambda client: client.create_order(SYMBOL, "limit", "buy", 0.01, 60_000.5, NAME),),
        beside=CONFIRMS,
    ),
    Intent(
        "limit sell",
        lambda desk: desk.one_way.submit(limit(SELL, "61234.1")),
        (lambda client: client.create_order(SYMBOL, "limit", "sell", 0.01, 61_234.1, NAME),),
        beside=CONFIRMS,
    ),
    Intent(
        "limit at once or never",
        lambda desk: desk.one_way.submit(limit(BUY, time_in_force=TimeInForce.IOC)),
        (lambda client: client.create_order(SYMBOL, "limit", "buy", 0.01, 60_000.5, NAME | {"timeInForce": "IOC"}),),
        beside=CONFIRMS,
    ),
    Intent(
        "post-only",
        lambda desk: desk.one_way.submit(post_only(BUY)),
        (lambda client: client.create_order(SYMBOL, "limit", "buy", 0.01, 60_000.5, NAME | {"postOnly": True}),),
        beside=CONFIRMS,
    ),
    Intent(
        "reduce-only market",
        lambda desk: desk.one_way.submit(order(SELL, reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "market", "sell", 0.01, None, NAME | REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "reduce-only limit",
        lambda desk: desk.one_way.submit(limit(SELL, "65000", reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "limit", "sell", 0.01, 65_000, NAME | REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "stop of a long",
        lambda desk: desk.one_way.submit(stop(SELL, "58000")),
        (lambda client: _stop(client, "sell", 58_000, REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "stop of a short",
        lambda desk: desk.one_way.submit(stop(BUY, "62000.1")),
        (lambda client: _stop(client, "buy", 62_000.1, REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "stop that opens",
        lambda desk: desk.one_way.submit(stop(BUY, "65000", reduce_only=False)),
        (lambda client: _opening_stop(client, "buy", 65_000, "ascending"),),
        beside=CONFIRMS,
    ),
    Intent(
        "target of a long",
        lambda desk: desk.one_way.submit(target(SELL, "65000")),
        (lambda client: _target(client, "sell", 65_000, REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "target of a short",
        lambda desk: desk.one_way.submit(target(BUY, "55000")),
        (lambda client: _target(client, "buy", 55_000, REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "hedged, open a long",
        lambda desk: desk.hedge.submit(order(BUY)),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.01, None, NAME | HEDGED),),
        beside=CONFIRMS,
    ),
    Intent(
        "hedged, open a short",
        lambda desk: desk.hedge.submit(limit(SELL)),
        (lambda client: client.create_order(SYMBOL, "limit", "sell", 0.01, 60_000.5, NAME | HEDGED),),
        beside=CONFIRMS,
    ),
    Intent(
        "hedged, close a long",
        lambda desk: desk.hedge.submit(order(SELL, reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "market", "sell", 0.01, None, NAME | HEDGED | REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "hedged, close a short",
        lambda desk: desk.hedge.submit(order(BUY, reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.01, None, NAME | HEDGED | REDUCES),),
        beside=CONFIRMS,
    ),
    Intent(
        "hedged, stop of a long at the mark price",
        lambda desk: desk.hedge.submit(stop(SELL, "58000")),
        (lambda client: _stop(client, "sell", 58_000, HEDGED | REDUCES | MARK),),
        beside=CONFIRMS,
    ),
    Intent(
        "hedged, target of a short at the mark price",
        lambda desk: desk.hedge.submit(target(BUY, "55000")),
        (lambda client: _target(client, "buy", 55_000, HEDGED | REDUCES | MARK),),
        beside=CONFIRMS,
    ),
    Intent(
        "cancel by client id",
        lambda desk: desk.one_way.cancel(BTC, OURS, ""),
        (lambda client: client.cancel_order(None, SYMBOL, {"orderLinkId": OURS}),),
    ),
    Intent(
        "cancel a stranger's order",
        lambda desk: desk.one_way.cancel(BTC, "", ORDER_ID),
        (lambda client: client.cancel_order(ORDER_ID, SYMBOL),),
    ),
    Intent(
        "cancel everything on a symbol",
        lambda desk: desk.one_way.cancel_all(BTC),
        (
            lambda client: client.cancel_all_orders(SYMBOL),
            lambda client: client.fetch_open_orders(SYMBOL, None, 50, TRIGGER),
            lambda client: client.fetch_open_orders(SYMBOL, None, 50),
        ),
    ),
)
QUESTIONS = (
    Intent(
        "an order by client id, that nothing shows",
        lambda desk: desk.one_way.order(BTC, UNSEEN),
        (
            lambda client: client.fetch_open_orders(SYMBOL, None, 50, TRIGGER | {"orderLinkId": UNSEEN}),
            lambda client: client.fetch_open_orders(SYMBOL, None, 50, {"orderLinkId": UNSEEN}),
            lambda client: client.fetch_canceled_and_closed_orders(SYMBOL, None, 50, TRIGGER | {"orderLinkId": UNSEEN}),
            lambda client: client.fetch_canceled_and_closed_orders(SYMBOL, None, 50, {"orderLinkId": UNSEEN}),
        ),
    ),
    Intent(
        "open orders of the account",
        lambda desk: desk.one_way.open_orders(),
        (
            lambda client: client.fetch_open_orders(None, None, 50, TRIGGER),
            lambda client: client.fetch_open_orders(None, None, 50),
        ),
    ),
    Intent(
        "executions since yesterday",
        lambda desk: desk.one_way.fills_since(SINCE_MS),
        (lambda client: client.fetch_my_trades(None, SINCE_MS, 100),),
    ),
    Intent(
        "funding since yesterday",
        lambda desk: desk.one_way.incomes_since(SINCE_MS),
        (lambda client: client.fetch_funding_history(SYMBOL, SINCE_MS, 100),),
    ),
    Intent(
        "positions",
        lambda desk: desk.one_way.positions(),
        (lambda client: client.fetch_positions(None, {"settleCoin": "USDT"}),),
    ),
    Intent(
        "the wallet",
        lambda desk: desk.one_way.balance(),
        (lambda client: client.fetch_balance(),),
    ),
    Intent(
        "position mode and permissions, as a start checks them",
        lambda desk: desk.one_way.account_facts(),
        (
            lambda client: client.fetch_positions([SYMBOL]),
            lambda client: client.privateGetV5UserQueryApi(),
        ),
    ),
    Intent(
        "fee rates",
        lambda desk: desk.one_way.fee_rates(BTC),
        (lambda client: client.fetch_trading_fee(SYMBOL),),
    ),
    Intent(
        "instruments and tiers",
        lambda desk: desk.one_way.instruments(),
        (
            lambda client: client.fetch_future_markets({"category": "linear"}),
            lambda client: client.fetch_market_leverage_tiers(SYMBOL),
        ),
    ),
    Intent(
        "candles",
        lambda desk: desk.one_way.candles(BTC, MINUTE_MS, SINCE_MS, SINCE_MS + 98 * MINUTE_MS),
        (
            lambda client: client.fetch_ohlcv(
                SYMBOL, "1m", SINCE_MS, 1_000, {"until": SINCE_MS + 98 * MINUTE_MS - 1, "paginate": False}
            ),
        ),
    ),
    Intent(
        "the time",
        lambda desk: desk.one_way._rest._ask_time(),
        (lambda client: client.fetch_time(),),
    ),
)
SETTINGS = (
    Intent(
        "leverage",
        lambda desk: desk.one_way.set_leverage(BTC, Decimal(5)),
        (lambda client: client.set_leverage(5, SYMBOL),),
    ),
    Intent(
        "hedge mode",
        lambda desk: desk.hedge.set_position_mode(PositionMode.HEDGE),
        (lambda client: client.set_position_mode(True, SYMBOL),),
    ),
    Intent(
        "one-way mode",
        lambda desk: desk.one_way.set_position_mode(PositionMode.ONE_WAY),
        (lambda client: client.set_position_mode(False, SYMBOL),),
    ),
    Intent(
        "isolated margin on a classic account",
        _isolate_classic,
        (_isolate,),
        beside=(_prefixed(f"GET {facts.WALLET}"), _prefixed(f"GET {facts.POSITIONS}")),  # how it is set now
    ),
)
INTENTS = (*ORDERS, *QUESTIONS, *SETTINGS)


def _stop(client: Client, side: str, trigger: float, extra: Mapping[str, Any]) -> object:
    return client.create_order(SYMBOL, "market", side, 0.01, None, {**STOP_NAME, "stopLossPrice": trigger, **extra})


def _opening_stop(client: Client, side: str, trigger: float, direction: str) -> object:
    extra = {**STOP_NAME, "triggerPrice": trigger, "triggerDirection": direction}
    return client.create_order(SYMBOL, "market", side, 0.01, None, extra)


def _target(client: Client, side: str, trigger: float, extra: Mapping[str, Any]) -> object:
    return client.create_order(SYMBOL, "market", side, 0.01, None, {**STOP_NAME, "takeProfitPrice": trigger, **extra})


# ── in what the two may differ ──────────────────────────────────────────────

CREATE = f"POST {facts.PREFIX}{facts.CREATE}"
EXECUTIONS = f"GET {facts.PREFIX}{facts.EXECUTIONS}"
DIFFERENCES = (
    Difference(
        "header x-bapi-timestamp", ANY, ANY, "ours stays 200 ms behind: 1 s ahead is refused whatever the window"
    ),
    Difference("header x-bapi-sign", ANY, ANY, "of other bytes; each is recomputed from its own"),
    Difference("header x-bapi-sign-type", "2", ABSENT, "the documents' own sample sends it"),
    Difference("header referer", ABSENT, "CCXT", "the library's tag of where orders come from", where="POST *"),
    Difference("header content-type", ABSENT, "application/json", "a question has no body", where="GET *"),
    Difference(
        "timeInForce",
        "GTC",
        ABSENT,
        "the default, said: an order's life is our setting",
        where=CREATE,
        when=("limit *", "reduce-only limit", "hedged, open a short"),
    ),
    Difference(
        "timeInForce",
        "IOC",
        ABSENT,
        "what a market order is in any case",
        where=CREATE,
        when=("market *", "*reduce-only market", "*stop *", "*target *", "hedged, open a long", "hedged, close *"),
    ),
    Difference(
        "positionIdx", 0, ABSENT, "the one position of one-way mode, said and not left to a default", where=CREATE
    ),
    Difference("reduceOnly", False, ABSENT, "the default, said", where=CREATE),
    Difference(
        "reduceOnly",
        True,
        ABSENT,
        "demanded of orders that close, and the library leaves it out of those that close a side of a hedge",
        where=CREATE,
        when=("hedged, close *",),
    ),
    Difference("triggerBy", "LastPrice", ABSENT, "the default, said: it decides what triggers a stop", where=CREATE),
    Difference("openOnly", "0", ABSENT, "the default, said: what has ended is not open", where="GET */order/realtime"),
    Difference(
        "coin", "USDT", ABSENT, "without it only coins of which there are some are told", where="GET */wallet-balance"
    ),
    Difference("execType", ABSENT, "Trade", "liquidations and deleveraging move positions as well", where=EXECUTIONS),
    Difference("symbol", ABSENT, BTC, "funding of the whole account", where=EXECUTIONS),
    Difference("limit", "100", ABSENT, "the documented name of a page's length", where=EXECUTIONS),
    Difference("size", ABSENT, "100", "a name that the documents do not have", where=EXECUTIONS),
)

# ── the tests ───────────────────────────────────────────────────────────────


def _make(clock: Clock, url: str) -> Desk:
    hosts = Hosts(url, url, url)
    one_way = AccountSettings("main", (BTC,), hosts)
    hedge = AccountSettings("main", (BTC,), hosts, position_mode=PositionMode.HEDGE, trigger_by="mark")
    return Desk(ZoomexVenue(CREDENTIALS, one_way, clock), ZoomexVenue(CREDENTIALS, hedge, clock))


def _library(clock: Clock) -> Capture:
    options = {"enableUnifiedMargin": False, "enableUnifiedAccount": True}
    keys = {"apiKey": CREDENTIALS.key, "secret": CREDENTIALS.secret}
    client = ccxt.bybit({**keys, "enableRateLimit": False, "options": options})
    listed = {_prefixed(f"GET {facts.INSTRUMENTS}"): _said(_page(LISTED))}
    Capture(client, clock, _remapped, listed)
    client.set_markets(client.fetch_future_markets({"category": "linear"}))
    return Capture(client, clock, _remapped)


def _remapped(path: str) -> str:
    return path.replace("/v5/", f"{facts.PREFIX}/")


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """What every intent has sent, on both sides."""
    clock = Clock()
    return asyncio.run(gather(INTENTS, SCRIPT, clock, lambda url: _make(clock, url), _library(clock)))


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: intent.name)
def test_an_intent_leaves_as_the_library_sends_it(told: dict[str, Told], intent: Intent) -> None:
    """Method, path, parameters with their JSON types, and headers, but for what the table lists."""
    assert [] == unlisted(intent, told[intent.name], DIFFERENCES)


def _payload(sent: Sent) -> str:
    return sent.body if sent.method == "POST" else sent.query


def _signed(told: dict[str, Told]) -> list[tuple[Sent, Sent]]:
    pairs = [pair for each in told.values() for pair in zip(each.ours, each.theirs, strict=True)]
    return [(ours, theirs) for ours, theirs in pairs if "x-bapi-sign" in ours.headers]


def test_both_signatures_are_those_of_the_bytes_that_were_sent(told: dict[str, Told]) -> None:
    """Recomputed with the secret, from what the server and the library wrote down."""
    pairs = _signed(told)
    assert len(INTENTS) <= len(pairs)
    for sent in [sent for pair in pairs for sent in pair]:
        head = sent.headers
        stamp = f"{head['x-bapi-timestamp']}{CREDENTIALS.key}{head['x-bapi-recv-window']}"
        made = hmac.new(CREDENTIALS.secret.encode(), f"{stamp}{_payload(sent)}".encode(), hashlib.sha256)
        assert made.hexdigest() == head["x-bapi-sign"], sent


def test_the_library_signs_our_parameters_to_the_same_bytes(told: dict[str, Told]) -> None:
    """Its own signer, given our parameters at our instant, makes our query or body and our signature."""
    clock = Clock()
    capture = _library(clock)
    for ours, _ in _signed(told):
        clock.now = int(ours.headers["x-bapi-timestamp"])
        path = f"v5{ours.path.removeprefix(facts.PREFIX)}"
        made = capture.client.sign(path, ["private"], ours.method, ours.params)
        theirs = capture.as_sent(made["url"], made["method"], made["headers"], made["body"])
        assert (ours.name, _payload(ours)) == (theirs.name, _payload(theirs))
        assert ours.headers["x-bapi-sign"] == theirs.headers["x-bapi-sign"]


def test_our_timestamps_stay_behind_by_the_guard_alone(told: dict[str, Told]) -> None:
    """The listed difference of the two, measured."""
    stamps = [[int(sent.headers["x-bapi-timestamp"]) for sent in pair] for pair in _signed(told)]
    assert {facts.CLOCK_GUARD_MS} == {theirs - ours for ours, theirs in stamps}


def test_every_listed_difference_shows(told: dict[str, Told]) -> None:
    """What does not differ any more leaves the table."""
    assert [] == idle(told.values(), DIFFERENCES)


def test_what_is_equal_could_not_be_lost_unnoticed(told: dict[str, Told]) -> None:
    """No listed difference is so wide that it would cover a parameter that is equal today."""
    assert [] == loose(told.values(), DIFFERENCES)


def test_the_intents_are_many_and_most_have_a_word_in_the_library() -> None:
    """At least twenty-five that the library itself can express."""
    assert FEWEST <= len([intent for intent in INTENTS if not intent.is_raw])
