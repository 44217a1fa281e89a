"""How much a client may ask for: request weight by address, orders by account.

What belongs here: counting, refusing, banning. What does not: what a call weighs (protocol).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trading_engine.venue_servers.binance.errors import ApiError

_MINUTE_MS = 60_000
_TEN_SECONDS_MS = 10_000
_LONGEST_BAN_MS = 3 * 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The venue's numbers.

    weight          request weight of an address in `minute_ms`
    minute_ms       a minute; shorter where a fast clock should not make calls look frequent
    orders_1m       new orders of the account in a minute
    orders_10s      new orders of the account in ten seconds
    offences        refused calls in a row, without a pause, after which the address is banned
    ban_ms          length of the first ban; each further one is twice as long, up to three days
    """

    weight: int = 2_400
    minute_ms: int = _MINUTE_MS
    orders_1m: int = 1_200
    orders_10s: int = 300
    offences: int = 10
    ban_ms: int = 120_000


@dataclass(slots=True)
class _Window:
    """A count that begins anew with each period."""

    period_ms: int
    number: int = -1
    count: int = 0

    def add(self, now_ms: int, amount: int) -> int:
        """The count with `amount` added."""
        if now_ms // self.period_ms != self.number:
            self.number, self.count = now_ms // self.period_ms, 0
        self.count += amount
        return self.count

    def rest_s(self, now_ms: int) -> int:
        """Whole seconds until the next period, at least one."""
        return max(1, -(-(self.period_ms - now_ms % self.period_ms) // 1000))


@dataclass(slots=True)
class _Visitor:
    """One address."""

    weight: _Window
    offences: int = 0
    bans: int = 0
    banned_until_ms: int = 0


class Turnstile:
    """Counts every call and stops the one too many."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._visitors: dict[str, _Visitor] = {}
        self._orders_1m = _Window(_MINUTE_MS)
        self._orders_10s = _Window(_TEN_SECONDS_MS)

    def admit(self, peer: str, weight: int, now_ms: int) -> None:
        """Count a call; -1003 with 429 over the limit, with 418 for who goes on all the same."""
        visitor = self._visitors.setdefault(peer, _Visitor(_Window(self.limits.minute_ms)))
        if now_ms < visitor.banned_until_ms:
            raise self._banned(peer, visitor, now_ms)
        if visitor.weight.add(now_ms, weight) <= self.limits.weight:
            visitor.offences = 0
            return
        visitor.offences += 1
        if visitor.offences > self.limits.offences:
            ban_ms = min(self.limits.ban_ms << visitor.bans, _LONGEST_BAN_MS)
            visitor.banned_until_ms, visitor.offences = now_ms + ban_ms, 0
            visitor.bans = min(visitor.bans + 1, 30)
            raise self._banned(peer, visitor, now_ms)
        raise ApiError(-1003, peer, self.limits.weight, headers={"Retry-After": str(visitor.weight.rest_s(now_ms))})

    @staticmethod
    def _banned(peer: str, visitor: _Visitor, now_ms: int) -> ApiError:
        until = visitor.banned_until_ms
        return ApiError(
            -1003,
            text=f"Way too many requests; IP({peer}) banned until {until}. Please use the websocket for live updates"
            " to avoid bans.",
            status=418,
            headers={"Retry-After": str(-(-(until - now_ms) // 1000))},
        )

    def admit_orders(self, now_ms: int, in_10s: int, in_1m: int) -> None:
        """Count new orders; -1015 over a limit."""
        short = self._orders_10s.add(now_ms, in_10s)
        long = self._orders_1m.add(now_ms, in_1m)
        if short > self.limits.orders_10s:
            headers = {"Retry-After": str(self._orders_10s.rest_s(now_ms))}
            raise ApiError(-1015, self.limits.orders_10s, "TEN_SECONDS", headers=headers)
        if long > self.limits.orders_1m:
            headers = {"Retry-After": str(self._orders_1m.rest_s(now_ms))}
            raise ApiError(-1015, self.limits.orders_1m, "MINUTE", headers=headers)

    def weight_headers(self, peer: str, now_ms: int) -> Mapping[str, str]:
        """What an address has used in this minute."""
        visitor = self._visitors.get(peer)
        return {"X-MBX-USED-WEIGHT-1M": str(visitor.weight.add(now_ms, 0) if visitor else 0)}

    def order_headers(self, now_ms: int) -> Mapping[str, str]:
        """How many orders the account has sent."""
        return {
            "X-MBX-ORDER-COUNT-10S": str(self._orders_10s.add(now_ms, 0)),
            "X-MBX-ORDER-COUNT-1M": str(self._orders_1m.add(now_ms, 0)),
        }

    def listing(self) -> list[dict[str, object]]:
        """The order limits as `rateLimit/order` lists them."""
        return [
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": self.limits.orders_10s},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": self.limits.orders_1m},
        ]
