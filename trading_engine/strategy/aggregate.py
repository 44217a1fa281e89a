"""Which of several signals for one flat symbol is acted on, and why not the others.

What belongs here: the ranking by confidence. What does not: signals while a position is open, limits,
gates and sizing (core).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trading_engine.domain.market import Signal
from trading_engine.domain.records import Fate
from trading_engine.strategy.indicators import TOLERANCE


@dataclass(frozen=True, slots=True)
class Dropped:
    """A signal that is not acted on, with a reason for the record."""

    signal: Signal
    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The one signal to go on with, None for no trade, and every other one in the order given."""

    chosen: Signal | None
    dropped: tuple[Dropped, ...]


def choose(signals: Sequence[Signal]) -> Choice:
    """Choose among the signals of one instant for one symbol without a position.

    The highest confidence wins. Confidences within 1e-9 of the highest (relative) are equal to it: where
    those ask for both sides nothing is chosen, otherwise the first by strategy name is. ValueError where
    the signals are for different symbols.
    """
    if len({signal.symbol for signal in signals}) > 1:
        raise ValueError("signals of different symbols cannot be ranked against each other")
    entries = [signal for signal in signals if signal.side is not None]
    if not entries:
        return Choice(None, tuple(_exit_only(signal) for signal in signals))
    best = max(signal.confidence for signal in entries)
    leaders = sorted(
        (signal for signal in entries if best - signal.confidence <= TOLERANCE * best),
        key=lambda signal: signal.strategy,
    )
    is_tie = len({signal.side for signal in leaders}) > 1
    chosen = None if is_tie else leaders[0]
    dropped = [_judge(signal, leaders, is_tie=is_tie) for signal in signals if signal is not chosen]
    return Choice(chosen, tuple(dropped))


def _judge(signal: Signal, leaders: Sequence[Signal], *, is_tie: bool) -> Dropped:
    if signal.side is None:
        return _exit_only(signal)
    first = leaders[0]
    if not any(signal is leader for leader in leaders):
        names = ", ".join(leader.strategy for leader in leaders) if is_tie else first.strategy
        reason = f"confidence {signal.confidence:.4g} is below {first.confidence:.4g} of {names}"
        return Dropped(signal, Fate.OUTRANKED, reason)
    if is_tie:
        views = ", ".join(f"{leader.strategy} {leader.side}" for leader in leaders)
        return Dropped(signal, Fate.TIED, f"equal confidence {first.confidence:.4g} on both sides: {views}")
    reason = f"same side and confidence {first.confidence:.4g} as {first.strategy}, which comes first by name"
    return Dropped(signal, Fate.OUTRANKED, reason)


def _exit_only(signal: Signal) -> Dropped:
    return Dropped(signal, Fate.NOTHING_TO_CLOSE, "asks for an exit only, and there is no position")
