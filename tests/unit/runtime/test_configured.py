"""What a configuration comes to: the same for every run, but for what its venue can do."""

from dataclasses import replace
from pathlib import Path

import pytest

from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import HOUR_MS
from trading_engine.runtime.configured import (
    RunOptions,
    configuration,
    engine_settings,
    idle_slippage,
    instrument_of,
    terms_of,
)
from trading_engine.venues.embedded import facts
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.embedded.venue import CAPABILITIES, EmbeddedVenue


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own as the working directory."""
    monkeypatch.chdir(tmp_path)


CONFIG = "{mode: paper, symbols: [BTCUSDT], strategies: [{name: momentum}]}\n"


def test_without_capabilities_the_settings_are_those_of_the_embedded_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with those of a venue where absence proves nothing, they wait as it wants them to."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "engine.yaml").write_text(CONFIG, encoding="utf-8")
    config = configuration(RunOptions(Path("engine.yaml")), {})
    instruments = {"BTCUSDT": instrument_of(config, "BTCUSDT")}
    settings = engine_settings(config, instruments)
    assert engine_settings(config, instruments, CAPABILITIES) == settings
    assert (True, 0, 0) == (settings.absence_is_proof, settings.visibility_delay_ms, settings.execution.stop_spacing_ms)
    assert EmbeddedVenue.name == facts.NAME == settings.venue
    slow = replace(CAPABILITIES, absence_is_proof=False, visibility_delay_ms=1_500)
    waiting = engine_settings(config, instruments, slow)
    assert (False, 1_500) == (waiting.absence_is_proof, waiting.visibility_delay_ms)
    assert waiting.execution.stop_spacing_ms > 0


def _configured(text: str) -> Config:
    Path("engine.yaml").write_text(CONFIG.replace("}\n", f", {text}}}\n") if text else CONFIG, encoding="utf-8")
    return configuration(RunOptions(Path("engine.yaml")), {})


@pytest.mark.parametrize(
    ("paper", "expected"),
    [
        ("{}", Terms()),
        ("{half_spread_pct: 1, range_share_pct: 50}", Terms()),
        ("{slippage_pct: 0.1}", Terms(slippage_ppm=1_000)),
        ("{slippage: spread_volatility}", Terms(slippage_ppm=200, slippage_range_ppm=100_000)),
        (
            "{slippage: spread_volatility, slippage_pct: 5, half_spread_pct: 0.01, range_share_pct: 0.5}",
            Terms(slippage_ppm=100, slippage_range_ppm=5_000),
        ),
        ("{slippage: depth}", Terms(slippage_ppm=200, impact_ppm=1_000)),
        (
            "{slippage: depth, slippage_pct: 5, range_share_pct: 3, half_spread_pct: 0, impact_pct: 0.25}",
            Terms(slippage_ppm=0, impact_ppm=2_500),
        ),
        ("{slippage: fixed, impact_pct: 1}", Terms()),
        ("{slippage: spread_volatility, impact_pct: 1}", Terms(slippage_ppm=200, slippage_range_ppm=100_000)),
        ("{latency_candles: 3}", Terms(latency_candles=3)),
    ],
)
@pytest.mark.usefixtures("in_folder")
def test_each_slippage_model_has_its_own_settings(paper: str, expected: Terms) -> None:
    """What belongs to another one counts for nothing."""
    assert expected == terms_of(_configured(f"paper: {paper}"))


@pytest.mark.parametrize(
    ("paper", "idle"),
    [
        ("{}", ()),
        ("{slippage_pct: 0.1}", ()),
        ("{slippage: depth}", ()),
        ("{slippage: depth, half_spread_pct: 0.01, impact_pct: 0.2}", ()),
        ("{slippage: spread_volatility, half_spread_pct: 0.01, range_share_pct: 5}", ()),
        ("{half_spread_pct: 0.02, range_share_pct: 5, impact_pct: 0.1}", ("half_spread", "range_share", "impact")),
        ("{slippage: spread_volatility, slippage_pct: 0.05, impact_pct: 0.1}", ("slippage", "impact")),
        ("{slippage: depth, slippage_pct: 0.05, range_share_pct: 5}", ("slippage", "range_share")),
    ],
)
@pytest.mark.usefixtures("in_folder")
def test_a_setting_that_the_slippage_model_does_not_read_is_told_where_it_was_written(
    paper: str, idle: tuple[str, ...]
) -> None:
    """Also one at its default: whoever wrote it down believes that it does something."""
    found = idle_slippage(_configured(f"paper: {paper}"))
    assert list(idle) == [line.split("_pct = ")[0].removeprefix("paper.") for line in found]


@pytest.mark.usefixtures("in_folder")
def test_an_idle_setting_is_told_in_one_line_with_its_value_and_what_to_do() -> None:
    """And with what would read it."""
    assert [
        "paper.half_spread_pct = 0.3 has no effect with paper.slippage = fixed; it is read by spread_volatility and"
        " depth: leave it out, or choose another model"
    ] == idle_slippage(_configured("paper: {half_spread_pct: 0.3}"))


@pytest.mark.usefixtures("in_folder")
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("{min_quantity: 5, max_quantity: 1}", "min_quantity = 5 is above max_quantity = 1;"),
        ("{max_quantity: 0.0001}", "min_quantity = 0.001 is above max_quantity = 0.0001;"),
        ("{min_quantity: 1e9}", "min_quantity = 1000000000 is above max_quantity = "),
    ],
)
def test_the_smallest_order_is_not_above_the_largest(override: str, said: str) -> None:
    """Both of the configuration, or one of them beside what is built in: nothing could ever be traded."""
    with pytest.raises(ConfigInvalid, match=f"^paper.instruments.BTCUSDT: {said}"):
        instrument_of(_configured(f"paper: {{instruments: {{BTCUSDT: {override}}}}}"), "BTCUSDT")


@pytest.mark.usefixtures("in_folder")
def test_deadlines_begin_when_an_order_has_arrived() -> None:
    """On the paper exchange: an entry is not cancelled, and an exit not called stuck, while it is under way."""
    config = _configured("paper: {latency_candles: 2}")
    instruments = {"BTCUSDT": instrument_of(config, "BTCUSDT")}
    minutes, hours = engine_settings(config, instruments), engine_settings(config, instruments, interval_ms=HOUR_MS)
    assert (180_000, 420_000) == (minutes.execution.entry_ttl_ms, minutes.tell.stuck_ms)
    assert (60_000 + 2 * HOUR_MS, 300_000 + 2 * HOUR_MS) == (hours.execution.entry_ttl_ms, hours.tell.stuck_ms)
    at_venue = engine_settings(config.model_copy(update={"mode": "live", "venue": "binance"}), instruments)
    assert (60_000, 300_000) == (at_venue.execution.entry_ttl_ms, at_venue.tell.stuck_ms)
    silent = _configured("paper: {latency_candles: 2}, alerts: {stuck_minutes: 0}")
    assert 0 == engine_settings(silent, instruments).tell.stuck_ms
