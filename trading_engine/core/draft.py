"""The working copy of one step: records go in, the book follows, effects pile up.

What belongs here: bookkeeping for handlers. What does not: any decision.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from trading_engine.core.effects import Effect
from trading_engine.core.project import apply
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState, Market
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.lifecycle import CloseReason, Trigger
from trading_engine.domain.moves import advance
from trading_engine.domain.position import Position
from trading_engine.domain.records import AlertRaised, PositionAdvanced, Record
from trading_engine.domain.severity import Severity


class Draft:
    """State under construction; lives for one step and is local to it."""

    def __init__(self, state: EngineState, settings: EngineSettings, ts_ms: int) -> None:
        self.book: Book = state.book
        self.market: Market = state.market
        self.settings = settings
        self.ts_ms = ts_ms
        self.records: list[Record] = []
        self.effects: list[Effect] = []

    @property
    def state(self) -> EngineState:
        """The state so far."""
        return EngineState(self.book, self.market)

    @property
    def marks(self) -> Mapping[str, Decimal]:
        """Last closes."""
        return self.market.marks

    def record(self, record: Record) -> None:
        """Write down and apply."""
        self.records.append(record)
        self.book = apply(self.book, record)

    def effect(self, effect: Effect) -> None:
        """Ask for an action, to be done after the commit."""
        self.effects.append(effect)

    def see(self, **changes: object) -> None:
        """Change the volatile market view."""
        self.market = replace(self.market, **changes)  # type: ignore[arg-type]

    def position(self, position_id: str) -> Position:
        """A position as it stands now."""
        return self.book.positions[position_id]

    def instrument(self, symbol: str) -> Instrument:
        """The facts of a symbol."""
        return self.settings.instruments[symbol]

    def advance(self, position_id: str, trigger: Trigger, cause: str, close_reason: CloseReason | None = None) -> None:
        """Move a position on by the table; IllegalMove where the table has no such move."""
        source = self.position(position_id).state
        self.record(PositionAdvanced(position_id, source, advance(source, trigger), trigger, cause, close_reason))

    def alert(self, severity: Severity, key: str, text: str) -> None:
        """Tell a person, in the same transaction."""
        self.record(AlertRaised(severity, key, text))
