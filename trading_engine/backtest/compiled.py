"""The loop over arrays, compiled: the same function objects, made fast from outside.

What belongs here: which functions numba compiles, keeping the machine code and calling it. What does not: anything
that they do; `rules` and `loop` import no numba, so that the engine process never loads it.

The first use on a machine compiles, which takes a minute, and keeps the object code under a hash of every source file
that takes part and of the processor. Later ones load it by LLVM alone: importing numba costs 0.4 s and 70 MB. The loop
makes no array of its own (`Space`), so that the code needs nothing of numba's run time; what it could still call, to
tell of an exception, is stood in for here, and a run that did not come to its end is noticed.
"""

import ctypes
import hashlib
import os
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np

from trading_engine.backtest import cache, ledger, loop, matching, quiet, shocks, tables
from trading_engine.backtest.tables import (
    TRADE_COLUMNS,
    Account,
    Candles,
    Desk,
    Funding,
    Plan,
    Records,
    Settings,
    Signals,
    Space,
    records,
)
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.rules import exits, fills, integers, limits, margin, scaling, sizing, turbulence

_MODULES = (
    integers,
    fills,
    margin,
    limits,
    scaling,
    sizing,
    exits,
    turbulence,
    ledger,
    matching,
    shocks,
    quiet,
    loop,
)


_INTERPRETED = frozenset({"split_partials", "tier_for", "maintenance_margin_e8"})  # beyond numba, and not called


def _digest() -> str:
    """Of everything that becomes machine code, and of constants that come from elsewhere."""
    # A numba goes with one llvmlite.
    told = hashlib.sha256(repr((llvmlite.__version__, DAY_MS, HOUR_MS)).encode())
    for module in (*_MODULES, tables):
        assert module.__file__ is not None  # noqa: S101 - they are files
        told.update(Path(module.__file__).read_bytes())
    told.update(Path(__file__).read_bytes())
    return told.hexdigest()[:16]


# Taken when the functions are loaded: a process that is still running while its sources are replaced must not keep the
# machine code of the old ones under the name of the new ones.
_LOADED = _digest()


def cache_folder() -> Path:
    """Where machine code is kept: a folder of this version of the sources, below the user's cache."""
    return cache.place(f"loop-{_LOADED}")


def is_cached() -> bool:
    """Whether machine code of these sources is at hand, so that nothing needs to be compiled."""
    return os.access(_object_file(), os.R_OK)  # a cache that is somebody else's is none


def ready_loop() -> Callable[..., None]:
    """`loop.run` as machine code, compiled where there is none yet; InvariantBroken from a run that has failed."""
    path = _object_file()
    if is_cached():
        return Loaded(path.read_bytes())
    code = _compile()
    with suppress(OSError):  # where nothing can be kept, the next run compiles again
        cache.make(path.parent)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(code)
        draft.replace(path)
    return Loaded(code)


def _object_file() -> Path:
    return cache_folder() / f"{llvm.get_host_cpu_name()}.o"


def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)


# ── compiling ───────────────────────────────────────────────────────────────


def _compile() -> bytes:
    """The object code of `loop.run` behind pointers, and of everything below it."""
    import numba  # noqa: PLC0415 - 0.4 s and 70 MB that only the first run on a machine pays for
    from numba.extending import register_jitable  # noqa: PLC0415 - as above

    for module in _MODULES:
        for name, function in vars(module).items():
            is_own = isinstance(function, types.FunctionType) and function.__module__ == module.__name__
            if is_own and function is not loop.run and name not in _INTERPRETED:
                register_jitable(function)
    # Divisors are never zero: `rules` says of each what it may be, and live code raises where it is.
    run = numba.njit(error_model="numpy")(loop.run)
    made = numba.cfunc(_signature(numba), error_model="numpy")(_entry_of(run))
    module = llvm.parse_assembly(made.inspect_llvm().replace(made.native_name, SYMBOL))
    module.verify()
    called = {function.name for function in module.functions if function.is_declaration}
    if strange := sorted(name for name in called - set(_STAND_INS) if not _is_elsewhere(name)):
        raise InvariantBroken(f"the compiled loop calls {', '.join(strange)}, which nobody stands in for")
    code: bytes = _machine().emit_object(module)
    return code


def _is_elsewhere(name: str) -> bool:
    """Whether a function is LLVM's or Python's own, so that every process has it; numba's are gone with numba."""
    if name.startswith(("numba_", "NRT_")):
        return False
    return name.startswith("llvm.") or bool(llvm.address_of_symbol(name))


def _signature(numba: Any) -> Any:
    """As `Loaded` calls: pointers to the columns, each table with the number of its rows."""
    count, whole = numba.types.int64, numba.types.CPointer(numba.types.int64)
    real, truth = numba.types.CPointer(numba.types.float64), numba.types.CPointer(numba.types.boolean)
    record = {kind: numba.types.CPointer(numba.typeof(records(kind, 1)).dtype) for kind in _RECORDS}
    kinds = {"i": count, "I": whole, "F": real, "B": truth}
    plain = [kinds[letter] for letter in _COLUMNS]
    return numba.types.void(*plain, *(part for kind in _RECORDS for part in (record[kind], count)))


def _entry_of(run: Any) -> Any:
    """`run` behind pointers to columns; it sets `done` at its end."""
    from numba import carray  # type: ignore[attr-defined]  # noqa: PLC0415 - as above

    def entry(
        done: Any, symbols: Any, start: Any, rows: Any, ts: Any, opens: Any, highs: Any, lows: Any, closes: Any,
        volumes: Any, interval_ms: Any, funded_start: Any, funded_rows: Any, funded_ts: Any, rates: Any, spoken:
        Any, closed_ms: Any, symbol: Any, strategy: Any, side: Any, exit_side: Any, confidence: Any, stop_ticks:
        Any, target_ticks: Any, atr_mticks: Any, trade_rows: Any, trades: Any, sample_rows: Any, samples: Any,
        wild_rows: Any, wild: Any, is_left: Any, desks: Any, desk_rows: Any, plans: Any, plan_rows: Any,
        accounts: Any, account_rows: Any, rules: Any, rule_rows: Any,
    ) -> None:  # fmt: skip
        candles = Candles(
            carray(start, symbols + 1),
            carray(ts, rows),
            carray(opens, rows),
            carray(highs, rows),
            carray(lows, rows),
            carray(closes, rows),
            carray(volumes, rows),
            interval_ms,
        )
        funding = Funding(carray(funded_start, symbols + 1), carray(funded_ts, funded_rows), carray(rates, funded_rows))
        signals = Signals(
            carray(closed_ms, spoken),
            carray(symbol, spoken),
            carray(strategy, spoken),
            carray(side, spoken),
            carray(exit_side, spoken),
            carray(confidence, spoken),
            carray(stop_ticks, spoken),
            carray(target_ticks, spoken),
            carray(atr_mticks, spoken),
        )
        space = Space(
            carray(trades, (trade_rows, TRADE_COLUMNS)),
            carray(samples, (sample_rows, 3)),
            carray(wild, wild_rows),
            carray(is_left, spoken),
        )
        run(
            candles,
            funding,
            signals,
            carray(desks, desk_rows),
            carray(plans, plan_rows),
            carray(accounts, account_rows),
            carray(rules, rule_rows),
            space,
        )
        carray(done, 1)[0] = 1

    return entry


# ── loading ─────────────────────────────────────────────────────────────────

SYMBOL = "trading_engine_loop"
_RECORDS = (Desk, Plan, Account, Settings)
# done; symbols, start, rows, six columns, interval; funding; signals; space
_COLUMNS = "I" + "iIiIIIIIIi" + "IiII" + "iIIIIIFIII" + "iIiIiBB"


def _nothing(*_: object) -> int:
    return 0


# What numba's code calls where an exception is raised. None is; a run in which one were would not set `done`.
_NOTHING = ctypes.CFUNCTYPE(ctypes.c_void_p)(_nothing)
_STAND_INS = (
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_unpickle",
    "numba_runtime_build_excinfo_struct",
    "numba_do_raise",
    "NRT_Free",
    "NRT_MemInfo_call_dtor",
    "PyErr_WriteUnraisable",
)


class Loaded:
    """Object code in this process, called as `loop.run` is."""

    def __init__(self, code: bytes) -> None:
        address = ctypes.cast(_NOTHING, ctypes.c_void_p).value
        for name in _STAND_INS:
            llvm.add_symbol(name, address)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        counts = [ctypes.c_int64 if letter == "i" else ctypes.c_void_p for letter in _COLUMNS]
        tables = [ctypes.c_void_p, ctypes.c_int64] * len(_RECORDS)
        # With the lock of the interpreter held: what stands in above is Python.
        self._call = ctypes.PYFUNCTYPE(None, *counts, *tables)(self._engine.get_function_address(SYMBOL))

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
        self._call(*(part if isinstance(part, int) else _pointer(part) for part in columns), *tables)
        if not done[0]:
            raise InvariantBroken("the compiled loop has failed; --engine full does without it")


def _pointer(array: np.ndarray[Any, Any]) -> int:
    assert array.flags.c_contiguous  # noqa: S101 - rows are counted from their beginning, one behind the other
    return array.ctypes.data
