"""Which parts of a configuration may change while the engine runs.

What belongs here: the list, and comparing two configurations by it. What does not: reading a configuration (config),
putting it in force (commands).

What is on the list is read anew at every decision. Everything else was used to build something that stands: a
connection, a strategy's window, a file.
"""

from dataclasses import dataclass

from trading_engine.config.model import Config
from trading_engine.config.show import config_hash, redacted
from trading_engine.core.settings import EngineSettings
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime.arming import changes, flat

CHANGEABLE = ("risk", "sizing", "exits", "execution", "reconciliation")
_BUILT_IN = ("execution.recv_window_ms",)  # the venue's adapter signs with it


@dataclass(frozen=True, slots=True)
class Change:
    """What differs: the keys, those that need a restart, and all of them in words."""

    config_hash: str
    keys: tuple[str, ...]
    refused: tuple[str, ...]
    text: str


def compare(old: Config, new: Config) -> Change:
    """The difference between two configurations, by dotted keys; secrets are not looked at."""
    before, after = redacted(old), redacted(new)
    then, now = dict(flat(before)), dict(flat(after))
    keys = tuple(key for key in {**then, **now} if then.get(key) != now.get(key))
    refused = tuple(key for key in keys if not _may_change(key))
    return Change(config_hash(new), keys, refused, changes(before, after, len(keys)) if keys else "")


def require_same_windows(old: EngineSettings, new: EngineSettings) -> None:
    """ConfigInvalid where strategies would need another history than the one that they hold."""
    if old.atr_periods != new.atr_periods or old.levels != new.levels:
        raise ConfigInvalid(
            "exits: the periods of average true ranges, and where stops and targets lie, need a restart"
        )


def _may_change(key: str) -> bool:
    section = key.partition(".")[0].partition("[")[0]
    return section in CHANGEABLE and key not in _BUILT_IN
