"""The protocol as a whole: which call goes where, what it weighs, who may make it.

What belongs here: the table of endpoints, the order of checks, telling all parts what happens. What does not: what
any call does (orders, account, market, user).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from trading_engine.venue_servers.binance.account import AccountRequests
from trading_engine.venue_servers.binance.desk import Desk
from trading_engine.venue_servers.binance.errors import ApiError
from trading_engine.venue_servers.binance.limits import Limits, Turnstile
from trading_engine.venue_servers.binance.market import MarketRequests
from trading_engine.venue_servers.binance.orders import OrderRequests
from trading_engine.venue_servers.binance.params import Params, require_key, require_signed
from trading_engine.venue_servers.binance.streams import Streams
from trading_engine.venue_servers.binance.user import UserStream
from trading_engine.venue_servers.exchange import Happening, LocalExchange, Ticked
from trading_engine.venue_servers.web import Answer, Call, Connection
from trading_engine.venues.embedded.account import ExchangeOrder
from trading_engine.venues.embedded.matching import TradeRow
from trading_engine.venues.wire.secrets import Credentials


class Access(StrEnum):
    """Who may make a call."""

    ANYBODY = "anybody"
    KEY = "key"  # the key in the header
    SIGNED = "signed"  # and a time stamp and a signature


Weight = int | Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A call: what carries it out, what it weighs, and how many orders it counts as in ten seconds and in a minute."""

    carry_out: Callable[[Params], object]
    weight: Weight = 1
    access: Access = Access.SIGNED
    orders: tuple[int, int] = (0, 0)


class BinanceProtocol:
    """One account of the venue, on one exchange."""

    name = "binance"

    def __init__(
        self,
        exchange: LocalExchange,
        credentials: Credentials,
        limits: Limits | None = None,
        streams: type[Streams] = Streams,
    ) -> None:
        self.exchange = exchange
        self._credentials = credentials
        self._turnstile = Turnstile(limits or Limits())
        self._desk = Desk(exchange)
        self._market = MarketRequests(exchange, self._turnstile)
        self._streams = streams(exchange, self._market, self.elapse)
        self._user = UserStream(self._desk, self._streams.send_user, self._streams.end_user)
        self._orders = OrderRequests(self._desk, self._user.held)
        self._account = AccountRequests(self._desk, self._user.on_leverage)
        self._endpoints = self._table()
        exchange.subscribe(self._on)

    # ── what happens ────────────────────────────────────────────────────────

    def _on(self, happening: Happening) -> None:
        if isinstance(happening, Ticked):
            self._user.on_tick()
            self.elapse()
            self._streams.on_tick(happening)
        elif isinstance(happening, TradeRow):
            self._user.on_trade(happening)
            if happening.is_liquidation:
                self._streams.on_liquidation(happening)
            self._orders.bury(happening.symbol)
        elif isinstance(happening, ExchangeOrder):
            self._user.on_order(happening)
        else:
            self._user.on_income(happening)

    def elapse(self) -> None:
        """Carry out what has come due; called with every call, every price, and each second of a clock that runs."""
        now_ms = self.exchange.now_ms()
        self._orders.elapse(now_ms)
        self._user.elapse(now_ms)
        self._streams.elapse(now_ms)

    async def converse(self, connection: Connection) -> None:
        """Serve one websocket until it is closed."""
        await self._streams.serve(connection)

    def expire_keys(self) -> None:
        """The listen key is void: said once, its connections stay open and silent."""
        self._user.expire(self.exchange.now_ms())

    # ── calls ───────────────────────────────────────────────────────────────

    def answer(self, call: Call) -> Answer:
        """Carry a call out and answer it."""
        self.elapse()
        now_ms = self.exchange.now_ms()
        endpoint = self._endpoints.get((call.method, call.path))
        status, headers = 200, {}
        try:
            body = self._carry_out(call, endpoint, now_ms)
        except ApiError as error:
            status, headers, body = error.status, dict(error.headers), error.body()
        headers |= self._turnstile.weight_headers(call.peer, now_ms)
        if endpoint is not None and endpoint.orders[0]:
            headers |= self._turnstile.order_headers(now_ms)
        return Answer(msgspec.json.encode(body), status, headers)

    def _carry_out(self, call: Call, endpoint: Endpoint | None, now_ms: int) -> object:
        if endpoint is None:
            self._turnstile.admit(call.peer, 1, now_ms)
            raise ApiError(-5000, call.path, call.method)
        params = self._counted(call, endpoint, now_ms)
        if endpoint.access is not Access.ANYBODY:
            require_key(call, self._credentials)
        if endpoint.access is Access.SIGNED:
            require_signed(call, params, self._credentials, now_ms)
        if endpoint.orders[0]:
            self._turnstile.admit_orders(now_ms, *endpoint.orders)
        return endpoint.carry_out(params)

    def _counted(self, call: Call, endpoint: Endpoint, now_ms: int) -> Params:
        """The parameters of a call that the limits let through; one that cannot be read weighs as well."""
        try:
            params = Params.of(call)
            weight = endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(params)
        except ApiError:
            self._turnstile.admit(call.peer, 1, now_ms)
            raise
        self._turnstile.admit(call.peer, weight, now_ms)
        return params

    def _table(self) -> Mapping[tuple[str, str], Endpoint]:
        futures = {
            (method, f"/fapi/{path}"): endpoint
            for part in (self._market_table(), self._order_table(), self._account_table())
            for (method, path), endpoint in part.items()
        }
        wallet = Endpoint(self._account.key_facts, 0)  # the venue has it on another host
        return futures | {("GET", "/sapi/v1/account/apiRestrictions"): wallet}

    def _market_table(self) -> Mapping[tuple[str, str], Endpoint]:
        market, anybody = self._market, Access.ANYBODY
        return {
            ("GET", "v1/ping"): Endpoint(market.ping, 1, anybody),
            ("GET", "v1/time"): Endpoint(market.time, 1, anybody),
            ("GET", "v1/exchangeInfo"): Endpoint(market.exchange_info, 1, anybody),
            ("GET", "v1/klines"): Endpoint(market.klines, _klines_weight, anybody),
            ("GET", "v1/depth"): Endpoint(market.depth, _depth_weight, anybody),
            ("GET", "v1/ticker/bookTicker"): Endpoint(market.book_ticker, _or_all(2, 5), anybody),
            ("GET", "v1/ticker/price"): Endpoint(market.price_ticker, _or_all(1, 2), anybody),
            ("GET", "v2/ticker/price"): Endpoint(market.price_ticker, _or_all(1, 2), anybody),
            ("GET", "v1/ticker/24hr"): Endpoint(market.day_ticker, _or_all(1, 40), anybody),
            ("GET", "v1/premiumIndex"): Endpoint(market.premium_index, _or_all(1, 10), anybody),
            ("GET", "v1/fundingRate"): Endpoint(market.funding_rates, 1, anybody),
            ("GET", "v1/fundingInfo"): Endpoint(market.funding_info, 1, anybody),
        }

    def _order_table(self) -> Mapping[tuple[str, str], Endpoint]:
        orders, one, user, key = self._orders, (1, 1), self._user, Access.KEY
        return {
            ("POST", "v1/order"): Endpoint(orders.place, 0, orders=one),
            ("PUT", "v1/order"): Endpoint(orders.amend, 0, orders=one),
            ("GET", "v1/order"): Endpoint(orders.query),
            ("DELETE", "v1/order"): Endpoint(orders.cancel),
            ("GET", "v1/openOrder"): Endpoint(orders.query_open),
            ("GET", "v1/openOrders"): Endpoint(orders.list_open, _or_all(1, 40)),
            ("GET", "v1/allOrders"): Endpoint(orders.list_all, 5),
            ("DELETE", "v1/allOpenOrders"): Endpoint(orders.cancel_all),
            ("POST", "v1/batchOrders"): Endpoint(orders.place_batch, 5, orders=(5, 1)),
            ("DELETE", "v1/batchOrders"): Endpoint(orders.cancel_batch),
            ("POST", "v1/countdownCancelAll"): Endpoint(orders.count_down, 10),
            ("GET", "v1/userTrades"): Endpoint(orders.list_trades, 5),
            ("GET", "v1/forceOrders"): Endpoint(orders.list_forced, _or_all(20, 50)),
            ("GET", "v1/rateLimit/order"): Endpoint(self._market.order_limits),
            ("POST", "v1/algoOrder"): Endpoint(orders.place_algo, 0, orders=one),
            ("GET", "v1/algoOrder"): Endpoint(orders.query_algo),
            ("DELETE", "v1/algoOrder"): Endpoint(orders.cancel_algo),
            ("GET", "v1/openAlgoOrders"): Endpoint(orders.list_open_algos, _or_all(1, 40)),
            ("GET", "v1/allAlgoOrders"): Endpoint(orders.list_all_algos, 5),
            ("DELETE", "v1/algoOpenOrders"): Endpoint(orders.cancel_all_algos),
            ("POST", "v1/listenKey"): Endpoint(user.start, 1, key),
            ("PUT", "v1/listenKey"): Endpoint(user.keep, 1, key),
            ("DELETE", "v1/listenKey"): Endpoint(user.end, 1, key),
        }

    def _account_table(self) -> Mapping[tuple[str, str], Endpoint]:
        account = self._account
        return {
            ("GET", "v2/balance"): Endpoint(account.balance_v2, 5),
            ("GET", "v3/balance"): Endpoint(account.balance_v3, 5),
            ("GET", "v2/account"): Endpoint(account.account_v2, 5),
            ("GET", "v3/account"): Endpoint(account.account_v3, 5),
            ("GET", "v1/accountConfig"): Endpoint(account.config, 5),
            ("GET", "v1/symbolConfig"): Endpoint(account.symbol_config, 5),
            ("GET", "v2/positionRisk"): Endpoint(account.risk_v2, 5),
            ("GET", "v3/positionRisk"): Endpoint(account.risk_v3, 5),
            ("POST", "v1/leverage"): Endpoint(account.set_leverage),
            ("POST", "v1/marginType"): Endpoint(account.set_margin_type),
            ("GET", "v1/positionSide/dual"): Endpoint(account.position_side, 30),
            ("POST", "v1/positionSide/dual"): Endpoint(account.set_position_side),
            ("GET", "v1/multiAssetsMargin"): Endpoint(account.multi_assets, 30),
            ("POST", "v1/multiAssetsMargin"): Endpoint(account.set_multi_assets),
            ("GET", "v1/feeBurn"): Endpoint(account.fee_burn, 30),
            ("POST", "v1/feeBurn"): Endpoint(account.set_fee_burn),
            ("GET", "v1/leverageBracket"): Endpoint(account.brackets),
            ("GET", "v1/commissionRate"): Endpoint(account.commission_rate, 20),
            ("GET", "v1/income"): Endpoint(account.incomes, 30),
        }


def _or_all(one: int, every: int) -> Weight:
    """What a call weighs with a symbol, and without."""
    return lambda params: one if params.has("symbol") else every


def _klines_weight(params: Params) -> int:
    limit = params.integer("limit", 500)
    return next((weight for most, weight in ((99, 1), (499, 2), (1_000, 5)) if limit <= most), 10)


def _depth_weight(params: Params) -> int:
    limit = params.integer("limit", 500)
    return next((weight for most, weight in ((50, 2), (100, 5), (500, 10)) if limit <= most), 20)
