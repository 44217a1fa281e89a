"""The candles and the one rule that every engine of this comparison gets.

What belongs here: a seeded year of minutes, its files, the signal over arrays, the figures of account and costs. What
does not: anything of one engine. Imports numpy and TA-Lib only, since every peer's environment has those.

    python market.py FOLDER      writes candles.npy (peers) and candles.csv (this engine)

A random walk without drift, 0.08 % a minute, each open at the close before it, prices on a tick of 0.1: what a backtest
costs depends on the number of candles and trades, not on their shape. The rule: the 10-average crosses above the
30-average on a close above the 200-average, with an RSI(14) from 30 to 65; stop 1 %, target 3 %, one position at a
time, a fifth of equity, 0.06 % fee, 0.03 % slippage.
"""

import sys
from pathlib import Path

import numpy as np

MINUTES = 525_600
START_MS = 1_704_067_200_000
CASH = 100_000.0
FEE = 0.0006
SLIPPAGE = 0.0003
STOP = 0.01
TARGET = 0.03
SHARE = 0.20


def candles(rows: int = MINUTES, seed: int = 7) -> np.ndarray:
    """(rows, 6) floats: open time in ms, open, high, low, close, volume."""
    chance = np.random.Generator(np.random.PCG64(seed))
    sigma = 0.0008
    close = np.round(60_000 * np.exp(np.cumsum(sigma * chance.standard_normal(rows) - sigma**2 / 2)), 1)
    opened = np.concatenate(([60_000.0], close[:-1]))
    up, down = np.abs(chance.standard_normal((2, rows))) * sigma / 2
    high = np.round(np.maximum(opened, close) * (1 + up), 1)
    low = np.round(np.minimum(opened, close) * (1 - down), 1)
    volume = np.round(np.exp(chance.normal(5.0, 1.0, rows)), 3)
    ts = START_MS + 60_000.0 * np.arange(rows)
    return np.column_stack((ts, opened, high, low, close, volume))


def entries(close: np.ndarray) -> np.ndarray:
    """True on each candle whose close fulfils the rule."""
    import talib

    fast, slow, trend = (talib.SMA(close, period) for period in (10, 30, 200))
    strength = talib.RSI(close, 14)
    crosses = np.zeros(len(close), bool)
    crosses[1:] = (fast[1:] > slow[1:]) & (fast[:-1] <= slow[:-1])
    with np.errstate(invalid="ignore"):
        return crosses & (close > trend) & (strength >= 30) & (strength <= 65)


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rows = candles()
    np.save(folder / "candles.npy", rows)
    lines = ["ts,open,high,low,close,volume"]
    lines += [f"{int(ts)},{o:.1f},{h:.1f},{low:.1f},{c:.1f},{v:.3f}" for ts, o, h, low, c, v in rows.tolist()]
    (folder / "candles.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
