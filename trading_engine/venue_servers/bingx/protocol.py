"""The venue as a whole: which path leads where, who may go there how often, and what follows when something happens.

What belongs here: the table of endpoints and the way of a request through gate and pace. What does not: what an
endpoint does (market, funds, trading, stream).
"""

from collections.abc import Callable
from dataclasses import dataclass

from trading_engine.venue_servers.bingx import gate
from trading_engine.venue_servers.bingx.books import CONDITIONAL, Books, Habits
from trading_engine.venue_servers.bingx.events import AccountEvents
from trading_engine.venue_servers.bingx.funds import Funds
from trading_engine.venue_servers.bingx.market import Market
from trading_engine.venue_servers.bingx.orders import OrderShapes
from trading_engine.venue_servers.bingx.pace import MARKET, Allowance, Pace
from trading_engine.venue_servers.bingx.stream import PING_MS, ListenKeys, Streams
from trading_engine.venue_servers.bingx.trading import Trading
from trading_engine.venue_servers.bingx.words import Params, Plain, Refused, encode, envelope
from trading_engine.venue_servers.exchange import Happening, LocalExchange
from trading_engine.venue_servers.web import Answer, Call, Connection
from trading_engine.venues.embedded.matching import TradeRow
from trading_engine.venues.wire.secrets import Credentials

_BEGINNING = "/openApi/"
_KEY_ONLY = "user/auth/userDataStream"

Handler = Callable[[Params], object]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers, and how often; `is_signed` is what money and orders need."""

    handler: Handler
    allowances: tuple[Allowance, ...]
    is_public: bool = False
    is_signed: bool = True


class BingxProtocol:
    """The venue. `ping_ms` is in real time, everything else in the exchange's."""

    name = "bingx"

    def __init__(
        self,
        exchange: LocalExchange,
        credentials: Credentials,
        *,
        habits: Habits | None = None,
        ping_ms: int = PING_MS,
        is_paced: bool = True,
    ) -> None:
        self.exchange = exchange
        self.habits = habits or Habits()
        self._credentials = credentials
        self._pace = Pace(exchange.clock) if is_paced else None
        self._books = Books(exchange, self.habits)
        shapes = OrderShapes(self._books)
        market = Market(self._books)
        self._keys = ListenKeys(self._books, credentials.key)
        self._streams = Streams(self._books, market, AccountEvents(self._books, shapes), self._keys, ping_ms)
        self._endpoints = _public(market) | _private(Funds(self._books), Trading(self._books, shapes), self._keys)
        self._paths = {path for _, path in self._endpoints}
        exchange.subscribe(self._happened)

    # ── requests ────────────────────────────────────────────────────────────

    def answer(self, call: Call) -> Answer:
        """Carry a call out and answer it."""
        self._streams.tell_expiry()
        headers: dict[str, str] = {}
        try:
            content = self._content(call, headers)
        except Refused as refusal:
            return Answer(encode({"code": refusal.code, "msg": refusal.text, "data": {}}), refusal.status, headers)
        if isinstance(content, Plain):
            body = b"" if content.content is None else encode(content.content)
            return Answer(body, content.status, headers)
        return Answer(encode(envelope(content)), 200, headers)

    def _content(self, call: Call, headers: dict[str, str]) -> object:
        """What is answered; the headers are filled in as soon as they are known."""
        path = call.path.removeprefix(_BEGINNING) if call.path.startswith(_BEGINNING) else ""
        endpoint = self._endpoints.get((call.method, path))
        if endpoint is None and path in self._paths:
            raise Refused(100400, f"this api does not exist: {call.method} {call.path}")
        if endpoint is None:
            raise Refused(100404, f"the api you requested does not exist, path: {call.path}")
        name = f"{call.method} {path}"
        if self._pace is not None:
            headers |= self._pace.enter(name, endpoint.allowances)
        params, covered = gate.read(call)
        if not endpoint.is_public:
            gate.require_key(call, self._credentials)
        if endpoint.is_signed and not endpoint.is_public:
            gate.require_signature(params, covered, self._credentials, self.exchange.now_ms())
        try:
            return endpoint.handler(params)
        except Refused as refusal:
            if self._pace is not None and (instead := self._pace.refused(name, refusal.code)) is not None:
                raise instead from refusal
            raise

    # ── what happens ────────────────────────────────────────────────────────

    async def converse(self, connection: Connection) -> None:
        """Serve a websocket until it is closed."""
        await self._streams.converse(connection)

    def expire_keys(self) -> None:
        """Every listen key is void: its sockets are told, and hear nothing more."""
        self._keys.expire()
        self._streams.tell_expiry()

    def _happened(self, happening: Happening) -> None:
        self._books.add(happening)
        self._streams.tell(happening)
        if isinstance(happening, TradeRow) and self.habits.voids_stops:
            self._void_stops(happening.symbol)

    def _void_stops(self, symbol: str) -> None:
        """Cancel the conditionals that have no position to close any more."""
        held = self.exchange.account.positions[symbol]
        for order in tuple(self.exchange.account.orders.values()):
            if order.symbol == symbol and order.kind in CONDITIONAL and order.sign != -held.sign:
                self.exchange.cancel(order)


def _public(market: Market) -> dict[tuple[str, str], Endpoint]:
    handlers: dict[str, Handler] = {
        "swap/v2/server/time": market.server_time,
        "swap/v2/quote/contracts": market.contracts,
        "swap/v1/tradingRules": market.trading_rules,
        "swap/v3/quote/klines": market.klines,
        "swap/v1/market/markPriceKlines": market.mark_klines,
        "swap/v2/quote/premiumIndex": market.premium_index,
        "swap/v2/quote/fundingRate": market.funding_rates,
        "swap/v2/quote/ticker": market.ticker,
        "swap/v1/ticker/price": market.last_price,
        "swap/v2/quote/bookTicker": market.book_ticker,
        "swap/v2/quote/depth": market.depth,
        "swap/v2/quote/trades": market.trades,
        "swap/v2/quote/openInterest": market.open_interest,
    }
    return {("GET", path): Endpoint(handler, MARKET, is_public=True) for path, handler in handlers.items()}


def _private(funds: Funds, trading: Trading, keys: ListenKeys) -> dict[tuple[str, str], Endpoint]:
    """Calls a second are those of the announcement where there is one, else those of the documentation."""
    handlers: dict[tuple[str, str], tuple[Handler, int]] = {
        ("GET", "swap/v3/user/balance"): (funds.balance, 5),
        ("GET", "swap/v2/user/positions"): (funds.positions, 10),
        ("GET", "swap/v2/user/income"): (funds.income, 5),
        ("GET", "swap/v2/user/commissionRate"): (funds.commission, 5),
        ("GET", "swap/v1/maintMarginRatio"): (funds.tiers, 5),
        ("GET", "swap/v1/positionSide/dual"): (funds.position_mode, 2),
        ("POST", "swap/v1/positionSide/dual"): (funds.set_position_mode, 4),
        ("GET", "swap/v2/trade/leverage"): (funds.leverage, 5),
        ("POST", "swap/v2/trade/leverage"): (funds.set_leverage, 5),
        ("GET", "swap/v2/trade/marginType"): (funds.margin_type, 2),
        ("POST", "swap/v2/trade/marginType"): (funds.set_margin_type, 2),
        ("GET", "swap/v1/trade/assetMode"): (funds.asset_mode, 2),
        ("GET", "v1/account/apiRestrictions"): (funds.restrictions, 5),
        ("POST", "swap/v2/trade/order"): (trading.place, 10),
        ("DELETE", "swap/v2/trade/order"): (trading.cancel, 10),
        ("GET", "swap/v2/trade/order"): (trading.order, 30),
        ("GET", "swap/v2/trade/openOrder"): (trading.open_order, 5),
        ("GET", "swap/v2/trade/openOrders"): (trading.open_orders, 5),
        ("POST", "swap/v2/trade/batchOrders"): (trading.place_many, 5),
        ("DELETE", "swap/v2/trade/batchOrders"): (trading.cancel_many, 5),
        ("DELETE", "swap/v2/trade/allOpenOrders"): (trading.cancel_all, 5),
        ("POST", "swap/v2/trade/closeAllPositions"): (trading.close_all, 5),
        ("GET", "swap/v2/trade/allOrders"): (trading.finished_orders, 5),
        ("GET", "swap/v1/trade/fullOrder"): (trading.full_orders, 5),
        ("GET", "swap/v2/trade/forceOrders"): (trading.forced_orders, 10),
        ("GET", "swap/v2/trade/allFillOrders"): (trading.fills_of_orders, 5),
        ("GET", "swap/v2/trade/fillHistory"): (trading.fills, 5),
        ("POST", _KEY_ONLY): (keys.create, 2),
        ("PUT", _KEY_ONLY): (keys.extend, 2),
        ("DELETE", _KEY_ONLY): (keys.delete, 2),
    }
    return {
        place: Endpoint(handler, (Allowance(calls),), is_signed=place[1] != _KEY_ONLY)
        for place, (handler, calls) in handlers.items()
    }
