"""The life of a position: four states, five legal moves, and the reasons for which it ends.

What belongs here: the states, the table of moves, the reasons. What does not: making a move (moves), when one happens
(core), what it writes (core.project), any order detail (orders).

    PENDING ──first_fill──▶ OPEN ──begin_close──▶ CLOSING ──flat──▶ CLOSED
       └──────────────────── abandon ────────────────────────────────▲

The chain only runs forward. An exit that fails stays CLOSING and is tried again; a fill that arrives
after CLOSED never reopens a position but starts a residual one in CLOSING.
"""

from enum import StrEnum


class PositionState(StrEnum):
    """Where a position stands; see the picture above."""

    PENDING = "PENDING"  # entry intended; the venue may or may not know it
    OPEN = "OPEN"  # exposure exists, from the first partial fill on
    CLOSING = "CLOSING"  # a full exit was decided or has begun to fill
    CLOSED = "CLOSED"  # quantity zero and no own order left at the venue


class Trigger(StrEnum):
    """What moves a position on."""

    FIRST_FILL = "first_fill"
    ABANDON = "abandon"  # entry proven dead with nothing filled
    BEGIN_CLOSE = "begin_close"
    FLAT = "flat"


class CloseReason(StrEnum):
    """Why a position ended."""

    STOP = "stop"
    TARGET = "target"
    TRAILING = "trailing"
    SIGNAL = "signal"
    TIME = "time"
    OPERATOR = "operator"
    KILL_SWITCH = "kill_switch"
    RISK = "risk"
    LIQUIDATION = "liquidation"
    ADL = "adl"  # auto-deleveraging: the venue closed it against a liquidated account
    EXTERNAL = "external"
    ABANDONED = "abandoned"


MOVES: tuple[tuple[Trigger, PositionState, PositionState], ...] = (
    (Trigger.FIRST_FILL, PositionState.PENDING, PositionState.OPEN),
    (Trigger.ABANDON, PositionState.PENDING, PositionState.CLOSED),
    (Trigger.BEGIN_CLOSE, PositionState.OPEN, PositionState.CLOSING),
    (Trigger.FLAT, PositionState.CLOSING, PositionState.CLOSED),
)
