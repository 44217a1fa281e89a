"""What is known of BingX before the first call: hosts, endpoints with their limits, capabilities.

What belongs here: constants that the venue may change one day, as data. What does not: codes (errors), shapes
(codec), anything that needs a call.

The same API key works on both hosts; only the host, and the asset of the wallet, tell real money from play money.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trading_engine.domain.order_type import OrderType
from trading_engine.ports import Capabilities
from trading_engine.venues.wire.limiter import Pool
from trading_engine.venues.wire.settings import Hosts

LIVE = Hosts(
    rest_url="https://open-api.bingx.com",
    public_ws_url="wss://open-api-swap.bingx.com/swap-market",
    private_ws_url="wss://open-api-swap.bingx.com/swap-market",
)
DEMO = Hosts(
    rest_url="https://open-api-vst.bingx.com",
    public_ws_url="wss://vst-open-api-ws.bingx.com/swap-market",
    private_ws_url="wss://vst-open-api-ws.bingx.com/swap-market",
)
DEMO_ASSET = "VST"
BOOK_TOPIC = "incrDepth"  # one snapshot, then changes
QUOTES = ("USDT", "USDC")  # a venue symbol is BASE-QUOTE

DAY_MS = 86_400_000
FILLS_KEPT_MS = 7 * DAY_MS
ORDERS_KEPT_MS = 7 * DAY_MS
INCOMES_KEPT_MS = 90 * DAY_MS
WINDOW_MS = 7 * DAY_MS - 60_000  # a little less than the longest span of one question about the past
MOST_ROWS = 1_000
MOST_FORCED_ROWS = 100
MOST_CANDLES = 1_400  # the venue gives 1,440; the bounds may or may not be included

VISIBILITY_MS = 5_000
# 20 equal errors within 8 minutes close an endpoint for as long: questions about orders that are not there end before.
ERRORS_KEPT_MS = 480_000
MOST_NOT_FOUND = 12

CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    has_hedge_mode=True,
    has_attached_stops=True,
    can_amend_stop=False,
    separate_stop_space=False,
    absence_is_proof=False,
    visibility_delay_ms=VISIBILITY_MS,
    history_ms=FILLS_KEPT_MS,
    notes=(
        "a used client id is refused with one of several codes: each is an unknown outcome, then looked up",
        "a triggered stop fills as another order: found by the id of the order that triggered it, with or without"
        " our client id on it",
        "whether trade ids of the stream are those of the history is not documented: executions are announced by the"
        " stream and read from the history",
        "a triggered stop may cause no order message: a changed position has the executions read, too",
        "the history of executions goes back 7 days: after a longer pause the wallet must agree with the ledger, or"
        " every symbol is frozen",
        "cancelling all orders of a symbol may leave stops: each that is left is cancelled by its id",
        "a position's side in one-way mode may come as LONG, SHORT or BOTH: all are understood, contradictions refused",
        "hedge mode: orders carry the side of their position; the account is judged by its net quantity a symbol",
        "cancelAllAfter is not used: it cancels every order of the account, protective stops among them",
        "limits are counted at the lower of the published figures; the largest order is not published",
        "a receive window above 5,000 ms may be refused",
        "income of kind ADL counts as an adjustment: whether executions carry the same money is not documented",
        "maintenance tiers name no leverage: each carries the highest leverage of the account on the symbol",
        "fees and incomes on the demo host count as VST whichever asset the row names",
        "no stream of liquidations; the stream of mark prices tells neither the index nor funding",
        "trades of the stream have no numbers, candles are never called final: the next one closes them",
        "ids of a book's changes are documented to rise by one and were measured to skip some: rising ids join",
        "the stream of best bid and ask was seen to repeat prices of minutes ago, with their own time",
    ),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of the interface.

    per_second   calls an account may make in a second
    group        the group of addresses' limits that it belongs to; 0 for none
    reserve      part of `per_second` that is kept for what protects money
    """

    method: str
    path: str
    per_second: int
    group: int
    is_signed: bool = True
    reserve: int = 0

    @property
    def pool(self) -> str:
        """The name of its own pool."""
        return f"{self.method} {self.path}"

    @property
    def costs(self) -> Mapping[str, int]:
        """What one call takes from which pool."""
        return dict.fromkeys((self.pool, *_GROUPS.get(self.group, ())), 1)


_GROUPS = {1: ("market", "market minute"), 2: ("account 2",), 3: ("account 3",)}
_GROUP_POOLS = (
    Pool("market", 500, 10_000),
    Pool("market minute", 1_000, 60_000),
    Pool("account 2", 2_000, 10_000, 200),
    Pool("account 3", 2_000, 10_000, 200),
)
_SECOND_MS = 1_100  # a little more: calls may arrive closer together than they left

SERVER_TIME = Endpoint("GET", "/openApi/swap/v2/server/time", 10, 1, is_signed=False)
CONTRACTS = Endpoint("GET", "/openApi/swap/v2/quote/contracts", 5, 1, is_signed=False)
KLINES = Endpoint("GET", "/openApi/swap/v3/quote/klines", 10, 1, is_signed=False)
FUNDING_RATES = Endpoint("GET", "/openApi/swap/v2/quote/fundingRate", 5, 1, is_signed=False)
BALANCE = Endpoint("GET", "/openApi/swap/v3/user/balance", 5, 3)
POSITIONS = Endpoint("GET", "/openApi/swap/v2/user/positions", 5, 3)
INCOME = Endpoint("GET", "/openApi/swap/v2/user/income", 5, 2)
COMMISSION = Endpoint("GET", "/openApi/swap/v2/user/commissionRate", 5, 2)
PLACE = Endpoint("POST", "/openApi/swap/v2/trade/order", 5, 3, reserve=2)
CANCEL = Endpoint("DELETE", "/openApi/swap/v2/trade/order", 5, 3)
CANCEL_ALL = Endpoint("DELETE", "/openApi/swap/v2/trade/allOpenOrders", 5, 2)
ORDER = Endpoint("GET", "/openApi/swap/v2/trade/order", 5, 2)
OPEN_ORDERS = Endpoint("GET", "/openApi/swap/v2/trade/openOrders", 5, 3)
ORDER_HISTORY = Endpoint("GET", "/openApi/swap/v1/trade/fullOrder", 5, 2)
FILL_HISTORY = Endpoint("GET", "/openApi/swap/v2/trade/fillHistory", 5, 2)
FORCED_ORDERS = Endpoint("GET", "/openApi/swap/v2/trade/forceOrders", 5, 2)
LEVERAGE = Endpoint("GET", "/openApi/swap/v2/trade/leverage", 5, 2)
SET_LEVERAGE = Endpoint("POST", "/openApi/swap/v2/trade/leverage", 5, 2)
MARGIN_TYPE = Endpoint("GET", "/openApi/swap/v2/trade/marginType", 2, 2)
SET_MARGIN_TYPE = Endpoint("POST", "/openApi/swap/v2/trade/marginType", 2, 2)
POSITION_MODE = Endpoint("GET", "/openApi/swap/v1/positionSide/dual", 2, 2)
SET_POSITION_MODE = Endpoint("POST", "/openApi/swap/v1/positionSide/dual", 4, 2)
ASSET_MODE = Endpoint("GET", "/openApi/swap/v1/trade/assetMode", 2, 2)
TIERS = Endpoint("GET", "/openApi/swap/v1/maintMarginRatio", 5, 2)
PERMISSIONS = Endpoint("GET", "/openApi/v1/account/apiPermissions", 2, 0)
NEW_LISTEN_KEY = Endpoint("POST", "/openApi/user/auth/userDataStream", 2, 0)
EXTEND_LISTEN_KEY = Endpoint("PUT", "/openApi/user/auth/userDataStream", 2, 0)

ENDPOINTS = tuple(value for value in list(globals().values()) if isinstance(value, Endpoint))


def pools() -> dict[str, Pool]:
    """Every limit that is counted: one pool an endpoint, and the pools of the groups."""
    return {pool.name: pool for pool in _all_pools()}


def _all_pools() -> Iterator[Pool]:
    yield from _GROUP_POOLS
    for endpoint in ENDPOINTS:
        yield Pool(endpoint.pool, endpoint.per_second, _SECOND_MS, endpoint.reserve)


INTERVALS: Mapping[int, str] = {
    60_000: "1m",
    180_000: "3m",
    300_000: "5m",
    900_000: "15m",
    1_800_000: "30m",
    3_600_000: "1h",
    7_200_000: "2h",
    14_400_000: "4h",
    21_600_000: "6h",
    28_800_000: "8h",
    43_200_000: "12h",
    DAY_MS: "1d",
    3 * DAY_MS: "3d",
    7 * DAY_MS: "1w",
}


def is_demo(hosts: Hosts) -> bool | None:
    """Whether a set of hosts is the one for play money; None for hosts that are not known here."""
    name = hosts.rest_url.split("://", 1)[-1].split("/", 1)[0]
    if name.startswith("open-api-vst.bingx."):
        return True
    return False if name.startswith("open-api.bingx.") else None


def symbol_of(venue_symbol: str) -> str:
    """BTC-USDT in our spelling."""
    return venue_symbol.replace("-", "")


def venue_symbol_of(symbol: str) -> str:
    """BTCUSDT in the venue's spelling; a symbol of another quote is left as it is, and the venue refuses it."""
    for quote in QUOTES:
        if symbol.endswith(quote):
            return f"{symbol.removesuffix(quote)}-{quote}"
    return symbol
