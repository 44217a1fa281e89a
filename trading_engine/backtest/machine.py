"""Object code of the loop in this process, called as `loop.run` is.

What belongs here: how it is called, and what it may call. What does not: what is compiled and where it is kept
(compiled), how code gets into memory (image, assembler).

The loop makes no array of its own (`Space`), so that the code needs nothing of numba's run time; what it could still
call, to tell of an exception, is stood in for here, and a run that did not come to its end is noticed.
"""

import ctypes
from typing import Any, Protocol

import numpy as np

from trading_engine.backtest.image import place
from trading_engine.backtest.tables import (
    Account,
    Candles,
    Desk,
    Funding,
    Plan,
    Records,
    Settings,
    Signals,
    Space,
)
from trading_engine.domain.errors import InvariantBroken

SYMBOL = "trading_engine_loop"
RECORDS = (Desk, Plan, Account, Settings)
# done; symbols, start, rows, six columns, interval; funding; signals; space
KINDS = {"I": np.int64, "F": np.float64, "B": np.bool_}
COLUMNS = "I" + "iIiIIIIIIi" + "IiII" + "iIIIIIFIII" + "iIiIiBB"


def _nothing(*_: object) -> int:
    return 0


# What numba's code calls where an exception is raised. None is; a run in which one were would not set `done`.
_NOTHING = ctypes.CFUNCTYPE(ctypes.c_void_p)(_nothing)
STAND_INS = (
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_unpickle",
    "numba_runtime_build_excinfo_struct",
    "numba_do_raise",
    "NRT_Free",
    "NRT_MemInfo_call_dtor",
    "PyErr_WriteUnraisable",
)


class InMemory(Protocol):
    """Code that can be called as long as this is held."""

    def address(self, name: str) -> int:
        """Where a function begins."""


def in_memory(code: bytes) -> InMemory:
    """Object code ready to be called: placed as it is where that suffices, loaded by LLVM where it does not."""
    placed = place(code, _address_of)
    if placed is not None:
        return placed
    from trading_engine.backtest.assembler import Linked  # noqa: PLC0415 - LLVM takes its time to load

    return Linked(code, dict.fromkeys(STAND_INS, _pointer_to(_NOTHING)))


def _address_of(name: str) -> int | None:
    """A function of this process, or what stands in for one that is numba's."""
    if name in STAND_INS:
        return _pointer_to(_NOTHING)
    found = getattr(ctypes.pythonapi, name, None)
    return None if found is None else _pointer_to(found)


def _pointer_to(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class Loaded:
    """Object code in this process, called as `loop.run` is."""

    def __init__(self, code: bytes) -> None:
        self._code = in_memory(code)
        counts = [ctypes.c_int64 if letter == "i" else ctypes.c_void_p for letter in COLUMNS]
        tables = [ctypes.c_void_p, ctypes.c_int64] * len(RECORDS)
        # With the lock of the interpreter held: what stands in above is Python.
        self._call = ctypes.PYFUNCTYPE(None, *counts, *tables)(self._code.address(SYMBOL))

    def __call__(
        self,
        candles: Candles,
        funding: Funding,
        signals: Signals,
        desks: Records,
        plans: Records,
        accounts: Records,
        rules: Records,
        space: Space,
    ) -> None:
        """As `loop.run`; InvariantBroken where it did not come to its end."""
        done = np.zeros(1, np.int64)
        columns = (
            done,
            len(candles.start) - 1,
            candles.start,
            len(candles.ts),
            *candles[1:7],
            candles.interval_ms,
            funding.start,
            len(funding.ts),
            funding.ts,
            funding.rate_e8,
            len(signals.closed_ms),
            *signals,
            len(space.trades),
            space.trades,
            len(space.samples),
            space.samples,
            len(space.wild),
            space.wild,
            space.is_left,
        )
        tables = [part for table in (desks, plans, accounts, rules) for part in (_pointer(table), len(table))]
        plain = (_column(letter, part) for letter, part in zip(COLUMNS, columns, strict=True))
        self._call(*plain, *tables)
        if not done[0]:
            raise InvariantBroken("the compiled loop has failed; --engine full does without it")


def _column(letter: str, part: Any) -> int:
    """A number as it is, or where a column begins."""
    if letter == "i":
        return int(part)
    assert part.dtype == KINDS[letter], part.dtype  # noqa: S101 - the code reads what it was compiled for
    return _pointer(part)


def _pointer(array: np.ndarray[Any, Any]) -> int:
    assert array.flags.c_contiguous  # noqa: S101 - rows are counted from their beginning, one behind the other
    return array.ctypes.data
