"""What the venue answers about orders: acceptance, refusal, doubt, absence, cancels, reports."""

import pytest
from builders import BTC, ETH, Playbook, dec, make_settings

from trading_engine.core.effects import CancelOrder, LookUpOrder, PlaceOrder, SetTimer, TakeSnapshot
from trading_engine.core.settings import ExecutionSettings, LimitSettings
from trading_engine.domain.events import OrderLookedUp, OrderReported, SubmitAnswered, TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderReport, OrderState
from trading_engine.domain.records import (
    AlertRaised,
    DifferenceFound,
    Fate,
    OrderUpdated,
    SymbolFrozen,
)
from trading_engine.domain.reports import OrderLookup, Unknown
from trading_engine.domain.severity import Severity

WINDOW_MS = 10_000 + 5_000 + 1_000  # send delay, receive window, margin
CERTAIN = make_settings(absence_is_proof=True)


def id_of(placed: PlaceOrder) -> str:
    return placed.request.client_order_id


def severities(play: Playbook) -> list[Severity]:
    return [alert.severity for alert in play.recorded(AlertRaised)]


# Answers to a submit


def test_a_refused_entry_is_abandoned_and_never_resized() -> None:
    """With the venue's code and words for a person."""
    play = Playbook()
    play.reject(play.enter())
    assert (PositionState.CLOSED, CloseReason.ABANDONED) == (play.position.state, play.position.close_reason)
    assert ["BTCUSDT: entry order of P000001 was refused (-2019: margin is insufficient)"] == play.alerts()
    assert [Severity.WARNING] == severities(play)
    assert [] == play.placed()


def test_three_refused_entries_in_a_row_freeze_the_symbol() -> None:
    """Until an operator resumes; other symbols trade on."""
    play = Playbook()
    for _ in range(2):
        play.reject(play.enter())
        assert [] == play.recorded(SymbolFrozen)
    play.reject(play.enter())
    assert [SymbolFrozen(BTC, "3 entries refused in a row")] == play.recorded(SymbolFrozen)
    assert "BTCUSDT: 3 entries refused in a row; no more until `trading-engine resume`" in play.alerts()
    play.signal()
    assert Fate.GATED is play.fates()[0][1]
    play.enter(symbol=ETH)
    play.resume()
    play.snapshot()
    play.signal()
    assert Fate.TAKEN is play.fates()[0][1]


def test_a_fill_ends_the_row_of_refusals() -> None:
    """Two refusals, a trade, two refusals: not three in a row."""
    play = Playbook(make_settings(limits=LimitSettings(cooldown_ms=0)))
    for _ in range(2):
        for _ in range(2):
            play.reject(play.enter())
        play.stopped_out()
    assert {} == play.book.frozen


def test_refusals_may_be_counted_without_end() -> None:
    """A limit of zero is off."""
    play = Playbook(make_settings(limits=LimitSettings(rejects_to_freeze=0)))
    for _ in range(5):
        play.reject(play.enter())
    assert {} == play.book.frozen


def test_a_refused_stop_closes_the_position() -> None:
    """At market, at once, and nobody asks for the stop again."""
    play = Playbook()
    play.fill(play.enter())
    play.reject(play.place(Purpose.STOP), "-4131", "price out of bounds")
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)
    assert [Purpose.EXIT] == play.placed()
    assert [Severity.CRITICAL] == severities(play)


def test_a_stop_refused_by_a_report_closes_the_position_as_well() -> None:
    """Accepted first, refused by the matching engine a moment later: no loop of new stops."""
    play = Playbook()
    play.fill(play.enter())
    stop = play.place(Purpose.STOP)
    play.report(stop, OrderState.REJECTED, reason="would trigger immediately")
    assert [Purpose.EXIT] == play.placed()
    assert ["BTCUSDT: stop order of P000001 was refused (would trigger immediately)"] == play.alerts()


def test_entries_refused_by_reports_count_as_well() -> None:
    """The way the refusal came does not matter."""
    play = Playbook(make_settings(limits=LimitSettings(rejects_to_freeze=1)))
    play.report(play.enter(), OrderState.REJECTED, reason="no margin")
    assert BTC in play.book.frozen


def test_a_refused_exit_is_tried_again_after_a_while() -> None:
    """Not in a loop: a timer, a snapshot, then a new order."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    play.reject(play.place(Purpose.EXIT), "-1", "maintenance")
    assert [] == play.placed()
    assert [SetTimer(play.now + 5_000, TimerKind.RETRY_EXIT, "P000001")] == play.asked(SetTimer)
    assert [TakeSnapshot()] == play.asked(TakeSnapshot)
    play.wait(4_999)
    play.timer(TimerKind.RETRY_EXIT, "P000001")
    assert [] == play.placed()
    play.wait(1)
    play.timer(TimerKind.RETRY_EXIT, "P000001")
    assert [Purpose.EXIT] == play.placed()
    assert 2 == play.order(play.place(Purpose.EXIT)).generation
    play.reject(play.place(Purpose.EXIT), "-1", "maintenance")
    assert [SetTimer(play.now + 10_000, TimerKind.RETRY_EXIT, "P000001")] == play.asked(SetTimer), "the wait doubles"


def test_the_first_refusal_of_an_exit_behind_its_stop_is_a_warning_and_the_next_one_critical() -> None:
    """The stop may just have closed the position; once it is still there, somebody must look."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    play.reject(play.place(Purpose.EXIT), "-2022", "ReduceOnly order is rejected")
    assert [Severity.WARNING] == severities(play)
    play.wait(5_000)
    play.timer(TimerKind.RETRY_EXIT, "P000001")
    play.reject(play.place(Purpose.EXIT), "-2022", "ReduceOnly order is rejected")
    assert [Severity.CRITICAL] == severities(play)


def test_a_refused_exit_of_a_position_without_its_stop_is_critical_at_once() -> None:
    """Nothing else would close it."""
    play = Playbook()
    play.fill(play.enter())
    play.signal(None, exit_side=Side.LONG)
    play.reject(play.place(Purpose.EXIT), "-1", "maintenance")
    assert [Severity.CRITICAL] == severities(play)


def test_a_refused_exit_of_a_position_that_its_stop_has_closed_is_a_warning() -> None:
    """Nothing is left to be closed."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.fill(entry)
    stop = play.place(Purpose.STOP)
    play.ack(stop)
    play.signal(None, exit_side=Side.LONG)
    leave = play.place(Purpose.EXIT)
    play.fill(stop)
    play.reject(leave, "-2022", "ReduceOnly order is rejected")
    assert [Severity.WARNING] == severities(play)


def test_the_wait_doubles_with_every_refused_exit_up_to_five_minutes() -> None:
    """A venue in maintenance is not hammered; a timer that fires early is set again."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    waits = []
    for _ in range(8):
        play.reject(play.place(Purpose.EXIT), "-1", "maintenance")
        (timer,) = play.asked(SetTimer)
        waits.append(timer.at_ms - play.now)
        play.timer(TimerKind.RETRY_EXIT, "P000001")
        assert ([], [timer]) == (play.placed(), play.asked(SetTimer))
        play.wait(waits[-1])
        play.timer(TimerKind.RETRY_EXIT, "P000001")
        assert [Purpose.EXIT] == play.placed()
    assert [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000] == waits


def test_a_refusal_told_twice_counts_once() -> None:
    """The second time is no news."""
    play = Playbook()
    play.fill(play.enter())
    stop = play.place(Purpose.STOP)
    play.reject(stop)
    play.reject(stop)
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_refusal_never_outweighs_an_order_that_rests() -> None:
    """Positive evidence wins; the words are kept in the row."""
    play = Playbook()
    play.fill(play.enter())
    stop = play.place(Purpose.STOP)
    play.ack(stop)
    play.reject(stop)
    assert OrderState.ACKED is play.order(stop).state
    assert PositionState.OPEN is play.position.state
    assert [] == play.alerts()


def test_an_order_held_back_is_void() -> None:
    """An entry is abandoned; the price is old."""
    play = Playbook()
    entry = play.enter()
    play.expire(entry)
    assert (OrderState.VOID, "not sent in time") == (play.order(entry).state, play.order(entry).reason)
    assert PositionState.CLOSED is play.position.state


def test_a_stop_held_back_is_placed_afresh() -> None:
    """Protection does not get old: its window is over, the next one is intended in the same breath."""
    play = Playbook()
    play.fill(play.enter())
    play.wait(10_001)
    play.expire(play.place(Purpose.STOP))
    assert [Purpose.STOP] == play.placed()
    assert [OrderState.VOID, OrderState.INTENT] == [stop.state for stop in play.stops()]


def test_an_order_that_has_moved_on_cannot_have_been_held_back() -> None:
    """Only an INTENT can expire unsent."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.expire(entry)
    assert OrderState.ACKED is play.order(entry).state


# Doubt


def test_an_unknown_outcome_is_looked_up_and_never_resent() -> None:
    """UNKNOWN, a warning, one question; no second order."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    assert (OrderState.UNKNOWN, "timeout") == (play.order(entry).state, play.order(entry).reason)
    assert [LookUpOrder(BTC, id_of(entry))] == play.asked(LookUpOrder)
    assert ["BTCUSDT: outcome of entry order tetest000001e00001 is unknown (timeout)"] == play.alerts()
    assert [] == play.placed()
    play.look_up(entry, None)
    play.timer(TimerKind.LOOKUP, id_of(entry))
    assert [entry] == [effect for effect in play.performed if isinstance(effect, PlaceOrder)]


def test_doubt_told_twice_asks_twice_but_alarms_once() -> None:
    """The row does not change."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.doubt(entry)
    assert () == play.last.records
    assert [LookUpOrder(BTC, id_of(entry))] == play.asked(LookUpOrder)


def test_an_order_that_the_look_up_finds_goes_on_as_if_nothing_had_happened() -> None:
    """Found resting at the venue."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.look_up(entry, OrderState.ACKED)
    assert OrderState.ACKED is play.order(entry).state
    play.fill(entry)
    assert PositionState.OPEN is play.position.state


def test_absence_proves_nothing_before_the_window_is_over() -> None:
    """The request may still be on its way: ask again soon, and after the window look at the whole account."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.wait(WINDOW_MS)
    play.look_up(entry, None)
    assert OrderState.UNKNOWN is play.order(entry).state
    assert [SetTimer(play.now + 1_000, TimerKind.LOOKUP, id_of(entry))] == play.asked(SetTimer)
    assert [] == play.asked(TakeSnapshot)
    play.wait(1)
    play.look_up(entry, None)
    assert ((), (TakeSnapshot(),)) == (play.last.records, play.last.effects), "a look-up alone proves nothing"
    play.absent(entry)
    assert (OrderState.VOID, PositionState.CLOSED) == (play.order(entry).state, play.position.state)


@pytest.mark.parametrize(
    ("execution", "visibility_delay_ms", "window_ms"),
    [
        (ExecutionSettings(), 2_500, WINDOW_MS + 2_500),
        (ExecutionSettings(max_send_delay_ms=20_000), 0, WINDOW_MS + 10_000),
        (ExecutionSettings(recv_window_ms=1_000, absence_margin_ms=0), 0, 11_000),
    ],
)
def test_the_window_counts_sending_receiving_and_becoming_visible(
    execution: ExecutionSettings, visibility_delay_ms: int, window_ms: int
) -> None:
    """What the venue took in the last moment may stay invisible for a while."""
    play = Playbook(make_settings(execution=execution, visibility_delay_ms=visibility_delay_ms))
    entry = play.enter()
    play.doubt(entry)
    play.wait(window_ms)
    play.absent(entry)
    assert OrderState.UNKNOWN is play.order(entry).state
    play.wait(1)
    play.absent(entry)
    assert OrderState.VOID is play.order(entry).state


def test_absence_is_proof_at_once_where_nothing_can_be_in_flight() -> None:
    """In process there is no network to hide in."""
    play = Playbook(CERTAIN)
    entry = play.enter()
    play.doubt(entry)
    play.look_up(entry, None)
    assert OrderState.VOID is play.order(entry).state


def test_an_intent_that_never_left_is_sent_within_its_window() -> None:
    """After a restart: the same order, the same id, the same deadline."""
    play = Playbook(CERTAIN)
    entry = play.enter()
    play.wait(10_000)
    play.look_up(entry, None)
    (again,) = play.asked(PlaceOrder)
    assert (entry.request, entry.not_after_ms) == (again.request, again.not_after_ms)
    assert "approved when intended" == again.approved.reason


def test_an_intent_past_its_window_is_void() -> None:
    """The price is old."""
    play = Playbook(CERTAIN)
    entry = play.enter()
    play.wait(10_001)
    play.look_up(entry, None)
    assert ([], OrderState.VOID) == (play.placed(), play.order(entry).state)


def test_an_intent_that_was_cancelled_before_it_left_is_not_sent() -> None:
    """Void, with the reason."""
    play = Playbook(CERTAIN)
    entry = play.enter()
    play.stop_file()
    play.look_up(entry, None)
    assert (OrderState.VOID, "cancelled before it was sent") == (play.order(entry).state, play.order(entry).reason)


@pytest.mark.parametrize("is_certain", [False, True])
def test_an_acknowledged_order_that_vanishes_counts_as_cancelled(is_certain: bool) -> None:
    """Its fills are kept; the difference is written down."""
    play = Playbook(make_settings(absence_is_proof=is_certain))
    entry = play.enter()
    play.ack(entry)
    play.fill(entry, 4)
    play.ack(play.place(Purpose.STOP))
    if is_certain:
        play.look_up(entry, None)
    else:
        play.wait(WINDOW_MS + 1)
        play.look_up(entry, None)
        assert ((), (TakeSnapshot(),)) == (play.last.records, play.last.effects)
        play.absent(entry)
    assert (OrderState.CANCELED, dec(4)) == (play.order(entry).state, play.order(entry).filled)
    assert [DifferenceFound("order_gone", BTC, "PARTIAL", "unknown", "taken as cancelled")] == play.recorded(
        DifferenceFound
    )
    assert [Purpose.TARGET] == play.placed()


def test_an_acknowledged_order_is_missed_only_a_while_after_the_last_word_of_it() -> None:
    """What was just told may not be visible to a query yet."""
    play = Playbook(make_settings(visibility_delay_ms=3_000))
    play.opened()
    stop = play.place(Purpose.STOP)
    play.wait(60_000)
    play.report(stop, OrderState.ACKED)
    play.wait(4_000)
    play.absent(stop)
    assert OrderState.ACKED is play.order(stop).state
    assert SetTimer(play.now + 2_000, TimerKind.LOOKUP, id_of(stop)) in play.asked(SetTimer)
    play.wait(1)
    play.absent(stop)
    assert OrderState.CANCELED is play.order(stop).state
    assert [Purpose.STOP] == play.placed()


def test_absence_of_a_finished_order_is_no_news() -> None:
    """Venues forget."""
    play = Playbook()
    play.opened()
    play.look_up(play.place(Purpose.ENTRY), None)
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_failed_look_up_is_repeated() -> None:
    """Nothing was learned."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.look_up_failed(entry)
    assert [SetTimer(play.now + 2_000, TimerKind.LOOKUP, id_of(entry))] == play.asked(SetTimer)
    assert OrderState.UNKNOWN is play.order(entry).state


# Cancels


def test_a_cancel_is_believed_when_the_order_says_so() -> None:
    """Accepted with a final state: over. Accepted without: ask."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.timer(TimerKind.ENTRY_DEADLINE, id_of(entry))
    play.cancel_answered(entry, OrderState.ACKED)
    assert [LookUpOrder(BTC, id_of(entry))] == play.asked(LookUpOrder)
    play.cancel_answered(entry, OrderState.CANCELED)
    assert [] == play.asked(LookUpOrder)
    assert PositionState.CLOSED is play.position.state


def test_a_refused_cancel_is_a_question_not_an_answer() -> None:
    """An "unknown order" may have filled, been cancelled or never been accepted."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.timer(TimerKind.ENTRY_DEADLINE, id_of(entry))
    play.cancel_answered(entry, None)
    assert [LookUpOrder(BTC, id_of(entry))] == play.asked(LookUpOrder)
    assert OrderState.ACKED is play.order(entry).state


@pytest.mark.parametrize("is_certain", [False, True])
def test_an_order_that_should_be_cancelled_and_still_rests_is_cancelled_again(is_certain: bool) -> None:
    """Cancels are idempotent; the next waits a little, so that nobody is flooded."""
    play = Playbook(make_settings(absence_is_proof=is_certain))
    entry = play.enter()
    play.ack(entry)
    play.timer(TimerKind.ENTRY_DEADLINE, id_of(entry))
    play.look_up(entry, OrderState.ACKED)
    assert [] == play.asked(CancelOrder)
    again = SetTimer(play.now + 2_000, TimerKind.CANCEL, id_of(entry))
    assert again in play.asked(SetTimer)
    play.wait(2_000)
    play.timer(TimerKind.CANCEL, id_of(entry))
    assert [id_of(entry)] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    play.look_up(entry, OrderState.CANCELED)
    assert [] == play.asked(CancelOrder)
    assert [] == play.asked(SetTimer)


def test_an_order_that_may_rest_is_not_cancelled_by_a_look_up() -> None:
    """Nobody has asked for it."""
    play = Playbook()
    play.opened()
    play.look_up(play.place(Purpose.STOP), OrderState.ACKED)
    assert ((), ()) == (play.last.records, play.last.effects)


# Orders that should fill at once


def test_a_market_order_that_rests_is_asked_after() -> None:
    """The stream may have lost its fill: a second after the acknowledgement, then at pauses that grow with its age."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    assert [SetTimer(play.now + 1_000, TimerKind.LOOKUP, id_of(entry))] == play.asked(SetTimer)
    pauses = []
    for _ in range(4):
        play.wait(max(pauses, default=1_000))
        play.timer(TimerKind.LOOKUP, id_of(entry))
        assert [LookUpOrder(BTC, id_of(entry))] == play.asked(LookUpOrder)
        play.look_up(entry, OrderState.ACKED)
        (timer,) = play.asked(SetTimer)
        pauses.append(timer.at_ms - play.now)
    assert [1_000, 1_000, 1_500, 2_250] == pauses


def test_a_market_exit_is_asked_after_as_well() -> None:
    """Until the venue says how it ended."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    leave = play.place(Purpose.EXIT)
    play.ack(leave)
    assert SetTimer(play.now + 1_000, TimerKind.LOOKUP, id_of(leave)) in play.asked(SetTimer)
    play.look_up(leave, OrderState.FILLED)
    assert TimerKind.LOOKUP not in {timer.kind for timer in play.asked(SetTimer)}


def test_orders_that_rest_by_nature_are_not_asked_after() -> None:
    """Stops and targets wait for a price."""
    play = Playbook()
    play.fill(play.enter())
    for purpose in (Purpose.STOP, Purpose.TARGET):
        play.ack(play.place(purpose))
        assert TimerKind.LOOKUP not in {timer.kind for timer in play.asked(SetTimer)}
        play.look_up(play.place(purpose), OrderState.ACKED)
        assert () == play.last.effects


def test_in_process_no_order_is_asked_after() -> None:
    """Nothing gets lost there, and a replay does not stop to ask."""
    play = Playbook(CERTAIN)
    entry = play.enter()
    play.ack(entry)
    assert () == play.last.effects
    play.look_up(entry, OrderState.ACKED)
    assert () == play.last.effects


# Words about orders nobody knows


def test_answers_about_forgotten_orders_are_dropped() -> None:
    """Their position has closed and left the book."""
    play = Playbook()
    play.stopped_out()
    entry = play.place(Purpose.ENTRY)
    for line in (
        lambda: play.ack(entry),
        lambda: play.expire(entry),
        lambda: play.cancel_answered(entry, None),
        lambda: play.look_up(entry, None),
        lambda: play.report(entry, OrderState.FILLED),
    ):
        line()
        assert ((), ()) == (play.last.records, play.last.effects)


def test_a_report_told_twice_changes_nothing() -> None:
    """Streams repeat themselves."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.ACKED)
    play.report(entry, OrderState.ACKED)
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_report_that_names_fills_we_lack_fetches_them() -> None:
    """A moment later, where they do not come by themselves; said twice it is still one question."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.PARTIAL, filled=dec(4))
    fetch = SetTimer(play.now + 1_000, TimerKind.FILLS)
    assert fetch in play.asked(SetTimer)
    play.report(entry, OrderState.PARTIAL, filled=dec(4))
    assert ((), (fetch,)) == (play.last.records, play.last.effects)
    assert PositionState.PENDING is play.position.state
    play.fill(entry, 4)
    play.report(entry, OrderState.PARTIAL, filled=dec(4))
    assert () == play.last.effects


def test_events_of_every_kind_reach_their_handlers() -> None:
    """An answer, a report and a look-up about an order that never was."""
    play = Playbook()
    report = OrderReport("tetest000009e00001", "v", BTC, OrderState.ACKED, dec(0), play.now)
    for event in (
        SubmitAnswered(play.now, "tetest000009e00001", Unknown("timeout")),
        OrderReported(play.now, report),
        OrderLookedUp(play.now, OrderLookup("tetest000009e00001", report)),
    ):
        assert () == play.on(event).records
    assert [] == play.recorded(OrderUpdated)
