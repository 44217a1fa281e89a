"""NautilusTrader's compiled engine (nautilus_pyo3) on the candles of market.py, with a strategy in Python."""

from telling import Laps, tell

laps = Laps()
import sys
from decimal import Decimal

import nautilus_trader
import numpy as np
from market import CASH, FEE, SHARE, SLIPPAGE, STOP, TARGET
from nautilus_trader.core import nautilus_pyo3 as nt

laps.lap("imports")
VENUE = nt.Venue("BINANCE")
USDT, BTC = nt.Currency.from_str("USDT"), nt.Currency.from_str("BTC")


class Cross(nt.Strategy):
    """The rule of market.py with the engine's own indicators."""

    def __new__(cls, config=None):
        return super().__new__(cls, config)

    def prepare(self, instrument, bars):
        self.instrument, self.bars = instrument, bars
        self.fast, self.slow, self.trend = (nt.SimpleMovingAverage(period) for period in (10, 30, 200))
        self.strength = nt.RelativeStrengthIndex(14, nt.MovingAverageType.Wilder)
        self.before = (0.0, 0.0)
        self.is_busy = False
        self.entered = []
        return self

    def on_start(self):
        for one in (self.fast, self.slow, self.trend, self.strength):
            self.register_indicator_for_bars(self.bars, one)
        self.subscribe_bars(self.bars)

    def on_bar(self, bar):
        fast, slow = self.fast.value, self.slow.value
        crosses = fast > slow and self.before[0] <= self.before[1]
        self.before = (fast, slow)
        if not crosses or self.is_busy or not self.trend.initialized:
            return
        close = bar.close.as_double()
        if close > self.trend.value and 0.30 <= self.strength.value <= 0.65:
            self.enter(close, bar.ts_event)

    def enter(self, close, ts_event):
        equity = self.portfolio.account(VENUE).balance_total(USDT).as_double()
        price = close * (1 + SLIPPAGE)
        self.is_busy = True
        self.entered.append(ts_event // 1_000_000)
        self.submit_order_list(
            self.order_factory.bracket(
                instrument_id=self.instrument.id,
                order_side=nt.OrderSide.BUY,
                quantity=self.instrument.make_qty(SHARE * equity / price),
                sl_trigger_price=self.instrument.make_price(price * (1 - STOP)),
                tp_price=self.instrument.make_price(price * (1 + TARGET)),
                tp_post_only=False,
            )
        )

    def on_position_closed(self, event):
        self.is_busy = False


quiet = nt.LoggerConfig(bypass_logging=True)
engine = nt.BacktestEngine(
    nt.BacktestEngineConfig(trader_id=nt.TraderId("BENCH-001"), logging=quiet, run_analysis=False)
)
engine.add_venue(
    venue=VENUE,
    oms_type=nt.OmsType.NETTING,
    account_type=nt.AccountType.MARGIN,
    base_currency=USDT,
    starting_balances=[nt.Money(CASH, USDT)],
    default_leverage=Decimal(10),
)
laps.lap("setup")
name = nt.InstrumentId(nt.Symbol("BTCUSDT-PERP"), VENUE)
instrument = nt.CryptoPerpetual(
    instrument_id=name,
    raw_symbol=nt.Symbol("BTCUSDT"),
    base_currency=BTC,
    quote_currency=USDT,
    settlement_currency=USDT,
    is_inverse=False,
    price_precision=1,
    size_precision=3,
    price_increment=nt.Price.from_str("0.1"),
    size_increment=nt.Quantity.from_str("0.001"),
    ts_event=0,
    ts_init=0,
    margin_init=Decimal("0.05"),
    margin_maint=Decimal("0.025"),
    maker_fee=Decimal(str(FEE)),
    taker_fee=Decimal(str(round(FEE + SLIPPAGE, 6))),
)
engine.add_instrument(instrument)
kind = nt.BarType.from_str(f"{name}-1-MINUTE-LAST-EXTERNAL")
bars = []
for ts, opened, high, low, close, volume in np.load(sys.argv[1]).tolist():
    at_ns = int(ts + 60_000) * 1_000_000
    prices = (nt.Price(one, 1) for one in (opened, high, low, close))
    bars.append(nt.Bar(kind, *prices, nt.Quantity(volume, 3), at_ns, at_ns))
engine.add_data(bars, sort=True)
strategy = nt.StrategyConfig(strategy_id=nt.StrategyId("S-1"), order_id_tag="1")
cross = Cross(strategy).prepare(instrument, kind)
engine.add_strategy(cross)
laps.lap("load")
engine.run()
laps.lap("run")
equity = engine.cache.account_for_venue(VENUE).balance_total(USDT).as_double()
tell("nautilus_trader", nautilus_trader.__version__, laps, cross.entered, equity)
