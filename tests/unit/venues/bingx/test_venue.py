"""Reading and setting an account through the port."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from unit.venues.bingx.bingx_server import (
    ASSET_MODE,
    BALANCE,
    CANCEL,
    CANCEL_ALL,
    COMMISSION,
    CONTRACTS,
    FILLS,
    FORCED,
    INCOME,
    KLINES,
    LEVERAGE,
    MARGIN,
    MODE,
    NOW_MS,
    OPEN_ORDERS,
    ORDER,
    ORDERS,
    PERMISSIONS,
    PLACE,
    POSITIONS,
    SECRET,
    SET_LEVERAGE,
    SET_MARGIN,
    SET_MODE,
    TIERS,
    TIME,
    Asked,
    Bench,
    RunningClock,
    bad,
    balance_row,
    contract,
    fill_row,
    income_row,
    ok,
    order_row,
    play,
    position_row,
)
from unit.venues.bingx.test_orders import ID, request

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Balance, Rejected, Unknown
from trading_engine.ports import AccountFacts, FeeRates, MarginMode, PositionMode
from trading_engine.venues.bingx.facts import DAY_MS, DEMO, LIVE, MOST_NOT_FOUND
from trading_engine.venues.bingx.venue import BingxVenue

STOP_ID = 1900000000000000200
CHILD_ID = 1900000000000000300
STOP_CLIENT = "teabcd000001s00000"


def stop_row(**changes: Any) -> dict[str, Any]:
    """Our stop, waiting."""
    row = order_row(
        orderId=STOP_ID,
        type="STOP_MARKET",
        side="SELL",
        status="NEW",
        executedQty="0",
        stopPrice="58000.5",
        clientOrderId=STOP_CLIENT,
        reduceOnly=True,
    )
    return row | changes


def child_row(**changes: Any) -> dict[str, Any]:
    """What it becomes when it triggers."""
    row = stop_row(orderId=CHILD_ID, status="FILLED", executedQty="0.0012", clientOrderId="", triggerOrderId=STOP_ID)
    return row | changes


# ── opening ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asset", "rows", "told"),
    [
        ("USDT", [balance_row("VST")], "holds VST, expected USDT"),
        ("VST", [balance_row("USDT"), balance_row("USDC")], "holds USDC, USDT, expected VST"),
        ("USDT", [balance_row("USDT"), balance_row("VST")], "holds USDT, VST, expected USDT"),
        ("USDT", [balance_row("")], "holds no asset, expected USDT"),
    ],
)
def test_an_account_of_the_other_money_is_not_opened(asset: str, rows: list[Any], told: str) -> None:
    """The same key works on both hosts: only the wallet tells them apart."""

    async def story(bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match=told):
            await bench.venue.open()

    play(story, {BALANCE: ok(rows)}, is_read=False, asset=asset)


@pytest.mark.parametrize(("hosts", "asset"), [(LIVE, "VST"), (DEMO, "USDT")])
def test_a_host_that_contradicts_the_asset_is_not_asked_at_all(hosts: Any, asset: str) -> None:
    """Names that are known contradict each other."""

    async def story(bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match=f"the account's asset is {asset}"):
            await bench.venue.open()

    assert [] == play(story, is_read=False, hosts=hosts, asset=asset).asked


def test_a_key_that_is_refused_is_a_matter_of_configuration() -> None:
    """With the venue's words, and without key or secret."""

    async def story(bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match="refuses the API key") as told:
            await bench.venue.open()
        assert "Incorrect apiKey" in str(told.value)
        assert SECRET not in str(told.value)

    play(story, {BALANCE: bad(100413, "Incorrect apiKey")}, is_read=False)


def test_a_venue_that_does_not_answer_is_unavailable() -> None:
    """And can still be closed, twice."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable):
            await bench.venue.open()
        await bench.venue.close()

    play(story, {TIME: (500, b"")}, is_read=False)


@pytest.mark.parametrize(
    "read",
    [
        lambda venue: venue.order("BTCUSDT", ID),
        lambda venue: venue.open_orders(),
        lambda venue: venue.positions(),
        lambda venue: venue.fills_since(NOW_MS),
        lambda venue: venue.incomes_since(NOW_MS),
        lambda venue: venue.balance(),
        lambda venue: venue.candles("BTCUSDT", 60_000, NOW_MS - 60_000, NOW_MS),
    ],
)
def test_where_nobody_listens_a_read_is_unavailable_and_no_fault(
    read: Callable[[BingxVenue], Awaitable[object]],
) -> None:
    """Not a byte leaves: that is told in the words of the port, which are handled, not as a fault, which is not."""

    async def story(bench: Bench) -> None:
        await bench.server.stop_listening()
        for _ in range(2):  # the first may still meet a connection that is just ending
            with pytest.raises(VenueUnavailable, match="Connect call failed"):
                await read(bench.venue)

    play(story)


def test_a_demo_account_opens_with_its_own_money() -> None:
    """Clock, wallet, instruments; the settle asset is that of the wallet."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        assert ["VST"] == [item.settle_asset for item in await bench.venue.instruments()]
        assert Balance("VST", Decimal("1000.0000"), Decimal("880.0000")) == await bench.venue.balance()

    server = play(story, {BALANCE: ok([balance_row("VST")])}, is_read=False, asset="VST", clock=RunningClock())
    assert 5 == len(server.calls(TIME))


# ── instruments ─────────────────────────────────────────────────────────────


def test_an_instrument_has_tick_step_minimums_and_tiers() -> None:
    """Decimals make tick and step; tiers ascend; the lower of both sides' leverage counts."""

    async def story(bench: Bench) -> None:
        (instrument,) = await bench.venue.instruments()
        assert ("BTCUSDT", "0.1", "0.0001") == (instrument.symbol, str(instrument.tick), str(instrument.step))
        assert (Decimal("0.0001"), 2, 100) == (
            instrument.min_quantity,
            instrument.min_notional,
            instrument.max_leverage,
        )
        assert [(150_000, Decimal("0.0038"), 0), (900_000, Decimal("0.005"), 180)] == [
            (tier.notional_cap, tier.maintenance_rate, tier.deduction) for tier in instrument.tiers
        ]

    play(story)


def test_without_tiers_a_cautious_one_is_taken() -> None:
    """Where the venue refuses to tell; a failure stays a failure."""

    async def story(bench: Bench) -> None:
        (instrument,) = await bench.venue.instruments()
        assert [Decimal("0.01")] == [tier.maintenance_rate for tier in instrument.tiers]
        bench.server.script[TIERS] = (500, b"")
        with pytest.raises(VenueUnavailable):
            await bench.venue.instruments()

    play(story, {TIERS: bad(100404, "no such path")}, is_read=False)


@pytest.mark.parametrize(
    "rows",
    [[contract("ETH-USDT")], [contract(status=0)], [contract(status=5)], [contract(currency="USDC")]],
)
def test_a_symbol_that_cannot_be_traded_is_a_matter_of_configuration(rows: list[Any]) -> None:
    """Not listed, offline, not launched, of another money."""

    async def story(bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match="symbol BTCUSDT is"):
            await bench.venue.instruments()

    play(story, {CONTRACTS: ok(rows)}, is_read=False)


def test_a_strange_contract_among_the_others_does_no_harm() -> None:
    """Only what is traded must be whole."""

    async def story(bench: Bench) -> None:
        assert ["BTCUSDT"] == [item.symbol for item in await bench.venue.instruments()]

    play(story, {CONTRACTS: ok([{"symbol": "NCSK-USDT"}, {"asset": "?"}, contract()])}, is_read=False)


def test_a_contract_that_lacks_a_fact_is_not_traded() -> None:
    """No default for what money depends on."""
    row = contract()
    del row["tradeMinUSDT"]

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable, match="tradeMinUSDT"):
            await bench.venue.instruments()

    play(story, {CONTRACTS: ok([row])}, is_read=False)


# ── one order ───────────────────────────────────────────────────────────────


def test_an_order_is_found_by_its_client_id() -> None:
    """In one call."""

    async def story(bench: Bench) -> None:
        report = await bench.venue.order("BTCUSDT", ID)
        assert report is not None
        assert (ID, OrderState.FILLED, Decimal("0.0012")) == (report.client_order_id, report.state, report.filled)

    (asked,) = play(story, {ORDER: ok({"order": order_row()})}).asked
    assert ("BTC-USDT", ID) == (asked.params["symbol"], asked.params["clientOrderId"])


@pytest.mark.parametrize("status", ["FILLED", "CANCELLED", "EXPIRED", "TRIGGERED"])
def test_a_triggered_stop_has_the_fate_of_the_order_that_it_became(status: str) -> None:
    """Under our id and its own, whatever the venue calls a stop that has triggered."""

    async def story(bench: Bench) -> None:
        report = await bench.venue.order("BTCUSDT", STOP_CLIENT)
        assert report is not None
        assert (STOP_CLIENT, str(STOP_ID)) == (report.client_order_id, report.venue_order_id)
        assert (OrderState.FILLED, Decimal("0.0012")) == (report.state, report.filled)
        assert Decimal("58000.5") == report.trigger_price

    play(story, {ORDER: ok({"order": stop_row(status=status)}), ORDERS: ok({"orders": [child_row(), order_row()]})})


def test_a_triggered_stop_that_is_found_as_what_it_became_is_ours() -> None:
    """Where the venue gives the client id on."""

    async def story(bench: Bench) -> None:
        report = await bench.venue.order("BTCUSDT", STOP_CLIENT)
        assert report is not None
        assert (STOP_CLIENT, str(STOP_ID), OrderState.FILLED) == (
            report.client_order_id,
            report.venue_order_id,
            report.state,
        )

    play(story, {ORDER: ok({"order": child_row(clientOrderId=STOP_CLIENT)})})


@pytest.mark.parametrize(
    ("status", "expected"),
    [("CANCELLED", OrderState.CANCELED), ("FILLED", OrderState.ACKED), ("NEW", OrderState.ACKED)],
)
def test_a_stop_that_became_nothing_is_what_it_says(status: str, expected: OrderState) -> None:
    """Only "filled" without a fill and without another order is not believed yet."""

    async def story(bench: Bench) -> None:
        report = await bench.venue.order("BTCUSDT", STOP_CLIENT)
        assert report is not None
        assert (expected, 0) == (report.state, report.filled)

    play(story, {ORDER: ok({"order": stop_row(status=status)})})


def test_an_order_that_its_id_does_not_find_is_searched_in_the_lists() -> None:
    """Itself, or what it became, where it was accepted by this process."""

    async def story(bench: Bench) -> None:
        stop = request(OrderType.STOP_MARKET, TradeSide.SELL, price="58000.5", reduce=True)
        assert isinstance(await bench.venue.submit(stop), Accepted)
        report = await bench.venue.order("BTCUSDT", ID)
        assert report is not None
        assert (ID, str(STOP_ID), OrderState.FILLED) == (report.client_order_id, report.venue_order_id, report.state)

    script = {
        PLACE: ok({"order": stop_row(clientOrderId=ID)}),
        ORDER: bad(109421),
        ORDERS: ok({"orders": [child_row()]}),
    }
    play(story, script)


def test_an_order_just_accepted_is_not_absent() -> None:
    """The venue may not show it yet: nothing was learned."""

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.venue.submit(request()), Accepted)
        with pytest.raises(VenueUnavailable, match="does not show it yet"):
            await bench.venue.order("BTCUSDT", ID)

    play(story, {PLACE: ok({"order": order_row(status="NEW")}), ORDER: bad(109421)})


def test_many_orders_that_are_not_there_are_looked_for_in_the_lists() -> None:
    """The venue closes an endpoint to who gets twenty equal errors from it: the lists answer without one."""

    async def story(bench: Bench) -> None:
        for number in range(100, 114):
            assert await bench.venue.order("BTCUSDT", f"teabcd{number:06d}s00000") is None
        found = await bench.venue.order("BTCUSDT", STOP_CLIENT)
        assert found is not None

    script = {ORDER: bad(109421), OPEN_ORDERS: ok({"orders": [stop_row()]}), ORDERS: ok({"orders": []})}
    server = play(story, script, clock=RunningClock())
    assert MOST_NOT_FOUND == len(server.calls(ORDER))
    assert MOST_NOT_FOUND < 20


def test_a_read_is_asked_again_once_where_nothing_came_back() -> None:
    """Stamped and signed anew; after a refused timestamp with the clock measured."""

    async def story(bench: Bench) -> None:
        assert await bench.venue.order("BTCUSDT", ID) is not None
        assert await bench.venue.order("BTCUSDT", ID) is not None

    found = ok({"order": order_row()})
    script = {
        ORDER: [None, found, bad(109400, "timestamp is invalid"), found],
        TIME: ok({"serverTime": NOW_MS + 60_000}),
    }
    server = play(story, script, clock=RunningClock())
    assert (4, 5) == (len(server.calls(ORDER)), len(server.calls(TIME)))
    stamps = [int(asked.params["timestamp"]) for asked in server.calls(ORDER)]
    assert stamps[2] < NOW_MS + 50_000 < stamps[3]


# ── open orders, cancelling ─────────────────────────────────────────────────


def test_open_orders_are_one_list_of_all_symbols_and_kinds() -> None:
    """Ours and strangers'; a part of a triggered stop has the stop's id."""

    async def story(bench: Bench) -> None:
        reports = await bench.venue.open_orders()
        assert [
            (ID, "BTCUSDT", OrderState.PARTIAL),
            (STOP_CLIENT, "BTCUSDT", OrderState.ACKED),
            (STOP_CLIENT, "BTCUSDT", OrderState.PARTIAL),
            ("", "ETHUSDT", OrderState.ACKED),
        ] == [(report.client_order_id, report.symbol, report.state) for report in reports]

    rows = [
        order_row(status="PENDING", type="LIMIT", executedQty="0.0001"),
        stop_row(),
        child_row(status="PARTIALLY_FILLED", executedQty="0.0004"),
        order_row(symbol="ETH-USDT", orderId=5, status="NEW", executedQty="0", type="LIMIT", clientOrderId=""),
    ]
    (asked,) = play(story, {OPEN_ORDERS: ok({"orders": rows})}).asked
    assert "symbol" not in asked.params


@pytest.mark.parametrize("answer", [bad(100500), (200, b"x"), ok(None), ok([])])
def test_open_orders_that_cannot_be_read_are_not_none(answer: Any) -> None:
    """An empty list is only an empty list."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable):
            await bench.venue.open_orders()

    play(story, {OPEN_ORDERS: answer})


@pytest.mark.parametrize(("venue_id", "expected"), [("19", {"orderId": "19"}), ("", {"clientOrderId": STOP_CLIENT})])
def test_a_cancel_names_the_order_and_believes_only_ids_and_state(venue_id: str, expected: dict[str, str]) -> None:
    """The answer for a stop shows a limit order."""

    async def story(bench: Bench) -> None:
        outcome = await bench.venue.cancel("BTCUSDT", STOP_CLIENT, venue_id)
        assert isinstance(outcome, Accepted)
        assert (STOP_CLIENT, OrderState.CANCELED, 0) == (
            outcome.report.client_order_id,
            outcome.report.state,
            outcome.report.filled,
        )

    answer = ok({"order": stop_row(type="LIMIT", stopPrice="", status="CANCELLED")})
    (asked,) = play(story, {CANCEL: answer}).asked
    ids = {name: value for name, value in asked.params.items() if name in ("orderId", "clientOrderId")}
    assert expected == ids


def test_stops_that_cancelling_everything_leaves_behind_are_cancelled_one_by_one() -> None:
    """Until nothing of the symbol is left; other symbols are not touched."""

    async def story(bench: Bench) -> None:
        assert [] == list(await bench.venue.cancel_all("BTCUSDT"))

    other = order_row(symbol="ETH-USDT", orderId=5, status="NEW", executedQty="0", type="LIMIT")
    script = {
        CANCEL_ALL: ok({"success": [], "failed": None}),
        OPEN_ORDERS: [ok({"orders": [stop_row(), other]}), ok({"orders": [other]})],
        CANCEL: ok({"order": stop_row(status="CANCELLED")}),
    }
    server = play(story, script)
    assert "BTC-USDT" == server.calls(CANCEL_ALL)[0].params["symbol"]
    assert [str(STOP_ID)] == [asked.params["orderId"] for asked in server.calls(CANCEL)]


def test_what_cannot_be_cancelled_is_told() -> None:
    """After a few rounds."""

    async def story(bench: Bench) -> None:
        left = await bench.venue.cancel_all("BTCUSDT")
        assert [STOP_CLIENT] == [report.client_order_id for report in left]

    script = {CANCEL_ALL: bad(100500), OPEN_ORDERS: ok({"orders": [stop_row()]}), CANCEL: bad(109201)}
    play(story, script, clock=RunningClock())


# ── executions ──────────────────────────────────────────────────────────────


def test_fills_come_oldest_first_with_costs_positive_and_client_ids() -> None:
    """A stranger's has none; the key names order and trade; both orders of one trade have keys of their own."""

    async def story(bench: Bench) -> None:
        first, second, third = await bench.venue.fills_since(NOW_MS - 60_000)
        assert ("1900000000000000123-8", ID, "BTCUSDT") == (first.trade_id, first.client_order_id, first.symbol)
        assert (TradeSide.BUY, Decimal("0.0012"), Decimal("60000.1")) == (first.side, first.quantity, first.price)
        assert (Decimal("0.0360"), "USDT", NOW_MS) == (first.fee, first.fee_asset, first.ts_ms)
        assert (False, None) == (first.is_maker, first.realized_pnl)
        assert ("77-8", "", Decimal("-0.01"), True) == (
            second.trade_id,
            second.client_order_id,
            second.fee,
            second.is_maker,
        )
        assert ("ETHUSDT", NOW_MS + 2_000) == (third.symbol, third.ts_ms)

    def order(asked: Asked) -> Any:
        return ok({"order": order_row(orderId=int(asked.params["orderId"]))} if "123" in asked.query else {})

    rows = [
        fill_row(9, 77, symbol="ETH-USDT", filledTime="2026-01-01T08:00:02.000+0800", commissionAsset=""),
        fill_row(8, 77, commission="0.01", role="maker", side="sell", filledTime="2026-01-01T08:00:01.000+0800"),
        fill_row(8),
    ]

    async def late(bench: Bench) -> None:
        bench.venue._venue_clock.offset_ms = 60_000  # a minute later the strangers' orders are old enough
        await story(bench)

    server = play(late, {FILLS: ok({"fill_history_orders": rows, "total": 3}), ORDER: order})
    (asked,) = server.calls(FILLS)
    assert {"startTs", "endTs", "pageIndex", "pageSize"} <= set(asked.params)
    assert (str(NOW_MS - 60_001), "1000") == (asked.params["startTs"], asked.params["pageSize"])


def test_the_fill_of_a_triggered_stop_is_ours() -> None:
    """The order that filled is another one: the order that triggered it has our id."""

    async def story(bench: Bench) -> None:
        (fill,) = await bench.venue.fills_since(NOW_MS - 1_000)
        assert (STOP_CLIENT, str(CHILD_ID)) == (fill.client_order_id, fill.venue_order_id)
        (again,) = await bench.venue.fills_since(NOW_MS - 1_000)
        assert fill == again

    def order(asked: Asked) -> Any:
        return ok({"order": child_row() if asked.params["orderId"] == str(CHILD_ID) else stop_row(status="FILLED")})

    server = play(story, {FILLS: ok({"fill_history_orders": [fill_row(1, CHILD_ID)], "total": 1}), ORDER: order})
    assert [str(CHILD_ID), str(STOP_ID)] == [asked.params["orderId"] for asked in server.calls(ORDER)]
    assert [] == server.calls(FORCED)


def test_a_fill_of_an_order_that_is_not_shown_yet_is_no_strangers() -> None:
    """Nothing was learned: it is read again."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable, match="new execution"):
            await bench.venue.fills_since(0)

    play(story, {FILLS: ok({"fill_history_orders": [fill_row(1)], "total": 1}), ORDER: bad(109421)})


@pytest.mark.parametrize(("kind", "expected"), [("LIQUIDATION", (True, False)), ("ADL", (False, True))])
def test_forced_closes_are_marked(kind: str, expected: tuple[bool, bool]) -> None:
    """By the list of forced orders."""

    async def story(bench: Bench) -> None:
        (fill,) = await bench.venue.fills_since(0)
        assert ("", *expected) == (fill.client_order_id, fill.is_liquidation, fill.is_adl)

    def forced(asked: Asked) -> Any:
        rows = [order_row(orderId=88, clientOrderId="")] if asked.params["autoCloseType"] == kind else []
        return ok({"orders": rows})

    script = {
        FILLS: ok({"fill_history_orders": [fill_row(1, 88)], "total": 1}),
        ORDER: ok({"order": order_row(orderId=88, clientOrderId="", type="LIMIT")}),
        FORCED: forced,
    }
    play(story, script)


def test_pages_of_fills_are_read_to_the_end() -> None:
    """With a total as many as it takes; without one until a page brings nothing new."""
    rows = [fill_row(number) for number in range(5)]

    def paged(most: int, *, has_total: bool) -> Callable[[Asked], Any]:
        def page(asked: Asked) -> Any:
            begin = (int(asked.params["pageIndex"]) - 1) * most
            data = {"fill_history_orders": rows[begin : begin + most] or None}
            return ok(data | ({"total": len(rows)} if has_total else {}))

        return page

    async def story(bench: Bench) -> None:
        assert 5 == len(await bench.venue.fills_since(0))
        bench.server.script[FILLS] = paged(3, has_total=False)
        assert 5 == len(await bench.venue.fills_since(0))

    script = {FILLS: paged(2, has_total=True), ORDER: ok({"order": order_row()})}
    server = play(story, script, clock=RunningClock())
    assert ["1", "2", "3", "1", "2", "3"] == [asked.params["pageIndex"] for asked in server.calls(FILLS)]


def test_fills_are_asked_for_no_further_back_than_they_are_kept() -> None:
    """Seven days, a little less: a longer span is refused."""

    async def story(bench: Bench) -> None:
        assert [] == list(await bench.venue.fills_since(0))

    (asked,) = play(story, {FILLS: ok({"fill_history_orders": None, "total": 0})}).calls(FILLS)
    span_ms = int(asked.params["endTs"]) - int(asked.params["startTs"])
    assert 7 * DAY_MS - 60_000 == span_ms


@pytest.mark.parametrize(
    "answer", [bad(100500), ok(None), ok({"fill_history_orders": [fill_row(1, price="")], "total": 1})]
)
def test_fills_that_cannot_be_read_are_not_none(answer: Any) -> None:
    """Also where one lacks a price."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable):
            await bench.venue.fills_since(0)

    play(story, {FILLS: answer, ORDER: ok({"order": order_row()})})


# ── incomes ─────────────────────────────────────────────────────────────────


def test_incomes_are_what_executions_do_not_tell() -> None:
    """Oldest first, in the account's asset; equal rows of one instant count apart."""
    rows = [
        income_row(time=NOW_MS - 10),
        income_row("TRANSFER", income="500", symbol="", time=NOW_MS - 20, tranId="5"),
        income_row("REALIZED_PNL", income="3"),
        income_row("TRADING_FEE", income="-1"),
        income_row("TRANSFER", income="9", asset="USDC"),
        income_row("SYSTEM_DEDUCTION", income="-2", time=NOW_MS - 5, tranId=""),
        income_row("SYSTEM_DEDUCTION", income="-2", time=NOW_MS - 5, tranId=""),
        income_row("INSURANCE_CLEAR", income="-7", time=NOW_MS - 4),
        income_row("TRANSFER", income="1", time=NOW_MS - 90_000),
    ]

    async def story(bench: Bench) -> None:
        incomes = await bench.venue.incomes_since(NOW_MS - 60_000)
        assert [
            (PnlKind.TRANSFER, "", "500"),
            (PnlKind.FUNDING, "BTCUSDT", "-0.0292"),
            (PnlKind.ADJUSTMENT, "BTCUSDT", "-2"),
            (PnlKind.ADJUSTMENT, "BTCUSDT", "-2"),
            (PnlKind.LIQUIDATION, "BTCUSDT", "-7"),
        ] == [(income.kind, income.symbol, str(income.amount)) for income in incomes]
        assert 5 == len({income.key for income in incomes})
        assert incomes == await bench.venue.incomes_since(NOW_MS - 60_000)

    play(story, {INCOME: ok(rows)})


def test_a_full_page_of_incomes_is_read_again_in_halves() -> None:
    """Whichever end the venue kept; a row on the border counts once."""
    begin_ms = NOW_MS - 3_600_000
    rows = [income_row("TRANSFER", time=begin_ms + number * 2_500, tranId=str(number)) for number in range(1_400)]

    def page(asked: Asked) -> Any:
        first, last = int(asked.params["startTime"]), int(asked.params["endTime"])
        return ok([row for row in reversed(rows) if first <= row["time"] <= last][:1_000])

    async def story(bench: Bench) -> None:
        incomes = await bench.venue.incomes_since(begin_ms)
        assert [row["time"] for row in rows] == [income.ts_ms for income in incomes]

    assert 3 == len(play(story, {INCOME: page}, clock=RunningClock()).calls(INCOME))


def test_a_long_time_of_incomes_is_read_in_windows_without_gaps() -> None:
    """Seven days each, and no further back than 90 days; an empty answer may be null."""

    async def story(bench: Bench) -> None:
        assert [] == list(await bench.venue.incomes_since(NOW_MS - 20 * DAY_MS))

    asked = sorted(play(story, {INCOME: ok(None)}).calls(INCOME), key=lambda asked: asked.params["startTime"])
    bounds = [(int(item.params["startTime"]), int(item.params["endTime"])) for item in asked]
    assert 3 == len(bounds)
    assert NOW_MS - 20 * DAY_MS - 1 == bounds[0][0]
    assert all(end - begin <= 7 * DAY_MS for begin, end in bounds)
    assert all(before[1] >= after[0] for before, after in pairwise(bounds))


def test_on_the_demo_host_everything_is_its_own_money() -> None:
    """Whichever asset a row names."""

    async def story(bench: Bench) -> None:
        assert ["VST", "VST"] == [income.asset for income in await bench.venue.incomes_since(NOW_MS - 60_000)]

    play(story, {INCOME: ok([income_row(), income_row(asset="VST", tranId="2")])}, asset="VST")


# ── account ─────────────────────────────────────────────────────────────────


def test_hedged_positions_are_told_side_by_side() -> None:
    """A long and a short of one symbol."""

    async def story(bench: Bench) -> None:
        positions = await bench.venue.positions()
        assert [("BTCUSDT", Side.LONG), ("BTCUSDT", Side.SHORT)] == [
            (position.symbol, position.side) for position in positions
        ]

    rows = [position_row(), position_row(positionSide="SHORT"), position_row(positionAmt="0")]
    play(story, {POSITIONS: ok(rows)}, position_mode=PositionMode.HEDGE)


@pytest.mark.parametrize("answer", [ok(None), ok([position_row(positionAmt="")]), bad(100413), (502, b"")])
def test_positions_that_cannot_be_read_are_not_none(answer: Any) -> None:
    """Flat is an empty list and nothing else."""

    async def story(bench: Bench) -> None:
        with pytest.raises(VenueUnavailable):
            await bench.venue.positions()

    play(story, {POSITIONS: answer})


def test_a_balance_that_is_not_listed_is_not_zero() -> None:
    """Nor one without its fields."""
    row = balance_row()
    row["availableMargin"] = ""

    async def story(bench: Bench) -> None:
        for _ in range(2):
            with pytest.raises(VenueUnavailable):
                await bench.venue.balance()

    play(story, {BALANCE: [ok([balance_row("USDC")]), ok([row])]})


@pytest.mark.parametrize(
    ("permissions", "dual", "expected"),
    [
        (ok([2, 3]), "false", (PositionMode.ONE_WAY, True, False)),
        (ok({"permissions": [2, 5]}), True, (PositionMode.HEDGE, False, True)),
        ({"code": 0, "permissions": [3]}, "true", (PositionMode.HEDGE, True, False)),
        (bad(100404), False, (PositionMode.ONE_WAY, None, None)),
        (ok("all"), False, (PositionMode.ONE_WAY, None, None)),
    ],
)
def test_account_facts_say_what_is_known(permissions: Any, dual: Any, expected: tuple[Any, ...]) -> None:
    """And leave open what the venue does not tell."""

    async def story(bench: Bench) -> None:
        found = await bench.venue.account_facts()
        assert isinstance(found, AccountFacts)
        assert (*expected, False) == (found.position_mode, found.can_trade, found.can_withdraw, found.is_demo)
        assert any("multi-assets" in note for note in found.notes)

    script = {
        PERMISSIONS: permissions,
        MODE: ok({"dualSidePosition": dual}),
        ASSET_MODE: ok({"assetMode": "multiAssetsMode"}),
    }
    play(story, script)


def test_fees_are_the_accounts_own() -> None:
    """As fractions."""

    async def story(bench: Bench) -> None:
        assert FeeRates(Decimal("0.0002"), Decimal("0.0005")) == await bench.venue.fee_rates("BTCUSDT")

    play(story, {COMMISSION: ok({"commission": {"takerCommissionRate": 0.0005, "makerCommissionRate": 0.0002}})})


@pytest.mark.parametrize(("mode", "sides"), [(PositionMode.ONE_WAY, ["BOTH"]), (PositionMode.HEDGE, ["LONG", "SHORT"])])
def test_leverage_is_set_for_the_sides_of_the_mode(mode: PositionMode, sides: list[str]) -> None:
    """And accepted where the venue repeats it."""

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.venue.set_leverage("BTCUSDT", Decimal("10.0")), Accepted)

    answer = ok({"leverage": 10, "symbol": "BTC-USDT"})
    asked = play(story, {SET_LEVERAGE: answer}, position_mode=mode).calls(SET_LEVERAGE)
    assert [(side, "10", "BTC-USDT") for side in sides] == [
        (item.params["side"], item.params["leverage"], item.params["symbol"]) for item in asked
    ]


@pytest.mark.parametrize(
    ("answer", "leverage", "kind"),
    [
        (ok({"leverage": "5"}), "10", Rejected),
        (ok({}), "10", Unknown),
        (bad(101414, "above"), "10", Rejected),
        (bad(109400, "margin is not enough"), "10", Rejected),
        (None, "10", Unknown),
        (ok({"leverage": 2}), "2.5", Rejected),
    ],
)
def test_a_leverage_that_is_not_repeated_is_not_accepted(answer: Any, leverage: str, kind: type) -> None:
    """Another echo, none, a refusal, no answer, a fraction."""

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.venue.set_leverage("BTCUSDT", Decimal(leverage)), kind)

    play(story, {SET_LEVERAGE: answer})


def test_modes_that_are_so_already_are_not_set() -> None:
    """The venue would refuse it while something is open."""

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.venue.set_margin_mode("BTCUSDT", MarginMode.CROSS), Accepted)
        assert isinstance(await bench.venue.set_position_mode(PositionMode.HEDGE), Accepted)

    server = play(story, {MARGIN: ok({"marginType": "CROSSED"}), MODE: ok({"dualSidePosition": "true"})})
    assert ["GET", "GET"] == [asked.method for asked in server.asked]


def test_other_modes_are_set_or_refused() -> None:
    """With the venue's spellings."""

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.venue.set_margin_mode("BTCUSDT", MarginMode.ISOLATED), Accepted)
        refused = await bench.venue.set_position_mode(PositionMode.ONE_WAY)
        assert isinstance(refused, Rejected)
        assert "109401" == refused.code

    script = {
        MARGIN: ok({"marginType": "CROSSED"}),
        SET_MARGIN: ok({}),
        MODE: (500, b""),
        SET_MODE: bad(109401, "positions"),
    }
    server = play(story, script)
    assert "ISOLATED" == server.calls(SET_MARGIN)[0].params["marginType"]
    assert "false" == server.calls(SET_MODE)[0].params["dualSidePosition"]


def test_the_clock_is_measured() -> None:
    """The offset of the quickest of five answers."""

    async def story(bench: Bench) -> None:
        assert 1_234 == await bench.venue.measure_clock()

    play(story, {TIME: ok({"serverTime": NOW_MS + 1_234})})


# ── candles ─────────────────────────────────────────────────────────────────


def _candle(open_ms: int, **changes: Any) -> dict[str, Any]:
    row = {"open": "60000.1", "close": "60010.0", "high": "60020.4", "low": "59990.0", "volume": "12.34567"}
    return row | {"time": open_ms} | changes


def test_candles_are_closed_ascending_and_in_the_instruments_units() -> None:
    """The venue begins with the one that is still forming."""
    minute = 60_000
    rows = [_candle(NOW_MS - number * minute) for number in range(4)]

    async def story(bench: Bench) -> None:
        candles = await bench.venue.candles("BTCUSDT", minute, NOW_MS - 2 * minute, NOW_MS + minute)
        assert [NOW_MS - 2 * minute, NOW_MS - minute] == [candle.open_time_ms for candle in candles]
        assert Candle("BTCUSDT", NOW_MS - minute, minute, 600001, 600204, 599900, 600100, 123456) == candles[-1]

    (asked,) = play(story, {KLINES: ok(rows)}).asked
    assert ("1m", "BTC-USDT", None) == (asked.params["interval"], asked.params["symbol"], asked.key)
    assert "signature" not in asked.params


def test_many_candles_are_read_in_windows_that_overlap() -> None:
    """Also where the venue takes both bounds as exclusive; gaps of the venue stay."""
    minute, count = 60_000, 3_000
    begin_ms = NOW_MS - count * minute

    def page(asked: Asked) -> Any:
        first, last = int(asked.params["startTime"]), int(asked.params["endTime"])
        times = [begin_ms + number * minute for number in range(count + 1) if number != 7]
        rows = [_candle(at_ms) for at_ms in reversed(times) if first < at_ms < last]
        assert len(rows) <= 1_440
        return ok(rows)

    async def story(bench: Bench) -> None:
        candles = await bench.venue.candles("BTCUSDT", minute, begin_ms, NOW_MS + DAY_MS)
        expected = [begin_ms + number * minute for number in range(count) if number != 7]
        assert expected == [candle.open_time_ms for candle in candles]

    assert 3 == len(play(story, {KLINES: page}).asked)


def test_a_price_between_two_ticks_is_the_nearest() -> None:
    """A contract's tick may have been finer once."""

    async def story(bench: Bench) -> None:
        (candle,) = await bench.venue.candles("BTCUSDT", 60_000, NOW_MS - 60_000, NOW_MS)
        assert (600002, 600201) == (candle.open, candle.high)

    play(story, {KLINES: ok([_candle(NOW_MS - 60_000, open=60000.15, high="60020.14")])})


def test_an_interval_that_the_venue_does_not_have_is_bad_input() -> None:
    """With the ones that it has."""

    async def story(bench: Bench) -> None:
        with pytest.raises(ConfigInvalid, match="it has 1m, 3m"):
            await bench.venue.candles("BTCUSDT", 7_000, NOW_MS - 60_000, NOW_MS)
        with pytest.raises(ConfigInvalid, match="XYZUSDT is not configured"):
            await bench.venue.candles("XYZUSDT", 60_000, NOW_MS - 60_000, NOW_MS)

    play(story, {LEVERAGE: ok({"maxLongLeverage": 1, "maxShortLeverage": 1})})
