"""vectorbt on the candles of market.py: `Portfolio.from_signals` with stops, entries at the next open."""

from telling import Laps, tell

laps = Laps()
import sys
import warnings

warnings.filterwarnings("ignore")
import numpy as np
import pandas as pd
import vectorbt as vbt
from market import CASH, FEE, SHARE, SLIPPAGE, STOP, TARGET, entries

laps.lap("imports")


def portfolio(frame: pd.DataFrame):
    """The rule on a part of the candles."""
    told = np.roll(entries(frame["close"].to_numpy()), 1)  # on the close before, entered at this open
    told[0] = False
    return vbt.Portfolio.from_signals(
        frame["close"],
        entries=told,
        exits=False,
        price=frame["open"],
        open=frame["open"],
        high=frame["high"],
        low=frame["low"],
        sl_stop=STOP,
        tp_stop=TARGET,
        size=SHARE,
        size_type="percent",
        init_cash=CASH,
        fees=FEE,
        slippage=SLIPPAGE,
        freq="1min",
        accumulate=False,
    )


rows = np.load(sys.argv[1])
frame = pd.DataFrame(rows[:, 1:], columns=["open", "high", "low", "close", "volume"])
frame.index = pd.to_datetime(rows[:, 0].astype("int64"), unit="ms")
laps.lap("load")
portfolio(frame.iloc[:1_000]).trades.count()  # compiles, or loads what was compiled
laps.lap("setup")
made = portfolio(frame)
records = made.trades.records
laps.lap("run")
entered = [int(rows[at, 0]) for at in records["entry_idx"]]
tell("vectorbt", vbt.__version__, laps, entered, float(made.final_value()))
