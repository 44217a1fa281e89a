"""The book that stands around the last price: plausible, and its updates fit together.

What belongs here: strangers' resting orders, their changes, the ids of both. What does not: who is told (streams).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from trading_engine.domain.instrument import Instrument
from trading_engine.venue_servers.binance.shapes import decimals, fixed

LEVELS = 50  # of each side
_RESTLESS = 5  # levels next to the price that change from turn to turn
Levels = list[list[str]]


class ShownBook(Protocol):
    """What clients may see of a book; `last_ticks` is 0 before the first price."""

    last_ticks: int

    @property
    def update_id(self) -> int:
        """The number of the last change in what is shown."""
        ...

    def move(self, last_ticks: int) -> tuple[int, int, int, Levels, Levels] | None:
        """Follow the price: what has changed, None for nothing."""
        ...

    def top(self, limit: int) -> tuple[Levels, Levels]:
        """Bids and asks, the best first, so many of each."""
        ...


@dataclass(slots=True)
class Book:
    """Resting orders of strangers around the last price; `update_id` belongs to what it shows."""

    instrument: Instrument
    update_id: int = 0
    last_ticks: int = 0
    turn: int = 0
    sides: dict[int, dict[int, int]] = field(default_factory=lambda: {1: {}, -1: {}})

    def move(self, last_ticks: int) -> tuple[int, int, int, Levels, Levels] | None:
        """Follow the price: (U, u, pu, bids, asks) of the update, None where nothing has changed.

        The ids of an update do not join those before it: other symbols take ids as well.
        """
        self.turn += 1
        self.last_ticks = last_ticks
        changed: dict[int, dict[int, int]] = {}
        for sign, before in self.sides.items():
            now = {}
            for level in range(1, LEVELS + 1):
                ticks = last_ticks - sign * level
                if last_ticks and ticks > 0:
                    now[ticks] = self._steps(ticks, level)
            changed[sign] = {ticks: 0 for ticks in before if ticks not in now}
            changed[sign] |= {ticks: steps for ticks, steps in now.items() if before.get(ticks) != steps}
            self.sides[sign] = now
        count = len(changed[1]) + len(changed[-1])
        if not count:
            return None
        previous = self.update_id
        first = previous + 3
        self.update_id = first + count
        return first, self.update_id, previous, self._levels(1, changed[1]), self._levels(-1, changed[-1])

    def _steps(self, ticks: int, level: int) -> int:
        """A quantity; near the price it changes from turn to turn."""
        least = self.instrument.quantity_to_steps(self.instrument.min_quantity)
        restless = self.turn if level <= _RESTLESS else 0
        return least * (1 + (ticks * 7_919 + restless * 104_729) % 97 + level)

    def _levels(self, sign: int, side: Mapping[int, int]) -> Levels:
        """Prices and quantities, the best first."""
        instrument = self.instrument
        return [
            [
                fixed(instrument.ticks_to_price(ticks), decimals(instrument.tick)),
                fixed(instrument.steps_to_quantity(steps), decimals(instrument.step)),
            ]
            for ticks, steps in sorted(side.items(), key=lambda level: -sign * level[0])
        ]

    def top(self, limit: int) -> tuple[Levels, Levels]:
        """Bids and asks, the best first, so many of each."""
        bids, asks = self._levels(1, self.sides[1]), self._levels(-1, self.sides[-1])
        return bids[:limit], asks[:limit]


def best(book: ShownBook) -> tuple[list[str], list[str]]:
    """Price and quantity of the best bid and the best ask, zeros before the first price."""
    bids, asks = book.top(1)
    return (bids or [["0", "0"]])[0], (asks or [["0", "0"]])[0]
