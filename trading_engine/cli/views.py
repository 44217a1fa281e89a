"""The engine at a glance: what several commands need at once.

What belongs here: joining what was read into one value, and judging it. What does not: queries (store),
tables (tables).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

from trading_engine import __version__
from trading_engine.cli import shapes
from trading_engine.cli.shapes import Row
from trading_engine.core.state import ForeignHolding
from trading_engine.domain import money
from trading_engine.domain.control import Control, Level, paused_symbol
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.position import Position
from trading_engine.domain.time import MINUTE_MS, day_of
from trading_engine.ports import Checkpoint, GateStatus, LimitStatus
from trading_engine.store.read_models import Counts, PositionView, Reader, RunView
from trading_engine.system.clock import SystemClock
from trading_engine.system.single_instance import PID_UNKNOWN, holder
from trading_engine.system.state_dir import StateDir

_FRESH_MS = 15 * MINUTE_MS  # three times as long as an engine goes without reading its account

RUNNING = "running"
STOPPED = "stopped"
HALTED = "halted"
LOCKED = "locked"


@contextmanager
def reading(state: StateDir) -> Iterator[Reader]:
    """The database of a state directory, read-only, whether an engine runs on it or not.

    Raises ConfigInvalid where there is none, or one of another schema or program.
    """
    with Reader.open(state.database) as reader:
        yield reader


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything `status` shows; `pid` None where no engine runs, `run` None where none ever did."""

    pid: int | None
    run: RunView | None
    venue: str
    account: str
    control: Control
    disabled: Mapping[str, int]
    checkpoint: Checkpoint | None
    balance: Decimal
    realized_today: Decimal
    drawdown_pct: Decimal
    live: tuple[PositionView, ...]
    counts: Counts

    @classmethod
    def of(cls, reader: Reader, state: StateDir) -> "Overview":
        """Read it."""
        ledger, view = reader.ledger(), reader.control()
        seen = view.checkpoint
        # The day as the engine's settings cut it; by UTC where no limit was judged yet.
        today = shapes.inputs_of(seen.limits if seen else (), "daily_loss").get("day")
        peak = money.add(ledger.start_balance, ledger.peak)
        below = money.subtract(ledger.performance, ledger.peak)
        return cls(
            pid=holder(state.lock),
            run=reader.last_run(),
            venue=view.venue,
            account=view.account,
            control=view.control,
            disabled=view.disabled,
            checkpoint=seen,
            balance=ledger.balance,
            realized_today=ledger.day(today or day_of(seen.cursor_ms if seen else 0)).realized,
            drawdown_pct=money.ratio(below * 100, peak) if peak > 0 else ZERO,
            live=tuple(reader.positions()),
            counts=reader.status_counts(),
        )

    @property
    def state(self) -> str:
        """`locked` and `halted` (kill switch) outrank `running` and `stopped`: they need a person."""
        if self.control.level is Level.LOCKED:
            return LOCKED
        if self.control.level is not Level.RUN:
            return HALTED
        return STOPPED if self.pid is None else RUNNING

    @property
    def is_signals_only(self) -> bool:
        """The run that has written last sends nothing to the venue."""
        return self.checkpoint is not None and self.checkpoint.signals_only

    @property
    def since_ms(self) -> int:
        """Since when it is in this state; 0 where that is not known (a crash leaves no end)."""
        if self.state in (LOCKED, HALTED):
            return self.control.since_ms
        if self.run is None:
            return 0
        return self.run.started_ms if self.pid is not None else self.run.ended_ms or 0

    @property
    def now_ms(self) -> int:
        """The engine's time: close of the last candle it processed."""
        return self.checkpoint.cursor_ms if self.checkpoint else 0

    @property
    def unrealized(self) -> Decimal:
        """Open PnL of all positions at the last closes."""
        return Decimal(self.checkpoint.unrealized) if self.checkpoint else ZERO

    @property
    def equity(self) -> Decimal:
        """Balance and open PnL."""
        return money.add(self.balance, self.unrealized)

    @property
    def limits(self) -> tuple[LimitStatus, ...]:
        """Every limit as last judged."""
        return self.checkpoint.limits if self.checkpoint else ()

    @property
    def gates(self) -> tuple[GateStatus, ...]:
        """What may be entered, as last judged; nothing while no engine runs."""
        seen = self.checkpoint.gates if self.checkpoint else ()
        if self.pid is not None:
            return seen
        return tuple(replace(gate, ok=False, reasons=(*gate.reasons, "no engine runs")) for gate in seen)

    @property
    def is_seen(self) -> bool:
        """Whether what is known of the venue's orders is fresh; on paper the exchange is in the same hands."""
        if self.run is None or self.run.mode == "paper" or self.checkpoint is None:
            return True
        age_ms = SystemClock().now_ms() - self.checkpoint.reconciled_ms
        return self.pid is not None and age_ms < _FRESH_MS

    @property
    def foreign(self) -> tuple[ForeignHolding, ...]:
        """What somebody else holds at the exchange."""
        return self.checkpoint.foreign if self.checkpoint else ()

    @property
    def foreign_orders(self) -> tuple[ForeignHolding, ...]:
        """Open orders of somebody else."""
        return tuple(item for _, item in self.checkpoint.foreign_orders) if self.checkpoint else ()

    @property
    def open_positions(self) -> int:
        """Positions with exposure."""
        return sum(view.position.state is not PositionState.PENDING for view in self.live)

    def mark(self, item: Position) -> Decimal | None:
        """The last close of a live position's symbol; a closed position has no mark."""
        if item.state is PositionState.CLOSED or self.checkpoint is None:
            return None
        marks = dict(self.checkpoint.marks)
        return Decimal(marks[item.symbol]) if item.symbol in marks else None

    def liquidation(self, item: Position) -> Decimal | None:
        """The estimated liquidation price of a live position, None where none is within reach."""
        prices = dict(self.checkpoint.liquidations) if self.checkpoint else {}
        return Decimal(prices[item.position_id]) if item.position_id in prices else None

    def row(self) -> Row:
        """`status --json`."""
        seen = self.checkpoint
        return {
            "version": self.run.version if self.run else __version__,
            "mode": self.run.mode if self.run else None,
            "signals_only": self.is_signals_only,
            "venue": self.venue,
            "account": self.account,
            "state": self.state,
            "since": shapes.time(self.since_ms),
            "pid": self.pid if self.pid != PID_UNKNOWN else None,
            "kill_switch": {
                "level": str(self.control.level),
                "reason": self.control.reason,
                "since": shapes.time(self.control.since_ms),
            },
            "equity": money.text(self.equity),
            "balance": money.text(self.balance),
            "unrealized_pnl": money.text(self.unrealized),
            "realized_pnl_today": money.text(self.realized_today),
            "drawdown_pct": shapes.cents(self.drawdown_pct),
            "open_positions": self.open_positions,
            "pending_orders": self.counts.live_orders,
            "last_candle": shapes.time(seen.cursor_ms) if seen else None,
            "last_decision": shapes.time(seen.decided_ms) if seen else None,
            "last_reconcile": shapes.time(seen.reconciled_ms) if seen else None,
            "gates": shapes.gates(self.gates),
            "disabled_strategies": [
                {"strategy": name, "since": shapes.time(since_ms)}
                for name, since_ms in sorted(self.disabled.items())
                if paused_symbol(name) is None
            ],
            "paused": [
                {"symbol": symbol or None, "since": shapes.time(since_ms)}
                for name, since_ms in sorted(self.disabled.items())
                if (symbol := paused_symbol(name)) is not None
            ],
            "foreign": shapes.foreign(self.foreign, self.foreign_orders),
            "counts": {
                "positions": self.counts.positions,
                "orders": self.counts.orders,
                "fills": self.counts.fills,
                "journal": self.counts.journal,
            },
        }
