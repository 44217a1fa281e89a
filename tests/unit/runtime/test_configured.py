"""What a configuration comes to: the same for every run, but for what its venue can do."""

from dataclasses import replace
from pathlib import Path

import pytest

from trading_engine.runtime.configured import RunOptions, configuration, engine_settings, instrument_of
from trading_engine.venues.embedded import facts
from trading_engine.venues.embedded.venue import CAPABILITIES, EmbeddedVenue

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
