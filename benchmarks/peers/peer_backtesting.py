"""backtesting.py on the candles of market.py: indicators by `self.I`, a bracket for each entry."""

from telling import Laps, tell

laps = Laps()
import sys
import warnings

warnings.filterwarnings("ignore")
import backtesting
import numpy as np
import pandas as pd
import talib
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from market import CASH, FEE, SHARE, SLIPPAGE, STOP, TARGET

laps.lap("imports")
backtesting._TQDM = None


class Cross(Strategy):
    """The rule of market.py."""

    def init(self):
        close = self.data.Close
        self.fast, self.slow, self.trend = (self.I(talib.SMA, close, period) for period in (10, 30, 200))
        self.strength = self.I(talib.RSI, close, 14)

    def next(self):
        close = self.data.Close[-1]
        if self.position or self.orders or not crossover(self.fast, self.slow):
            return
        if close > self.trend[-1] and 30 <= self.strength[-1] <= 65:
            price = close * (1 + SLIPPAGE)
            self.buy(size=SHARE, sl=price * (1 - STOP), tp=price * (1 + TARGET))


rows = np.load(sys.argv[1])
frame = pd.DataFrame(rows[:, 1:], columns=["Open", "High", "Low", "Close", "Volume"])
frame.index = pd.to_datetime(rows[:, 0].astype("int64"), unit="ms")
laps.lap("load")
# Money in thousandths of a coin, so that whole units are fine enough for a fifth of the account.
frame[["Open", "High", "Low", "Close"]] /= 1_000
test = Backtest(frame, Cross, cash=CASH, commission=FEE, spread=SLIPPAGE, finalize_trades=True)
laps.lap("setup")
result = test.run()
laps.lap("run")
entered = [int(rows[bar, 0]) for bar in result["_trades"]["EntryBar"]]
tell("backtesting.py", backtesting.__version__, laps, entered, float(result["Equity Final [$]"]))
