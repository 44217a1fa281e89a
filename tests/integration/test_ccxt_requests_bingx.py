"""What the BingX adapter sends, beside what the client library ccxt sends for the same intent.

The library reads executions from another list of the venue (without trade ids), and has no words for permissions,
the asset mode and listen keys: there its plain call of the endpoint is taken.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

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
    Spelling,
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
from unit.venues.bingx import bingx_server as venue_server
from unit.venues.bingx.bingx_server import bad, contract, fill_row, ok, order_row

from trading_engine.domain.order_type import TimeInForce
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.time import DAY_MS, MINUTE_MS
from trading_engine.ports import MarginMode, PositionMode
from trading_engine.venues.bingx import facts as venue_facts
from trading_engine.venues.bingx.venue import BingxVenue
from trading_engine.venues.wire.settings import AccountSettings, Hosts

ccxt = pytest.importorskip("ccxt")
pytestmark = pytest.mark.xdist_group("ccxt requests")  # one process gathers for all tests of a module

BUY, SELL = TradeSide.BUY, TradeSide.SELL
HEDGED = {"hedged": True}
REDUCES = {"reduceOnly": True}
MARK = {"workingType": "MARK_PRICE"}
STRANGER = "1900000000000000999"
UNSEEN = "teabcd000009s00001"
LISTED = contract(makerFeeRate=0.0002, takerFeeRate=0.0005, apiStateClose="true", displayName="BTC-USDT")
SINCE_MS = NOW_MS - DAY_MS
FILLED_MS = 1_763_928_000_000
FILLED = fill_row(1, int(STRANGER), filledTime="2025-11-24T04:00:00.000+0800")
BEFORE_MS = FILLED_MS - MINUTE_MS - 1  # what was forced is looked for a little before it was filled


def _order(sent: Sent) -> Any:
    """The order that is asked for; two of them are known nowhere."""
    names = {name.lower(): value for name, value in sent.params.items()}
    if sent.method == "GET" and (names.get("clientorderid") == UNSEEN or names.get("orderid") == STRANGER):
        return bad(109421, "order does not exist")
    state = "CANCELLED" if sent.method == "DELETE" else "NEW"
    return ok({"order": order_row(clientOrderId=names.get("clientorderid", ""), status=state, executedQty="0")})


def _script() -> Mapping[str, Any]:
    modes = iter(("false", "false", "true"))  # facts, hedge mode, one-way mode: so that either is set
    return {
        **venue_server.DEFAULTS,
        venue_server.TIME: ok({"serverTime": NOW_MS}),
        venue_server.CONTRACTS: ok([LISTED]),
        venue_server.PLACE: _order,
        venue_server.CANCEL: _order,
        venue_server.ORDER: _order,
        venue_server.CANCEL_ALL: ok({"success": [], "failed": None}),
        venue_server.KLINES: ok([]),
        venue_server.POSITIONS: ok([]),
        venue_server.FILLS: ok({"fill_history_orders": [FILLED], "total": 1}),
        venue_server.INCOME: ok([]),
        venue_server.COMMISSION: ok({"commission": {"takerCommissionRate": 0.0005, "makerCommissionRate": 0.0002}}),
        venue_server.SET_LEVERAGE: ok({"leverage": 5, "symbol": "BTC-USDT"}),
        venue_server.MARGIN: ok({"marginType": "SEPARATE_ISOLATED"}),
        venue_server.SET_MARGIN: ok(None),
        venue_server.MODE: lambda _: ok({"dualSidePosition": next(modes)}),
        venue_server.SET_MODE: ok(None),
        venue_server.ASSET_MODE: ok({"assetMode": "singleAssetMode"}),
        venue_server.PERMISSIONS: ok([2, 3]),
        venue_server.EXTEND: {},
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
        "a quantity of the last decimal",
        lambda desk: desk.one_way.submit(order(BUY, quantity=Decimal("0.0123"))),
        (lambda client: client.create_order(SYMBOL, "market", "buy", 0.0123, None, NAME),),
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
        "cancel by the venue's id",
        lambda desk: desk.one_way.cancel(BTC, "", STRANGER),
        (lambda client: client.cancel_order(STRANGER, SYMBOL),),
    ),
    Intent(
        "cancel everything on a symbol",
        lambda desk: desk.one_way.cancel_all(BTC),
        (lambda client: client.cancel_all_orders(SYMBOL), lambda client: client.fetch_open_orders()),
    ),
)
QUESTIONS = (
    Intent(
        "an order by client id",
        lambda desk: desk.one_way.order(BTC, "teabcd000009e00001"),
        (lambda client: client.fetch_order("", SYMBOL, {"clientOrderId": "teabcd000009e00001"}),),
    ),
    Intent(
        "an order that nothing shows",
        lambda desk: desk.one_way.order(BTC, UNSEEN),
        (
            lambda client: client.fetch_order("", SYMBOL, {"clientOrderId": UNSEEN}),
            lambda client: client.fetch_open_orders(),
            lambda client: client.fetch_orders(SYMBOL, SINCE_MS, 1_000, {"until": NOW_MS}),
        ),
    ),
    Intent(
        "open orders of the account",
        lambda desk: desk.one_way.open_orders(),
        (lambda client: client.fetch_open_orders(),),
    ),
    Intent(
        "executions, whose they were, and whether they were forced",
        lambda desk: desk.one_way.fills_since(SINCE_MS),
        (
            lambda client: client.swapV2PrivateGetTradeFillHistory({"pageIndex": 1, "pageSize": 1_000}),
            lambda client: client.fetch_order(STRANGER, SYMBOL),
            lambda client: client.fetch_my_liquidations(SYMBOL, BEFORE_MS, 100, {"until": NOW_MS}),
            lambda client: client.fetch_my_liquidations(SYMBOL, BEFORE_MS, 100, {"autoCloseType": "ADL"}),
        ),
    ),
    Intent(
        "incomes since yesterday",
        lambda desk: desk.one_way.incomes_since(SINCE_MS),
        (lambda client: client.fetch_funding_history(SYMBOL, SINCE_MS, 1_000),),
    ),
    Intent(
        "positions",
        lambda desk: desk.one_way.positions(),
        (lambda client: client.fetch_positions(),),
    ),
    Intent(
        "the wallet",
        lambda desk: desk.one_way.balance(),
        (lambda client: client.fetch_balance(),),
    ),
    Intent(
        "position mode and wallet, as a start checks them",
        lambda desk: desk.one_way.account_facts(),
        (lambda client: client.fetch_position_mode(), lambda client: client.fetch_balance()),
        beside=("GET /openApi/v1/account/apiPermissions", "GET /openApi/swap/v1/trade/assetMode"),
    ),
    Intent(
        "permissions of the key",
        lambda desk: desk.one_way._rest.ask(venue_facts.PERMISSIONS, {}),
        (lambda client: client.accountV1PrivateGetAccountApiPermissions(),),
        is_raw=True,
    ),
    Intent(
        "the asset mode",
        lambda desk: desk.one_way._rest.ask(venue_facts.ASSET_MODE, {}),
        (lambda client: client.swapV1PrivateGetTradeAssetMode(),),
        is_raw=True,
    ),
    Intent(
        "fee rates",
        lambda desk: desk.one_way.fee_rates(BTC),
        (lambda client: client.fetch_trading_fee(SYMBOL),),
    ),
    Intent(
        "instruments, leverages and tiers",
        lambda desk: desk.one_way.instruments(),
        (
            lambda client: client.fetch_swap_markets({}),
            lambda client: client.fetch_leverage(SYMBOL),
            lambda client: client.fetch_market_leverage_tiers(SYMBOL),
        ),
    ),
    Intent(
        "candles",
        lambda desk: desk.one_way.candles(BTC, MINUTE_MS, SINCE_MS, SINCE_MS + 98 * MINUTE_MS),
        (lambda client: client.fetch_ohlcv(SYMBOL, "1m", SINCE_MS, 1_402, {"until": SINCE_MS + 98 * MINUTE_MS}),),
    ),
    Intent(
        "the time",
        lambda desk: desk.one_way._rest._server_time_ms(),
        (lambda client: client.fetch_time(),),
    ),
    Intent(
        "a listen key",
        lambda desk: desk.one_way._stream._address(),
        (lambda client: client.userAuthPrivatePostUserDataStream(),),
        is_raw=True,
    ),
    Intent(
        "a listen key that lives on",
        lambda desk: desk.one_way._stream.extend(),
        (lambda client: client.userAuthPrivatePutUserDataStream({"listenKey": "listen-1"}),),
        is_raw=True,
    ),
)
SETTINGS = (
    Intent(
        "leverage",
        lambda desk: desk.one_way.set_leverage(BTC, Decimal(5)),
        (lambda client: client.set_leverage(5, SYMBOL, {"side": "BOTH"}),),
    ),
    Intent(
        "hedged, leverage of both sides",
        lambda desk: desk.hedge.set_leverage(BTC, Decimal(5)),
        (
            lambda client: client.set_leverage(5, SYMBOL, {"side": "LONG"}),
            lambda client: client.set_leverage(5, SYMBOL, {"side": "SHORT"}),
        ),
    ),
    Intent(
        "isolated margin, unless it is so",
        lambda desk: desk.one_way.set_margin_mode(BTC, MarginMode.ISOLATED),
        (
            lambda client: client.fetch_margin_mode(SYMBOL),
            lambda client: client.set_margin_mode("isolated", SYMBOL),
        ),
    ),
    Intent(
        "cross margin, unless it is so",
        lambda desk: desk.one_way.set_margin_mode(BTC, MarginMode.CROSS),
        (lambda client: client.fetch_margin_mode(SYMBOL), lambda client: client.set_margin_mode("cross", SYMBOL)),
    ),
    Intent(
        "hedge mode, unless it is so",
        lambda desk: desk.one_way.set_position_mode(PositionMode.HEDGE),
        (lambda client: client.fetch_position_mode(), lambda client: client.set_position_mode(True)),
    ),
    Intent(
        "one-way mode, unless it is so",
        lambda desk: desk.one_way.set_position_mode(PositionMode.ONE_WAY),
        (lambda client: client.fetch_position_mode(), lambda client: client.set_position_mode(False)),
    ),
)
INTENTS = (*ORDERS, *QUESTIONS, *SETTINGS)


def _stop(client: Client, side: str, trigger: float, extra: Mapping[str, Any]) -> object:
    return client.create_order(SYMBOL, "market", side, 0.01, None, {**STOP_NAME, "stopLossPrice": trigger, **extra})


def _target(client: Client, side: str, trigger: float, extra: Mapping[str, Any]) -> object:
    return client.create_order(SYMBOL, "market", side, 0.01, None, {**STOP_NAME, "takeProfitPrice": trigger, **extra})


# ── in what the two may differ ──────────────────────────────────────────────

PLACE = "POST */trade/order"
FILLS = "GET */trade/fillHistory"
FORCED = "GET */trade/forceOrders"
INCOME = "GET */user/income"
DIFFERENCES = (
    Spelling(
        "clientOrderId",
        "clientOrderID",
        "the documented name since 2025; the library's is the older one, which still works",
        where="* /openApi/swap/v2/trade/order",
    ),
    Difference("header x-source-key", ABSENT, "CCXT", "the library's tag of where orders come from"),
    Difference("recvWindow", "5000", ABSENT, "the venue's default, said: absence is believed only after it"),
    Difference("signature", ANY, ANY, "of other bytes; each is recomputed from its own"),
    Difference("timestamp", ABSENT, ANY, "a public call proves nothing and needs no time", where="GET */quote/*"),
    Difference("timestamp", ABSENT, ANY, "likewise, and it is the time that is asked for", where="GET */server/time"),
    Difference(
        "timeInForce",
        "GTC",
        ABSENT,
        "the venue's default, said: an order's life is our setting",
        where=PLACE,
        when=("limit *", "reduce-only limit", "hedged, open a short"),
    ),
    Difference(
        "workingType",
        "CONTRACT_PRICE",
        ABSENT,
        "the documents contradict each other about the default, and it decides what triggers a stop",
        where=PLACE,
    ),
    Difference(
        "orderId",
        ABSENT,
        "",
        "the library leaves the venue's id empty where it asks by the client's",
        where="GET */trade/order",
    ),
    Difference("startTime", ANY, ANY, "all orders that the venue still lists", where="GET */trade/fullOrder"),
    Difference("endTime", ANY, ANY, "a second ahead: clocks differ", where="GET */trade/fullOrder"),
    Difference("startTs", ANY, ABSENT, "the plain call of the library is given no window", where=FILLS),
    Difference("endTs", ANY, ABSENT, "likewise", where=FILLS),
    Difference("endTime", ANY, ANY, "what was forced up to now", where=FORCED),
    Difference("symbol", ABSENT, "BTC-USDT", "forced closes of all symbols at once", where=FORCED),
    Difference("symbol", ABSENT, "BTC-USDT", "incomes of the whole account", where=INCOME),
    Difference(
        "incomeType", ABSENT, "FUNDING_FEE", "incomes of every kind: transfers and deductions too", where=INCOME
    ),
    Difference(
        "startTime",
        str(SINCE_MS - 1),
        str(SINCE_MS),
        "whether the bounds are included is not documented: a millisecond earlier, and sorted out here",
        where=INCOME,
    ),
    Difference("endTime", ANY, ABSENT, "windows of at most 7 days", where=INCOME),
)

# ── the tests ───────────────────────────────────────────────────────────────


def _make(clock: Clock, url: str) -> Desk:
    stream = f"{url}/swap-market"
    hosts = Hosts(url, stream, stream)
    one_way = AccountSettings("main", (BTC,), hosts)
    hedge = AccountSettings("main", (BTC,), hosts, position_mode=PositionMode.HEDGE, trigger_by="mark")
    return Desk(BingxVenue(CREDENTIALS, one_way, clock), BingxVenue(CREDENTIALS, hedge, clock))


def _library(clock: Clock) -> Capture:
    keys = {"apiKey": CREDENTIALS.key, "secret": CREDENTIALS.secret}
    client = ccxt.bingx({**keys, "enableRateLimit": False, "options": {"defaultType": "swap"}})
    client.set_markets([client.parse_market(LISTED)])
    return Capture(client, clock)


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """What every intent has sent, on both sides."""
    clock = Clock()
    return asyncio.run(gather(INTENTS, _script(), clock, lambda url: _make(clock, url), _library(clock)))


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: intent.name)
def test_an_intent_leaves_as_the_library_sends_it(told: dict[str, Told], intent: Intent) -> None:
    """Method, path, parameters and headers, but for what the table lists; nothing ever stands in a body."""
    assert [] == unlisted(intent, told[intent.name], DIFFERENCES)
    assert {""} == {sent.body for side in (told[intent.name].ours, told[intent.name].theirs) for sent in side}


def _signed_text(sent: Sent) -> tuple[str, str]:
    """The text that is signed, with values as they were before they were encoded, and the signature."""
    query, _, signature = sent.query.rpartition("&signature=")
    return "&".join(unquote(pair) for pair in query.split("&")), signature


def _signed(told: dict[str, Told]) -> list[tuple[Sent, Sent]]:
    pairs = [pair for each in told.values() for pair in zip(each.ours, each.theirs, strict=True)]
    return [(ours, theirs) for ours, theirs in pairs if "signature" in ours.params]


def test_both_signatures_are_those_of_the_values_that_were_sent(told: dict[str, Told]) -> None:
    """Recomputed with the secret, from what the server and the library wrote down."""
    pairs = _signed(told)
    assert len(INTENTS) <= len(pairs)
    for sent in [sent for pair in pairs for sent in pair]:
        text, signature = _signed_text(sent)
        assert hmac.new(CREDENTIALS.secret.encode(), text.encode(), hashlib.sha256).hexdigest() == signature, sent


def test_the_library_signs_our_parameters_to_the_same_bytes(told: dict[str, Told]) -> None:
    """Its own signer, given our parameters at our instant, makes the query that we have sent, signature and all."""
    clock = Clock()
    client = _library(clock).client
    for ours, _ in _signed(told):
        clock.now = int(ours.params["timestamp"])
        params = {name: value for name, value in ours.params.items() if name not in ("timestamp", "signature")}
        made = client.sign("any/path", ["swap", "v2", "private"], ours.method, params)
        assert ours.query == made["url"].partition("?")[2]


def test_every_listed_difference_shows(told: dict[str, Told]) -> None:
    """What does not differ any more leaves the table."""
    assert [] == idle(told.values(), DIFFERENCES)


def test_what_is_equal_could_not_be_lost_unnoticed(told: dict[str, Told]) -> None:
    """No listed difference is so wide that it would cover a parameter that is equal today."""
    assert [] == loose(told.values(), DIFFERENCES)


def test_the_intents_are_many_and_most_have_a_word_in_the_library() -> None:
    """At least twenty-five that the library itself can express."""
    assert FEWEST <= len([intent for intent in INTENTS if not intent.is_raw])
