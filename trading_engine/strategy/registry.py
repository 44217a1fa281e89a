"""The strategies by name.

What belongs here: which names exist and making a strategy from settings. What does not: the checks of
single settings (settings), reading strategies from files (runtime.strategy_files), which are handed in.
"""

from collections.abc import Mapping

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.builtin.momentum import Momentum
from trading_engine.strategy.builtin.multi_timeframe_long import MultiTimeframeLong
from trading_engine.strategy.builtin.rsi_bollinger import RsiBollinger
from trading_engine.strategy.builtin.trend_distance_short import TrendDistanceShort
from trading_engine.strategy.builtin.trend_vwap import TrendVwap
from trading_engine.strategy.settings import build

Kinds = Mapping[str, type[Strategy]]

BUILT_IN: Kinds = {
    TrendVwap.name: TrendVwap,
    MultiTimeframeLong.name: MultiTimeframeLong,
    TrendDistanceShort.name: TrendDistanceShort,
    RsiBollinger.name: RsiBollinger,
    Momentum.name: Momentum,
}


def names() -> tuple[str, ...]:
    """The names of the built-in strategies in alphabetical order."""
    return tuple(sorted(BUILT_IN))


def create(name: str, settings: Mapping[str, object], kinds: Kinds = BUILT_IN) -> Strategy:
    """The named one of these strategies with these settings, defaults for what is left out.

    ConfigInvalid for an unknown name, and one line for each unknown key, value of the wrong kind or value
    out of bounds.
    """
    kind = kinds.get(name)
    if kind is None:
        raise ConfigInvalid(f"strategy {name!r} does not exist; use one of {', '.join(sorted(kinds))}")
    return build(kind, name, settings)
