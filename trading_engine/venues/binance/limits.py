"""What calls cost, as data, and what answers say about the budget.

What belongs here: endpoints with their weights, the pools, the headers of limits and bans. What does not: counting
(wire.limiter), sending (rest).

Weight is counted per address and shared by everything on it; orders are counted per account. A fifth of every pool
is kept for cancels and for orders that only reduce.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from trading_engine.venues.wire.limiter import Limiter, Pool
from trading_engine.venues.wire.transport import Reply

WEIGHT, ORDERS_10S, ORDERS_1M = "weight", "orders_10s", "orders_1m"
POOLS: Mapping[str, Pool] = {
    WEIGHT: Pool(WEIGHT, 2_400, 60_000, 480),
    ORDERS_10S: Pool(ORDERS_10S, 300, 10_000, 60),
    ORDERS_1M: Pool(ORDERS_1M, 1_200, 60_000, 240),
}
# (rateLimitType, interval, intervalNum) of exchangeInfo: the pool it names
NAMED_LIMITS: Mapping[tuple[str, str, int], str] = {
    ("REQUEST_WEIGHT", "MINUTE", 1): WEIGHT,
    ("ORDERS", "SECOND", 10): ORDERS_10S,
    ("ORDERS", "MINUTE", 1): ORDERS_1M,
}
_HEADERS = {
    "x-mbx-used-weight-1m": WEIGHT,
    "x-mbx-order-count-10s": ORDERS_10S,
    "x-mbx-order-count-1m": ORDERS_1M,
}
_PAUSE_MS = 60_000  # a ban without a number: one window
_BANNED_UNTIL = re.compile(rb"banned until (\d{13})")


class Security(StrEnum):
    """What a call must prove."""

    NONE = "none"
    KEY = "key"  # the header with the key
    SIGNED = "signed"  # the header, a timestamp and a signature


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call: `weight` of a question about one symbol, `weight_all` without a symbol, `orders` that it counts as.

    is_wallet   it is asked of the wallet's host, whose budget is not ours
    """

    method: str
    path: str
    weight: int
    weight_all: int = 0
    orders: int = 0
    security: Security = Security.SIGNED
    is_wallet: bool = False

    def costs(self, *, has_symbol: bool, weight: int | None = None) -> dict[str, int]:
        """Units of each pool; `weight` replaces the table's where it depends on the question."""
        if weight is None:
            weight = self.weight if has_symbol or not self.weight_all else self.weight_all
        costs = {WEIGHT: weight} if weight else {}
        return costs | ({ORDERS_10S: self.orders, ORDERS_1M: self.orders} if self.orders else {})


TIME = Endpoint("GET", "/fapi/v1/time", 1, security=Security.NONE)
EXCHANGE_INFO = Endpoint("GET", "/fapi/v1/exchangeInfo", 1, security=Security.NONE)
KLINES = Endpoint("GET", "/fapi/v1/klines", 10, security=Security.NONE)
DEPTH = Endpoint("GET", "/fapi/v1/depth", 20, security=Security.NONE)  # a thousand levels of each side
FUNDING_RATES = Endpoint("GET", "/fapi/v1/fundingRate", 1, security=Security.NONE)

PLACE_ORDER = Endpoint("POST", "/fapi/v1/order", 0, orders=1)
PLACE_ALGO = Endpoint("POST", "/fapi/v1/algoOrder", 0, orders=1)
CANCEL_ORDER = Endpoint("DELETE", "/fapi/v1/order", 1)
CANCEL_ALGO = Endpoint("DELETE", "/fapi/v1/algoOrder", 1)
CANCEL_ALL_ORDERS = Endpoint("DELETE", "/fapi/v1/allOpenOrders", 1)
CANCEL_ALL_ALGOS = Endpoint("DELETE", "/fapi/v1/algoOpenOrders", 1)

ORDER = Endpoint("GET", "/fapi/v1/order", 1)
ALGO = Endpoint("GET", "/fapi/v1/algoOrder", 1, weight_all=1)
OPEN_ORDERS = Endpoint("GET", "/fapi/v1/openOrders", 1, weight_all=40)
OPEN_ALGOS = Endpoint("GET", "/fapi/v1/openAlgoOrders", 1, weight_all=40)
ALL_ORDERS = Endpoint("GET", "/fapi/v1/allOrders", 5)
ALL_ALGOS = Endpoint("GET", "/fapi/v1/allAlgoOrders", 5)
USER_TRADES = Endpoint("GET", "/fapi/v1/userTrades", 5)
INCOME = Endpoint("GET", "/fapi/v1/income", 30)

POSITIONS = Endpoint("GET", "/fapi/v3/positionRisk", 5)
BALANCE = Endpoint("GET", "/fapi/v3/balance", 5)
SYMBOL_CONFIG = Endpoint("GET", "/fapi/v1/symbolConfig", 5)
ACCOUNT_CONFIG = Endpoint("GET", "/fapi/v1/accountConfig", 5)
BRACKETS = Endpoint("GET", "/fapi/v1/leverageBracket", 1)
FEE_RATES = Endpoint("GET", "/fapi/v1/commissionRate", 20)
FEE_BURN = Endpoint("GET", "/fapi/v1/feeBurn", 30)
KEY_FACTS = Endpoint("GET", "/sapi/v1/account/apiRestrictions", 0, is_wallet=True)

SET_LEVERAGE = Endpoint("POST", "/fapi/v1/leverage", 1)
SET_MARGIN_MODE = Endpoint("POST", "/fapi/v1/marginType", 1)
SET_POSITION_MODE = Endpoint("POST", "/fapi/v1/positionSide/dual", 1)

NEW_LISTEN_KEY = Endpoint("POST", "/fapi/v1/listenKey", 1, security=Security.KEY)
KEEP_LISTEN_KEY = Endpoint("PUT", "/fapi/v1/listenKey", 1, security=Security.KEY)

_KLINE_WEIGHTS = ((99, 1), (499, 2), (1_000, 5))


def kline_weight(limit: int) -> int:
    """What a question for so many candles costs."""
    return next((weight for most, weight in _KLINE_WEIGHTS if limit <= most), 10)


def learn(limiter: Limiter, reply: Reply, now_ms: int) -> None:
    """Take in what an answer says: units used by everybody, or the wish for silence.

    now_ms  the venue's time: a ban names its end by it
    """
    for header, pool in _HEADERS.items():
        used = reply.headers.get(header, "")
        if used.isdecimal():
            limiter.learn(pool, int(used))
    if reply.status in (418, 429):
        limiter.forbid(_silence_ms(reply, now_ms))


def _silence_ms(reply: Reply, now_ms: int) -> int:
    """How long the venue wants to hear nothing."""
    told = reply.headers.get("retry-after", "")
    if told.isdecimal() and int(told):
        return int(told) * 1_000
    until = _BANNED_UNTIL.search(reply.body)
    if until is not None and int(until[1]) > now_ms:
        return int(until[1]) - now_ms
    return _PAUSE_MS
