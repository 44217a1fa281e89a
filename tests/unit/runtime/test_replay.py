"""The replay driver: order of things at an instant, the STOP file, pacing, and going on after a kill."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.replay_rig import (
    BTC,
    FLAT,
    LENIENT,
    MINUTE,
    SETTINGS,
    START,
    Died,
    DyingStore,
    Rig,
    Shape,
    Tape,
    at,
    long_signal,
)

from trading_engine.core.effects import SetTimer
from trading_engine.core.settings import ExecutionSettings
from trading_engine.domain.control import Level
from trading_engine.domain.events import (
    CandlesClosed,
    FillSeen,
    RunEnding,
    StopRequested,
    TimerFired,
    TimerKind,
)
from trading_engine.domain.market import FundingRate
from trading_engine.domain.records import ControlChanged, Fate, OrderIntended
from trading_engine.marketdata.replay import Batch
from trading_engine.ports import Commit
from trading_engine.runtime import replay
from trading_engine.venues.embedded.memory import Memory

# ── the order of things ─────────────────────────────────────────────────────


def test_every_candle_is_decided_on_once_and_in_order(tmp_path: Path) -> None:
    """The clock and the engine end where the data ends."""
    rig = Rig(tmp_path, Tape([FLAT] * 5)).run()
    closed = [event.ts_ms for event in rig.pump.heard if isinstance(event, CandlesClosed)]
    assert [at(minute) for minute in range(1, 6)] == closed
    assert at(5) == rig.clock.now_ms() == rig.driver.resume_ms
    assert not any(event.is_catch_up for event in rig.pump.heard if isinstance(event, CandlesClosed))


def test_progress_is_told_in_candles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as the loop takes a breath."""
    monkeypatch.setattr(replay, "BREATH_S", 0.0)
    rig = Rig(tmp_path, Tape([FLAT] * 3)).run()
    assert [(1, at(1)), (2, at(2)), (3, at(3))] == rig.progress


def test_a_signal_is_filled_at_the_next_open_and_protected_within_that_candle(tmp_path: Path) -> None:
    """Decided on the close, entered at the next open, stopped out at the low of the same candle."""
    tape = Tape([FLAT, (1_010, 1_020, 850, 900), FLAT])
    rig = Rig(tmp_path, tape, {0: long_signal(0)}).run()
    assert [(1, Decimal(1_010)), (1, Decimal(900))] == rig.trades
    assert {} == rig.pump.state.book.positions
    assert [Fate.TAKEN] == rig.fates


def test_fills_come_before_the_candle_they_happened_in(tmp_path: Path) -> None:
    """The engine knows its position when it judges the close."""
    tape = Tape([FLAT, FLAT, FLAT])
    heard = Rig(tmp_path, tape, {0: long_signal(0)}).run().pump.heard
    kinds = [type(event) for event in heard if isinstance(event, FillSeen | CandlesClosed)]
    assert [CandlesClosed, FillSeen, CandlesClosed, CandlesClosed] == kinds


def test_funding_is_settled_once_and_before_the_fills_of_its_instant(tmp_path: Path) -> None:
    """Also a settlement between two candles, and one at the very first open, where nothing is held."""
    moments = (at(0), at(1), at(3), at(3) + 5_000)
    rates = tuple(FundingRate(BTC, ts_ms, Decimal("0.0001")) for ts_ms in moments)
    rig = Rig(tmp_path, Tape([FLAT] * 6, rates), {0: long_signal(0)})
    rig.run()
    memory = Memory(tmp_path / "paper.db", read_only=True)
    memory.load()
    assert ["opening", f"F-{BTC}-{moments[2]}", f"F-{BTC}-{moments[3]}"] == [
        income.income_id for income in memory.incomes_since(0)
    ]
    memory.close()


def test_timers_fire_between_the_candles_with_their_own_time(tmp_path: Path) -> None:
    """In order of time, after the candle that they fall into was matched and before it is decided on."""
    timers = [SetTimer(at(minute) + 30_000, TimerKind.LOOKUP, f"at {minute}") for minute in (2, 0)]
    heard = Rig(tmp_path, Tape([FLAT] * 3)).run(*timers).pump.heard
    told = [
        event.key if isinstance(event, TimerFired) else "candle"
        for event in heard
        if isinstance(event, CandlesClosed) or (isinstance(event, TimerFired) and event.kind is TimerKind.LOOKUP)
    ]
    assert ["at 0", "candle", "candle", "at 2", "candle"] == told
    fired = [event.ts_ms for event in heard if isinstance(event, TimerFired)]
    assert [at(0) + 30_000, at(2) + 30_000] == fired


def test_a_timer_due_at_a_close_fires_after_the_candles_that_closed(tmp_path: Path) -> None:
    """The order of events at one instant: fills, candles with their decisions, then timers."""
    heard = Rig(tmp_path, Tape([FLAT] * 3)).run(SetTimer(at(2), TimerKind.LOOKUP, "a")).pump.heard
    at_two = [type(event) for event in heard if event.ts_ms == at(2)]
    assert [CandlesClosed, TimerFired] == at_two


def test_a_deadline_inside_a_gap_of_the_data_passes_before_the_next_candle_is_matched(tmp_path: Path) -> None:
    """Time goes by although no candle does: the entry is cancelled instead of filled at a price long after."""

    class Holed(Tape):
        def batches(self, from_ts: int = 0) -> Iterator[Batch]:
            return (batch for batch in super().batches(from_ts) if batch.open_time_ms not in {at(2), at(3)})

    rig = Rig(tmp_path, Holed([FLAT] * 6), {1: long_signal(1)}).run()
    (first, *_) = (event for event in rig.pump.heard if isinstance(event, TimerFired))
    assert (at(3), TimerKind.ENTRY_DEADLINE) == (first.ts_ms, first.kind)
    assert ([], {}) == (rig.trades, rig.pump.state.book.positions)


def test_reconciliation_returns_at_its_interval(tmp_path: Path) -> None:
    """Its timer is set again whenever it fires."""
    settings = replace(SETTINGS, execution=ExecutionSettings(reconcile_interval_ms=2 * MINUTE))
    rig = Rig(tmp_path, Tape([FLAT] * 7), settings=settings).run()
    assert [at(2), at(4), at(6)] == [event.ts_ms for event in rig.pump.heard if isinstance(event, TimerFired)]
    assert at(6) == rig.pump.state.market.reconciled_ms


def test_a_stop_ends_the_replay_before_the_next_candle(tmp_path: Path) -> None:
    """What was begun is finished."""
    rig = Rig(tmp_path, Tape([FLAT] * 5))
    rig.should_stop = lambda: rig.driver.resume_ms >= at(2)
    rig.run()
    assert at(2) == rig.driver.resume_ms


def test_a_commit_that_fails_ends_the_replay(tmp_path: Path) -> None:
    """It surfaces at once, and nothing was sent."""
    rig = Rig(tmp_path, Tape([FLAT] * 5), {1: long_signal(1)})
    rig.on_signal = lambda: setattr(rig.store, "fail_next", OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        rig.run()
    assert [] == rig.trades


# ── the STOP file ───────────────────────────────────────────────────────────


def test_the_stop_file_is_looked_at_before_each_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It appears while the signal is being computed: the signal meets a shut gate."""
    monkeypatch.setattr(replay, "BREATH_S", 3_600.0)  # no look in between
    rig = Rig(tmp_path, Tape([FLAT] * 4), {1: long_signal(1)}, on_signal=(tmp_path / "STOP").touch)
    rig.run()
    assert [Fate.GATED] == rig.fates
    assert [Level.NO_ENTRY] == rig.levels
    assert [] == rig.trades
    assert f"{tmp_path / 'STOP'} is there" == rig.pump.state.book.control.reason


@pytest.mark.parametrize("minute", range(5))
def test_no_entry_follows_the_journal_record_of_a_stop(tmp_path: Path, minute: int) -> None:
    """Whenever the file appears, between entries that are stopped out at once."""
    script = {number: long_signal(number, stop=5) for number in range(5)}
    rig = Rig(tmp_path, Tape([(1_000, 1_000, 994, 1_000)] * 6), script, settings=LENIENT)
    rig.on_signal = lambda: rig.stop_path.touch() if rig.clock.now_ms() >= at(minute + 1) else None
    rig.run()
    fates = rig.fates
    assert [Fate.TAKEN] * minute + [Fate.GATED] * (5 - minute) == fates
    raised = next(number for number, record in enumerate(rig.records) if isinstance(record, ControlChanged))
    assert not any(
        isinstance(record, OrderIntended) and not record.order.reduce_only for record in rig.records[raised:]
    )


@pytest.mark.parametrize(("content", "level"), [("", Level.NO_ENTRY), ("FLATTEN\n", Level.FLATTEN)])
def test_the_content_of_the_stop_file_decides_what_becomes_of_positions(
    tmp_path: Path, content: str, level: Level
) -> None:
    """Bare it blocks entries, with "flatten" the position is closed at the next price."""
    rig = Rig(tmp_path, Tape([FLAT] * 5), {0: long_signal(0), 2: long_signal(2)})
    rig.on_signal = lambda: rig.stop_path.write_text(content) if rig.pump.state.book.positions else None
    rig.run()
    assert [level] == rig.levels
    assert (level is Level.FLATTEN) is (not rig.pump.state.book.positions)


def test_a_bare_stop_file_flattens_where_that_is_configured(tmp_path: Path) -> None:
    """`kill_switch.action: flatten`."""
    (tmp_path / "STOP").touch()
    assert [Level.FLATTEN] == Rig(tmp_path, Tape([FLAT] * 2), stop_level=Level.FLATTEN).run().levels


def test_a_stop_file_that_stays_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is looked at."""
    monkeypatch.setattr(replay, "BREATH_S", 0.0)
    (tmp_path / "STOP").touch()
    rig = Rig(tmp_path, Tape([FLAT] * 6)).run()
    assert 1 == len([event for event in rig.pump.heard if isinstance(event, StopRequested)])


def test_a_stop_file_can_be_made_stricter(tmp_path: Path) -> None:
    """From blocking to flattening, never back, and nothing below a lock."""
    rig = Rig(tmp_path, Tape([FLAT]))
    for content, expected in (("", Level.NO_ENTRY), ("flatten", Level.FLATTEN), ("", Level.FLATTEN)):
        rig.stop_path.write_text(content)
        rig.driver.look_for_stop()
        assert expected is rig.pump.state.book.control.level
    rig.pump.handle(StopRequested(START, Level.LOCKED, "test"))
    rig.driver.look_for_stop()
    assert [Level.NO_ENTRY, Level.FLATTEN, Level.LOCKED] == rig.levels
    rig.venue.close()


def test_without_a_stop_file_nothing_is_requested(tmp_path: Path) -> None:
    """At the start, in between and at the end."""
    assert [] == Rig(tmp_path, Tape([FLAT] * 3), {1: long_signal(1)}).run().levels


# ── pacing ──────────────────────────────────────────────────────────────────


def test_at_a_given_speed_progress_is_saved_with_every_candle(tmp_path: Path) -> None:
    """Readers see where the market stands although nothing happens."""
    rig = Rig(tmp_path, Tape([FLAT] * 4), speed=60_000.0).run()
    cursors = [commit.checkpoint.cursor_ms for commit in rig.store.commits if not commit.records]
    assert [0, at(1), at(2), at(3)] == cursors


def test_the_stop_file_is_seen_while_waiting_for_a_candle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candle may take a minute of real time."""
    monkeypatch.setattr(replay, "POLL_S", 0.001)
    (tmp_path / "STOP").touch()
    rig = Rig(tmp_path, Tape([FLAT]), speed=1.0)
    rig.should_stop = lambda: bool(rig.levels)  # else this would take a minute
    rig.run()
    assert [Level.NO_ENTRY] == rig.levels


def test_a_stop_while_waiting_plays_no_candle_ahead_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait ends at once, and the candle stays for the next run."""
    monkeypatch.setattr(replay, "POLL_S", 0.001)
    rig = Rig(tmp_path, Tape([FLAT]), speed=1.0)
    answers = iter([False, True, True])
    rig.should_stop = lambda: next(answers)
    rig.run()
    assert 0 == rig.driver.resume_ms


# ── leaving flat ────────────────────────────────────────────────────────────


def test_a_run_that_is_to_end_flat_plays_on_until_it_is(tmp_path: Path) -> None:
    """A market exit needs the next price; entries on the way are stale."""
    rig = Rig(tmp_path, Tape([FLAT] * 8), {0: long_signal(0), 3: long_signal(3)})
    rig.should_stop = lambda: rig.driver.resume_ms >= at(2)

    async def leave() -> None:
        await rig.driver.run()
        rig.pump.handle(RunEnding(rig.clock.now_ms(), "test", flatten=True))
        await rig.executor.idle()
        await rig.driver.play_exits(lambda: not rig.pump.state.book.positions, 5)
        assert at(3) == rig.driver.resume_ms
        await rig.driver.play_exits(lambda: False, 2)

    rig.run_through(leave)
    assert at(5) == rig.driver.resume_ms
    assert [1, 2] == [minute for minute, _ in rig.trades]
    assert [Fate.TAKEN, Fate.STALE] == rig.fates


# ── going on ────────────────────────────────────────────────────────────────


def test_a_new_engine_has_nothing_to_catch_up_with(tmp_path: Path) -> None:
    """Its exchange stays where it is."""
    rig = Rig(tmp_path, Tape([FLAT] * 3))
    rig.driver.catch_up()
    assert -1 == rig.venue.progress.open_ms
    rig.venue.close()


@pytest.mark.parametrize("candles", [3, 4])
def test_the_exchange_is_brought_to_where_the_engine_already_was(tmp_path: Path, candles: int) -> None:
    """Silently, up to the last candle that the engine has decided on and no further, or to the end of the data."""
    tape = Tape([FLAT, FLAT, (1_000, 1_050, 1_000, 1_040), FLAT][:candles])
    first = Rig(tmp_path, Tape(tape.shapes[:3]))
    first.run()
    first.store.commit(moved_on(first.store.commits[-1], at(3)))
    (tmp_path / "paper.db").unlink()
    rig = Rig(tmp_path, tape, store=first.store)
    rig.driver.catch_up()
    assert at(2) == rig.venue.progress.open_ms
    assert 1_040 == rig.venue._kernel.account.points[BTC].last
    assert [] == rig.pump.heard
    rig.venue.close()


def moved_on(commit: Commit, cursor_ms: int) -> Commit:
    """The commit as one that has come further."""
    return replace(commit, records=(), checkpoint=replace(commit.checkpoint, cursor_ms=cursor_ms))


def test_candles_that_the_exchange_has_passed_are_marked(tmp_path: Path) -> None:
    """An engine that lost its progress manages exits on them, but enters nothing any more."""
    tape = Tape([FLAT] * 5)
    rig = Rig(tmp_path, tape)
    for batch in list(tape.batches())[:4]:
        rig.venue.catch_up(batch.open_time_ms, batch.candles, ())
    rig.venue.save_progress()
    rig.venue.close()
    rig = Rig(tmp_path, tape, {1: long_signal(1)}).run()
    marked = [event.is_catch_up for event in rig.pump.heard if isinstance(event, CandlesClosed)]
    assert [True, True, True, False, False] == marked
    assert [Fate.STALE] == rig.fates


def test_a_run_that_goes_on_decides_on_the_candles_that_are_new(tmp_path: Path) -> None:
    """A second run on the same state continues after the last candle."""
    shapes = [FLAT] * 6
    first = Rig(tmp_path, Tape(shapes[:3]))
    first.run()
    first.store.commit(moved_on(first.store.commits[-1], at(3)))
    rig = Rig(tmp_path, Tape(shapes), store=first.store).run()
    assert [at(4), at(5), at(6)] == [event.ts_ms for event in rig.pump.heard if isinstance(event, CandlesClosed)]


LIVELY: list[Shape] = [
    FLAT,
    (1_005, 1_030, 990, 1_020),
    (1_020, 1_110, 1_000, 1_000),
    FLAT,
    (995, 1_010, 860, 1_000),
    FLAT,
    (1_000, 1_010, 990, 1_000),
    (1_000, 1_020, 980, 1_000),
]
TRADES = {0: long_signal(0, 100, 100), 3: long_signal(3, 100, 200), 5: long_signal(5, 150, 0)}
HELD = tuple(FundingRate(BTC, at(minute), Decimal("0.0003")) for minute in (2, 4, 7))


def _life(folder: Path, fatal: int) -> tuple[Rig, int]:
    """Play the lively market, killed at the `fatal`-th crash point and started again; the last process."""
    folder.mkdir()
    store = DyingStore()
    rig = Rig(folder, Tape(LIVELY, HELD), TRADES, store, settings=LENIENT)
    store.points.reached.clear()
    store.points.fatal = fatal
    try:
        rig.run()
    except Died:
        rig = Rig(folder, rig.tape, TRADES, store, settings=LENIENT).run()
    return rig, len(store.points.reached)


@pytest.mark.parametrize("quarter", range(4))
def test_a_replay_killed_at_any_crash_point_makes_the_trades_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quarter: int
) -> None:
    """Every commit, send and cancel of a run with a target, a stop and an open end."""
    monkeypatch.setattr(replay, "BREATH_S", 3_600.0)
    whole, places = _life(tmp_path / "whole", 0)
    assert 5 == len(whole.fills)
    assert places > 60
    for fatal in range(1 + quarter, places + 1, 4):
        rig, _ = _life(tmp_path / str(fatal), fatal)
        assert whole.fills == rig.fills, f"killed at place {fatal}"
        assert whole.pump.state.book.positions == rig.pump.state.book.positions
        assert whole.pump.state.book.ledger.balance == rig.pump.state.book.ledger.balance
