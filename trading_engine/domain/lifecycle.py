"""The life of a position: four states, five legal moves, nothing else.

What belongs here: the states and the table of moves. What does not: making a move (moves), why one happens (core),
what it writes (core.project), any order detail (orders).

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


MOVES: tuple[tuple[Trigger, PositionState, PositionState], ...] = (
    (Trigger.FIRST_FILL, PositionState.PENDING, PositionState.OPEN),
    (Trigger.ABANDON, PositionState.PENDING, PositionState.CLOSED),
    (Trigger.BEGIN_CLOSE, PositionState.OPEN, PositionState.CLOSING),
    (Trigger.FLAT, PositionState.CLOSING, PositionState.CLOSED),
)
