"""Markets and configurations on which the two backtest engines are compared.

What belongs here: what is run. What does not: running it (parity_table), any expectation but how little is too little.

Thresholds are loose, periods short and positions small, so that strategies trade often and go on trading: what is made
of it is of no interest. A variant changes one thing of a plain case, and must change its trades.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

RECORDED = "recorded"
SYNTHETIC = ("trend", "range", "gaps", "crash")
SEED = 11
FIRST_DAY = "2025-05-05"  # of the recorded candles
ALL_SYMBOLS_DAY = "2025-05-26"  # from here on there are six of them
BTC, ETH, SOL = "BTCUSDT", "ETHUSDT", "SOLUSDT"
SIX = (BTC, ETH, SOL, "BNBUSDT", "XRPUSDT", "DOGEUSDT")

# Strategy → the settings it trades often with.
EAGER: Mapping[str, Mapping[str, Any]] = {
    "trend_vwap": {
        "fast": 2,
        "slow": 5,
        "rsi_low": 5,
        "rsi_high": 95,
        "volume_filter": False,
        "stop_pct": 0.4,
        "target_pct": 0.8,
        "shorts": True,
        "early_exit_on_cross": True,
    },
    "multi_timeframe_long": {
        "range_atr": 0.8,
        "body_share": 0.3,
        "breakout_bars": 5,
        "volume_ratio": 0.8,
        "trend_fast": 5,
        "trend_slow": 10,
        "stop_atr": 2,
        "target_atr": 8,
    },
    "trend_distance_short": {
        "fast": 10,
        "slow": 20,
        "distance_pct": 0.05,
        "range_atr": 0.8,
        "body_share": 0.3,
        "breakout_bars": 3,
        "volume_ratio": 0.8,
        "stop_atr": 2,
        "target_atr": 6,
    },
    "rsi_bollinger": {"rsi_low": 49, "rsi_high": 51, "band_period": 5, "band_width": 0.7, "stop_atr": 1},
    "momentum": {
        "fast": 2,
        "slow": 5,
        "signal": 2,
        "adx_period": 5,
        "adx_least": 0,
        "trend_period": 10,
        "stop_atr": 1,
        "target_atr": 1.5,
    },
}
# Days that make some hundreds of trades: the first three look at 15 and 5 minutes, the others at single ones.
DAYS = {"rsi_bollinger": 49, "momentum": 49, "trend_vwap": 24, "multi_timeframe_long": 14, "trend_distance_short": 14}
_SYNTHETIC_MOST = 28

PLAIN: Mapping[str, Any] = {
    "account": "parity",
    "leverage": 1,
    "sizing": {"risk_pct": 0.02, "max_position_pct": 20},
    "exits": {},
    "risk": {
        "max_daily_loss_pct": 100,
        "max_drawdown_pct": 100,
        "max_consecutive_losses": 0,
        "cooldown_minutes": 0,
        "max_portfolio_risk_pct": 100,
        "max_positions": 6,
        "min_balance_pct": 0,
        "max_range_pct": 0,
    },
    "paper": {"balance": 10_000, "volume_share_pct": 100},
}


@dataclass(frozen=True)
class Case:
    """One market under one configuration.

    market    RECORDED, or the character of a synthetic one
    days      how many of them are traded, from `first_day` on
    changes   by section, what differs from PLAIN; empty for a plain case
    strategy  what is added to each strategy
    is_eager  with the settings and sizes of this page, not with those that the product comes with
    interval  of the recorded candles
    least     fewer trades than this compare too little
    reasons   ends of trades that must be among them
    """

    name: str
    market: str
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    days: int
    changes: Mapping[str, Any] = field(default_factory=dict)
    strategy: Mapping[str, Any] = field(default_factory=dict)
    is_funded: bool = False
    is_eager: bool = True
    interval: str = "1m"
    first_day: str = FIRST_DAY
    least: int = 50
    reasons: frozenset[str] = frozenset()

    @property
    def is_variant(self) -> bool:
        """Whether it must trade otherwise than its plain case."""
        return bool(self.changes or self.strategy or self.is_funded)

    @property
    def plain(self) -> "Case":
        """The same without what it changes: its funding where there is any, everything else otherwise."""
        return replace(self, is_funded=False) if self.is_funded else replace(self, changes={}, strategy={})

    def config(self) -> dict[str, Any]:
        """The whole configuration file."""
        made: dict[str, Any] = {"mode": "paper", **(PLAIN if self.is_eager else {}), "symbols": list(self.symbols)}
        eager = EAGER if self.is_eager else {}
        made["strategies"] = [
            {"name": name, "settings": {**eager.get(name, {}), **self.strategy.get("settings", {})}}
            | {key: value for key, value in self.strategy.items() if key != "settings"}
            for name in self.strategies
        ]
        for section, changed in self.changes.items():
            made[section] = {**made.get(section, {}), **changed} if isinstance(changed, Mapping) else changed
        return made


def _built_in() -> list[Case]:
    """Every built-in strategy on three recorded sets and on four synthetic ones; all as they come, on what is there."""
    made = [Case("as the product comes", RECORDED, (BTC, ETH, SOL), tuple(DAYS), 49, is_eager=False)]
    for name, days in DAYS.items():
        made += [Case(f"{name}", RECORDED, (symbol,), (name,), days) for symbol in (BTC, ETH, SOL)]
        made += [Case(f"{name}", kind, (SOL,), (name,), min(days, _SYNTHETIC_MOST)) for kind in SYNTHETIC]
    for name, days in (("rsi_bollinger", 240), ("momentum", 240), ("trend_vwap", 120)):
        long = Case(f"{name}, 5-minute candles", RECORDED, (BTC,), (name,), days, interval="5m", first_day="2025-02-01")
        made += [replace(long, symbols=(symbol,)) for symbol in (BTC, ETH, SOL)]
    return made


_EXITS = {
    "partials": [{"at_r": 0.5, "share_pct": 30}, {"at_r": 1, "share_pct": 40}],
    "trailing": [{"at_r": 0.6, "to_r": 0}, {"at_r": 1.2, "to_r": 0.8}],
}
_HABITS = {"partials": True, "trailing": True}
_FAST = ("multi_timeframe_long",)
_BOTH_SIDES = ("trend_vwap",)
_LIMITS: Mapping[str, Mapping[str, Any]] = {
    "daily loss": {"max_daily_loss_pct": 0.05, "day_start": "05:00"},
    "daily loss in money": {"max_daily_loss_money": 8},
    "drawdown of two days, flatten": {"max_drawdown_pct": 0.6, "drawdown_days": 2, "on_drawdown": "flatten"},
    "losing streak": {"max_consecutive_losses": 3, "streak_pause_hours": 2},
    "cooldown": {"cooldown_minutes": 45},
    "breaker, range": {"max_range_pct": 0.25, "volatility_pause_minutes": 10, "on_volatility": "flatten"},
    "breaker, average range": {"max_atr_ratio": 1.4, "volatility_pause_minutes": 20},
}
_SIZES: Mapping[str, Mapping[str, Any]] = {
    "fixed money": {"method": "fixed_money", "money": 400},
    "volatility": {"method": "volatility", "volatility_pct": 0.006},
    "win streak": {"win_streak": True},
    "cap in money": {"max_position_money": 250},
}
_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "trend": {"trend": {"interval": "1h", "period": 10}},
    "volatility": {"volatility": {"most": 1.1, "mean_period": 50}},
    "volume": {"volume": {"least": 1}},
    "session": {"session": {"hours": ["07:00-20:30"], "weekdays": ["mon", "tue", "wed", "thu", "fri"]}},
}


def _limits() -> list[Case]:
    made = [
        Case(f"limit: {name}", RECORDED, (BTC, SOL), _FAST, 10, {"risk": changed}, least=5)
        for name, changed in _LIMITS.items()
    ]
    for scope in ("global", "symbol"):
        changed = {
            "max_consecutive_losses": 2,
            "streak_pause_hours": 1,
            "cooldown_minutes": 20,
            "cooldown_scope": scope,
        }
        name = f"limits together, cooldown {scope}"
        more = {"max_daily_loss_pct": 0.2, "half_size_after_streak": True, "max_positions": 2, "max_range_pct": 0.5}
        made.append(Case(name, "crash", (BTC, ETH, SOL), _FAST, 14, {"risk": {**changed, **more}}))
    groups = {"risk": {"groups": {"old": {"symbols": [BTC, ETH], "max_pct": 3}}, "max_portfolio_risk_pct": 0.04}}
    made.append(Case("groups and portfolio risk", RECORDED, (BTC, ETH, SOL), _FAST, 10, groups))
    return made


def _exits() -> list[Case]:
    trades = frozenset({"trailing", "stop", "target"})
    aged = {"max_age_hours": 1, "on_max_age": "close"}
    tightened = {"max_age_hours": 1, "on_max_age": "tighten", "tighten_to_r": 0.3}
    follows = {"trail_pct": 0.2, "trail_atr": 2, "trail_from_r": 0.3, "break_even_at_r": 0.4}
    market = {"target_order": "take_profit_market"}
    both = [(RECORDED, ETH), ("crash", SOL), ("gaps", BTC)]
    made = []
    for kind, symbol in both:
        made += [
            Case("partials and trailing", kind, (symbol,), _FAST, 14, {"exits": _EXITS}, _HABITS, reasons=trades),
            Case("break-even and following stops", kind, (symbol,), _FAST, 14, {"exits": follows}, _HABITS),
            Case(
                "everything, closed by age",
                kind,
                (symbol,),
                _BOTH_SIDES,
                20,
                {"exits": {**_EXITS, **follows, **aged}},
                {**_HABITS, "settings": {"early_exit_on_cross": False}},
                reasons=frozenset({"time", "trailing", "stop"}),
            ),
            Case("tightened by age", kind, (symbol,), _FAST, 14, {"exits": tightened}),
        ]
    made.append(Case("targets as market orders", RECORDED, (SOL,), _FAST, 14, {"exits": {**_EXITS, **market}}, _HABITS))
    opposite = {"exit_on_opposite": True}
    crossing = {"settings": {"early_exit_on_cross": False}}
    made.append(Case("exit on opposite", RECORDED, (SOL,), _BOTH_SIDES, 20, {"exits": opposite}, crossing))
    placed = {"stop": {"atr": 1.5}, "target": {"r": 2}}
    made.append(Case("stop and target placed", RECORDED, (ETH,), _BOTH_SIDES, 20, {}, placed))
    return made


def _money() -> list[Case]:
    made = [
        Case(f"size: {name}", RECORDED, (ETH, SOL), _FAST, 8, {"sizing": changed}) for name, changed in _SIZES.items()
    ]
    small = {"paper": {"balance": 300}, "sizing": {"risk_pct": 0.05}}
    made.append(Case("orders too small for the venue", RECORDED, (SOL,), _FAST, 10, small, least=20))
    coarse = {"paper": {"instruments": {SOL: {"tick": 0.5, "step": 0.5, "min_quantity": 0.5}}}}
    made.append(Case("a coarse tick and step", "crash", (SOL,), _FAST, 14, coarse))
    free: dict[str, Any] = {"paper": {"slippage_pct": 0, "maker_fee_pct": 0, "taker_fee_pct": 0}}
    kelly = {"method": "kelly", "kelly_share_pct": 100, "kelly_max_risk_pct": 0.05, "kelly_trades": 30}
    made.append(Case("size: kelly, without costs", "crash", (SOL,), _FAST, 14, {**free, "sizing": kelly}))
    made.append(Case("no costs at all", RECORDED, (BTC,), _FAST, 10, free))
    slow = {"settings": {"early_exit_on_cross": False, "stop_pct": 1.5, "target_pct": 3}}
    larger = {"sizing": {"risk_pct": 0.3}}
    made += [
        Case("funding from a file", RECORDED, (symbol,), _BOTH_SIDES, 49, larger, slow, is_funded=True, least=20)
        for symbol in (BTC, ETH, SOL)
    ]
    made.append(Case("funding of six symbols", RECORDED, SIX, _FAST, 7, is_funded=True, first_day=ALL_SYMBOLS_DAY))
    return made


def _fills() -> list[Case]:
    """Orders at the market that trade some candles late, or cost half a spread and by the candle before."""
    late = {"paper": {"latency_candles": 1}}
    shaken = {**late, "risk": {"max_range_pct": 0.2, "volatility_pause_minutes": 5, "on_volatility": "flatten"}}
    wide = {"paper": {"slippage": "spread_volatility", "half_spread_pct": 0.01, "range_share_pct": 15}}
    both = {"paper": {**wide["paper"], "latency_candles": 5}}
    deep = {"paper": {"slippage": "depth", "half_spread_pct": 0.01, "impact_pct": 0.2}}
    sunk = {"paper": {**deep["paper"], "impact_pct": 2, "latency_candles": 2}}
    crossing = {"settings": {"early_exit_on_cross": False}}
    everything = {**both, "exits": {**_EXITS, "exit_on_opposite": True}, "risk": {"max_drawdown_pct": 1.5}}
    made = [
        Case("fills a candle late", RECORDED, (BTC,), _BOTH_SIDES, 20, late),
        Case("fills a candle late", "crash", (SOL,), _FAST, 14, late),
        Case("a candle late, shocks flatten", RECORDED, (SOL,), _FAST, 14, shaken, least=20),
        Case("a candle late, shocks flatten", "crash", (BTC, SOL), _BOTH_SIDES, 14, shaken, least=5),
        Case("spread and range", RECORDED, (ETH,), _FAST, 14, wide),
        Case("spread and range", "gaps", (SOL,), _BOTH_SIDES, 20, wide),
        Case("five candles late, spread and range", RECORDED, (BTC, SOL), _FAST, 14, both),
        Case("late and wide, exits", "gaps", (BTC,), _BOTH_SIDES, 20, everything, {**_HABITS, **crossing}, least=20),
    ]
    made += [
        Case("spread and depth", RECORDED, (SOL,), _BOTH_SIDES, 20, deep),
        Case("spread and depth", "crash", (BTC,), _FAST, 14, deep),
        Case(
            "two candles late, deep, exits", "gaps", (SOL,), _BOTH_SIDES, 20, {**everything, **sunk}, _HABITS, least=20
        ),
    ]
    long = Case("late and wide, 5-minute candles", RECORDED, (SOL,), _BOTH_SIDES, 60, both, interval="5m")
    return [*made, replace(long, first_day="2025-02-01", is_funded=True)]


def _margin() -> list[Case]:
    """Leverage at which positions are liquidated before their stop is reached."""
    far = {"stop": {"percent": 5}, "target": {"percent": 1}, "settings": {"early_exit_on_cross": False}}
    risk = {"max_leverage": 125, "refuse_beyond_liquidation": False}
    made = []
    for kind, symbol, leverage in ((RECORDED, BTC, 100), (RECORDED, SOL, 75), ("crash", SOL, 75), ("gaps", ETH, 100)):
        changed = {"leverage": leverage, "risk": risk, "sizing": {"risk_pct": 0.3}}
        reasons = frozenset({"liquidation"})
        made.append(
            Case(f"liquidation at {leverage}x", kind, (symbol,), _BOTH_SIDES, 24, changed, far, reasons=reasons)
        )
    refused = {"leverage": 75, "risk": {"max_leverage": 125}}
    name = "stops beyond liquidation are refused"
    made.append(Case(name, RECORDED, (SOL,), _BOTH_SIDES, 20, refused, {"stop": {"atr": 3}}))
    return made


def _several() -> list[Case]:
    made = [
        Case(f"filter: {name}", RECORDED, (SOL,), _FAST, 14, {}, {"filters": changed})
        for name, changed in _FILTERS.items()
    ]
    worth = {"filters": {"reward_risk": {"least": 0.4}}}
    made.append(Case("filter: reward and risk", RECORDED, (SOL,), ("rsi_bollinger",), 49, {}, worth))
    reference = {"filters": {"reference": {"symbol": BTC, "interval": "1h", "period": 10}}}
    made.append(Case("filter: reference", RECORDED, (BTC, SOL), _FAST, 10, {}, reference))
    made.append(Case("six symbols", RECORDED, SIX, _FAST, 5, first_day=ALL_SYMBOLS_DAY))
    few = {"risk": {"max_positions": 2}}
    made.append(Case("six symbols, two positions", RECORDED, SIX, _BOTH_SIDES, 10, few, first_day=ALL_SYMBOLS_DAY))
    every = tuple(DAYS)
    made.append(Case("five strategies together", RECORDED, (BTC, ETH, SOL), every, 10))
    made.append(Case("five strategies together", "crash", (BTC, ETH, SOL), every, 14))
    all_of_it = {"exits": {**_EXITS, "exit_on_opposite": True}, "risk": {"cooldown_minutes": 5, "max_positions": 2}}
    made.append(Case("five strategies, limits and exits", RECORDED, SIX, every, 7, all_of_it, is_funded=True))
    return made


def every_case() -> tuple[Case, ...]:
    """All of them, in the order in which they are told."""
    made = [*_built_in(), *_limits(), *_exits(), *_money(), *_fills(), *_margin(), *_several()]
    return tuple(replace(case, first_day=ALL_SYMBOLS_DAY) if len(case.symbols) > 3 else case for case in made)
