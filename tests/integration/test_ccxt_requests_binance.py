"""What the Binance USDⓈ-M adapter sends, beside what the client library ccxt sends for the same intent.

The library's version has words for conditional ("algo") orders, so stops and targets are compared like the rest. It has
none for the futures wallet alone, the account's configuration, listen keys and trades after a number: there its plain
call of the endpoint is taken, which still compares method, path, where parameters stand, and the signature.
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
    STOP,
    STOP_NAME,
    SYMBOL,
    Answer,
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
from unit.venues.binance.scripted import algo, brackets, plain, symbol_info, trade

from trading_engine.domain.order_type import TimeInForce
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.time import DAY_MS, MINUTE_MS
from trading_engine.ports import MarginMode, PositionMode
from trading_engine.venues.binance.codec import ALGO_ID_MARK
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.wire.settings import AccountSettings, Hosts

ccxt = pytest.importorskip("ccxt")
pytestmark = pytest.mark.xdist_group("ccxt requests")  # one process gathers for all tests of a module

BUY, SELL = TradeSide.BUY, TradeSide.SELL
HEDGED = {"hedged": True}
TRIGGER = {"trigger": True}
REDUCES = {"reduceOnly": True}
MARK = {"workingType": "MARK_PRICE"}
ODD_NAME = "te:1/a.B_c-9"  # every kind of character that the venue allows and an address does not

LISTED = symbol_info(
    BTC,
    "0.10",
    "0.001",
    baseAsset="BTC",
    quotePrecision=8,
    orderTypes=["LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET"],
    timeInForce=["GTC", "IOC", "FOK", "GTX"],
)
LISTING = {"rateLimits": [], "symbols": [LISTED]}
HELD = {
    "symbol": BTC,
    "positionSide": "BOTH",
    "positionAmt": "0.010",
    "entryPrice": "60000.0",
    "markPrice": "60010.0",
    "unRealizedProfit": "0.1",
    "liquidationPrice": "54000.0",
}


SINCE_MS = NOW_MS - DAY_MS
LONG_AGO_MS = NOW_MS - 10 * DAY_MS
UNKNOWN = Answer({"code": -2013, "msg": "Order does not exist."}, 400)


def _plain(sent: Sent) -> Any:
    name = sent.params.get("newClientOrderId") or sent.params.get("origClientOrderId") or OURS
    if name == STOP:
        return UNKNOWN
    return plain(clientOrderId=name, status="CANCELED" if sent.method == "DELETE" else "NEW")


def _trades(sent: Sent) -> Any:
    return [] if "fromId" in sent.params else [trade(7, LONG_AGO_MS)]


SCRIPT: Mapping[str, Any] = {
    "GET /fapi/v1/time": {"serverTime": NOW_MS},
    "GET /fapi/v1/exchangeInfo": LISTING,
    "GET /fapi/v1/leverageBracket": [brackets(BTC)],
    "GET /fapi/v1/klines": [],
    "POST /fapi/v1/order": _plain,
    "GET /fapi/v1/order": _plain,
    "DELETE /fapi/v1/order": _plain,
    "POST /fapi/v1/algoOrder": algo(clientAlgoId=STOP),
    "GET /fapi/v1/algoOrder": UNKNOWN,
    "GET /fapi/v1/allAlgoOrders": [],
    "DELETE /fapi/v1/algoOrder": {"algoId": 1, "clientAlgoId": STOP, "code": "200", "msg": "success"},
    "DELETE /fapi/v1/allOpenOrders": {"code": 200, "msg": "done"},
    "DELETE /fapi/v1/algoOpenOrders": {"code": 200, "msg": "done"},
    "GET /fapi/v1/openOrders": [],
    "GET /fapi/v1/openAlgoOrders": [],
    "GET /fapi/v1/userTrades": _trades,
    "GET /fapi/v1/income": [],
    "GET /fapi/v3/positionRisk": [HELD],
    "GET /fapi/v3/balance": [{"asset": "USDT", "balance": "1", "availableBalance": "1"}],
    "GET /fapi/v1/symbolConfig": [{"symbol": BTC, "marginType": "CROSSED", "leverage": 20}],
    "GET /fapi/v1/accountConfig": {"canTrade": True, "dualSidePosition": False, "multiAssetsMargin": False},
    "GET /sapi/v1/account/apiRestrictions": {"enableWithdrawals": False, "enableFutures": True},
    "GET /fapi/v1/feeBurn": {"feeBurn": False},
    "GET /fapi/v1/commissionRate": {"makerCommissionRate": "0.0002", "takerCommissionRate": "0.0005"},
    "POST /fapi/v1/leverage": {"leverage": 5, "symbol": BTC},
    "POST /fapi/v1/marginType": {"code": 200, "msg": "success"},
    "POST /fapi/v1/positionSide/dual": {"code": 200, "msg": "success"},
    "POST /fapi/v1/listenKey": {"listenKey": "k1"},
}
BEFORE = {  # the library reads the brackets before it reads positions
    "GET /fapi/v1/leverageBracket": [brackets(BTC)],
}

# ── the intents ─────────────────────────────────────────────────────────────

ORDERS = (
    Intent(
        "market buy",
        lambda desk: desk.one_way.submit(order(BUY)),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.01, None, NAME),),
    ),
    Intent(
        "market sell",
        lambda desk: desk.one_way.submit(order(SELL)),
        (lambda client: client.create_order(SYMBOL, "market", "sell", 0.01, None, NAME),),
    ),
    Intent(
        "limit buy",
        lambda desk: desk.one_way.submit(limit(BUY)),
        (lambda client: client.create_order(SYMBOL, "limit", "buy", 0.01, 60_000.5, NAME),),
    ),
    Intent(
        "limit sell",
        lambda desk: desk.one_way.submit(limit(SELL, "61234.1")),
        (lambda client: client.create_order(SYMBOL, "limit", "sell", 0.01, 61_234.1, NAME),),
    ),
    Intent(
        "limit at once or never",
        lambda desk: desk.one_way.submit(limit(BUY, time_in_force=TimeInForce.IOC)),
        (lambda client: client.create_order(SYMBOL, "limit", "buy", 0.01, 60_000.5, NAME | {"timeInForce": "IOC"}),),
    ),
    Intent(
        "post-only",
        lambda desk: desk.one_way.submit(post_only(BUY)),
        (lambda client: client.create_order(SYMBOL, "limit", "buy", 0.01, 60_000.5, NAME | {"postOnly": True}),),
    ),
    Intent(
        "a client id with every character",
        lambda desk: desk.one_way.submit(order(BUY, client_order_id=ODD_NAME)),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": ODD_NAME}),),
    ),
    Intent(
        "reduce-only market",
        lambda desk: desk.one_way.submit(order(SELL, reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "market", "sell", 0.01, None, NAME | REDUCES),),
    ),
    Intent(
        "reduce-only limit",
        lambda desk: desk.one_way.submit(limit(SELL, "65000", reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "limit", "sell", 0.01, 65_000, NAME | REDUCES),),
    ),
    Intent(
        "stop of a long",
        lambda desk: desk.one_way.submit(stop(SELL, "58000")),
        (lambda client: _stop(client, "sell", 58_000, REDUCES),),
    ),
    Intent(
        "stop of a short",
        lambda desk: desk.one_way.submit(stop(BUY, "62000.1")),
        (lambda client: _stop(client, "buy", 62_000.1, REDUCES),),
    ),
    Intent(
        "stop that opens",
        lambda desk: desk.one_way.submit(stop(BUY, "65000", reduce_only=False)),
        (lambda client: _stop(client, "buy", 65_000, {}),),
    ),
    Intent(
        "target of a long",
        lambda desk: desk.one_way.submit(target(SELL, "65000")),
        (lambda client: _target(client, "sell", 65_000, REDUCES),),
    ),
    Intent(
        "target of a short",
        lambda desk: desk.one_way.submit(target(BUY, "55000")),
        (lambda client: _target(client, "buy", 55_000, REDUCES),),
    ),
    Intent(
        "hedged, open a long",
        lambda desk: desk.hedge.submit(order(BUY)),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.01, None, NAME | HEDGED),),
    ),
    Intent(
        "hedged, open a short",
        lambda desk: desk.hedge.submit(limit(SELL)),
        (lambda client: client.create_order(SYMBOL, "limit", "sell", 0.01, 60_000.5, NAME | HEDGED),),
    ),
    Intent(
        "hedged, close a long",
        lambda desk: desk.hedge.submit(order(SELL, reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "market", "sell", 0.01, None, NAME | HEDGED | REDUCES),),
    ),
    Intent(
        "hedged, close a short",
        lambda desk: desk.hedge.submit(order(BUY, reduce_only=True)),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.01, None, NAME | HEDGED | REDUCES),),
    ),
    Intent(
        "hedged, stop of a long at the mark price",
        lambda desk: desk.hedge.submit(stop(SELL, "58000")),
        (lambda client: _stop(client, "sell", 58_000, HEDGED | REDUCES | MARK),),
    ),
    Intent(
        "hedged, target of a short at the mark price",
        lambda desk: desk.hedge.submit(target(BUY, "55000")),
        (lambda client: _target(client, "buy", 55_000, HEDGED | REDUCES | MARK),),
    ),
    Intent(
        "cancel by client id",
        lambda desk: desk.one_way.cancel(BTC, OURS, ""),
        (lambda client: client.cancel_order("", SYMBOL, NAME),),
    ),
    Intent(
        "cancel a stranger's order",
        lambda desk: desk.one_way.cancel(BTC, "", "8389765739703625592"),
        (lambda client: client.cancel_order("8389765739703625592", SYMBOL),),
    ),
    Intent(
        "cancel a stop by client id",
        lambda desk: desk.one_way.cancel(BTC, STOP, ""),
        (lambda client: client.cancel_order("", SYMBOL, STOP_NAME | TRIGGER),),
    ),
    Intent(
        "cancel a stranger's stop",
        lambda desk: desk.one_way.cancel(BTC, "", f"{ALGO_ID_MARK}4000001910058351"),
        (lambda client: client.cancel_order("4000001910058351", SYMBOL, TRIGGER),),
    ),
    Intent(
        "cancel everything on a symbol",
        lambda desk: desk.one_way.cancel_all(BTC),
        (
            lambda client: client.cancel_all_orders(SYMBOL),
            lambda client: client.cancel_all_orders(SYMBOL, TRIGGER),
            lambda client: client.fetch_open_orders(SYMBOL, None, None, TRIGGER),
            lambda client: client.fetch_open_orders(SYMBOL),
        ),
    ),
)
QUESTIONS = (
    Intent(
        "an order by client id",
        lambda desk: desk.one_way.order(BTC, OURS),
        (lambda client: client.fetch_order("", SYMBOL, NAME),),
    ),
    Intent(
        "a stop by client id, that nothing shows",
        lambda desk: desk.one_way.order(BTC, STOP),
        (
            lambda client: client.fetch_order("", SYMBOL, STOP_NAME),
            lambda client: client.fetch_open_orders(SYMBOL, None, None, TRIGGER),
            lambda client: client.fetch_order("", SYMBOL, STOP_NAME | TRIGGER),
            lambda client: client.fetch_orders(SYMBOL, None, 1_000, TRIGGER),
        ),
    ),
    Intent(
        "open orders of the account",
        lambda desk: desk.one_way.open_orders(),
        (
            lambda client: client.fetch_open_orders(None, None, None, TRIGGER),
            lambda client: client.fetch_open_orders(),
        ),
    ),
    Intent(
        "trades of a week, and those after the last of them",
        lambda desk: desk.one_way.fills_since(LONG_AGO_MS),
        (
            lambda client: client.fetch_my_trades(SYMBOL, LONG_AGO_MS, 1_000, {"until": LONG_AGO_MS + 7 * DAY_MS - 1}),
            lambda client: client.fapiPrivateGetUserTrades({"symbol": BTC, "fromId": 8, "limit": 1_000}),
        ),
        beside=("GET /fapi/v1/order",),  # whose order it was: trades name none
    ),
    Intent(
        "incomes since yesterday",
        lambda desk: desk.one_way.incomes_since(SINCE_MS),
        (lambda client: client.fetch_ledger("USDT", SINCE_MS, 1_000, {"until": SINCE_MS + 7 * DAY_MS - 1}),),
    ),
    Intent(
        "positions and their leverage",
        lambda desk: desk.one_way.positions(),
        (
            lambda client: client.fetch_positions(),
            lambda client: client.fetch_margin_mode(SYMBOL),
        ),
    ),
    Intent(
        "the wallet",
        lambda desk: desk.one_way.balance(),
        (lambda client: client.fapiPrivateV3GetBalance(),),
        is_raw=True,
    ),
    Intent(
        "how the account is set",
        lambda desk: desk.one_way.account_facts(),
        (
            lambda client: client.fapiPrivateGetAccountConfig(),
            lambda client: client.sapiGetAccountApiRestrictions(),
            lambda client: client.fapiPrivateGetFeeBurn(),
        ),
        is_raw=True,
    ),
    Intent(
        "fee rates",
        lambda desk: desk.one_way.fee_rates(BTC),
        (lambda client: client.fetch_trading_fee(SYMBOL),),
    ),
    Intent(
        "instruments and tiers",
        lambda desk: desk.one_way.instruments(),
        (lambda client: client.fetch_markets(), lambda client: client.fetch_leverage_tiers()),
    ),
    Intent(
        "candles",
        lambda desk: desk.one_way.candles(BTC, MINUTE_MS, SINCE_MS, SINCE_MS + 98 * MINUTE_MS),
        (lambda client: client.fetch_ohlcv(SYMBOL, "1m", SINCE_MS, 99, {"until": SINCE_MS + 98 * MINUTE_MS - 1}),),
    ),
    Intent(
        "the time",
        lambda desk: desk.one_way._rest._server_time(),
        (lambda client: client.fetch_time(),),
    ),
    Intent(
        "a listen key",
        lambda desk: desk.one_way._stream._address(),
        (lambda client: client.fapiPrivatePostListenKey(),),
        is_raw=True,
    ),
)
SETTINGS = (
    Intent(
        "leverage",
        lambda desk: desk.one_way.set_leverage(BTC, Decimal(5)),
        (lambda client: client.set_leverage(5, SYMBOL),),
    ),
    Intent(
        "isolated margin",
        lambda desk: desk.one_way.set_margin_mode(BTC, MarginMode.ISOLATED),
        (lambda client: client.set_margin_mode("isolated", SYMBOL),),
    ),
    Intent(
        "cross margin",
        lambda desk: desk.one_way.set_margin_mode(BTC, MarginMode.CROSS),
        (lambda client: client.set_margin_mode("cross", SYMBOL),),
    ),
    Intent(
        "hedge mode",
        lambda desk: desk.one_way.set_position_mode(PositionMode.HEDGE),
        (lambda client: client.set_position_mode(True),),
    ),
    Intent(
        "one-way mode",
        lambda desk: desk.one_way.set_position_mode(PositionMode.ONE_WAY),
        (lambda client: client.set_position_mode(False),),
    ),
)
INTENTS = (*ORDERS, *QUESTIONS, *SETTINGS)


def _stop(client: Client, side: str, trigger: float, extra: Mapping[str, Any]) -> object:
    return client.create_order(SYMBOL, "market", side, 0.01, None, {**STOP_NAME, "stopLossPrice": trigger, **extra})


def _target(client: Client, side: str, trigger: float, extra: Mapping[str, Any]) -> object:
    return client.create_order(SYMBOL, "market", side, 0.01, None, {**STOP_NAME, "takeProfitPrice": trigger, **extra})


# ── in what the two may differ ──────────────────────────────────────────────

DIFFERENCES = (
    Difference("recvWindow", "5000", "10000", "ours is the venue's default: absence is believed only after it"),
    Difference("signature", ANY, ANY, "of other bytes; each is recomputed from its own"),
    Difference(
        "workingType",
        "CONTRACT_PRICE",
        ABSENT,
        "the venue's default, said all the same: which price triggers a stop is our setting",
        where="POST /fapi/v1/algoOrder",
    ),
    Difference(
        "newOrderRespType",
        ABSENT,
        "RESULT",
        "a conditional order has no result when it is placed; for plain orders both ask for it",
        where="POST /fapi/v1/algoOrder",
    ),
    Difference(
        "symbol",
        ABSENT,
        BTC,
        "the documented parameters are the algo id or the client's; an unread one may be refused (-1104)",
        where="GET /fapi/v1/algoOrder",
    ),
    Difference("symbol", ABSENT, BTC, "likewise", where="DELETE /fapi/v1/algoOrder"),
    Difference("startTime", ANY, ABSENT, "whole listing in windows of 7 days", where="GET /fapi/v1/allAlgoOrders"),
    Difference("endTime", ANY, ABSENT, "likewise", where="GET /fapi/v1/allAlgoOrders"),
    Difference(
        "header content-type",
        ABSENT,
        "application/x-www-form-urlencoded",
        "the call has no body to name a type of",
        where="POST /fapi/v1/listenKey",
    ),
)

# ── the tests ───────────────────────────────────────────────────────────────


def _make(clock: Clock, url: str) -> Desk:
    hosts = Hosts(url, f"{url}/market", f"{url}/private")
    one_way = AccountSettings("main", (BTC,), hosts)
    hedge = AccountSettings("main", (BTC,), hosts, position_mode=PositionMode.HEDGE, trigger_by="mark")
    return Desk(BinanceVenue(CREDENTIALS, one_way, clock), BinanceVenue(CREDENTIALS, hedge, clock))


def _library(clock: Clock) -> Capture:
    options = {"warnOnFetchOpenOrdersWithoutSymbol": False}
    keys = {"apiKey": CREDENTIALS.key, "secret": CREDENTIALS.secret}
    client = ccxt.binanceusdm({**keys, "enableRateLimit": False, "options": options})
    client.set_markets([client.parse_market(LISTED)])
    return Capture(client, clock, answers=BEFORE)


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """What every intent has sent, on both sides."""
    clock = Clock()
    return asyncio.run(gather(INTENTS, SCRIPT, clock, lambda url: _make(clock, url), _library(clock)))


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: intent.name)
def test_an_intent_leaves_as_the_library_sends_it(told: dict[str, Told], intent: Intent) -> None:
    """Method, path, parameters and headers, but for what the table lists."""
    assert [] == unlisted(intent, told[intent.name], DIFFERENCES)


def _signed_text(sent: Sent) -> tuple[str, str]:
    """The bytes that are signed, query and body without anything between, and the signature that came last."""
    text, _, signature = (sent.query + sent.body).rpartition("&signature=")
    return text, signature


def _signed(told: dict[str, Told]) -> list[tuple[Sent, Sent]]:
    pairs = [pair for each in told.values() for pair in zip(each.ours, each.theirs, strict=True)]
    return [(ours, theirs) for ours, theirs in pairs if "timestamp" in ours.params]


def test_both_signatures_are_those_of_the_bytes_that_were_sent(told: dict[str, Told]) -> None:
    """Recomputed with the secret, from what the server and the library wrote down."""
    pairs = _signed(told)
    assert len(INTENTS) < len(pairs)
    for sent in [sent for pair in pairs for sent in pair]:
        text, signature = _signed_text(sent)
        assert hmac.new(CREDENTIALS.secret.encode(), text.encode(), hashlib.sha256).hexdigest() == signature, sent


def test_the_library_makes_the_same_bytes_and_signature_of_our_parameters(told: dict[str, Told]) -> None:
    """Its own encoding and its own HMAC, given our parameters in our order; only the order is ours to choose."""
    client = _library(Clock()).client
    for ours, theirs in _signed(told):
        text, signature = _signed_text(ours)
        params = {name: value for name, value in ours.params.items() if name != "signature"}
        assert text == client.urlencode(params)
        assert signature == client.hmac(client.encode(text), client.encode(CREDENTIALS.secret), hashlib.sha256)
        assert bool(ours.body) is bool(theirs.body), "parameters stand in the body here and in the query there"


def test_every_listed_difference_shows(told: dict[str, Told]) -> None:
    """What does not differ any more leaves the table."""
    assert [] == idle(told.values(), DIFFERENCES)


def test_what_is_equal_could_not_be_lost_unnoticed(told: dict[str, Told]) -> None:
    """No listed difference is so wide that it would cover a parameter that is equal today."""
    assert [] == loose(told.values(), DIFFERENCES)


def test_the_intents_are_many_and_most_have_a_word_in_the_library() -> None:
    """At least twenty-five that the library itself can express."""
    assert FEWEST <= len([intent for intent in INTENTS if not intent.is_raw])
