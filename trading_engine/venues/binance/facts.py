"""What Binance USDⓈ-M is: addresses, abilities, retention.

What belongs here: constants of the venue. What does not: weights of calls (limits), codes (errors), spellings (codec).
"""

from trading_engine.domain.order_type import OrderType
from trading_engine.domain.time import DAY_MS
from trading_engine.ports import Capabilities
from trading_engine.venues.wire.settings import Hosts

NAME = "binance"

# Candles live on the route `/market`, an account's events on `/private`: any other route acknowledges and is silent.
MAINNET = Hosts(
    rest_url="https://fapi.binance.com",
    public_ws_url="wss://fstream.binance.com/market",
    private_ws_url="wss://fstream.binance.com/private",
)
DEMO = Hosts(
    rest_url="https://demo-fapi.binance.com",
    public_ws_url="wss://fstream.binancefuture.com/market",
    private_ws_url="wss://fstream.binancefuture.com/private",
)
_WALLET_URL = "https://api.binance.com"  # tells what a key may do; the futures hosts do not
_PLAY_MONEY = ("https://demo-fapi.binance.com", "https://testnet.binancefuture.com")

TRADES_KEPT_MS = 89 * DAY_MS  # three months by the documentation; a day less cannot be refused

CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    has_hedge_mode=True,
    has_attached_stops=False,
    can_amend_stop=False,
    separate_stop_space=True,
    absence_is_proof=False,
    visibility_delay_ms=10_000,
    history_ms=TRADES_KEPT_MS,
    notes=(
        "at most 200 open conditional orders on all symbols together",
        "margin of a conditional order is checked at its trigger, not before",
        "hedge mode: orders carry the side of their position; the account is judged by its net quantity a symbol",
        "countdownCancelAll is not used: whether it spares conditional orders, which protect, is not documented, and it"
        " would cancel resting targets; entries are market orders, so nothing rests that it should take away",
        "trades are told for 3 months, cancelled orders without fills for 3 days",
    ),
)

WINDOW_MS = 7 * DAY_MS  # the longest span a question may have
ORDERS_KEPT_MS = 7 * DAY_MS  # conditional orders that ended without a child are told for 3 days; the rest has a child
LISTEN_KEY_RENEWAL_MS = 25 * 60_000  # a key lives for 60 minutes
INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d")


def is_demo(hosts: Hosts) -> bool | None:
    """Whether the account holds play money; None for addresses that are not the venue's."""
    if hosts.rest_url in _PLAY_MONEY:
        return True
    return False if hosts.rest_url == MAINNET.rest_url else None


def wallet_url(hosts: Hosts) -> str | None:
    """Where to ask what a key may do; None for the demo, whose keys have no wallet, and for addresses not known."""
    if hosts.rest_url == MAINNET.rest_url:
        return _WALLET_URL
    return hosts.rest_url if hosts.is_local else None
