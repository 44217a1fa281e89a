"""A service trades real money with the configuration that somebody has armed, and with no other."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime import arming
from trading_engine.runtime.acknowledgement import acknowledge_run
from trading_engine.system.state_dir import StateDir

FILE = Path("live.yaml")
NOW_MS = 1_746_316_800_000


def config(**changes: Any) -> Config:
    """An account at Binance."""
    values: dict[str, Any] = {
        "mode": "live",
        "venue": "binance",
        "account": "main",
        "symbols": ["BTCUSDT"],
        "strategies": [{"name": "trend_vwap"}],
        "credentials": {"key": "test-key", "secret": "test-secret"},
    }
    return Config.model_validate(values | changes)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """A state without a terminal in front of it."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return StateDir(tmp_path)


def test_nothing_armed_is_refused_with_the_command_to_run(state: StateDir) -> None:
    """Exit 3, one line."""
    with pytest.raises(ConfigInvalid) as refused:
        acknowledge_run(config(), state, FILE)
    assert 3 == refused.value.exit_code
    assert (
        "mode = live trades real money on binance/main, and nobody has armed it: run `trading-engine arm"
        f" --config live.yaml --state {state.root}` on a terminal"
    ) == str(refused.value)


def test_what_was_armed_starts_also_with_a_rotated_key(state: StateDir) -> None:
    """The record knows no secret, and is for its owner alone."""
    made = arming.arm(state, config(), "alice", NOW_MS)
    acknowledge_run(config(), state, FILE)
    acknowledge_run(config(credentials={"key": "other-key", "secret": "other-secret"}), state, FILE)
    assert made == arming.read(state)
    text = state.arming.read_text()
    assert "test-key" not in text
    assert "test-secret" not in text
    assert 0o600 == state.arming.stat().st_mode & 0o777
    assert ["arming.json"] == [path.name for path in state.root.iterdir()]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"leverage": 2}, "leverage 1 → 2"),
        ({"account": "other"}, "account main → other"),
        ({"venue": "bingx"}, "venue binance → bingx"),
        ({"symbols": ["BTCUSDT", "ETHUSDT"]}, "symbols[1] (none) → ETHUSDT"),
        (
            {"leverage": 2, "account": "b", "on_shutdown": "flatten", "risk": {"max_positions": 1}},
            "account main → b, leverage 1 → 2, risk.max_positions 3 → 1, 1 more",
        ),
    ],
)
def test_what_has_changed_is_named_and_must_be_armed_again(
    state: StateDir, changed: dict[str, Any], named: str
) -> None:
    """Who armed it and when, what is different, and what to do."""
    arming.arm(state, config(), "alice", NOW_MS)
    with pytest.raises(ConfigInvalid) as refused:
        acknowledge_run(config(**changed), state, FILE)
    assert 3 == refused.value.exit_code
    said = f"live.yaml is not the configuration that alice armed at 2025-05-04T00:00:00.000Z ({named}): look at it"
    assert str(refused.value).startswith(said)
    arming.arm(state, config(**changed), "bob", NOW_MS)
    acknowledge_run(config(**changed), state, FILE)


def test_a_word_that_was_taken_back_counts_no_more(state: StateDir) -> None:
    """Once."""
    arming.arm(state, config(), "alice", NOW_MS)
    assert (True, False) == (arming.revoke(state), arming.revoke(state))
    with pytest.raises(ConfigInvalid, match="nobody has armed it"):
        acknowledge_run(config(), state, FILE)


def test_play_money_needs_no_record(state: StateDir) -> None:
    """The testnet, and a server on this machine whatever the mode."""
    acknowledge_run(config(mode="testnet"), state, FILE)
    here = {"binance": {"rest_url": "http://127.0.0.1:9001", "ws_url": "ws://127.0.0.1:9001"}}
    acknowledge_run(config(venues=here), state, FILE)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"version": 2}', '{"version": 1, "config": 1}', "[" * 100_000, '{"version": 1}']
)
def test_a_damaged_record_is_no_word(state: StateDir, text: str) -> None:
    """It says so instead of starting, or of failing in another way."""
    state.arming.write_text(text)
    state.arming.chmod(0o600)
    with pytest.raises(ConfigInvalid, match="is not an arming record of this version; run `trading-engine arm` again"):
        arming.read(state)


def test_a_record_with_other_values_is_no_word(state: StateDir) -> None:
    """Types are looked at as well."""
    arming.arm(state, config(), "alice", NOW_MS)
    values = json.loads(state.arming.read_text()) | {"armed_ms": "yesterday"}
    state.arming.write_text(json.dumps(values))
    with pytest.raises(ConfigInvalid, match="is not an arming record"):
        arming.read(state)


def test_a_record_that_others_could_have_written_is_no_word(state: StateDir) -> None:
    """Whoever may write the state as well could arm it."""
    arming.arm(state, config(), "alice", NOW_MS)
    state.arming.chmod(0o620)
    with pytest.raises(ConfigInvalid, match="others could have written it"):
        arming.read(state)


def test_a_record_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """One line, no half a file."""
    with pytest.raises(ConfigInvalid, match="nothing is armed"):
        arming.arm(StateDir(tmp_path / "absent"), config(), "alice", NOW_MS)
