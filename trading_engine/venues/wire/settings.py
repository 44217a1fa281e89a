"""What every adapter is told: which account, which symbols, which hosts.

What belongs here: plain values. What does not: where they come from (config), the venues' own addresses (each venue).
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from trading_engine.ports import PositionMode


@dataclass(frozen=True, slots=True)
class Hosts:
    """Addresses without a slash at the end, with scheme: https and wss, or http and ws for a local server."""

    rest_url: str
    public_ws_url: str
    private_ws_url: str

    @property
    def is_local(self) -> bool:
        """A server on this machine: it may have a clock of its own."""
        return urlsplit(self.rest_url).hostname in ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account at one venue.

    account         name used in rows and keys; never a key of the venue
    symbols         what is traded, in our spelling (BTCUSDT)
    recv_window_ms  how long the venue may take a signed request for valid
    trigger_by      the price that triggers stops and targets: "last" or "mark"
    """

    account: str
    symbols: tuple[str, ...]
    hosts: Hosts
    asset: str = "USDT"
    recv_window_ms: int = 5_000
    position_mode: PositionMode = PositionMode.ONE_WAY
    trigger_by: str = "last"
