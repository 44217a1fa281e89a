"""Keys of the filters: what is read, and what a mistake is answered with."""

from pathlib import Path
from typing import Any

import pytest

from trading_engine.config import load_config, redacted
from trading_engine.config.filters import interval_ms, minutes_of
from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import DAY_MS, MINUTE_MS

MINIMAL = "mode: paper\nsymbols: [BTCUSDT]\nstrategies:\n  - name: trend_vwap\n    filters: "


def _load(folder: Path, filters: str) -> Config:
    path = folder / "engine.yaml"
    path.write_text(MINIMAL + filters + "\n", encoding="utf-8")
    return load_config(path, {}, {}, None)


def test_filters_are_read_and_shown_again(tmp_path: Path) -> None:
    """What is shown is a configuration itself."""
    config = _load(tmp_path, "{trend: {interval: 4h}, session: {hours: ['22:00-02:00']}, volume: {}}")
    filters = config.strategies[0].filters
    assert filters.trend is not None
    assert ("4h", 200, None) == (filters.trend.interval, filters.trend.period, filters.reference)
    shown: Any = redacted(config)
    assert config == Config.model_validate(shown)


@pytest.mark.parametrize(
    ("filters", "line"),
    [
        ("{trnd: {}}", "strategies[0].filters.trnd is not a known key (did you mean trend?)"),
        ("{trend: true}", "strategies[0].filters.trend = true is not a section (expected KEY: VALUE lines below it)"),
        (
            "{trend: {interval: 1w}}",
            "strategies[0].filters.trend.interval = 1w is not an interval of candles (write 15m, 4h or 1d; at most 7d)",
        ),
        (
            "{trend: {interval: 8d}}",
            "strategies[0].filters.trend.interval = 8d is not an interval of candles (write 15m, 4h or 1d; at most 7d)",
        ),
        (
            "{volume: {period: 1}}",
            "strategies[0].filters.volume.period = 1 is not a whole number of candles from 2 to 1000",
        ),
        (
            "{volatility: {most: 0}}",
            "strategies[0].filters.volatility.most = 0 is not a number above 0, up to 1000",
        ),
        (
            "{session: {hours: ['7-20']}}",
            "strategies[0].filters.session.hours[0] = 7-20 are not hours of a day"
            ' (write them as "07:00-20:30", UTC; "22:00-02:00" passes midnight)',
        ),
        (
            "{session: {weekdays: [mon, mon]}}",
            "strategies[0].filters.session.weekdays names mon more than once",
        ),
        (
            "{session: {weekdays: [monday]}}",
            "strategies[0].filters.session.weekdays[0] = monday is not one of mon, tue, wed, thu, fri, sat, sun"
            " (did you mean mon?)",
        ),
        (
            "{session: {}}",
            "strategies[0].filters.session has neither hours nor weekdays; give one of them, or leave it out",
        ),
        (
            "{reference: {symbol: ETHUSDT}}",
            "strategies[0].filters.reference.symbol = ETHUSDT is not in the top-level symbols; add it there"
            " (strategies[…].symbols says where a strategy trades)",
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_remedy(tmp_path: Path, filters: str, line: str) -> None:
    """As for every other key."""
    with pytest.raises(ConfigInvalid) as caught:
        _load(tmp_path, filters)
    assert f"{tmp_path / 'engine.yaml'}: {line}" == str(caught.value)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("07:00-20:30", (420, 1_230)),
        ("22:00-02:00", (1_320, 120)),
        ("00:00-24:00", (0, 1_440)),
        ("07:00-07:00", None),
        ("24:00-02:00", None),
        ("07:60-08:00", None),
        ("07:00-24:01", None),
        ("7:00-08:00", None),
    ],
)
def test_hours_are_minutes_of_a_day(text: str, minutes: tuple[int, int] | None) -> None:
    """The end may be the day's own."""
    assert minutes == minutes_of(text)


def test_intervals_are_milliseconds() -> None:
    """0 for what is none."""
    assert (15 * MINUTE_MS, 2 * DAY_MS, 0, 0) == tuple(interval_ms(text) for text in ("15m", "2d", "0m", "1M"))
