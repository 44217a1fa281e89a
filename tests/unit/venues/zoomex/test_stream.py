"""The private stream: the key, the subscriptions, rows as events, silence and loss."""

import asyncio
from decimal import Decimal

import pytest
from unit.venues.zoomex.scripted import (
    BTC,
    CREDENTIALS,
    ORDER_ID,
    OURS,
    START_MS,
    Answer,
    Bench,
    confirm,
    execution_row,
    listing,
    order_row,
    request,
    run,
)

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.events import FillSeen, IncomeSeen, OrderReported, StreamLost, StreamRestored
from trading_engine.domain.orders import OrderState
from trading_engine.domain.reports import Accepted, Rejected
from trading_engine.venues.wire.socket import Patience
from trading_engine.venues.zoomex import facts
from trading_engine.venues.zoomex.rest import signature

D = Decimal


async def _opened(bench: Bench) -> None:
    await bench.venue.open()
    await bench.until(lambda: bool(bench.events))
    assert isinstance(bench.events.pop(), StreamRestored)


async def _event(bench: Bench) -> object:
    await bench.until(lambda: bool(bench.events))
    return bench.events.pop(0)


def test_the_stream_signs_in_and_subscribes() -> None:
    """The key first; orders and executions in a frame of their own, for one bad topic fails its frame."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        await bench.until(lambda: len(bench.server.frames) == 3)
        auth, needed, further = bench.server.frames
        arguments = auth["args"]
        assert isinstance(arguments, list)
        key, expires_ms, signed = arguments
        assert "test-key" == key
        assert START_MS < expires_ms < START_MS + 20_000
        assert signature(CREDENTIALS.secret, f"GET/realtime{expires_ms}") == signed
        assert ("subscribe", ["order", "execution"]) == (needed["op"], needed["args"])
        assert ["position", "wallet"] == further["args"]

    run(story)


def test_opening_reads_what_is_needed_before_the_stream() -> None:
    """Clock, instruments, wallet."""

    async def story(bench: Bench) -> None:
        await bench.venue.open()
        paths = [asked.path.removeprefix(facts.PREFIX) for asked in bench.server.asked]
        assert [*([facts.TIME] * 5), facts.INSTRUMENTS, facts.RISK_LIMITS, facts.WALLET] == paths

    run(story)


@pytest.mark.parametrize("path", [facts.INSTRUMENTS, facts.WALLET])
def test_opening_fails_where_something_cannot_be_read(path: str) -> None:
    """And may be tried again."""

    async def story(bench: Bench) -> None:
        good = bench.server.script[path]
        bench.server.script[path] = Answer(None, 10016)
        with pytest.raises(VenueUnavailable):
            await bench.venue.open()
        assert [] == bench.server.frames
        bench.server.script[path] = good
        await _opened(bench)

    run(story)


@pytest.mark.parametrize("code", [10003, 10004, 10005, 10010])
def test_a_key_that_is_refused_is_a_matter_of_configuration(code: int) -> None:
    """One line with the code and without the key; an address that is not on the key's list is one of them."""

    async def story(bench: Bench) -> None:
        bench.server.script[facts.WALLET] = Answer(None, code, "invalid test-key")
        with pytest.raises(
            ConfigInvalid,
            match=rf"account main: zoomex refuses the API key \(zoomex answered {code}: invalid …\); check",
        ) as failed:
            await bench.venue.open()
        assert "test-key" not in str(failed.value)
        assert [] == bench.server.frames

    run(story)


def test_an_order_row_becomes_a_report() -> None:
    """With what it says of fills, and our own time as the time of the event."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        await bench.server.push("order", order_row(orderStatus="PartiallyFilled", cumExecQty="0.004"))
        event = await _event(bench)
        assert isinstance(event, OrderReported)
        assert (OURS, ORDER_ID, OrderState.PARTIAL, D("0.004")) == (
            event.report.client_order_id,
            event.report.venue_order_id,
            event.report.state,
            event.report.filled,
        )
        assert START_MS <= event.ts_ms < START_MS + 10_000

    run(story)


def test_a_fill_and_funding_become_their_events() -> None:
    """The stream names the client id; funding is no fill, and of another asset's wallet nothing of ours."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        ours = execution_row(category="linear", orderLinkId=OURS, closedSize="")
        foreign = execution_row(category="linear", orderLinkId="", execId="2", orderId="9")
        paid = execution_row(category="linear", execType="Funding", execFee="-0.25", execId="3")
        others = execution_row(category="linear", execType="Funding", execFee="9", execId="4", feeCurrency="USDC")
        await bench.server.push("execution", others, ours, foreign, paid)
        first, second, third = [await _event(bench) for _ in range(3)]
        assert isinstance(first, FillSeen)
        assert isinstance(second, FillSeen)
        assert isinstance(third, IncomeSeen)
        assert (OURS, "", D("0.25")) == (first.fill.client_order_id, second.fill.client_order_id, third.income.amount)

    run(story)


def test_rows_of_other_categories_and_topics_are_passed_over() -> None:
    """Spot and inverse are not this adapter's; positions and the wallet are read whole."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        await bench.server.push("order", order_row(category="spot"))
        await bench.server.push("execution", execution_row(category="inverse", orderLinkId=OURS))
        await bench.server.push("position", {"symbol": BTC, "size": "1"})
        await bench.server.push("wallet", {"coin": []})
        await bench.server.push("order.linear", order_row())
        assert isinstance(await _event(bench), OrderReported)
        assert [] == bench.events

    run(story)


def test_an_execution_without_a_name_calls_for_a_reading_of_the_account() -> None:
    """Nobody may guess whose it is."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        await bench.server.push("execution", execution_row(orderId="unknown"))
        assert isinstance(await _event(bench), StreamLost)
        assert isinstance(await _event(bench), StreamRestored)

    run(story)


def test_the_stream_confirms_a_submit() -> None:
    """Without a question to the listing."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        task = asyncio.get_running_loop().create_task(bench.venue.submit(request()))
        await bench.until(lambda: len(bench.server.calls(facts.CREATE)) == 1)
        await bench.server.push("order", order_row(orderStatus="Created"))
        await bench.server.push("order", order_row())
        assert isinstance(await task, Accepted)
        assert [] == bench.server.calls(facts.REALTIME)

    run(story)


def test_the_stream_refuses_an_order_after_its_acknowledgement() -> None:
    """To who waits for it, and as a report."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        task = asyncio.get_running_loop().create_task(bench.venue.submit(request()))
        await bench.until(lambda: len(bench.server.calls(facts.CREATE)) == 1)
        await bench.server.push("order", order_row(orderStatus="Rejected", rejectReason="EC_Others"))
        assert Rejected("rejected", "EC_Others") == await task
        event = await _event(bench)
        assert isinstance(event, OrderReported)
        assert (OrderState.REJECTED, "EC_Others") == (event.report.state, event.report.reason)

    run(story)


def test_a_stop_that_stood_and_is_refused_when_triggered_is_told_as_cancelled() -> None:
    """A rejection would deny that it was ever there, and would not be believed."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        stop = {"triggerPrice": "58500", "side": "Sell", "triggerDirection": 2, "stopOrderType": "Stop"}
        await bench.server.push("order", order_row(orderStatus="Untriggered", **stop))
        await bench.server.push("order", order_row(orderStatus="Rejected", rejectReason="EC_Others", **stop))
        stood, gone = await _event(bench), await _event(bench)
        assert isinstance(stood, OrderReported)
        assert isinstance(gone, OrderReported)
        assert (OrderState.ACKED, OrderState.CANCELED) == (stood.report.state, gone.report.state)
        assert "EC_Others" == gone.report.reason

    run(story)


def test_a_lost_connection_is_told_and_made_again() -> None:
    """Lost, then restored once the new one is confirmed."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        await bench.server.sockets[-1].close()
        assert isinstance(await _event(bench), StreamLost)
        assert isinstance(await _event(bench), StreamRestored)
        assert 2 == len(bench.server.sockets)

    run(story)


@pytest.mark.parametrize("row", [{"orderId": 1}, order_row(side="?"), order_row(cumExecQty="x"), 7])
def test_a_row_that_cannot_be_understood_ends_the_connection(row: object) -> None:
    """It may have been an order: the account is read."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        await bench.server.push("order", row)
        event = await _event(bench)
        assert isinstance(event, StreamLost)
        assert "cannot be understood" in event.why
        assert isinstance(await _event(bench), StreamRestored)

    run(story)


@pytest.mark.parametrize("refused", ["auth", "subscribe"])
def test_a_stream_that_is_refused_is_never_restored(refused: str) -> None:
    """It is tried again, with pauses."""

    async def story(bench: Bench) -> None:
        def answer(frame: dict[str, object]) -> list[object]:
            if frame["op"] == refused:
                return [{"success": False, "ret_msg": "no", "op": refused, "req_id": frame["req_id"]}]
            return confirm(frame)

        bench.server.on_frame = answer
        await bench.venue.open()
        await bench.until(lambda: len(bench.server.sockets) == 2)
        assert [] == bench.events

    run(story)


@pytest.mark.parametrize("echo", [True, False])
def test_a_refused_subscription_to_the_rest_changes_nothing(echo: bool) -> None:
    """Whether or not the venue echoes the names of frames."""

    async def story(bench: Bench) -> None:
        def answer(frame: dict[str, object]) -> list[object]:
            is_good = frame["op"] != "subscribe" or "order" in str(frame["args"])
            told: dict[str, object] = {"success": is_good, "ret_msg": "handler not found", "op": frame["op"]}
            return [told | ({"req_id": frame["req_id"]} if echo else {})]

        bench.server.on_frame = answer
        await _opened(bench)
        await bench.server.push("order", order_row())
        assert isinstance(await _event(bench), OrderReported)
        assert 1 == len(bench.server.sockets)

    run(story)


def test_a_subscription_that_stands_already_is_as_good() -> None:
    """The venue calls it an error."""

    async def story(bench: Bench) -> None:
        def answer(frame: dict[str, object]) -> list[object]:
            if frame["op"] == "subscribe":
                text = "error:already subscribed,topic:order"
                return [{"success": False, "ret_msg": text, "op": "subscribe", "req_id": frame["req_id"]}]
            return confirm(frame)

        bench.server.on_frame = answer
        await _opened(bench)

    run(story)


def test_pings_keep_an_idle_stream_and_silence_ends_it() -> None:
    """Answers to pings are signs of life; without any the connection is cut."""

    async def story(bench: Bench) -> None:
        stream = bench.venue._stream
        stream._ping_ms = 20
        stream._socket._patience = Patience(silence_ms=150)
        await _opened(bench)
        await asyncio.sleep(0.4)
        assert [] == bench.events
        assert stream.is_speaking
        bench.server.on_frame = lambda frame: [] if frame["op"] == "ping" else confirm(frame)
        event = await _event(bench)
        assert isinstance(event, StreamLost)
        assert "nothing was heard" in event.why

    run(story)


def test_closing_ends_everything_and_may_be_repeated() -> None:
    """No task and no connection stays."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        await bench.venue.close()
        await bench.venue.close()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {"zoomex:stream", "zoomex:ping"} & names
        with pytest.raises(VenueUnavailable):
            await bench.venue.positions()

    run(story)


def test_a_sink_that_breaks_the_stream_leaves_it_told_as_lost() -> None:
    """A stream that ends for a bug must not look like a quiet one."""

    async def story(bench: Bench) -> None:
        await _opened(bench)
        told: list[object] = []

        def sink(event: object) -> None:
            told.append(event)
            if isinstance(event, OrderReported):
                raise RuntimeError("a bug")  # noqa: TRY004 - any bug will do

        bench.venue.subscribe(sink)
        bench.server.script[facts.POSITIONS] = listing()
        await bench.server.push("order", order_row())
        await bench.until(lambda: any(isinstance(event, StreamLost) for event in told))

    run(story)
