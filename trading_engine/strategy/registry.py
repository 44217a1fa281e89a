"""The strategies by name.

What belongs here: which names exist and making a strategy from settings. What does not: the checks of
single settings (settings), reading strategies from files (runtime.strategy_files), which are handed in.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.settings import build

Kinds = Mapping[str, type[Strategy]]

_PLACE = "trading_engine.strategy.builtin"
_CLASSES = {
    "trend_vwap": "TrendVwap",
    "multi_timeframe_long": "MultiTimeframeLong",
    "trend_distance_short": "TrendDistanceShort",
    "rsi_bollinger": "RsiBollinger",
    "momentum": "Momentum",
}


class _BuiltIn(Mapping[str, type[Strategy]]):
    """The built-in strategies, each in the module of its name and imported when it is asked for."""

    def __getitem__(self, name: str) -> type[Strategy]:
        kind = _CLASSES[name]
        found: type[Strategy] = getattr(import_module(f"{_PLACE}.{name}"), kind)
        return found

    def __contains__(self, name: object) -> bool:
        return name in _CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


BUILT_IN: Kinds = _BuiltIn()


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
