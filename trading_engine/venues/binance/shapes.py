"""The shapes of Binance's answers over REST.

What belongs here: structs, as far as their fields are read; unknown keys are ignored. What does not: what they mean
(codec), messages of the stream (events).
"""

from decimal import Decimal
from typing import Literal

import msgspec

from trading_engine.domain.money import ZERO

SideWord = Literal["BUY", "SELL"]


class _Payload(msgspec.Struct, rename="camel", kw_only=True):
    """An object of REST: snake here, camel there."""


class ServerTime(_Payload):
    """Answer of /time."""

    server_time: int


class Done(_Payload):
    """Answer of calls that return nothing else; anything that is JSON will do."""

    msg: str = ""


class PlainOrder(_Payload):
    """A LIMIT or MARKET order; also the child of a triggered conditional order."""

    order_id: int
    symbol: str
    status: str
    side: SideWord
    type: str
    executed_qty: Decimal
    orig_qty: Decimal = ZERO
    client_order_id: str = ""
    price: str | None = None
    stop_price: str | None = None
    orig_type: str = ""
    position_side: str = "BOTH"
    reduce_only: bool = False
    close_position: bool = False
    time: int = 0
    update_time: int = 0


class AlgoOrder(_Payload):
    """A conditional order; `actual_order_id` names its child once it has triggered."""

    algo_id: int
    symbol: str
    side: SideWord
    order_type: str
    algo_status: str
    client_algo_id: str = ""
    quantity: str | None = None
    price: str | None = None
    trigger_price: str | None = None
    actual_order_id: str | int | None = None
    actual_qty: str | None = None
    position_side: str = "BOTH"
    reduce_only: bool = False
    close_position: bool = False
    create_time: int = 0
    update_time: int = 0


class AlgoCancelled(_Payload):
    """Answer of a cancel of a conditional order."""

    algo_id: int
    client_algo_id: str = ""


class Trade(_Payload):
    """A row of userTrades: no client id in it."""

    id: int
    order_id: int
    symbol: str
    side: SideWord
    price: Decimal
    qty: Decimal
    time: int
    realized_pnl: Decimal | None = None
    commission: Decimal = ZERO
    commission_asset: str = ""
    maker: bool = False


class IncomeRow(_Payload):
    """A row of income; `tran_id` is unique within a type."""

    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int | str
    symbol: str | None = ""


class PositionRow(_Payload):
    """A row of positionRisk: signed in one-way mode, and negative for SHORT in hedge mode."""

    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    liquidation_price: Decimal = ZERO
    position_side: str = "BOTH"


class SymbolConfig(_Payload):
    """Leverage and margin type of a symbol."""

    symbol: str
    leverage: Decimal


class BalanceRow(_Payload):
    """One asset of the wallet."""

    asset: str
    balance: Decimal
    available_balance: Decimal


class AccountConfig(_Payload):
    """Modes and permissions of the account."""

    dual_side_position: bool
    can_trade: bool | None = None
    multi_assets_margin: bool = False


class FeeBurn(_Payload):
    """Whether fees are paid in BNB."""

    fee_burn: bool


class KeyFacts(_Payload):
    """What a key may do, as the wallet's host tells it."""

    enable_withdrawals: bool
    enable_futures: bool | None = None


class FeeRow(_Payload):
    """Commission rates of a symbol."""

    maker_commission_rate: Decimal
    taker_commission_rate: Decimal


class LeverageSet(_Payload):
    """Echo of a leverage that was set."""

    symbol: str
    leverage: Decimal


class ListenKey(_Payload):
    """A key of the user stream."""

    listen_key: str


class Filter(_Payload):
    """A filter of exchangeInfo: each type fills its own fields."""

    filter_type: str
    tick_size: Decimal = ZERO
    step_size: Decimal = ZERO
    min_qty: Decimal = ZERO
    max_qty: Decimal = ZERO
    notional: Decimal = ZERO


class SymbolInfo(_Payload):
    """A symbol of exchangeInfo."""

    symbol: str
    status: str
    contract_type: str
    margin_asset: str
    filters: list[Filter]


class NamedLimit(_Payload):
    """A limit of exchangeInfo."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class ExchangeInfo(_Payload):
    """Answer of exchangeInfo, as far as it is read."""

    symbols: list[SymbolInfo]
    rate_limits: list[NamedLimit] = []


class Bracket(_Payload):
    """One maintenance tier."""

    initial_leverage: Decimal
    notional_cap: Decimal
    maint_margin_ratio: Decimal
    cum: Decimal


class Brackets(_Payload):
    """Maintenance tiers of a symbol."""

    symbol: str
    brackets: list[Bracket]


class FundingRow(_Payload):
    """A settlement; others than the regular ones are dividends of stock contracts and the like."""

    funding_time: int
    funding_rate: Decimal
    rate_type: str = "Regular"


class Kline(msgspec.Struct, array_like=True):
    """A row of klines; what follows the volume and the close time is not read."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_ms: int
