"""The account over time, as columns.

What belongs here: the columns, and one row of them. What does not: which instants are looked at (market), what the
loop or the engine has seen at them (fast, full), figures (figures).
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from trading_engine.backtest.tables import Bools, Ints
from trading_engine.domain.money import MONEY_QUANTUM, exact_units, from_e8

_HELD = 1 << 62  # two of them together fit into 64 bits
_COLUMNS = ("ts_ms", "balance_e8", "unrealized_e8")


class Sample(NamedTuple):
    """The account at one instant: what is booked, and what open positions stand at."""

    ts_ms: int
    balance: Decimal
    unrealized: Decimal

    @property
    def equity(self) -> Decimal:
        """Balance and open PnL together."""
        return self.balance + self.unrealized if self.unrealized else self.balance


class Curve:
    """Columns of one length, in order of time; read as `Sample`s by whoever needs no more than some.

    ts_ms           instants
    balance_e8      what is booked, whole 1e-8; an array of Python's integers where 64 bits do not hold one
    unrealized_e8   what open positions stand at, likewise
    """

    __slots__ = _COLUMNS

    def __init__(self, ts_ms: Ints, balance_e8: Ints, unrealized_e8: Ints) -> None:
        self.ts_ms = ts_ms
        self.balance_e8 = balance_e8
        self.unrealized_e8 = unrealized_e8

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Curve":
        """The columns of these; ValueError for an amount that is no multiple of 1e-8."""
        rows = list(samples)
        balance_e8 = [exact_units(row.balance, MONEY_QUANTUM) for row in rows]
        unrealized_e8 = [exact_units(row.unrealized, MONEY_QUANTUM) for row in rows]
        dtype = np.int64 if max(map(abs, balance_e8 + unrealized_e8), default=0) < _HELD else object
        ts_ms = np.array([row.ts_ms for row in rows], np.int64)
        return cls(ts_ms, np.array(balance_e8, dtype), np.array(unrealized_e8, dtype))

    @classmethod
    def joined(cls, *parts: "Curve") -> "Curve":
        """One behind the other."""
        ts_ms, balance_e8, unrealized_e8 = ([getattr(part, name) for part in parts] for name in _COLUMNS)
        return cls(np.concatenate(ts_ms), np.concatenate(balance_e8), np.concatenate(unrealized_e8))

    @property
    def equity_e8(self) -> Ints:
        """Balance and open PnL together."""
        return self.balance_e8 + self.unrealized_e8

    def rows(self, which: slice | Ints | Bools) -> "Curve":
        """Some of it."""
        return Curve(self.ts_ms[which], self.balance_e8[which], self.unrealized_e8[which])

    def __len__(self) -> int:
        """Number of instants."""
        return len(self.ts_ms)

    def __getitem__(self, at: int) -> Sample:
        """One row; IndexError beyond the end."""
        return Sample(int(self.ts_ms[at]), from_e8(int(self.balance_e8[at])), from_e8(int(self.unrealized_e8[at])))

    def __iter__(self) -> Iterator[Sample]:
        """Row by row."""
        columns = (self.ts_ms.tolist(), self.balance_e8.tolist(), self.unrealized_e8.tolist())
        for ts_ms, balance_e8, unrealized_e8 in zip(*columns, strict=True):
            yield Sample(ts_ms, from_e8(balance_e8), from_e8(unrealized_e8))

    def __eq__(self, other: object) -> bool:
        """The same instants and the same amounts."""
        if not isinstance(other, Curve):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _COLUMNS)

    __hash__ = None  # type: ignore[assignment] # arrays are no keys
