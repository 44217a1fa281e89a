"""Every number-crunching decision that live trading and the backtests share, as pure functions.

What belongs here: plain ints, floats, IntEnums, NamedTuples and tuples in and out, in the subset of
Python that numba compiles, so that one function object serves the interpreted core and a compiled loop.
What does not: Decimal, text, dicts, exceptions as control flow, I/O, state, or numba itself.

Units, everywhere in the package:

    _ticks        price in instrument ticks            _steps     quantity in instrument steps
    _mticks       price in 1/1000 tick (averages)      _e8        money in 1e-8 of the quote asset
    _ppm          share in parts per million           rate_e8    rate in 1e-8 (0.05 % = 50_000)
    _milli        multiple in 1/1000 (leverage, R)     _ms        milliseconds (instants since 1970 UTC)
    sign          +1 long, -1 short                    trade_sign +1 buy, -1 sell

Compiled integers are 64 bits wide and wrap in silence, so every intermediate value fits int64 within
these bounds: money and notional up to 1e10 of the quote asset (1e18 in 1e-8), prices up to 1e10 ticks,
leverage from 1x up, multiples of R up to 1,000, shares and rates up to 100 % (a bound on notional up to
900 %). Where a product would not fit, `integers` divides first and carries the remainder.
"""
