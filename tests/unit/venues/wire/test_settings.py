"""What an adapter is told about its account and its hosts."""

import pytest

from trading_engine.ports import PositionMode
from trading_engine.venues.wire.settings import AccountSettings, Hosts


def hosts(rest_url: str) -> Hosts:
    return Hosts(rest_url, "wss://stream.example", "wss://private.example")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://127.0.0.1:8080",
        "http://localhost:8080/base",
        "http://LOCALHOST",
        "https://localhost",
        "http://[::1]:8080",
    ],
)
def test_a_server_on_this_machine_is_local(url: str) -> None:
    """With and without port and path, by any of its names."""
    assert hosts(url).is_local


@pytest.mark.parametrize(
    "url",
    [
        "https://venue.example",
        "https://localhost.venue.example",
        "https://127.0.0.1.venue.example",
        "https://127.0.0.1:80@venue.example",
        "https://localhost@venue.example",
        "https://venue.example/127.0.0.1",
        "https://venue.example?localhost",
        "",
    ],
)
def test_what_only_looks_like_this_machine_is_not_local(url: str) -> None:
    """The host counts, whatever stands before and behind it."""
    assert not hosts(url).is_local


def test_an_account_trades_one_way_in_tether_unless_told_otherwise() -> None:
    """The defaults: stops by the last price, signed requests good for five seconds."""
    settings = AccountSettings("main", ("BTCUSDT",), hosts("https://venue.example"))
    told = (settings.asset, settings.recv_window_ms, settings.position_mode, settings.trigger_by)
    assert ("USDT", 5_000, PositionMode.ONE_WAY, "last") == told
