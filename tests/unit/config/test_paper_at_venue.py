"""Paper on the live market of a venue: the same file as for its testnet, and no key."""

from pathlib import Path

import pytest

from trading_engine.config.load import load_config
from trading_engine.config.model import Config
from trading_engine.config.show import config_hash
from trading_engine.domain.errors import ConfigInvalid

FILE = """
mode: testnet
venue: binance
symbols: [BTCUSDT]
strategies:
  - name: trend_vwap
credentials:
  key: ${TEST_VENUE_KEY}
  secret: ${TEST_VENUE_SECRET}
"""
KEYS = {"TEST_VENUE_KEY": "test-key", "TEST_VENUE_SECRET": "test-secret"}


def load(folder: Path, environ: dict[str, str], text: str = FILE, **overrides: object) -> Config:
    path = folder / "engine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides, environ, None)


def test_a_file_of_a_testnet_runs_on_paper_without_its_keys(tmp_path: Path) -> None:
    """`--mode paper` is all it takes; on the testnet the same file says what is missing."""
    config = load(tmp_path, {}, mode="paper")
    assert ("paper", "binance", None) == (config.mode, config.venue, config.credentials)
    assert config.is_paper_at_venue
    with pytest.raises(ConfigInvalid, match=r"credentials\.key needs the environment variable TEST_VENUE_KEY"):
        load(tmp_path, {})


def test_keys_that_are_set_are_not_held_on_paper(tmp_path: Path) -> None:
    """What is not there cannot be used, shown or stolen; the configuration is the same with and without."""
    config = load(tmp_path, KEYS, mode="paper")
    assert config.credentials is None
    assert config_hash(load(tmp_path, {}, mode="paper")) == config_hash(config)
    assert load(tmp_path, KEYS).credentials is not None


def test_another_variable_that_is_not_set_is_still_a_mistake(tmp_path: Path) -> None:
    """Only the keys are not missed."""
    text = FILE + 'alerts: {channels: [{url: "${TEST_ALERT_URL}"}]}\n'
    with pytest.raises(ConfigInvalid, match="needs the environment variable TEST_ALERT_URL"):
        load(tmp_path, {}, text, mode="paper")


def test_paper_on_recorded_candles_follows_no_venue(tmp_path: Path) -> None:
    """Nor do the modes that trade at one."""
    assert not load(tmp_path, {}, FILE.replace("venue: binance", "venue: embedded"), mode="paper").is_paper_at_venue
    assert not load(tmp_path, KEYS).is_paper_at_venue
