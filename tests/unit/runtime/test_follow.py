"""The driver on a live market: candles are played as they arrive, exactly as recorded ones."""

from collections.abc import Iterable
from pathlib import Path

from fakes.replay_rig import FLAT, Rig, Tape, at, long_signal

from trading_engine.domain.control import Level
from trading_engine.domain.events import RunEnding
from trading_engine.domain.records import Fate
from trading_engine.runtime.replay import Arrival

STORY = [FLAT, (1_010, 1_020, 990, 1_000), FLAT, (1_000, 1_000, 850, 900), FLAT]


class Wire:
    """A market from which the candles of a tape arrive, with pauses in between."""

    def __init__(self, tape: Tape, late: Iterable[int] = ()) -> None:
        late_ms = {at(minute) for minute in late}
        self._coming: list[Arrival | None] = []
        for batch in tape.batches():
            self._coming += [None, Arrival(batch, batch.open_time_ms in late_ms)]
        self._coming.append(None)
        self.pauses = 0

    @property
    def is_over(self) -> bool:
        """Nothing will come any more."""
        return not self._coming

    async def arrive(self) -> Arrival | None:
        """What comes next; None for a moment without candles."""
        arrival = self._coming.pop(0)
        self.pauses += arrival is None
        return arrival


def follow(folder: Path, wire: Wire, tape: Tape, minutes: Iterable[int]) -> Rig:
    rig = Rig(folder, tape, {minute: long_signal(minute) for minute in minutes})
    rig.should_stop = lambda: wire.is_over
    return rig.run_through(lambda: rig.driver.follow(wire.arrive))


def test_what_arrives_is_filled_exactly_as_if_it_had_been_recorded(tmp_path: Path) -> None:
    """The same fills, fates and commits, but for progress that is durable after each candle."""
    for name in ("live", "recorded"):
        (tmp_path / name).mkdir()
    tape = Tape(STORY)
    live = follow(tmp_path / "live", Wire(tape), tape, [0, 2])
    recorded = Rig(tmp_path / "recorded", tape, {minute: long_signal(minute) for minute in (0, 2)}).run()
    assert recorded.fills == live.fills
    assert [1, 3] == [minute for minute, _ in live.trades]
    assert recorded.fates == live.fates
    assert recorded.pump.heard == live.pump.heard
    assert at(5) == live.store.commits[-1].checkpoint.cursor_ms


def test_progress_is_durable_after_each_candle(tmp_path: Path) -> None:
    """A minute is a long time: what readers see must not be older."""
    tape = Tape([FLAT] * 3)
    rig = follow(tmp_path, Wire(tape), tape, [])
    assert [at(1), at(2), at(3)] == [commit.checkpoint.cursor_ms for commit in rig.store.commits[-3:]]


def test_a_candle_that_comes_late_is_played_and_not_entered_on(tmp_path: Path) -> None:
    """After an outage of the market the exchange matches what passed; its signals are old."""
    tape = Tape(STORY)
    rig = follow(tmp_path, Wire(tape, late=[2]), tape, [0, 2])
    assert [Fate.TAKEN, Fate.HELD] == rig.fates
    assert [1, 3] == [minute for minute, _ in rig.trades]


def test_a_late_signal_is_stale(tmp_path: Path) -> None:
    """Nothing is held, and yet nothing is entered."""
    tape = Tape([FLAT] * 3)
    rig = follow(tmp_path, Wire(tape, late=[1]), tape, [1])
    assert [Fate.STALE] == rig.fates
    assert [] == rig.trades


def test_the_stop_file_is_seen_while_nothing_arrives(tmp_path: Path) -> None:
    """A market that is silent must not keep the kill switch from being raised."""
    tape = Tape([])
    (tmp_path / "STOP").write_text("", encoding="utf-8")
    wire = Wire(tape)
    rig = follow(tmp_path, wire, tape, [])
    assert Level.NO_ENTRY is rig.pump.state.book.control.level
    assert 1 == wire.pauses


def test_a_run_that_is_to_end_flat_closes_at_the_present_price(tmp_path: Path) -> None:
    """The next candle of a live market is a minute away."""
    tape = Tape([FLAT, FLAT])
    wire = Wire(tape)
    rig = Rig(tmp_path, tape, {0: long_signal(0)})
    rig.should_stop = lambda: wire.is_over

    async def leave() -> None:
        await rig.driver.follow(wire.arrive)
        rig.pump.handle(RunEnding(rig.clock.now_ms(), "test", flatten=True))
        await rig.executor.idle()
        await rig.driver.settle_exits()

    rig.run_through(leave)
    assert {} == rig.pump.state.book.positions
    assert [(1, 1_000), (2, 1_000)] == [(minute, int(price)) for minute, price in rig.trades]
