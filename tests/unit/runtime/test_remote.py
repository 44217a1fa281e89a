"""Which hosts a mode reaches, and putting an account into the modes that the configuration wants."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from trading_engine.config.load import load_config
from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import OrderReport, OrderState
from trading_engine.domain.reports import Accepted, Outcome, Rejected, Unknown
from trading_engine.ports import MarginMode, PositionMode, RemoteVenue
from trading_engine.runtime import remote

CONFIG = """
mode: testnet
venue: bingx
symbols: [BTCUSDT]
strategies: [{name: trend_vwap}]
credentials: {key: '${TEST_KEY}', secret: '${TEST_SECRET}'}
"""
SET = Accepted(OrderReport("", "", "BTCUSDT", OrderState.ACKED, ZERO, 0))


class Modes:
    """An account whose margin mode is answered by script."""

    def __init__(self, answer: Outcome) -> None:
        self.answer = answer

    async def set_position_mode(self, mode: PositionMode) -> Outcome:
        """Taken."""
        del mode
        return SET

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> Outcome:
        """What is scripted."""
        del symbol, mode
        return self.answer

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """Taken."""
        del symbol, leverage
        return SET


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of a venue's testnet."""
    path = tmp_path / "engine.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return load_config(path, {}, {"TEST_KEY": "test-key", "TEST_SECRET": "test-secret"}, tmp_path / ".env")


def arrange(config: Config, answer: Outcome) -> None:
    """Set the account up; what is raised is the answer's."""
    asyncio.run(remote.arrange_account(cast("RemoteVenue", Modes(answer)), config, ("BTCUSDT",)))


def test_a_mode_that_is_taken_lets_the_start_go_on(config: Config) -> None:
    """Nothing is raised."""
    arrange(config, SET)


@pytest.mark.parametrize("code", ["busy", "clock", "not_sent", "rate_limited"])
def test_a_mode_that_nobody_has_looked_at_yet_is_asked_for_again(config: Config, code: str) -> None:
    """A busy venue, a full budget or a broken line is waited for like a venue out of reach; it ends no start."""
    with pytest.raises(VenueUnavailable, match=f"margin_mode isolated on BTCUSDT could not be set yet .{code}: later"):
        arrange(config, Rejected(code, "later"))


def test_a_mode_without_an_answer_is_asked_for_again(config: Config) -> None:
    """Nobody knows whether it is set."""
    with pytest.raises(VenueUnavailable, match="did not say whether margin_mode isolated on BTCUSDT is set"):
        arrange(config, Unknown("timeout"))


def test_a_mode_that_the_venue_refuses_ends_the_start(config: Config) -> None:
    """Exit 3, and what to do."""
    with pytest.raises(ConfigInvalid, match="the venue refuses margin_mode isolated on BTCUSDT") as told:
        arrange(config, Rejected("101", "positions are open"))
    assert 3 == told.value.exit_code


def at(mode: str, rest_url: str, ws_url: str) -> Config:
    """A configuration with addresses of its own."""
    return Config.model_validate(
        {
            "mode": mode,
            "venue": "bingx",
            "symbols": ["BTCUSDT"],
            "strategies": [{"name": "trend_vwap"}],
            "credentials": {"key": "test-key", "secret": "test-secret"},
            "venues": {"bingx": {"rest_url": rest_url, "ws_url": ws_url}},
        }
    )


def test_a_mode_reaches_the_venues_own_hosts_over_tls(config: Config) -> None:
    """Nothing is said about them."""
    hosts = remote.hosts_of(config)
    assert hosts.rest_url.startswith("https://")
    assert hosts.public_ws_url.startswith("wss://")
    assert hosts.private_ws_url.startswith("wss://")
    assert "" == remote.address_note(config)


def test_another_host_than_the_venues_own_is_told() -> None:
    """The key goes there; on a testnet there is no other one."""
    note = remote.address_note(at("live", "https://relay.example", "wss://relay.example"))
    assert note.startswith("https://relay.example is not bingx's own https://")
    with pytest.raises(ConfigInvalid, match="mode = testnet reaches"):
        remote.address_note(at("testnet", "https://relay.example", "wss://relay.example"))
    assert "a server on this machine" in remote.address_note(at("live", "http://127.0.0.1:1", "ws://127.0.0.1:1"))
