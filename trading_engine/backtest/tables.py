"""What the loop over arrays reads and writes: columns, named.

What belongs here: shapes and the meaning of every column, in plain arrays and NamedTuples that compiled code takes.
What does not: where they come from (market, signals, settings), the loop itself (loop).

Symbols and strategies are numbers, in order of their names. Units are those of `rules`: ticks, steps, 1e-8 of money,
parts per million, milliseconds. A record is a row whose columns have names: compiled code passes it by reference and
counts nothing, which tuples of arrays would cost more time than everything else.
"""

from enum import IntEnum
from typing import Any, NamedTuple, Protocol, TypeAlias, get_type_hints

import numpy as np
from numpy.typing import NDArray

from trading_engine.domain.time import DAY_MS, HOUR_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_TIERS = 12
MOST_STEPS = 8  # partial exits, and moves of a trailing stop, of one plan
MOST_GROUPS = 8  # of symbols that a limit holds for together
TARGET_LEG = MOST_STEPS  # the legs of a position: its partials, then its target
LEGS = MOST_STEPS + 1
KEPT_TRADES, KEPT_HIGHS = 200, 400  # as core.state, whose classes nothing here needs; a test compares them
NEVER = 1 << 40  # no multiple of R, and no price in ticks, comes near it


class Candles(NamedTuple):
    """All symbols' candles one after another; symbol s has the rows start[s] up to start[s + 1]."""

    start: Ints
    ts: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    interval_ms: int


class Funding(NamedTuple):
    """Settlements by symbol, as candles are kept, each in order of time; the rate in 1e-8."""

    start: Ints
    ts: Ints
    rate_e8: Ints


class Signals(NamedTuple):
    """Signals in order of time, then symbol, then strategy; sides are +1, −1 or 0."""

    closed_ms: Ints
    symbol: Ints
    strategy: Ints
    side: Ints
    exit_side: Ints
    confidence: Floats
    stop_ticks: Ints
    target_ticks: Ints
    atr_mticks: Ints


LEG_STEPS, LEG_PRICE, LEG_TAKES = 0, 1, 2  # columns of a leg; TAKES: it was beyond the price when it came
TIER_CAP_E8, TIER_RATE_PPM, TIER_DEDUCTION_E8 = 0, 1, 2
HIGH_DAY, HIGH_E8 = 0, 1  # columns of a day's high
CLOSED_MS, CLOSED_NUMBER, CLOSED_NET_E8, CLOSED_SYMBOL = 0, 1, 2, 3  # what limits look at of a closed trade


class Desk(Protocol):
    """One symbol: its contract, the exchange's view of the present candle, and the position on it.

    tiers          MOST_TIERS maintenance tiers, the last one repeated
    groups         which groups the symbol belongs to, 1 or 0 each
    at, funded     the next candle and settlement, as rows
    last           where the price stands; path_sign, budget: the present candle's path and what volume is left
    range, volume  high less low of the candle before, and what traded in it; 0 where there was none
    rejects        entries refused in a row; is_frozen where there were too many
    stop           where the stop should be; resting_stop where the order at the exchange is, 0 for none
    exits          a market exit is at work, and has arrived at the exchange from exits_from_ms on
    trail_level    price short of which no close moves the stop, 0 where none does any more
    is_aged        it has reached its greatest age
    legs           partial exits and the target, at rest
    """

    value_e8: int
    min_steps: int
    max_steps: int
    min_notional_e8: int
    tiers: Ints
    groups: Ints
    at: int
    end: int
    funded: int
    funded_end: int
    last: int
    path_sign: int
    budget: int
    range: int
    volume: int
    rejects: int
    is_frozen: int
    stage: int
    number: int
    strategy: int
    sign: int
    intended: int
    reference: int
    initial_stop: int
    stop: int
    resting_stop: int
    target: int
    atr_mticks: int
    exits: int
    exits_from_ms: int
    trail_level: int
    is_aged: int
    deadline_ms: int
    is_at_exchange: int
    entry: int
    entry_steps: int
    steps: int
    cost_e8: int
    margin_e8: int
    liquidation: int
    exit_value_e8: int
    gross_e8: int
    fees_e8: int
    funding_e8: int
    fills: int
    signal_ms: int
    opened_ms: int
    closed_ms: int
    reason: int
    legs: Ints


class Plan(Protocol):
    """One strategy's ladders and following stop: unused partials have share 0, unused moves are never reached."""

    partial_at_milli: Ints
    partial_share_ppm: Ints
    trail_at_milli: Ints
    trail_to_milli: Ints
    follow_percent_ppm: int
    follow_atr_milli: int
    follow_risk_milli: int
    follow_from_milli: int


class Account(Protocol):
    """The account: `peak_e8` is of what trading has made, without the deposit; `closed` the trades limits look at.

    stopped_ms   when the drawdown limit ended all entries, where is_stopped
    highs   (day, most that trading had made on it), only days above all later ones, oldest first; highs_count of them
    """

    balance_e8: int
    peak_e8: int
    day: int
    day_realized_e8: int
    is_stopped: int
    stopped_ms: int
    next_number: int
    closed_count: int
    handover: int
    handover_ms: int
    samples: int
    trades: int
    highs_count: int
    highs: Ints
    closed: Ints
    shares: Ints


class Settings(Protocol):
    """Every number a decision or a fill depends on; names as in `core.settings` and the account's terms."""

    deposit_e8: int
    leverage_milli: int
    taker_fee_e8: int
    maker_fee_e8: int
    slippage_ppm: int
    slippage_range_ppm: int
    impact_ppm: int
    latency_ms: int
    volume_share_ppm: int
    risk_ppm: int
    cap_ppm: int
    cap_money_e8: int
    sizing_fee_e8: int
    method: int
    money_e8: int
    volatility_ppm: int
    kelly_share_ppm: int
    kelly_cap_ppm: int
    kelly_trades: int
    win_step_milli: int
    win_most_milli: int
    recovery_milli: int
    ladder_ppm: int
    asks_record: int
    target_is_limit: int
    max_age_ms: int
    close_on_max_age: int
    tighten_milli: int
    exit_on_opposite: int
    entry_ttl_ms: int
    rejects_to_freeze: int
    daily_loss_ppm: int
    daily_loss_money_e8: int
    day_start_ms: int
    drawdown_ppm: int
    flatten_on_drawdown: int
    consecutive_losses: int
    streak_pause_ms: int
    cooldown_ms: int
    cooldown_is_global: int
    portfolio_risk_ppm: int
    max_positions: int
    position_ppm: int
    min_balance_ppm: int
    max_leverage_milli: int
    group_share_ppm: Ints
    refuses_liquidation: int
    drawdown_days: int
    shock_range_ppm: int
    shock_atr_milli: int
    shock_pause_ms: int
    flatten_on_shock: int


Records: TypeAlias = "np.recarray[Any, Any]"
_SHAPES = {
    "tiers": (MOST_TIERS, 3),
    "groups": (MOST_GROUPS,),
    "group_share_ppm": (MOST_GROUPS,),
    "legs": (LEGS, 3),
    "partial_at_milli": (MOST_STEPS,),
    "partial_share_ppm": (MOST_STEPS,),
    "trail_at_milli": (MOST_STEPS,),
    "trail_to_milli": (MOST_STEPS,),
    "closed": (KEPT_TRADES, 4),
    "highs": (KEPT_HIGHS, 2),
    "shares": (MOST_STEPS,),
}


def records(kind: type, count: int) -> Records:
    """So many records of a kind, all zero."""
    names = list(get_type_hints(kind))
    layout = [(name, np.int64, _SHAPES[name]) if name in _SHAPES else (name, np.int64) for name in names]
    return np.zeros(count, np.dtype(layout)).view(np.recarray)


class Stage(IntEnum):
    """Where a symbol's position stands."""

    FLAT = 0
    PENDING = 1
    OPEN = 2
    CLOSING = 3


class Reason(IntEnum):
    """Why a position ended; 0 while it is open."""

    NONE = 0
    STOP = 1
    TARGET = 2
    TRAILING = 3
    SIGNAL = 4
    TIME = 5
    RISK = 6
    LIQUIDATION = 7


class Handover(IntEnum):
    """What the loop does not model, so that the full engine has to run instead; DONE where nothing came up."""

    DONE = 0
    THIN_VOLUME = 1  # an order wants more than the candle's volume gives
    TARGET_REFUSED = 2  # the price was beyond a take-profit order when it was placed
    LEFT_OVER = 3  # a target filled while a partial exit rested
    LADDER = 4  # a further signal may make a position larger


class T(IntEnum):
    """Columns of a trade; FEES positive is paid, money in 1e-8, EXIT_VALUE the sum of price × quantity."""

    NUMBER = 0
    SYMBOL = 1
    STRATEGY = 2
    SIGN = 3
    SIGNAL_MS = 4
    OPENED_MS = 5
    CLOSED_MS = 6
    ENTRY = 7
    STEPS = 8
    INITIAL_STOP = 9
    STOP = 10
    TARGET = 11
    EXIT_VALUE_E8 = 12
    GROSS_E8 = 13
    FEES_E8 = 14
    FUNDING_E8 = 15
    FILLS = 16
    REASON = 17


TRADE_COLUMNS = len(T)


class Space(NamedTuple):
    """What a run writes besides account and desks: room made beforehand, since compiled code makes none of its own.

    trades, samples   closed trades in order of closing, and (ts, balance, open PnL): the account counts the rows used
    wild              whether the average range was too wide on the close of a candle; empty where nobody asks
    is_left           of the signals of one instant, which are still to be decided
    """

    trades: Ints
    samples: Ints
    wild: Bools
    is_left: Bools


def space_for(candles: Candles, signals: Signals, settings: Settings) -> Space:
    """Enough room for any run over these candles."""
    most_signals = len(signals.closed_ms)
    span_ms = int(candles.ts.max() - candles.ts.min()) if len(candles.ts) else 0
    span_ms += candles.interval_ms
    instants = span_ms // HOUR_MS + 2 + span_ms // DAY_MS + 2  # full hours, and closes before midnights without one
    return Space(
        np.zeros((most_signals + 1, TRADE_COLUMNS), np.int64),
        np.zeros((instants, 3), np.int64),
        np.zeros(len(candles.ts) if settings.shock_atr_milli > 0 else 0, np.bool_),
        np.zeros(most_signals, np.bool_),
    )
