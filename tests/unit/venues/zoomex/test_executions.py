"""Fills and funding: whose they are, in which order, over windows and pages."""

from decimal import Decimal
from urllib.parse import parse_qs

import pytest
from unit.venues.zoomex.scripted import (
    BTC,
    ORDER_ID,
    OURS,
    START_MS,
    Answer,
    Asked,
    Bench,
    capital,
    execution_row,
    instrument_row,
    listing,
    order_row,
    request,
    run,
)

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.time import DAY_MS
from trading_engine.venues.zoomex import facts

D = Decimal
SINCE_MS = START_MS - 1_000


def _fills(*rows: dict[str, object], since_ms: int = SINCE_MS, **script: Answer) -> list[Fill]:
    async def story(bench: Bench) -> list[Fill]:
        bench.server.script[facts.EXECUTIONS] = listing(*rows)
        bench.server.script[facts.HISTORY] = script.get("history", listing(order_row()))
        return list(await bench.venue.fills_since(since_ms))

    return run(story)


def test_a_fill_is_told_with_the_client_id_of_its_order() -> None:
    """The listing of executions does not name it: the history of orders does."""
    (fill,) = _fills(execution_row())
    expected = Fill(
        venue="zoomex",
        account="main",
        trade_id="e0cbe81d-0000-5866-9415-cf319b5dab3b",
        client_order_id=OURS,
        venue_order_id=ORDER_ID,
        symbol=BTC,
        side=TradeSide.BUY,
        quantity=D("0.004"),
        price=D("60000.5"),
        fee=D("0.0480004"),
        fee_asset="USDT",
        ts_ms=1_767_225_601_000,
        is_maker=True,
    )
    assert expected == fill
    assert fill.realized_pnl is None


def test_an_order_is_asked_for_once() -> None:
    """And not at all where a reply has named it."""

    async def story(bench: Bench) -> None:
        rows = [execution_row(execId="1"), execution_row(execId="2"), execution_row(execId="3", orderId="x")]
        bench.server.script[facts.EXECUTIONS] = listing(*rows)
        bench.server.script[facts.REALTIME] = listing(capital(order_row()))
        await bench.venue.submit(request())
        bench.server.script[facts.REALTIME] = listing(capital(order_row(orderId="x", orderLinkId="")))
        bench.server.asked.clear()
        for _ in range(2):
            found = await bench.venue.fills_since(SINCE_MS)
            assert [OURS, OURS, ""] == [fill.client_order_id for fill in found]
        assert 1 == len(bench.server.calls(facts.REALTIME))

    run(story)


def test_a_client_id_that_is_told_is_taken() -> None:
    """Should the listing name it after all."""
    (fill,) = _fills(execution_row(orderLinkId="theirs"), history=Answer(None, 10016))
    assert "theirs" == fill.client_order_id


def test_an_empty_client_id_is_not_trusted() -> None:
    """A fill of ours must never pass for somebody else's."""
    (fill,) = _fills(execution_row(orderLinkId=""))
    assert OURS == fill.client_order_id


def test_a_fill_whose_order_is_not_shown_yet_fails_the_answer() -> None:
    """Listings of orders lag behind."""
    with pytest.raises(VenueUnavailable, match="whose order"):
        _fills(execution_row(), history=listing())


def test_a_fill_whose_order_is_shown_nowhere_after_a_while_is_not_ours() -> None:
    """Nothing lags for so long."""
    old = execution_row(execTime=str(START_MS - 300_000))
    (fill,) = _fills(old, since_ms=START_MS - 400_000, history=listing())
    assert "" == fill.client_order_id


KINDS = [("Trade", False, False), ("BlockTrade", False, False), ("BustTrade", True, False), ("AdlTrade", False, True)]


@pytest.mark.parametrize(("kind", "is_liquidation", "is_adl"), KINDS)
def test_what_moved_the_position_is_a_fill(kind: str, is_liquidation: bool, is_adl: bool) -> None:
    """Liquidation and deleveraging are marked, and are no order of ours."""
    (fill,) = _fills(execution_row(execType=kind))
    expected = ("" if is_liquidation or is_adl else OURS, is_liquidation, is_adl)
    assert expected == (fill.client_order_id, fill.is_liquidation, fill.is_adl)


def test_a_quantity_that_is_missing_follows_from_the_value() -> None:
    """One documented sample has none."""
    row = execution_row()
    del row["execQty"]
    (fill,) = _fills(row)
    assert D("0.004") == fill.quantity


def test_fills_come_oldest_first_over_pages_and_symbols_and_once() -> None:
    """The venue sorts by id; equal instants go by the sequence."""

    async def story(bench: Bench) -> list[Fill]:
        def row(name: str, at_ms: int, seq: int, symbol: str = BTC) -> dict[str, object]:
            return execution_row(execId=name, execTime=str(START_MS + at_ms), seq=seq, symbol=symbol, orderLinkId=OURS)

        bench.server.script[facts.EXECUTIONS] = [
            listing(row("d", 9, 4), row("c", 5, 3, "ETHUSDT"), row("b", 5, 2), cursor="1%3A2%2C1"),
            listing(row("b", 5, 2), row("a", 1, 9), row("old", -2_000, 1)),
        ]
        found = list(await bench.venue.fills_since(SINCE_MS))
        assert bench.server.asked[-1].query.endswith("&cursor=1%3A2%2C1")
        return found

    assert ["a", "b", "c", "d"] == [fill.trade_id for fill in run(story)]


def test_funding_is_income_and_no_fill() -> None:
    """What is paid is a cost: the income is its contrary."""
    rows = [execution_row(execId="f1", execType="Funding", execFee="0.5"), execution_row(execId="t")]

    async def story(bench: Bench) -> tuple[list[Income], list[Fill]]:
        bench.server.script[facts.EXECUTIONS] = listing(*rows)
        bench.server.script[facts.HISTORY] = listing(order_row())
        return list(await bench.venue.incomes_since(SINCE_MS)), list(await bench.venue.fills_since(SINCE_MS))

    (income,), (fill,) = run(story)
    expected = Income("zoomex", "main", "f1", PnlKind.FUNDING, BTC, D("-0.5"), "USDT", 1_767_225_601_000)
    assert expected == income
    assert "t" == fill.trade_id


def test_money_of_another_wallet_is_not_taken_for_the_settle_asset() -> None:
    """The listing holds contracts of every settle asset; a fee in a coin of its own is named where it is told."""
    rows = [
        execution_row(execId="f1", symbol="BTCPERP", execType="Funding", execFee="0.5"),
        execution_row(execId="f2", execType="Funding", execFee="0.1", feeCurrency="MNT"),
        execution_row(execId="f3", execType="Funding", execFee="0.2"),
        execution_row(execId="t1", symbol="BTCPERP", orderLinkId="theirs"),
        execution_row(execId="t2", orderLinkId=OURS, feeCurrency="MNT", seq=7961638725),
    ]
    contracts = listing(instrument_row(), instrument_row("ETHUSDT"), instrument_row("BTCPERP", settleCoin="USDC"))

    async def story(bench: Bench) -> tuple[list[Income], list[Fill]]:
        bench.server.script[facts.INSTRUMENTS] = contracts
        await bench.venue.instruments()
        bench.server.script[facts.EXECUTIONS] = listing(*rows)
        bench.server.script[facts.HISTORY] = listing(order_row())
        return list(await bench.venue.incomes_since(SINCE_MS)), list(await bench.venue.fills_since(SINCE_MS))

    incomes, fills = run(story)
    assert [("f3", D("-0.2"))] == [(income.income_id, income.amount) for income in incomes]
    assert {"t1": "USDC", "t2": "MNT"} == {fill.trade_id: fill.fee_asset for fill in fills}


def test_a_long_absence_is_read_in_windows_of_a_week() -> None:
    """Each within what the venue allows, none twice, the last without an end; old ones are read once."""

    async def story(bench: Bench) -> None:
        since_ms = START_MS - 20 * DAY_MS

        def answer(asked: Asked) -> Answer:
            start_ms = int(parse_qs(asked.query)["startTime"][0])
            return listing(execution_row(execId=str(start_ms), execTime=str(start_ms), orderLinkId=OURS))

        bench.server.script[facts.EXECUTIONS] = answer
        found = await bench.venue.fills_since(since_ms)
        spans = [parse_qs(asked.query) for asked in bench.server.asked]
        starts = [int(span["startTime"][0]) for span in spans]
        ends = [int(span["endTime"][0]) for span in spans if "endTime" in span]
        assert starts[0] <= since_ms
        assert [start + 7 * DAY_MS - 1 for start in starts[:-1]] == ends
        assert starts[1:] == [end + 1 for end in ends]
        assert starts[-1] + 7 * DAY_MS > START_MS
        assert [str(start) for start in starts if start >= since_ms] == [fill.trade_id for fill in found]
        bench.server.asked.clear()
        assert list(found) == list(await bench.venue.fills_since(since_ms))
        again = [int(parse_qs(asked.query)["startTime"][0]) for asked in bench.server.asked]
        assert starts[-2:] == again  # one has ended a moment ago and may still change

    run(story)


@pytest.mark.parametrize("failure", [Answer(None, 10016), Answer(None), Answer({"list": "x"}), Answer({"list": [1]})])
def test_a_page_that_fails_fails_the_whole(failure: Answer) -> None:
    """Never half of the fills."""

    async def story(bench: Bench) -> None:
        first = listing(execution_row(orderLinkId=OURS), cursor="n")
        bench.server.script[facts.EXECUTIONS] = [first, failure, failure]
        with pytest.raises(VenueUnavailable):
            await bench.venue.fills_since(SINCE_MS)

    run(story)
