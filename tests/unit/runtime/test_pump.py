"""The pump: durable first, adopted second, acted upon third; and what may wait for the next commit."""

from dataclasses import replace
from decimal import Decimal

import pytest
from fakes.memory_store import MemoryStore

from trading_engine.core.effects import Effect, FetchFills, TakeSnapshot
from trading_engine.core.settings import EngineSettings, LimitSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.events import (
    CandlesClosed,
    FillsRead,
    IncomeSeen,
    ResumeRequested,
    RunBegan,
    SnapshotFailed,
    StopRequested,
    TimerFired,
    TimerKind,
)
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.position import Position
from trading_engine.domain.records import DayClosed, EquitySampled, IncomeBooked, Record, RunStarted
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.ports import Commit
from trading_engine.runtime.pump import CANDLES_PER_CHECKPOINT, Pump

MIDNIGHT = 1_746_316_800_000
BTC = "BTCUSDT"
INSTRUMENT = Instrument(
    symbol=BTC,
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(100),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
    tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
)
SETTINGS = EngineSettings("paper", "test", "USDT", {BTC: INSTRUMENT})
BEGAN = RunBegan(MIDNIGHT, "run-1", "0", "paper", "hash")


class Bay:
    """A pump on a store in memory, and everything it let out, in order."""

    def __init__(
        self, settings: EngineSettings = SETTINGS, candles_per_checkpoint: int = CANDLES_PER_CHECKPOINT
    ) -> None:
        self.store = MemoryStore()
        self.let_out: list[str] = []
        self.effects: list[Effect] = []
        self.announced: list[tuple[int, tuple[Record, ...]]] = []
        self.checkpoints = 0
        self.dispatch_fails = False
        self.stepped_ms = 0
        self.pump = Pump(
            EngineState(Book(epoch="aaaa")),
            settings,
            self.store,
            "run-1",
            self._dispatch,
            self._announce,
            self._checkpoint,
            candles_per_checkpoint,
            lambda: self.stepped_ms,
        )

    def _dispatch(self, effect: Effect) -> None:
        if self.dispatch_fails:
            raise ZeroDivisionError
        self.let_out.append(f"effect after {len(self.store.commits)} commits")
        self.effects.append(effect)

    def _announce(self, ts_ms: int, records: tuple[Record, ...]) -> None:
        self.let_out.append("announcement")
        self.announced.append((ts_ms, records))

    def _checkpoint(self) -> None:
        self.checkpoints += 1

    @property
    def commits(self) -> list[Commit]:
        """What was written."""
        return self.store.commits

    def deposit(self) -> None:
        """Book a thousand at midnight."""
        income = Income("paper", "test", "opening", PnlKind.TRANSFER, "", Decimal(1_000), "USDT", MIDNIGHT)
        self.pump.handle(IncomeSeen(MIDNIGHT, income))

    def candle(self, closed_ms: int, close: int = 500_000) -> None:
        """Let a candle close."""
        candle = Candle(BTC, closed_ms - MINUTE_MS, MINUTE_MS, close, close, close, close, 1_000)
        self.pump.handle(CandlesClosed(closed_ms, (candle,)))


@pytest.fixture
def bay() -> Bay:
    """With an empty book."""
    return Bay()


def test_records_are_committed_before_anything_is_done_about_them(bay: Bay) -> None:
    """Commit, then effects, then the announcement; the state is adopted."""
    bay.pump.handle(BEGAN)
    assert ["effect after 1 commits", "announcement"] == bay.let_out
    assert [TakeSnapshot()] == bay.effects
    assert [(MIDNIGHT, bay.commits[0].records)] == bay.announced
    assert isinstance(bay.commits[0].records[0], RunStarted)


def test_a_commit_carries_the_book_the_progress_and_the_run(bay: Bay) -> None:
    """As of the step that made it."""
    bay.candle(MIDNIGHT + MINUTE_MS)
    bay.deposit()
    (commit,) = bay.commits
    assert ("run-1", MIDNIGHT) == (commit.run_id, commit.ts_ms)
    assert Decimal(1_000) == commit.book.ledger.balance == bay.pump.state.book.ledger.balance
    assert MIDNIGHT + MINUTE_MS == commit.checkpoint.cursor_ms


def test_a_step_of_the_clock_is_told_once_before_the_event_that_follows(bay: Bay) -> None:
    """What that event waits for must not seem to be over."""
    bay.stepped_ms = MIDNIGHT
    bay.pump.handle(TimerFired(MIDNIGHT + 1, TimerKind.FILLS, ""))
    assert [TakeSnapshot(), FetchFills()] == bay.effects
    assert MIDNIGHT == bay.pump.state.market.began_ms
    bay.pump.handle(TimerFired(MIDNIGHT + 2, TimerKind.FILLS, ""))
    assert [TakeSnapshot(), FetchFills(), FetchFills()] == bay.effects


def test_an_event_without_records_commits_nothing(bay: Bay) -> None:
    """The volatile view changes all the same."""
    bay.candle(MIDNIGHT + MINUTE_MS)
    assert ([], []) == (bay.commits, bay.announced)
    assert {BTC: Decimal(50_000)} == bay.pump.state.market.marks


def test_effects_without_records_are_dispatched(bay: Bay) -> None:
    """A step may ask without anything to write down."""
    bay.pump.handle(BEGAN)
    bay.pump.handle(TimerFired(MIDNIGHT, TimerKind.FILLS, ""))
    assert 1 == len(bay.commits)
    assert [TakeSnapshot(), FetchFills()] == bay.effects


def test_a_store_that_fails_leaves_the_state_and_lets_nothing_out(bay: Bay) -> None:
    """The step is dropped whole: no effect, no announcement, no record."""
    bay.deposit()
    before = bay.pump.state
    bay.let_out.clear()
    bay.store.fail_next = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        bay.pump.handle(StopRequested(MIDNIGHT, Level.FLATTEN, "file"))
    assert before is bay.pump.state
    assert [] == bay.let_out
    assert 1 == len(bay.commits)


def test_after_a_commit_that_failed_every_event_is_refused(bay: Bay) -> None:
    """Whether it became durable nobody knows: going on would go on from a guess. The first failure is the cause."""
    bay.deposit()
    before = bay.pump.state
    bay.let_out.clear()
    failure = OSError("disk full")
    bay.store.fail_next = failure
    with pytest.raises(OSError, match="disk full"):
        bay.pump.handle(StopRequested(MIDNIGHT, Level.FLATTEN, "file"))
    for event in (StopRequested(MIDNIGHT, Level.NO_ENTRY, "file"), SnapshotFailed(MIDNIGHT, "timed out"), BEGAN):
        with pytest.raises(InvariantBroken, match="an event came after the engine had failed") as refused:
            bay.pump.handle(event)
        assert failure is refused.value.__cause__
    assert before is bay.pump.state
    assert ([], 1) == (bay.let_out, len(bay.commits))


def test_after_an_effect_that_failed_every_event_is_refused_as_well(bay: Bay) -> None:
    """The step is durable, what follows from it has not been done: the next start does it."""
    bay.dispatch_fails = True
    with pytest.raises(ZeroDivisionError):
        bay.pump.handle(BEGAN)
    assert 1 == len(bay.commits)
    with pytest.raises(InvariantBroken, match="had failed"):
        bay.candle(MIDNIGHT + MINUTE_MS)


def test_a_step_that_breaks_an_invariant_is_dropped_before_the_commit(bay: Bay) -> None:
    """Nothing of it is written."""
    wrong = Position(
        position_id="P000001",
        number=1,
        symbol=BTC,
        side=Side.LONG,
        strategy="s",
        state=PositionState.PENDING,
        intended_quantity=Decimal(1),
        reference_price=Decimal(50_000),
        initial_stop=Decimal(49_000),
        stop_price=Decimal(49_000),
        target_price=None,
        leverage=Decimal(1),
        signal_ms=MIDNIGHT,
        created_ms=MIDNIGHT,
        quantity=Decimal(-1),
    )
    bay.pump.state = EngineState(Book(epoch="aaaa", positions={"P000001": wrong}))
    with pytest.raises(InvariantBroken, match="P000001"):
        bay.pump.handle(ResumeRequested(MIDNIGHT, "me"))
    assert ([], []) == (bay.commits, bay.let_out)
    with pytest.raises(InvariantBroken, match="had failed"):
        bay.pump.handle(BEGAN)


# ── what may wait ───────────────────────────────────────────────────────────


def test_a_sample_waits_for_the_next_commit(bay: Bay) -> None:
    """It is announced at once and written in front of what calls for a commit."""
    bay.deposit()
    bay.candle(MIDNIGHT + HOUR_MS - MINUTE_MS)
    bay.candle(MIDNIGHT + HOUR_MS)
    assert 1 == len(bay.commits)
    assert isinstance(bay.announced[-1][1][0], EquitySampled)
    bay.pump.handle(StopRequested(MIDNIGHT + HOUR_MS + 5, Level.NO_ENTRY, "file"))
    first, *_ = bay.commits[-1].records
    assert EquitySampled(MIDNIGHT + HOUR_MS, Decimal(1_000), Decimal(0)) == first
    bay.pump.handle(ResumeRequested(MIDNIGHT + HOUR_MS + 9, "me"))
    assert EquitySampled not in {type(record) for record in bay.commits[-1].records}


def test_a_day_that_ends_waits_as_well(bay: Bay) -> None:
    """Day and sample are written in the order in which they were made."""
    bay.deposit()
    bay.candle(MIDNIGHT + DAY_MS - MINUTE_MS)
    bay.candle(MIDNIGHT + DAY_MS)
    assert 1 == len(bay.commits)
    bay.pump.save_progress(MIDNIGHT + DAY_MS)
    assert [DayClosed, EquitySampled] == [type(record) for record in bay.commits[-1].records]


def test_after_a_commit_that_failed_no_progress_is_written(bay: Bay) -> None:
    """It would say more than the database knows; the next start makes the figures that waited again."""
    bay.deposit()
    bay.candle(MIDNIGHT + HOUR_MS - MINUTE_MS)
    bay.candle(MIDNIGHT + HOUR_MS)
    commits = len(bay.commits)
    bay.store.fail_next = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        bay.pump.handle(StopRequested(MIDNIGHT + HOUR_MS, Level.NO_ENTRY, "file"))
    with pytest.raises(InvariantBroken, match="after the engine had failed"):
        bay.pump.save_progress(MIDNIGHT + HOUR_MS)
    assert commits == len(bay.commits)


def test_progress_is_written_after_so_many_candles_without_a_record() -> None:
    """And the venue is told, so that it saves its own; a commit in between begins the count anew."""
    bay = Bay(candles_per_checkpoint=3)
    for number in range(1, 3):
        bay.candle(MIDNIGHT + number * MINUTE_MS)
    bay.deposit()
    assert (1, 0) == (len(bay.commits), bay.checkpoints)
    for number in range(3, 6):
        assert (1, 0) == (len(bay.commits), bay.checkpoints)
        bay.candle(MIDNIGHT + number * MINUTE_MS)
    assert (2, 1) == (len(bay.commits), bay.checkpoints)
    assert ((), MIDNIGHT + 5 * MINUTE_MS) == (bay.commits[-1].records, bay.commits[-1].checkpoint.cursor_ms)
    assert bay.pump.state.book == bay.commits[-1].book


# ── the checkpoint ──────────────────────────────────────────────────────────


def test_a_checkpoint_shows_marks_gates_and_limits(bay: Bay) -> None:
    """What readers see while the engine is down: every reason against an entry, every limit with its numbers."""
    bay.deposit()
    bay.candle(MIDNIGHT + MINUTE_MS, close=499_995)
    bay.pump.handle(StopRequested(MIDNIGHT + MINUTE_MS, Level.NO_ENTRY, "file"))
    shown = bay.commits[-1].checkpoint
    assert ((BTC, "49999.5"),) == shown.marks
    (gate,) = shown.gates
    assert (BTC, False) == (gate.symbol, gate.ok)
    assert ("kill switch at NO_ENTRY: file", "not reconciled with the venue yet") == gate.reasons
    limits = {limit.limit: limit for limit in shown.limits}
    assert ("1000", "100", "10", False) == (
        limits["minimum_balance"].value,
        limits["minimum_balance"].threshold,
        limits["minimum_balance"].used_pct,
        limits["minimum_balance"].tripped,
    )
    assert "0" == limits["daily_loss"].used_pct == shown.unrealized


def test_a_limit_that_is_switched_off_is_used_to_nothing() -> None:
    """There is nothing to divide by."""
    bay = Bay(replace(SETTINGS, limits=LimitSettings(cooldown_ms=0, min_balance_ppm=0, daily_loss_ppm=0)))
    bay.deposit()
    assert {"0"} == {limit.used_pct for limit in bay.commits[-1].checkpoint.limits}


def test_a_checkpoint_estimates_liquidation_prices_and_open_pnl(bay: Bay) -> None:
    """Of the positions with a quantity."""
    bay.deposit()
    held = Position(
        position_id="P000001",
        number=1,
        symbol=BTC,
        side=Side.SHORT,
        strategy="s",
        state=PositionState.OPEN,
        intended_quantity=Decimal("0.01"),
        reference_price=Decimal(50_000),
        initial_stop=Decimal(51_000),
        stop_price=Decimal(51_000),
        target_price=None,
        leverage=Decimal(10),
        signal_ms=MIDNIGHT,
        created_ms=MIDNIGHT,
        quantity=Decimal("0.01"),
        cost=Decimal(500),
        entry_quantity=Decimal("0.01"),
        entry_value=Decimal(500),
        fills=1,
    )
    none = Decimal(0)
    flat = replace(
        held, position_id="P000002", number=2, quantity=none, cost=none, entry_quantity=none, symbol="ETHUSDT"
    )
    book = replace(bay.pump.state.book, positions={"P000001": held, "P000002": flat})
    bay.pump.state = EngineState(book, bay.pump.state.market)
    bay.candle(MIDNIGHT + MINUTE_MS, close=499_000)
    bay.pump.save_progress(MIDNIGHT + MINUTE_MS)
    shown = bay.commits[-1].checkpoint
    assert (("P000001", "54726.3"),) == shown.liquidations
    assert "1" == shown.unrealized


def test_a_foreign_fill_is_taken_in_like_any_event(bay: Bay) -> None:
    """The pump has no opinion: what the core makes of it is committed."""
    fill = Fill(
        "paper", "test", "1", "web", "9", BTC, TradeSide.BUY, Decimal(1), Decimal(50_000), Decimal(0), "USDT", MIDNIGHT
    )
    bay.pump.handle(FillsRead(MIDNIGHT, (fill,)))
    assert {BTC} == set(bay.commits[-1].book.frozen)


def test_an_event_that_was_seen_before_commits_nothing(bay: Bay) -> None:
    """A deposit told twice is booked once."""
    bay.deposit()
    bay.deposit()
    assert [IncomeBooked] == [type(record) for commit in bay.commits for record in commit.records][:1]
    assert 1 == len(bay.commits)
