"""The kinds of orders.

What belongs here: how an order trades and how long it rests. What does not: orders themselves (orders), which of them a
venue spells how (venues).
"""

from enum import StrEnum


class OrderType(StrEnum):
    """The types that every venue of ours can express."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    TAKE_PROFIT_MARKET = "take_profit_market"


class TimeInForce(StrEnum):
    """How long an order rests."""

    GTC = "gtc"
    IOC = "ioc"
    POST_ONLY = "post_only"
