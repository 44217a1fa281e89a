"""The single consumer: decide, commit, adopt, act.

What belongs here: the order of these four, and nothing between the first and the last that could wait.
What does not: where events come from (replay, control), how effects are performed (executor).
"""

from collections.abc import Callable

from trading_engine.core.effects import Effect
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import EngineState
from trading_engine.core.step import step
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.events import CandlesClosed, ClockStepped, Event
from trading_engine.domain.records import DayClosed, EquitySampled, Record
from trading_engine.ports import Commit, Store
from trading_engine.runtime.status import checkpoint

CANDLES_PER_CHECKPOINT = 1_000
# Figures that nothing depends on wait for the next commit: lost in a crash, they are made again, because
# the progress that is stored has not passed them either.
_CAN_WAIT = (EquitySampled, DayClosed)

OnCommitted = Callable[[int, tuple[Record, ...]], None]


class Pump:
    """Owns the state. `handle` is synchronous: no event can come between a decision and its commit.

    A step or a commit that fails raises; its result is dropped with it and nothing has left the process. From
    then on every event is refused: whether the commit became durable is not known, and only a restart can tell.

    candles_per_checkpoint   so many without a record bring the progress to disk; at the pace of a live market each
                             does, for what readers see should not be older than a minute
    stepped_ms               when the clock that stamps events has last made a step, 0 for never: told before all else
    """

    def __init__(
        self,
        state: EngineState,
        settings: EngineSettings,
        store: Store,
        run_id: str,
        dispatch: Callable[[Effect], None],
        on_committed: OnCommitted,
        on_idle_checkpoint: Callable[[], None],
        candles_per_checkpoint: int = CANDLES_PER_CHECKPOINT,
        stepped_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self.state = state
        self.settings = settings
        self._store = store
        self._run_id = run_id
        self._dispatch = dispatch
        self._on_committed = on_committed
        self._on_idle_checkpoint = on_idle_checkpoint
        self._uncommitted_candles = 0
        self._most_uncommitted = candles_per_checkpoint
        self._waiting: list[Record] = []
        self._failure: BaseException | None = None
        self._stepped_ms = stepped_ms
        self._known_step_ms = 0
        self.turns = 0  # decisions that came to an end, by which a watchdog knows that they still do

    def handle(self, event: Event) -> None:
        """Take in one event; what follows from it is durable before anything is done about it."""
        self._refuse_after_failure()
        try:
            self._look_at_the_clock()
            self._handle(event)
        except BaseException as error:
            self._failure = error
            raise
        self.turns += 1

    def prove(self, now_ms: int) -> None:
        """Judge the state as it stands, as a decision would: what a quiet market offers as a sign of life."""
        self._refuse_after_failure()
        checkpoint(self.state, self.settings, now_ms)
        self.turns += 1

    def _look_at_the_clock(self) -> None:
        stepped_ms = self._stepped_ms()
        if stepped_ms != self._known_step_ms:
            self._known_step_ms = stepped_ms
            self._handle(ClockStepped(stepped_ms))

    def _handle(self, event: Event) -> None:
        result = step(self.state, event, self.settings)
        records = result.records
        if records and not all(isinstance(record, _CAN_WAIT) for record in records):
            progress = checkpoint(result.state, self.settings, event.ts_ms)
            self._commit(Commit(event.ts_ms, self._run_id, (*self._waiting, *records), result.book, progress))
        else:
            self._waiting.extend(records)
            if isinstance(event, CandlesClosed):
                self._uncommitted_candles += 1
        self.state = result.state
        for effect in result.effects:
            self._dispatch(effect)
        if records:
            self._on_committed(event.ts_ms, records)
        if self._uncommitted_candles >= self._most_uncommitted:
            self.save_progress(event.ts_ms)

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise InvariantBroken("an event came after the engine had failed") from self._failure

    def _commit(self, commit: Commit) -> None:
        self._store.commit(commit)
        self._waiting.clear()
        self._uncommitted_candles = 0

    def save_progress(self, now_ms: int) -> None:
        """Commit the progress although no record calls for it, so that a restart has less to do again."""
        self._refuse_after_failure()
        progress = checkpoint(self.state, self.settings, now_ms)
        self._commit(Commit(now_ms, self._run_id, tuple(self._waiting), self.state.book, progress))
        self._on_idle_checkpoint()
