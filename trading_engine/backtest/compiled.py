"""The loop over arrays, compiled: the same function objects, made fast from outside.

What belongs here: which functions numba compiles, where the machine code is kept. What does not: anything that they
do; `rules` and `loop` import no numba, so that the engine process never loads it.

numba's own cache does not notice that a called function has changed, so the folder it keeps machine code in is named
after a hash of every source file that takes part. The first use on a machine compiles, later ones load.
"""

import hashlib
import os
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trading_engine.backtest import ledger, loop, matching, quiet, shocks, tables
from trading_engine.backtest.tables import Account, Candles, Desk, Funding, Output, Plan, Settings, Signals, records
from trading_engine.core.state import KEPT_HIGHS, KEPT_TRADES
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
    told = hashlib.sha256(repr((KEPT_HIGHS, KEPT_TRADES, DAY_MS, HOUR_MS)).encode())
    for module in (*_MODULES, tables):
        assert module.__file__ is not None  # noqa: S101 - they are files
        told.update(Path(module.__file__).read_bytes())
    return told.hexdigest()[:16]


# Taken when the functions are loaded: a process that is still running while its sources are replaced must not keep the
# machine code of the old ones under the name of the new ones.
_LOADED = _digest()


def cache_folder() -> Path:
    """Where machine code is kept: a folder of this version of the sources, below the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "trading-engine" / f"loop-{_LOADED}"


def is_cached() -> bool:
    """Whether machine code of these sources is at hand, so that nothing needs to be compiled."""
    return any(cache_folder().rglob("*.nbc"))


def compiled_loop() -> Callable[..., Output]:
    """`loop.run` as machine code; compiled at its first call where there is none."""
    os.environ["NUMBA_CACHE_DIR"] = str(cache_folder())
    from numba import njit  # noqa: PLC0415 - 0.4 s and 70 MB that only a fast run pays for
    from numba.extending import register_jitable  # noqa: PLC0415 - as above

    for module in _MODULES:
        for name, function in vars(module).items():
            is_own = isinstance(function, types.FunctionType) and function.__module__ == module.__name__
            if is_own and function is not loop.run and name not in _INTERPRETED:
                register_jitable(function)
    # Divisors are never zero: `rules` says of each what it may be, and live code raises where it is.
    made: Callable[..., Output] = njit(cache=True, error_model="numpy")(loop.run)
    return made


def ready_loop() -> Callable[..., Output]:
    """The same, compiled or loaded by now: called once on a market of one candle in which nobody says anything."""
    made = compiled_loop()
    bounds, one, none = np.array([0, 1], np.int64), np.ones(1, np.int64), np.empty(0, np.int64)
    candles = Candles(bounds, one, one, one, one, one, one, 60_000)
    silence = Signals(none, none, none, none, none, np.empty(0), none, none, none)
    funding = Funding(np.zeros(2, np.int64), none, none)
    made(candles, funding, silence, records(Desk, 1), records(Plan, 1), records(Account, 1), records(Settings, 1))
    return made
