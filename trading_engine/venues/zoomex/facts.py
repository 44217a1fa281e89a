"""What Zoomex documents and this adapter relies on, as data.

What belongs here: addresses, paths, limits, windows, capabilities. What does not: codes (errors), rows (shapes, codec).

Zoomex V3 has the paths, parameters and envelopes of Bybit V5 under another prefix. What no source confirms for
Zoomex itself is written so that either answer is safe, and told in the notes of the capabilities.
"""

from collections.abc import Mapping
from decimal import Decimal

from trading_engine.domain.order_type import OrderType
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.ports import Capabilities
from trading_engine.venues.wire.limiter import Pool
from trading_engine.venues.wire.settings import Hosts

NAME = "zoomex"
CATEGORY = "linear"
PREFIX = "/cloud/trade/v3"
PRIVATE_STREAM_PATH = "/v3/private"
PUBLIC_STREAM_PATH = "/v5/public/linear"

# Paths are added to these.
MAINNET = Hosts("https://openapi.zoomex.com", "wss://stream.zoomex.com", "wss://stream.zoomex.com")
TESTNET = Hosts(
    "https://openapi-testnet.zoomex.com", "wss://stream-testnet.zoomex.com", "wss://stream-testnet.zoomex.com"
)

TIME = "/market/time"
INSTRUMENTS = "/market/instruments-info"
RISK_LIMITS = "/market/risk-limit"
KLINES = "/market/kline"
FUNDING_RATES = "/market/funding/history"
CREATE = "/order/create"
CANCEL = "/order/cancel"
CANCEL_ALL = "/order/cancel-all"
REALTIME = "/order/realtime"
HISTORY = "/order/history"
EXECUTIONS = "/execution/list"
POSITIONS = "/position/list"
LEVERAGE = "/position/set-leverage"
SWITCH_MODE = "/position/switch-mode"
SWITCH_ISOLATED = "/position/switch-isolated"
WALLET = "/account/wallet-balance"
FEE_RATE = "/account/fee-rate"
KEY_FACTS = "/user/query-api"

IP_POOL = "ip"
OTHER_POOL = "other"
_PER_SECOND = 10
_RESERVED = {CREATE: 4}  # exits and stops share the calls of entries
_SECOND_MS = 1_100  # calls that leave within 1.1 s may arrive within one
_OWN_POOLS = (CREATE, CANCEL, CANCEL_ALL, REALTIME, HISTORY, POSITIONS, EXECUTIONS, LEVERAGE, WALLET, FEE_RATE)

POOLS: Mapping[str, Pool] = {
    IP_POOL: Pool(IP_POOL, 600, 5_500, 300),
    OTHER_POOL: Pool(OTHER_POOL, _PER_SECOND, _SECOND_MS, 2),
    **{path: Pool(path, _PER_SECOND, _SECOND_MS, _RESERVED.get(path, 2)) for path in _OWN_POOLS},
}
PUBLIC_PATHS = frozenset(
    {TIME, INSTRUMENTS, RISK_LIMITS, KLINES, FUNDING_RATES}
)  # only the limit of the address applies
BAN_MS = 600_000  # "stop all HTTP and wait ten minutes"


def costs_of(path: str) -> Mapping[str, int]:
    """What one call of a path takes from which pool."""
    if path in PUBLIC_PATHS:
        return {IP_POOL: 1}
    return {IP_POOL: 1, path if path in POOLS else OTHER_POOL: 1}


CLOCK_GUARD_MS = 200  # a timestamp 1 s ahead is refused whatever the window: ours stays a little behind
EXECUTION_WINDOW_MS = 7 * DAY_MS
OLDEST_EXECUTION_MS = 729 * DAY_MS  # executions are kept for 730 days
ORDERS_PER_PAGE = 50
EXECUTIONS_PER_PAGE = 100
POSITIONS_PER_PAGE = 200
INSTRUMENTS_PER_PAGE = 1_000
CANDLES_PER_PAGE = 1_000
FUNDING_RATES_PER_PAGE = 200
CANDLES_PER_WINDOW = 990  # fits a page whether or not the venue counts both ends of a window

INTERVALS: Mapping[int, str] = {
    **{minutes * MINUTE_MS: str(minutes) for minutes in (1, 3, 5, 15, 30)},
    **{hours * HOUR_MS: str(hours * 60) for hours in (1, 2, 4, 6, 12)},
    DAY_MS: "D",
}

DEFAULT_MIN_NOTIONAL = Decimal(5)  # where the instrument names none
STANDARD_FEES = (Decimal("0.0002"), Decimal("0.0006"))
INNOVATION_FEES = (Decimal("0.0004"), Decimal("0.0011"))
INNOVATION_TAG = "innovation zone"

PING_MS = 5_000  # documented are 20 s, but sockets were cut after 10 s in which the venue had said nothing
SILENCE_MS = 15_000
AUTH_LIFE_MS = 10_000

CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    has_hedge_mode=True,
    has_attached_stops=True,
    can_amend_stop=True,
    separate_stop_space=True,
    absence_is_proof=False,
    visibility_delay_ms=5_000,
    history_ms=OLDEST_EXECUTION_MS,
    notes=(
        "an acknowledgement only says that a request was taken: a submit is answered when the order was seen",
        "a market order is cut off 3 % (BTC) or 5 % (others) away from the last price; the rest is cancelled",
        "unconfirmed: executions name orders by the venue's id only; client ids are then looked up",
        "unconfirmed: the sign of funding in executions (taken as a cost when positive)",
        "transfers are not told by any documented call: incomes are funding only, and a transfer shows as a wallet that"
        " differs from the ledger until an operator books it (`reconcile --apply --book-gap`)",
        "unconfirmed: permissions of a key and fee rates are asked for by undocumented calls; unknown or"
        " standard rates where those are refused",
        "unconfirmed: whether a triggered stop keeps the venue's id; orders are followed by client id",
        "unconfirmed: BTC, ETH, SOL and GMT may want the suffix -Perp in orders; plain names are sent",
        "hedge mode: orders carry the index of their position; the account is judged by its net quantity a symbol",
        "no dead-man's switch is documented (cancel on disconnect exists at Bybit only)",
        "the margin mode of a unified account cannot be set by any documented call",
        "the private stream was seen live by no source; it counts as speaking once both subscriptions are confirmed",
        "a refused order that had stood before (a stop refused when triggered) is told as cancelled",
        "trades of the public stream have no numbers that rise by one",
        "unconfirmed: liquidations name the side of the position and the price at which its margin was gone",
    ),
)
