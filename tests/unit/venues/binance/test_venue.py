"""The questions of the port over a real socket: both order spaces as one, the account, settings, candles."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from unit.venues.binance.scripted import (
    NOW_MS,
    OURS,
    STOP,
    Answer,
    Server,
    SetClock,
    algo,
    exchange_info,
    plain,
    play,
    symbol_info,
)

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.domain.streams import DepthSnapshot
from trading_engine.ports import FeeRates, MarginMode, PositionMode, RemoteVenue
from trading_engine.venues.binance import facts
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.wire.settings import Hosts

D = Decimal
GONE = Answer({"code": -2011, "msg": "Unknown order sent."}, 400)
MISSING = Answer({"code": -2013, "msg": "Order does not exist."}, 400)
BROKEN = Answer("<html>", 502)
GET_ORDER, GET_ALGO = "GET /fapi/v1/order", "GET /fapi/v1/algoOrder"
DELETE_ORDER, DELETE_ALGO = "DELETE /fapi/v1/order", "DELETE /fapi/v1/algoOrder"
OPEN_ALGOS, ALL_ALGOS = "GET /fapi/v1/openAlgoOrders", "GET /fapi/v1/allAlgoOrders"
ALGO_DONE = {"algoId": 4000001910058351, "clientAlgoId": STOP, "code": "200", "msg": "success"}


def as_port(venue: BinanceVenue) -> RemoteVenue:
    """What a type checker must accept."""
    return venue


# ── submit ──────────────────────────────────────────────────────────────────


def test_an_acknowledgement_says_what_the_venue_says() -> None:
    """State and cumulative quantity of the answer; no fill comes with it."""

    async def scene(server: Server, venue: BinanceVenue) -> Outcome:
        server.say(
            "POST /fapi/v1/order", plain(status="PARTIALLY_FILLED", executedQty="0.004", type="LIMIT", price="9")
        )
        request = OrderRequest(OURS, "BTCUSDT", TradeSide.BUY, OrderType.MARKET, D("0.01"), False, Side.LONG)
        return await as_port(venue).submit(request)

    assert play(scene) == Accepted(
        OrderReport(
            OURS,
            "8389765739703625592",
            "BTCUSDT",
            OrderState.PARTIAL,
            D("0.004"),
            NOW_MS - 5,
            TradeSide.BUY,
            OrderType.LIMIT,
            D("0.01"),
            D(9),
        )
    )


def test_a_cancelled_caller_is_cancelled() -> None:
    """The cancellation passes through submit; nothing is made of it."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        request = OrderRequest(OURS, "BTCUSDT", TradeSide.BUY, OrderType.MARKET, D("0.01"), False, Side.LONG)
        task = asyncio.get_running_loop().create_task(venue.submit(request))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(scene)


# ── one order ───────────────────────────────────────────────────────────────


def look_up(name: str, answers: dict[str, Any], clock: SetClock | None = None) -> tuple[OrderReport | None, list[str]]:
    async def scene(server: Server, venue: BinanceVenue) -> tuple[OrderReport | None, list[str]]:
        for call, answer in answers.items():
            server.say(call, *(answer if isinstance(answer, tuple) else (answer,)))
        report = await venue.order("BTCUSDT", name)
        return report, [told.split(" ", 1)[1].removeprefix("/fapi/v1/") for told in server.told()]

    return play(scene, clock=clock)


STATES = [
    ("NEW", OrderState.ACKED),
    ("PARTIALLY_FILLED", OrderState.PARTIAL),
    ("FILLED", OrderState.FILLED),
    ("CANCELED", OrderState.CANCELED),
    ("EXPIRED", OrderState.EXPIRED),
    ("EXPIRED_IN_MATCH", OrderState.EXPIRED),
    ("REJECTED", OrderState.REJECTED),
]


@pytest.mark.parametrize(("status", "state"), STATES)
def test_a_plain_order_is_found_by_its_client_id_in_any_state(status: str, state: OrderState) -> None:
    """One question where the plain space knows it."""
    report, asked = look_up(OURS, {GET_ORDER: plain(status=status, executedQty="0.002")})
    assert report is not None
    assert (state, D("0.002"), OURS) == (report.state, report.filled, report.client_order_id)
    assert [f"order symbol=BTCUSDT&origClientOrderId={OURS}"] == asked


def test_no_such_order_is_said_only_after_both_spaces_were_asked() -> None:
    """Plain, open conditional, single conditional, all conditional."""
    report, asked = look_up(OURS, {GET_ORDER: MISSING, GET_ALGO: MISSING})
    assert report is None
    assert ["order", "openAlgoOrders", "algoOrder", "allAlgoOrders"] == [told.split(" ")[0] for told in asked]


@pytest.mark.parametrize("broken", [GET_ORDER, OPEN_ALGOS, GET_ALGO, ALL_ALGOS])
def test_a_failure_anywhere_is_not_absence(broken: str) -> None:
    """Each of the four questions may fail: nothing was learned then."""
    answers: dict[str, Any] = {GET_ORDER: MISSING, GET_ALGO: MISSING} | {broken: BROKEN}
    with pytest.raises(VenueUnavailable, match="HTTP 502"):
        look_up(OURS, answers)


def test_an_open_stop_is_found_among_the_open_conditional_orders() -> None:
    """The plain space has never heard of it."""
    report, _ = look_up(STOP, {GET_ORDER: MISSING, OPEN_ALGOS: [algo(clientAlgoId="other"), algo()]})
    assert report == OrderReport(
        STOP,
        "algo-4000001910058351",
        "BTCUSDT",
        OrderState.ACKED,
        D(0),
        NOW_MS - 100,
        TradeSide.SELL,
        OrderType.STOP_MARKET,
        D("0.01"),
        None,
        D(58_000),
        reduce_only=True,
    )


def test_a_stop_that_the_single_query_denies_is_found_in_the_list() -> None:
    """The venue has denied orders that it lists."""
    listed = [algo(clientAlgoId="other"), algo(algoStatus="CANCELED")]
    report, _ = look_up(STOP, {GET_ORDER: MISSING, GET_ALGO: MISSING, ALL_ALGOS: listed})
    assert report is not None
    assert OrderState.CANCELED is report.state


@pytest.mark.parametrize(("status", "reason"), [("EXPIRED", "expired"), ("REJECTED", "rejected")])
def test_a_stop_that_ended_without_an_order_has_ended(status: str, reason: str) -> None:
    """Refused at the trigger or gone with its position: an end that outranks the acknowledgement it once had."""
    report, _ = look_up(STOP, {GET_ORDER: MISSING, GET_ALGO: algo(algoStatus=status)})
    assert report is not None
    assert (OrderState.EXPIRED, reason) == (report.state, report.reason)
    assert report.state.is_terminal


@pytest.mark.parametrize("number", ["33877541028", ""])
def test_a_triggered_stop_is_followed_to_its_child(number: str) -> None:
    """By the child's number where it is told, by the shared client id otherwise; type and trigger stay the stop's."""
    child = plain(orderId=33877541028, clientOrderId=STOP, side="SELL", status="FILLED", executedQty="0.010")
    parent = algo(algoStatus="FINISHED", actualOrderId=number, actualQty="0.010")
    report, asked = look_up(STOP, {GET_ORDER: (MISSING, child), GET_ALGO: parent})
    assert report is not None
    assert (OrderState.FILLED, D("0.01"), "33877541028") == (report.state, report.filled, report.venue_order_id)
    assert (OrderType.STOP_MARKET, D(58_000), STOP) == (report.type, report.trigger_price, report.client_order_id)
    name = f"orderId={number}" if number else f"origClientOrderId={STOP}"
    assert f"order symbol=BTCUSDT&{name}" == asked[-1]


def test_a_triggering_stop_still_works() -> None:
    """TRIGGERING, and TRIGGERED without a visible child, are orders that may fill."""
    for status in ("TRIGGERING", "TRIGGERED"):
        report, _ = look_up(STOP, {GET_ORDER: (MISSING, MISSING), OPEN_ALGOS: [algo(algoStatus=status)]})
        assert report is not None
        assert OrderState.ACKED is report.state


FINISHED = [
    ("0.010", 0, OrderState.FILLED, D("0.01")),
    ("0.004", 0, OrderState.CANCELED, D("0.004")),
    ("0", 10_000, OrderState.EXPIRED, D(0)),
]


@pytest.mark.parametrize(("filled", "later_ms", "state", "quantity"), FINISHED)
def test_a_finished_stop_whose_child_is_forgotten_speaks_for_itself(
    filled: str, later_ms: int, state: OrderState, quantity: Decimal
) -> None:
    """By what it says was filled; nothing filled is believed only after the child had time to appear."""
    parent = algo(algoStatus="FINISHED", actualOrderId="5", actualQty=filled)
    answers = {GET_ORDER: (MISSING, MISSING), GET_ALGO: parent}
    report, _ = look_up(STOP, answers, SetClock(NOW_MS + later_ms))
    assert report is not None
    assert (state, quantity) == (report.state, report.filled)


def test_a_child_that_is_not_visible_yet_is_waited_for() -> None:
    """Just after the trigger nobody can say what became of the stop."""
    parent = algo(algoStatus="FINISHED", actualOrderId="5", actualQty="0")
    with pytest.raises(VenueUnavailable, match="not visible yet"):
        look_up(STOP, {GET_ORDER: (MISSING, MISSING), GET_ALGO: parent})


def test_a_full_list_of_conditional_orders_is_read_in_halves() -> None:
    """A page of 100 rows may be all the venue tells at once."""
    noise = [algo(clientAlgoId=f"n{number}") for number in range(100)]
    report, asked = look_up(STOP, {GET_ORDER: MISSING, GET_ALGO: MISSING, ALL_ALGOS: (noise, [], [algo()])})
    assert report is not None
    assert 3 == sum(told.startswith("allAlgoOrders") for told in asked)


# ── open orders ─────────────────────────────────────────────────────────────


def test_open_orders_are_one_list_of_both_spaces() -> None:
    """All symbols; a stranger's order has no client id; a triggered stop and its child are one order."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[OrderReport], list[str]]:
        child = plain(orderId=2, clientOrderId=STOP, side="SELL", status="PARTIALLY_FILLED", executedQty="0.003")
        server.say("GET /fapi/v1/openOrders", [plain(orderId=1, clientOrderId="web_1", symbol="DOTUSDT"), child])
        other = algo(algoId=7, clientAlgoId="ios_2", algoStatus="NEW", closePosition=True, quantity=None)
        lost = algo(algoId=8, clientAlgoId="teaaaa000002s00000", algoStatus="TRIGGERED")
        server.say(OPEN_ALGOS, [algo(algoStatus="TRIGGERED", actualOrderId="2"), other, lost])
        return list(await venue.open_orders()), server.told()

    reports, asked = play(scene)
    assert [
        ("", "1", OrderState.ACKED, OrderType.MARKET),
        (STOP, "2", OrderState.PARTIAL, OrderType.STOP_MARKET),
        ("", "algo-7", OrderState.ACKED, OrderType.STOP_MARKET),
    ] == [(report.client_order_id, report.venue_order_id, report.state, report.type) for report in reports]
    assert reports[2].reduce_only
    assert ["GET /fapi/v1/openAlgoOrders", "GET /fapi/v1/openOrders"] == asked


@pytest.mark.parametrize("broken", ["GET /fapi/v1/openOrders", OPEN_ALGOS])
def test_half_a_list_is_no_list(broken: str) -> None:
    """Either space failing fails the whole."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        server.say(broken, BROKEN)
        with pytest.raises(VenueUnavailable):
            await venue.open_orders()

    play(scene)


# ── cancel ──────────────────────────────────────────────────────────────────

CANCELS: list[tuple[str, str, dict[str, Any], list[str], str]] = [
    (OURS, "5", {DELETE_ORDER: plain(status="CANCELED", executedQty="0.002")}, [DELETE_ORDER], "CANCELED"),
    (OURS, "5", {DELETE_ORDER: GONE, DELETE_ALGO: MISSING}, [DELETE_ORDER, DELETE_ALGO], "not_found"),
    (STOP, "", {DELETE_ALGO: ALGO_DONE}, [DELETE_ALGO], "CANCELED"),
    (OURS, "algo-9", {DELETE_ALGO: ALGO_DONE}, [DELETE_ALGO], "CANCELED"),
    (STOP, "", {DELETE_ALGO: GONE, DELETE_ORDER: plain(status="CANCELED")}, [DELETE_ALGO, DELETE_ORDER], "CANCELED"),
    (STOP, "", {DELETE_ALGO: GONE, DELETE_ORDER: GONE}, [DELETE_ALGO, DELETE_ORDER], "not_open"),
    (STOP, "", {DELETE_ALGO: BROKEN}, [DELETE_ALGO], "unknown"),
    ("", "5", {DELETE_ORDER: plain(status="CANCELED")}, [DELETE_ORDER], "CANCELED"),
    ("", "algo-9", {DELETE_ALGO: GONE}, [DELETE_ALGO], "not_open"),
    ("", "", {}, [], "not_open"),
]


@pytest.mark.parametrize(("client_id", "venue_id", "answers", "expected_calls", "verdict"), CANCELS)
def test_a_cancel_goes_to_the_space_of_its_order(
    client_id: str, venue_id: str, answers: dict[str, Any], expected_calls: list[str], verdict: str
) -> None:
    """A stop that may have triggered is cancelled as its child; doubt ends the attempts."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[Outcome, list[str]]:
        for call, answer in answers.items():
            server.say(call, answer)
        outcome = await venue.cancel("BTCUSDT", client_id, venue_id)
        return outcome, [f"{call.method} {call.path}" for call in server.calls]

    outcome, calls = play(scene)
    assert expected_calls == calls
    if isinstance(outcome, Accepted):
        assert (verdict, client_id) == (outcome.report.state, outcome.report.client_order_id)
    else:
        assert verdict == (outcome.code if isinstance(outcome, Rejected) else "unknown")


def test_cancel_all_empties_both_spaces_and_tells_what_is_left() -> None:
    """By the venue's own list, whatever the cancels answered."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[str], list[str]]:
        server.say("DELETE /fapi/v1/allOpenOrders", {"code": 200, "msg": "done"})
        server.say("DELETE /fapi/v1/algoOpenOrders", BROKEN)
        server.say(OPEN_ALGOS, [algo()])
        left = await venue.cancel_all("BTCUSDT")
        return [report.client_order_id for report in left], server.told()

    left, asked = play(scene)
    assert [STOP] == left
    assert [
        "DELETE /fapi/v1/allOpenOrders symbol=BTCUSDT",
        "DELETE /fapi/v1/algoOpenOrders symbol=BTCUSDT",
        "GET /fapi/v1/openAlgoOrders symbol=BTCUSDT",
        "GET /fapi/v1/openOrders symbol=BTCUSDT",
    ] == asked


# ── account ─────────────────────────────────────────────────────────────────


def position(symbol: str, amount: str, side: str = "BOTH", liquidation: str = "0") -> dict[str, Any]:
    return {
        "symbol": symbol,
        "positionSide": side,
        "positionAmt": amount,
        "entryPrice": "12.40",
        "markPrice": "12.35000000",
        "unRealizedProfit": "1.5",
        "liquidationPrice": liquidation,
        "updateTime": NOW_MS,
    }


def config(symbol: str, leverage: int) -> dict[str, Any]:
    return {"symbol": symbol, "marginType": "CROSSED", "isAutoAddMargin": False, "leverage": leverage}


def test_positions_have_side_quantity_and_leverage() -> None:
    """The sign is the side in one-way mode; flat rows are left out; 0 is no liquidation price."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[VenuePosition], list[str]]:
        rows = [position("BTCUSDT", "-0.5", liquidation="24.1"), position("DOTUSDT", "3"), position("ETHUSDT", "0.0")]
        server.say("GET /fapi/v3/positionRisk", rows)
        server.say("GET /fapi/v1/symbolConfig", [config("BTCUSDT", 20), config("DOTUSDT", 5), config("X", 1)])
        return list(await venue.positions()), server.told()

    held, asked = play(scene)
    price = (D("12.40"), D("12.35"))
    assert [
        VenuePosition("BTCUSDT", Side.SHORT, D("0.5"), *price, D("24.1"), D(20)),
        VenuePosition("DOTUSDT", Side.LONG, D(3), *price, None, D(5)),
    ] == held
    assert ["GET /fapi/v3/positionRisk", "GET /fapi/v1/symbolConfig"] == asked


def test_hedge_mode_has_a_position_for_each_side() -> None:
    """The row names its side; the amount of a short is negative."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[tuple[Side, Decimal]], str]:
        server.say("GET /fapi/v3/positionRisk", [position("BTCUSDT", "2", "LONG"), position("BTCUSDT", "-3", "SHORT")])
        server.say("GET /fapi/v1/symbolConfig", [config("BTCUSDT", 20)])
        held = await venue.positions()
        return [(item.side, item.quantity) for item in held], server.told()[-1]

    held, asked = play(scene, mode=PositionMode.HEDGE)
    assert [(Side.LONG, D(2)), (Side.SHORT, D(3))] == held
    assert "GET /fapi/v1/symbolConfig symbol=BTCUSDT" == asked


def test_a_position_without_a_leverage_is_a_failed_read() -> None:
    """Nothing is guessed."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        server.say("GET /fapi/v3/positionRisk", [position("BTCUSDT", "2")])
        server.say("GET /fapi/v1/symbolConfig", [])
        with pytest.raises(VenueUnavailable, match="leverage of BTCUSDT"):
            await venue.positions()

    play(scene)


def test_the_balance_is_that_of_the_configured_asset() -> None:
    """Settled money and what new orders may use; a list without the asset is a failed read."""

    async def scene(server: Server, venue: BinanceVenue) -> Balance:
        rows = [
            {"asset": "BNB", "balance": "1", "availableBalance": "1"},
            {"asset": "USDT", "balance": "1000.5", "crossUnPnl": "-1.5", "availableBalance": "900.25"},
        ]
        server.say("GET /fapi/v3/balance", rows, [])
        balance = await venue.balance()
        with pytest.raises(VenueUnavailable, match="does not list USDT"):
            await venue.balance()
        return balance

    assert Balance("USDT", D("1000.5"), D("900.25")) == play(scene)


def test_instruments_carry_filters_and_tiers() -> None:
    """Largest order of any type, tiers by ascending cap, numbers exactly as the venue wrote them."""

    async def scene(server: Server, venue: BinanceVenue) -> list[Instrument]:
        return list(await venue.instruments())

    first, second = play(scene)
    tiers = (MarginTier(D(50_000), D("0.0065"), D(0), D(75)), MarginTier(D(250_000), D("0.01"), D(1_750), D(50)))
    assert Instrument("BTCUSDT", D("0.1"), D("0.001"), D("0.001"), D(120), D(100), D(75), tiers) == first
    assert ("ETHUSDT", "0.1") == (second.symbol, str(first.tick))


WRONG = [
    (symbol_info("NEWUSDT", "0.1", "1", status="SETTLING"), "has the status SETTLING, not TRADING"),
    (symbol_info("NEWUSDT", "0.1", "1", contractType="CURRENT_QUARTER"), "CURRENT_QUARTER, not PERPETUAL"),
    (symbol_info("NEWUSDT", "0.1", "1", marginAsset="USDC"), "settled in USDC, not in USDT"),
    (symbol_info("OTHER", "0.1", "1"), "is not listed"),
]


@pytest.mark.parametrize(("info", "why"), WRONG)
def test_a_symbol_that_cannot_be_traded_is_told_in_one_line(info: dict[str, Any], why: str) -> None:
    """Account, symbol, what is wrong, what to do."""

    async def scene(server: Server, venue: BinanceVenue) -> str:
        server.say("GET /fapi/v1/exchangeInfo", exchange_info(info))
        with pytest.raises(ConfigInvalid) as failed:
            await venue.instruments()
        return str(failed.value)

    told = play(scene, symbols=("NEWUSDT",), is_loaded=False)
    assert why in told
    assert told.startswith("account main: symbol NEWUSDT ")
    assert "\n" not in told


def test_account_facts_and_fees_are_read() -> None:
    """Position mode, permission to trade, notes for what the API does not tell."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        body = {
            "feeTier": 0,
            "canTrade": True,
            "canWithdraw": True,
            "dualSidePosition": True,
            "multiAssetsMargin": True,
        }
        server.say("GET /fapi/v1/accountConfig", body)
        found = await venue.account_facts()
        assert (PositionMode.HEDGE, True, None, None) == (
            found.position_mode,
            found.can_trade,
            found.can_withdraw,
            found.is_demo,
        )
        assert 2 == len(found.notes)
        rates = {"symbol": "BTCUSDT", "makerCommissionRate": "0.0002", "takerCommissionRate": "0.0005"}
        server.say("GET /fapi/v1/commissionRate", rates)
        assert FeeRates(D("0.0002"), D("0.0005")) == await venue.fee_rates("BTCUSDT")

    play(scene)


@pytest.mark.parametrize(
    ("answer", "is_told"),
    [
        ({"feeBurn": True}, True),
        ({"feeBurn": False}, False),
        (Answer({"code": -5000, "msg": "Path is invalid"}, 404), False),
        (Answer("gone", 502), False),
    ],
)
def test_fees_in_bnb_are_told_with_the_way_to_switch_them_off(answer: Any, is_told: bool) -> None:
    """Where the venue does not say, the start goes on: the first fill tells."""

    async def scene(server: Server, venue: BinanceVenue) -> list[str]:
        server.say("GET /fapi/v1/accountConfig", {"canTrade": True, "dualSidePosition": False})
        server.say("GET /sapi/v1/account/apiRestrictions", {"enableWithdrawals": False, "enableFutures": True})
        server.say("GET /fapi/v1/feeBurn", answer)
        return [note for note in (await venue.account_facts()).notes if "BNB" in note]

    told = play(scene)
    assert is_told == bool(told)
    assert all("PnL and limits in USDT leave them out" in note and "/fapi/v1/feeBurn" in note for note in told)


@pytest.mark.parametrize(
    ("hosts", "is_demo"),
    [
        (facts.MAINNET, False),
        (facts.DEMO, True),
        (Hosts("https://testnet.binancefuture.com", "", ""), True),
        (Hosts("https://fapi.binance.test", "", ""), None),
    ],
)
def test_play_money_is_known_by_its_host(hosts: Hosts, is_demo: bool | None) -> None:
    """Of an address that is not the venue's nothing is known."""

    async def scene(server: Server, venue: BinanceVenue) -> bool | None:
        server.say("GET /fapi/v1/accountConfig", {"canTrade": True, "dualSidePosition": False})
        venue._settings = replace(venue._settings, hosts=hosts)
        return (await venue.account_facts()).is_demo

    assert is_demo is play(scene)


@pytest.mark.parametrize(
    ("told", "can_trade", "can_withdraw", "notes"),
    [
        ({"enableWithdrawals": True, "enableFutures": True}, True, True, 0),
        ({"enableWithdrawals": False, "enableFutures": True}, True, False, 0),
        ({"enableWithdrawals": False, "enableFutures": False}, False, False, 0),
        ({"unexpected": 1}, True, None, 1),
        (Answer({"code": -2015, "msg": "no"}, 401), True, None, 1),
    ],
)
def test_what_the_key_may_do_is_asked_of_the_wallet_and_never_guessed(
    told: Any, can_trade: bool, can_withdraw: bool | None, notes: int
) -> None:
    """An answer that does not come leaves the question open, with a note; the budget of the futures is not touched."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        server.say("GET /fapi/v1/accountConfig", {"canTrade": True, "dualSidePosition": False})
        server.say("GET /sapi/v1/account/apiRestrictions", told)
        about = await venue.account_facts()
        assert (can_trade, can_withdraw, notes) == (about.can_trade, about.can_withdraw, len(about.notes))

    play(scene)


def test_the_wallets_host_is_asked_for_real_keys_only() -> None:
    """The demo's keys have no wallet, an unknown address gets no signature of ours."""
    assert "https://api.binance.com" == facts.wallet_url(facts.MAINNET)
    assert facts.wallet_url(facts.DEMO) is None
    assert facts.wallet_url(Hosts("https://proxy.example", "", "")) is None
    assert "http://127.0.0.1:1" == facts.wallet_url(Hosts("http://127.0.0.1:1", "", ""))


# ── settings ────────────────────────────────────────────────────────────────


def code(number: int) -> Answer:
    return Answer({"code": number, "msg": "x"}, 400)


DONE = {"code": 200, "msg": "success"}
SETTINGS: list[tuple[str, Any, str, str]] = [
    ("leverage", {"symbol": "BTCUSDT", "leverage": 10}, "leverage symbol=BTCUSDT&leverage=10", "accepted"),
    ("leverage", {"symbol": "BTCUSDT", "leverage": 5}, "leverage symbol=BTCUSDT&leverage=10", "leverage"),
    ("leverage", code(-4028), "leverage symbol=BTCUSDT&leverage=10", "-4028"),
    ("leverage", BROKEN, "leverage symbol=BTCUSDT&leverage=10", "unknown"),
    ("isolated", DONE, "marginType symbol=BTCUSDT&marginType=ISOLATED", "accepted"),
    ("cross", code(-4046), "marginType symbol=BTCUSDT&marginType=CROSSED", "accepted"),
    ("cross", code(-4047), "marginType symbol=BTCUSDT&marginType=CROSSED", "-4047"),
    ("hedge", DONE, "positionSide/dual dualSidePosition=true", "accepted"),
    ("one_way", code(-4059), "positionSide/dual dualSidePosition=false", "accepted"),
    ("one_way", code(-4068), "positionSide/dual dualSidePosition=false", "-4068"),
]


@pytest.mark.parametrize(("what", "answer", "call", "verdict"), SETTINGS)
def test_a_setting_is_accepted_when_it_is_so(what: str, answer: Any, call: str, verdict: str) -> None:
    """Done, or so already; an echo of another leverage is a refusal."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[Outcome, list[str]]:
        path = call.split(" ", maxsplit=1)[0]
        server.say(f"POST /fapi/v1/{path}", answer)
        if what == "leverage":
            outcome = await venue.set_leverage("BTCUSDT", D(10))
        elif what in ("isolated", "cross"):
            outcome = await venue.set_margin_mode("BTCUSDT", MarginMode(what))
        else:
            outcome = await venue.set_position_mode(PositionMode(what))
        return outcome, server.told()

    outcome, asked = play(scene)
    assert [f"POST /fapi/v1/{call}"] == asked
    told = {Accepted: "accepted", Unknown: "unknown"}.get(type(outcome))
    assert verdict == (outcome.code if isinstance(outcome, Rejected) else told)


@pytest.mark.parametrize("leverage", ["2.5", "0", "-1"])
def test_a_leverage_that_is_no_whole_number_is_not_sent(leverage: str) -> None:
    """The venue takes whole numbers from 1."""

    async def scene(server: Server, venue: BinanceVenue) -> Outcome:
        outcome = await venue.set_leverage("BTCUSDT", D(leverage))
        assert [] == server.calls
        return outcome

    assert isinstance(play(scene), Rejected)


# ── clock and candles ───────────────────────────────────────────────────────


def test_the_clock_is_measured_against_the_venue() -> None:
    """A positive number says that the venue is ahead; later calls are stamped with its time."""

    async def scene(server: Server, venue: BinanceVenue) -> int:
        server.standing["GET /fapi/v1/time"] = Answer({"serverTime": NOW_MS + 250})
        return await venue.measure_clock()

    assert 250 == play(scene)


MINUTE = 60_000
START = NOW_MS - 2_000 * MINUTE


def kline(open_ms: int) -> list[Any]:
    closed = open_ms + MINUTE - 1
    return [open_ms, "60000.00", "60000.55", "59999.94", "60000.10", "1.2349", closed, "0", 5, "0", "0", "0"]


def test_candles_are_paged_and_only_closed_ones_are_told() -> None:
    """Integers of the instrument, rounded outwards where an old price is finer; the unfinished one is left out."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[Candle], list[str]]:
        def answer(call: Any) -> Answer:
            start, limit = int(call.params["startTime"]), int(call.params["limit"])
            end = min(int(call.params["endTime"]), NOW_MS)
            return Answer([kline(at) for at in range(start, end + 1, MINUTE)][:limit])

        server.standing["GET /fapi/v1/klines"] = answer
        return list(await venue.candles("BTCUSDT", MINUTE, START, NOW_MS + MINUTE)), server.told("klines")

    candles, asked = play(scene)
    assert Candle("BTCUSDT", START, MINUTE, 600_000, 600_006, 599_999, 600_001, 1_234) == candles[0]
    assert [START + index * MINUTE for index in range(1_999)] == [candle.open_time_ms for candle in candles]
    end = NOW_MS + MINUTE - 1
    assert [
        f"GET /fapi/v1/klines symbol=BTCUSDT&interval=1m&startTime={START}&endTime={end}&limit=1500",
        f"GET /fapi/v1/klines symbol=BTCUSDT&interval=1m&startTime={START + 1_500 * MINUTE}&endTime={end}&limit=502",
    ] == asked


def test_a_book_is_read_as_the_snapshot_that_changes_begin_from() -> None:
    """In ticks and steps, as deep as the venue tells it; what cannot be read is no book."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[DepthSnapshot, list[str]]:
        book = {"lastUpdateId": 9, "E": NOW_MS, "T": NOW_MS, "bids": [["60000.10", "1.5"]], "asks": []}
        server.standing["GET /fapi/v1/depth"] = Answer(book)
        told = await venue.depth("BTCUSDT")
        server.standing["GET /fapi/v1/depth"] = Answer(book | {"bids": [["60000.123456789", "1"]]})
        with pytest.raises(VenueUnavailable, match="a book that cannot be read"):
            await venue.depth("BTCUSDT")
        return told, server.told("depth")

    snapshot, asked = play(scene)
    assert DepthSnapshot("BTCUSDT", 9, NOW_MS, [(600_001, 1_500)], []) == snapshot
    assert ["GET /fapi/v1/depth symbol=BTCUSDT&limit=1000"] * 2 == asked


def test_an_interval_that_the_venue_lacks_is_told() -> None:
    """With the ones it has."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        with pytest.raises(ConfigInvalid, match="interval 7m is not offered by Binance; use one of 1m, 3m"):
            await venue.candles("BTCUSDT", 7 * MINUTE, START, NOW_MS)

    play(scene)
