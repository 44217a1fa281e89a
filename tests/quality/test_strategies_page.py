"""docs/strategies.md says what the code does: every strategy, setting, default and window."""

from pathlib import Path

import pytest

from trading_engine.config.filters import FiltersConfig
from trading_engine.domain.time import interval_name
from trading_engine.strategy import registry
from trading_engine.strategy.settings import described

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("name", registry.names())
def test_every_built_in_strategy_stands_there_with_its_settings_and_windows(name: str) -> None:
    """A changed default or window must be changed on the page."""
    strategy, kind = registry.create(name, {}), registry.BUILT_IN[name]
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    windows = ", ".join(f"{count:,} × {interval_name(each)}" for each, count in sorted(strategy.intervals.items()))
    assert [f" {windows} |"] == [row[-len(f" {windows} |") :] for row in rows[:1]]
    settings = ", ".join(f"`{one.name}` {_plain(one.default)}" for one in described(kind))
    assert [f"| `{name}` | {settings} |"] == rows[1:]


def test_every_filter_stands_there() -> None:
    """By its key, with the keys of its own."""
    for name, info in FiltersConfig.model_fields.items():
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        section = next(each for each in info.annotation.__args__ if each is not type(None))  # type: ignore[union-attr]
        assert [] == [key for key in section.model_fields if f"`{key}` " not in row]
