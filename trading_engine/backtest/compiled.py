"""The loop over arrays, compiled: the same function objects, made fast from outside.

What belongs here: which functions numba compiles, and keeping the machine code. What does not: anything that they do;
`rules` and `loop` import no numba, so that the engine process never loads it; calling machine code (machine).

The first use on a machine compiles, which takes a minute, and keeps the object code under a hash of every source file
that takes part and of what the processor can do. Later ones need no numba, which takes 0.4 s and 70 MB to
import, and on most machines no LLVM (image).
"""

import hashlib
import os
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]

from trading_engine.backtest import cache, ledger, loop, matching, quiet, shocks, tables
from trading_engine.backtest.machine import COLUMNS, RECORDS, STAND_INS, SYMBOL, Loaded
from trading_engine.backtest.tables import TRADE_COLUMNS, Candles, Funding, Signals, Space, records
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.rules import exits, fills, integers, limits, margin, scaling, sizing, turbulence

Loop = Callable[..., None]

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
_DIGEST_BYTES = 32
# x86, ARM: whose it is, and the names of its instructions.
_ABILITIES = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")
_INTERPRETED = frozenset({"split_partials", "tier_for", "maintenance_margin_e8"})  # beyond numba, and not called


def _digest() -> str:
    """Of everything that becomes machine code, and of constants that come from elsewhere."""
    # A numba goes with one llvmlite.
    told = hashlib.sha256(repr((llvmlite.__version__, DAY_MS, HOUR_MS)).encode())
    for module in (*_MODULES, tables):
        assert module.__file__ is not None  # noqa: S101 - they are files
        told.update(Path(module.__file__).read_bytes())
    for name in ("compiled.py", "assembler.py", "machine.py", "image.py"):
        told.update(Path(__file__).with_name(name).read_bytes())
    return told.hexdigest()[:16]


# Taken when the functions are loaded: a process that is still running while its sources are replaced must not keep the
# machine code of the old ones under the name of the new ones.
_LOADED = _digest()


def cache_folder() -> Path:
    """Where machine code is kept: a folder of this version of the sources, below the user's cache."""
    return cache.place(f"loop-{_LOADED}")


def kept_loop() -> Loop | None:
    """`loop.run` as machine code of these sources where that is at hand; InvariantBroken from a run that has failed."""
    kept = b""
    with suppress(OSError):  # a cache that is somebody else's is none
        kept = _object_file().read_bytes()
    code = kept[_DIGEST_BYTES:]
    return Loaded(code) if kept and hashlib.sha256(code).digest() == kept[:_DIGEST_BYTES] else None


def ready_loop() -> Loop:
    """`kept_loop`, compiled where there is none yet."""
    if (kept := kept_loop()) is not None:
        return kept
    code = _compile()
    path = _object_file()
    with suppress(OSError):  # where nothing can be kept, the next run compiles again
        cache.make(path.parent)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(hashlib.sha256(code).digest() + code)
        draft.replace(path)
    return Loaded(code)


def _object_file() -> Path:
    return cache_folder() / f"{_processor()}.o"


def _processor() -> str:
    """What this processor can do, so that no code runs on one that lacks what it was compiled for.

    A home may be shared by machines, and a machine may move to another host and keep the name of its processor.
    """
    told = ""
    with suppress(OSError):
        first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")
        told = "\n".join(line for line in first.splitlines() if line.startswith(_ABILITIES))
    if not told:
        from trading_engine.backtest.assembler import processor  # noqa: PLC0415 - LLVM takes its time to load

        told = processor()
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _compile() -> bytes:
    """The object code of `loop.run` behind pointers, and of everything below it."""
    import numba  # noqa: PLC0415 - 0.4 s and 70 MB that only the first run on a machine pays for
    from numba.extending import register_jitable  # noqa: PLC0415 - as above

    from trading_engine.backtest.assembler import object_code  # noqa: PLC0415 - as above

    for module in _MODULES:
        for name, function in vars(module).items():
            is_own = isinstance(function, types.FunctionType) and function.__module__ == module.__name__
            if is_own and function is not loop.run and name not in _INTERPRETED:
                register_jitable(function)
    # Divisors are never zero: `rules` says of each what it may be, and live code raises where it is.
    run = numba.njit(error_model="numpy")(loop.run)
    made = numba.cfunc(_signature(numba), error_model="numpy")(_entry_of(run))
    return object_code(made.inspect_llvm().replace(made.native_name, SYMBOL), SYMBOL, STAND_INS)


def _signature(numba: Any) -> Any:
    """As `Loaded` calls: pointers to the columns, each table with the number of its rows."""
    count, whole = numba.types.int64, numba.types.CPointer(numba.types.int64)
    real, truth = numba.types.CPointer(numba.types.float64), numba.types.CPointer(numba.types.boolean)
    record = {kind: numba.types.CPointer(numba.typeof(records(kind, 1)).dtype) for kind in RECORDS}
    kinds = {"i": count, "I": whole, "F": real, "B": truth}
    plain = [kinds[letter] for letter in COLUMNS]
    return numba.types.void(*plain, *(part for kind in RECORDS for part in (record[kind], count)))


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
