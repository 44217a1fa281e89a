# /// script
# requires-python = ">=3.11"
# dependencies = ["empyrical-reloaded==0.7.1", "numpy==2.4.6", "pandas==3.1.1"]
# ///
"""What an independent library makes of some equity curves: `uv run empyrical_reference.py > empyrical_reference.json`.

empyrical needs pandas, and wherever pandas is installed TA-Lib imports it, into every engine process of the tests
(0.6 s and 74 MB at a start instead of 0.2 s and 30 MB). So it is no dependency of the tests: its answers are kept
beside them, with the curves they were given.
"""

import json
import math
import sys
import warnings

import empyrical
import numpy as np
import pandas as pd

DAYS_A_YEAR = 365
START = "2024-11-20"
FUNCTIONS = {
    "sharpe_ratio": (empyrical.sharpe_ratio, {"annualization": DAYS_A_YEAR}, 1),
    "sortino_ratio": (empyrical.sortino_ratio, {"annualization": DAYS_A_YEAR}, 1),
    "calmar_ratio": (empyrical.calmar_ratio, {"annualization": DAYS_A_YEAR}, 1),
    "volatility_pct": (empyrical.annual_volatility, {"annualization": DAYS_A_YEAR}, 100),
    "cagr_pct": (empyrical.cagr, {"annualization": DAYS_A_YEAR}, 100),
    "max_drawdown_pct": (empyrical.max_drawdown, {}, 100),
    "return_pct": (empyrical.cum_returns_final, {}, 100),
}


def curves() -> dict[str, list[float]]:
    """Equity at each midnight, to the cent."""
    drawn = {}
    for seed, (days, drift, width) in enumerate(
        [(2, 0.0, 0.01), (30, 0.002, 0.01), (51, -0.003, 0.02), (365, 0.001, 0.03), (700, 0.0005, 0.015), (90, 0, 0.2)]
    ):
        returns = np.random.default_rng(seed).normal(drift, width, days)
        drawn[f"{days} days of {width}"] = [1000.0, *np.round(1000 * np.cumprod(1 + returns), 2).tolist()]
    drawn["only gains"] = [1000.0 + day for day in range(40)]
    drawn["only losses"] = [1000.0 - 7 * day for day in range(40)]
    drawn["nothing happens"] = [1000.0] * 20
    drawn["one crash"] = [1000.0, 1010.0, 1005.0, 300.0, 320.0, 310.0, 330.0]
    return drawn


def answers(equity: list[float]) -> dict[str, object]:
    """The library's figures of a curve; None where it gives no finite number."""
    index = pd.date_range(START, periods=len(equity), freq="D", tz="UTC")
    returns = pd.Series(equity, index=index).pct_change().iloc[1:]
    returns.index -= pd.Timedelta(days=1)  # what a day made is booked on that day
    told: dict[str, object] = {}
    for name, (function, options, factor) in FUNCTIONS.items():
        value = float(function(returns, **options)) * factor
        told[name] = value if math.isfinite(value) else None
    monthly = empyrical.aggregate_returns(returns, "monthly")
    told["monthly_return_pct"] = {f"{year}-{month:02d}": float(one) * 100 for (year, month), one in monthly.items()}
    return told


def reference() -> dict[str, object]:
    """Curves and answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0 on a flat curve
        cases = [{"name": name, "equity": equity, "figures": answers(equity)} for name, equity in curves().items()]
    return {"library": f"empyrical-reloaded {empyrical.__version__}", "start": START, "cases": cases}


if __name__ == "__main__":
    json.dump(reference(), sys.stdout, indent=1)
    sys.stdout.write("\n")
