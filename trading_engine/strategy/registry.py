"""The strategies by name.

What belongs here: which names exist and making a strategy from settings. What does not: the checks of
single settings (settings), strategies from files outside the package.
"""

from collections.abc import Mapping

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.builtin.multi_timeframe_long import MultiTimeframeLong
from trading_engine.strategy.builtin.trend_vwap import TrendVwap
from trading_engine.strategy.settings import build

_KINDS: Mapping[str, type[Strategy]] = {
    TrendVwap.name: TrendVwap,
    MultiTimeframeLong.name: MultiTimeframeLong,
}


def names() -> tuple[str, ...]:
    """The known names in alphabetical order."""
    return tuple(sorted(_KINDS))


def create(name: str, settings: Mapping[str, object]) -> Strategy:
    """The named strategy with these settings, defaults for what is left out.

    ConfigInvalid for an unknown name, and one line for each unknown key, value of the wrong kind or value
    out of bounds.
    """
    kind = _KINDS.get(name)
    if kind is None:
        raise ConfigInvalid(f"strategy {name!r} does not exist; use one of {', '.join(names())}")
    return build(kind, name, settings)
