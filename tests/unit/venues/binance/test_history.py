"""The past is read whole: windows, pages, names, other money."""

from decimal import Decimal
from typing import Any

import pytest
from unit.venues.binance.scripted import DAY_MS, NOW_MS, OURS, Answer, Call, Server, income, plain, play, trade

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.orders import TradeSide
from trading_engine.venues.binance.venue import BinanceVenue

HOUR_MS = 3_600_000
USER_TRADES = "GET /fapi/v1/userTrades"
INCOME = "GET /fapi/v1/income"


def table(rows: list[dict[str, Any]], *, oldest_kept: bool = True) -> Any:
    """A call that pages rows as the venue does: windows of 7 days, at most `limit` rows."""

    def answer(call: Call) -> Answer:
        params = call.params
        limit = int(params["limit"])
        shown = [row for row in rows if "symbol" not in params or row["symbol"] == params["symbol"]]
        if "fromId" in params:
            assert "startTime" not in params
            shown = [row for row in shown if row["id"] >= int(params["fromId"])]
        else:
            start, end = int(params["startTime"]), int(params["endTime"])
            assert end - start < 7 * DAY_MS
            shown = [row for row in shown if start <= row["time"] <= end]
        return Answer(shown[:limit] if oldest_kept else shown[-limit:])

    return answer


def fills(
    rows: list[dict[str, Any]], since_ms: int, symbols: tuple[str, ...] = ("BTCUSDT",)
) -> tuple[list[Fill], list[str]]:
    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[Fill], list[str]]:
        server.standing[USER_TRADES] = table(rows)
        server.standing["GET /fapi/v1/order"] = lambda call: Answer(
            plain(orderId=int(call.params["orderId"]), symbol=call.params["symbol"])
        )
        return list(await venue.fills_since(since_ms)), server.told("userTrades")

    return play(scene, symbols=symbols)


def test_a_trade_is_told_with_everything_the_ledger_needs() -> None:
    """Price, quantity, fee in its asset, PnL, maker flag, client id of the order, a key with the symbol."""
    row = trade(
        9, NOW_MS - 5, side="SELL", realizedPnl="-0.5", commission="0.00000362", commissionAsset="BNB", maker=True
    )
    (fill,), _ = fills([row], NOW_MS - HOUR_MS)
    expected = Fill(
        venue="binance",
        account="main",
        trade_id="BTCUSDT-9",
        client_order_id=OURS,
        venue_order_id="7",
        symbol="BTCUSDT",
        side=TradeSide.SELL,
        quantity=Decimal("0.001"),
        price=Decimal(60_000),
        fee=Decimal("0.00000362"),
        fee_asset="BNB",
        ts_ms=NOW_MS - 5,
        realized_pnl=Decimal("-0.5"),
        is_maker=True,
    )
    assert expected == fill
    assert "binance:main:BTCUSDT-9" == fill.key


def test_trades_of_all_symbols_come_oldest_first() -> None:
    """Each symbol is asked for apart; numbers of two symbols may be equal."""
    rows = [
        trade(1, NOW_MS - 3),
        trade(1, NOW_MS - 4, symbol="ETHUSDT"),
        trade(2, NOW_MS - 1),
        trade(0, NOW_MS - HOUR_MS),
    ]
    rows.sort(key=lambda row: row["time"])
    found, _ = fills(rows, NOW_MS - 10, ("BTCUSDT", "ETHUSDT"))
    assert ["ETHUSDT-1", "BTCUSDT-1", "BTCUSDT-2"] == [fill.trade_id for fill in found]


def test_full_pages_are_followed_by_trade_number() -> None:
    """2,500 trades in a window take three pages, each once."""
    rows = [trade(number, NOW_MS - 10_000 + number) for number in range(2_500)]
    found, asked = fills(rows, NOW_MS - HOUR_MS)
    assert [f"BTCUSDT-{number}" for number in range(2_500)] == [fill.trade_id for fill in found]
    start = NOW_MS - HOUR_MS
    assert [
        f"{USER_TRADES} symbol=BTCUSDT&startTime={start}&endTime={start + 7 * DAY_MS - 1}&limit=1000",
        f"{USER_TRADES} symbol=BTCUSDT&fromId=1000&limit=1000",
        f"{USER_TRADES} symbol=BTCUSDT&fromId=2000&limit=1000",
    ] == asked


def test_empty_weeks_are_walked_through_and_not_again() -> None:
    """A first trade 20 days ago: windows until it shows, then by number; the second read begins there."""
    rows = [trade(5, NOW_MS - 20 * DAY_MS), trade(6, NOW_MS - DAY_MS)]

    async def scene(server: Server, venue: BinanceVenue) -> tuple[int, int]:
        server.standing[USER_TRADES] = table(rows)
        server.standing["GET /fapi/v1/order"] = Answer({"code": -2013, "msg": "Order does not exist."}, 400)
        assert ["BTCUSDT-5", "BTCUSDT-6"] == [fill.trade_id for fill in await venue.fills_since(0)]
        first = len(server.told("userTrades"))
        assert ["BTCUSDT-5", "BTCUSDT-6"] == [fill.trade_id for fill in await venue.fills_since(0)]
        return first, len(server.told("userTrades")) - first

    first, second = play(scene, symbols=("BTCUSDT",))
    assert (11, 2) == (first, second)


def test_a_read_that_begins_late_says_nothing_about_earlier_times() -> None:
    """Trades before a late watermark are found when they are asked for afterwards."""

    async def scene(server: Server, venue: BinanceVenue) -> list[str]:
        server.standing[USER_TRADES] = table([trade(5, NOW_MS - 40 * DAY_MS)])
        server.standing["GET /fapi/v1/order"] = Answer({"code": -2013, "msg": "Order does not exist."}, 400)
        assert [] == await venue.fills_since(NOW_MS - 10 * DAY_MS)
        return [fill.trade_id for fill in await venue.fills_since(0)]

    assert ["BTCUSDT-5"] == play(scene, symbols=("BTCUSDT",))


def test_rows_of_coin_margined_contracts_are_left_out() -> None:
    """The venue may mix them in."""

    async def scene(server: Server, venue: BinanceVenue) -> list[str]:
        server.say(USER_TRADES, [trade(1, NOW_MS - 5, symbol="BTCUSD_PERP", baseQty="1"), trade(2, NOW_MS - 4)])
        server.say("GET /fapi/v1/order", plain(orderId=7))
        return [fill.trade_id for fill in await venue.fills_since(NOW_MS - HOUR_MS)]

    assert ["BTCUSDT-2"] == play(scene, symbols=("BTCUSDT",))


TAKEOVERS = [
    ("autoclose-1764", True, False),
    ("adl_autoclose", False, True),
    ("settlement_autoclose-1", False, False),
    ("web_abc", False, False),
]


@pytest.mark.parametrize(("client_id", "is_liquidation", "is_adl"), TAKEOVERS)
def test_the_venues_own_orders_are_recognised(client_id: str, is_liquidation: bool, is_adl: bool) -> None:
    """Their fills are nobody's order; a stranger's order has no name either."""

    async def scene(server: Server, venue: BinanceVenue) -> Fill:
        server.say(USER_TRADES, [trade(2, NOW_MS - 4)])
        server.say("GET /fapi/v1/order", plain(orderId=7, clientOrderId=client_id))
        (fill,) = await venue.fills_since(NOW_MS - HOUR_MS)
        return fill

    fill = play(scene, symbols=("BTCUSDT",))
    assert ("", is_liquidation, is_adl) == (fill.client_order_id, fill.is_liquidation, fill.is_adl)


def test_names_of_orders_are_asked_once() -> None:
    """A few are asked one by one, many by a list; what is known is not asked again."""

    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[str], list[str]]:
        rows = [trade(number, NOW_MS - 100 + number, orderId=20 + number) for number in range(5)]
        server.standing[USER_TRADES] = Answer(rows)
        server.say("GET /fapi/v1/allOrders", [plain(orderId=20 + number) for number in range(4)])
        server.say("GET /fapi/v1/order", Answer({"code": -2013, "msg": "Order does not exist."}, 400))
        first = await venue.fills_since(NOW_MS - HOUR_MS)
        again = await venue.fills_since(NOW_MS - HOUR_MS)
        assert first == again
        return [fill.client_order_id for fill in first], server.told("allOrders", "order")

    names, asked = play(scene, symbols=("BTCUSDT",))
    assert [OURS] * 4 + [""] == names
    assert [
        "GET /fapi/v1/allOrders symbol=BTCUSDT&orderId=20&limit=1000",
        "GET /fapi/v1/order symbol=BTCUSDT&orderId=24",
    ] == asked


def test_a_failed_page_fails_the_whole_read() -> None:
    """Nothing is never said for failed."""

    async def scene(server: Server, venue: BinanceVenue) -> None:
        server.say(USER_TRADES, [trade(number, NOW_MS - 9_000 + number) for number in range(1_000)], Answer("x", 502))
        with pytest.raises(VenueUnavailable, match="HTTP 502"):
            await venue.fills_since(NOW_MS - HOUR_MS)

    play(scene, symbols=("BTCUSDT",))


KINDS = [
    ("FUNDING_FEE", PnlKind.FUNDING),
    ("SPECIAL_FUNDING_FEE", PnlKind.FUNDING),
    ("TRANSFER", PnlKind.TRANSFER),
    ("INTERNAL_TRANSFER", PnlKind.TRANSFER),
    ("STRATEGY_UMFUTURES_TRANSFER", PnlKind.TRANSFER),
    ("INSURANCE_CLEAR", PnlKind.LIQUIDATION),
    ("REFERRAL_KICKBACK", PnlKind.ADJUSTMENT),
    ("SOMETHING_NEW", PnlKind.ADJUSTMENT),
    ("REALIZED_PNL", None),
    ("COMMISSION", None),
]


def incomes(rows: list[dict[str, Any]], since_ms: int, *, oldest_kept: bool = True) -> tuple[list[Income], list[str]]:
    async def scene(server: Server, venue: BinanceVenue) -> tuple[list[Income], list[str]]:
        server.standing[INCOME] = table(rows, oldest_kept=oldest_kept)
        return list(await venue.incomes_since(since_ms)), server.told("income")

    return play(scene)


@pytest.mark.parametrize(("word", "kind"), KINDS)
def test_an_income_type_has_its_kind(word: str, kind: PnlKind | None) -> None:
    """PnL and fees of traded symbols are told by fills; what is new is an adjustment, with its type in the id."""
    found, _ = incomes([income(123456789012345678, NOW_MS - 5, word)], NOW_MS - HOUR_MS)
    if kind is None:
        assert [] == found
        return
    (told,) = found
    assert (kind, Decimal("-0.0123"), "USDT", NOW_MS - 5) == (told.kind, told.amount, told.asset, told.ts_ms)
    assert f"{word}-123456789012345678-BTCUSDT" == told.income_id


def test_pnl_and_fees_of_symbols_that_are_not_traded_are_adjustments() -> None:
    """Their trades are not read, so the wallet's change is told here."""
    row = income(5, NOW_MS - 5, "COMMISSION", symbol="DOTUSDT")
    (told,), _ = incomes([row], NOW_MS - HOUR_MS)
    assert (PnlKind.ADJUSTMENT, "DOTUSDT") == (told.kind, told.symbol)


def test_one_number_of_two_symbols_or_types_is_two_incomes() -> None:
    """The number is unique within a type only; a row that is told twice counts once."""
    rows = [
        income(5, NOW_MS - 5),
        income(5, NOW_MS - 5),
        income(5, NOW_MS - 5, symbol="ETHUSDT"),
        income(5, NOW_MS - 4, "TRANSFER", symbol="", asset="USDT"),
    ]
    found, _ = incomes(rows, NOW_MS - HOUR_MS)
    assert 3 == len({told.key for told in found}) == len(found)


def test_what_another_wallet_pays_or_receives_is_no_income() -> None:
    """Five BNB moved to the account are not five USDT, nor are fees in BNB and funding of a contract in USDC."""
    rows = [
        income(1, NOW_MS - 6, "TRANSFER", symbol="", asset="BNB", income="5"),
        income(2, NOW_MS - 5, "COMMISSION", symbol="DOTUSDT", asset="BNB"),
        income(3, NOW_MS - 4, symbol="BTCUSDC", asset="USDC"),
        income(4, NOW_MS - 3),
    ]
    found, _ = incomes(rows, NOW_MS - HOUR_MS)
    assert ["FUNDING_FEE-4-BTCUSDT"] == [told.income_id for told in found]


@pytest.mark.parametrize("oldest_kept", [True, False])
def test_a_window_with_more_incomes_than_a_page_is_read_whole(oldest_kept: bool) -> None:
    """Whichever end of a full page the venue keeps."""
    rows = [income(number, NOW_MS - 20_000 + 5 * number) for number in range(2_500)]
    found, _ = incomes(rows, NOW_MS - HOUR_MS, oldest_kept=oldest_kept)
    assert [row["tranId"] for row in rows] == [int(told.income_id.split("-")[1]) for told in found]


def test_incomes_of_many_weeks_come_oldest_first() -> None:
    """Windows of seven days, none left out."""
    rows = [income(week, NOW_MS - (80 - 7 * week) * DAY_MS) for week in range(11)]
    found, asked = incomes(rows, 0)
    assert 11 == len(found)
    assert sorted(told.ts_ms for told in found) == [told.ts_ms for told in found]
    assert 13 == len(asked)
