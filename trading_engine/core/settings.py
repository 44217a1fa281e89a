"""What the core must know of the configuration, in its own units; made by the composition root.

What belongs here: plain frozen values. What does not: reading or validating a file (config).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.order_type import OrderType
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.rules.scaling import Method, Scaling
from trading_engine.strategy.levels import Levels


@dataclass(frozen=True, slots=True)
class SizingSettings:
    """Section Z: shares in parts per million, money in 1e-8 (0 = no bound), factors in thousandths.

    money_e8         notional of each position, for the method of fixed money
    volatility_ppm   share of the balance that one average true range may move, for the method of volatility
    kelly_trades     how many of the last closed trades Kelly looks at
    ladder           shares of the size, parts per million: of the first entry, and of what each further signal for the
                     same side adds; empty for one entry of the whole size
    others           see `rules.scaling.Scaling`
    """

    risk_ppm: int = 5_000
    cap_ppm: int = 200_000
    cap_money_e8: int = 0
    taker_fee_e8: int = 60_000
    method: Method = Method.FIXED_FRACTION
    money_e8: int = 0
    volatility_ppm: int = 0
    kelly_share_ppm: int = 250_000
    kelly_cap_ppm: int = 20_000
    kelly_trades: int = 100
    win_step_milli: int = 1_000
    win_most_milli: int = 1_000
    recovery_milli: int = 1_000
    ladder: tuple[int, ...] = ()

    @property
    def asks_record(self) -> bool:
        """Sizes depend on the closed trades at all."""
        return self.method is Method.KELLY or (self.win_step_milli, self.recovery_milli) != (1_000, 1_000)

    @property
    def scaling(self) -> Scaling:
        """How sizes depend on the record of closed trades."""
        return Scaling(
            self.method,
            self.risk_ppm,
            self.money_e8,
            self.volatility_ppm,
            self.kelly_share_ppm,
            self.kelly_cap_ppm,
            self.win_step_milli,
            self.win_most_milli,
            self.recovery_milli,
        )


@dataclass(frozen=True, slots=True)
class PartialStep:
    """A resting partial exit: `share_ppm` of the entry at `at_milli` thousandths of R."""

    at_milli: int
    share_ppm: int


NO_FOLLOW = Follow(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """How one strategy's positions are left: ladders of partial exits and of the stop, a stop that follows."""

    partials: tuple[PartialStep, ...] = ()
    trailing: tuple[TrailStep, ...] = ()
    follow: Follow = NO_FOLLOW


@dataclass(frozen=True, slots=True)
class ExitSettings:
    """Section X: `plans` by strategy.

    max_age_ms        0 switches the time exit off; older positions are told of
    close_on_max_age  … and closed
    tighten_milli     … or their stop follows the close at this distance, thousandths of R; 0 for off
    """

    plans: Mapping[str, ExitPlan] = field(default_factory=dict)
    target_order: OrderType = OrderType.LIMIT
    max_age_ms: int = 86_400_000
    close_on_max_age: bool = False
    tighten_milli: int = 0
    exit_on_opposite: bool = False

    def plan(self, strategy: str) -> ExitPlan:
        """The ladders of a strategy, none where it has no plan."""
        return self.plans.get(strategy, ExitPlan())


class CooldownScope(StrEnum):
    """Whose entries a loss pauses."""

    GLOBAL = "global"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """Symbols whose positions together may be at most a share of the equity."""

    name: str
    symbols: frozenset[str]
    share_ppm: int


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Section R: 0 switches a limit off where that makes sense.

    refuses_liquidation    an entry whose stop lies beyond its liquidation price is refused
    liquidation_near_ppm   a person is told of a price so near to a liquidation price, as a share of it
    drawdown_days          the peak counts for so many days, 0 for ever
    shock_range_ppm        a candle with a range above this share of its low pauses entries on its symbol …
    shock_atr_milli        … so does an average range above so many thousandths of its usual value
    shock_pause_ms         … for so long
    errors_to_block        so many questions in a row without an answer block entries …
    errors_cool_off_ms     … until one is answered, after so long at the earliest
    """

    daily_loss_ppm: int = 50_000
    daily_loss_money_e8: int = 0
    day_start_ms: int = 0
    drawdown_ppm: int = 100_000
    flatten_on_drawdown: bool = False
    consecutive_losses: int = 3
    streak_pause_ms: int = 43_200_000
    cooldown_ms: int = 3_600_000
    cooldown_scope: CooldownScope = CooldownScope.GLOBAL
    portfolio_risk_ppm: int = 50_000
    max_positions: int = 3
    position_ppm: int = 400_000
    min_balance_ppm: int = 100_000
    groups: tuple[GroupLimit, ...] = ()
    max_leverage_milli: int = 5_000
    refuses_liquidation: bool = True
    liquidation_near_ppm: int = 50_000
    drawdown_days: int = 0
    shock_range_ppm: int = 100_000
    shock_atr_milli: int = 0
    shock_pause_ms: int = 1_800_000
    flatten_on_shock: bool = False
    errors_to_block: int = 5
    errors_cool_off_ms: int = 60_000
    flatten_after_outage: bool = False
    rejects_to_freeze: int = 3


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """How orders are sent: all in milliseconds.

    max_send_delay_ms       an intent is never sent later than this after its decision
    recv_window_ms          how long a signed request stays acceptable to the venue
    absence_margin_ms       added to both before "unknown order" proves that it was never accepted
    stop_confirmation_ms    an open position without a confirmed stop for this long is closed
    entry_ttl_ms            an entry that has not filled by then is cancelled
    max_signal_age_ms       a signal older than this is stale: no entry
    retry_exit_ms           wait before a refused exit is tried again
    lookup_retry_ms         wait before an unanswered question is asked again
    poll_ms                 how soon an order that should fill at once is asked after; the pause grows with its age
    stop_spacing_ms         least time between two stop orders of a position, its first excepted
    resend_ms               a protective order without an answer for this long is sent again under a new id: it is
                            reduce-only, so two of them close no more than one; the wait doubles each time
    reconcile_interval_ms   period of reconciliation
    outage_alert_ms         a person is told of a venue that was not heard, or not read, for so long
    stream_lag_ms           a stream that has not told a fill so long after it was read is made anew
    clock_warning_ms        a difference of the clocks above this is told
    """

    max_send_delay_ms: int = 10_000
    recv_window_ms: int = 5_000
    absence_margin_ms: int = 1_000
    stop_confirmation_ms: int = 5_000
    entry_ttl_ms: int = 60_000
    max_signal_age_ms: int = 60_000
    retry_exit_ms: int = 5_000
    lookup_retry_ms: int = 2_000
    poll_ms: int = 1_000
    stop_spacing_ms: int = 1_000
    resend_ms: int = 2_000
    reconcile_interval_ms: int = 300_000
    outage_alert_ms: int = 300_000
    stream_lag_ms: int = 10_000
    clock_warning_ms: int = 250

    @property
    def clock_limit_ms(self) -> int:
        """A difference of the clocks above this takes too much of the receive window: no entries."""
        return self.recv_window_ms // 2


class ForeignPolicy(StrEnum):
    """What becomes of positions at the venue that are not ours."""

    IGNORE = "ignore"  # left alone and counted as exposure
    FREEZE = "freeze"  # left alone; no entries on the symbol until an operator resumes
    ADOPT = "adopt"  # taken over, with a stop
    FLATTEN = "flatten"  # closed at the market


@dataclass(frozen=True, slots=True)
class ForeignSettings:
    """Policies of the traded symbols; what is not traded is always ignored. `adopt_stop_ppm` counts from the mark."""

    default: ForeignPolicy = ForeignPolicy.FREEZE
    symbols: Mapping[str, ForeignPolicy] = field(default_factory=dict)
    adopt_stop_ppm: int = 20_000


@dataclass(frozen=True, slots=True)
class Expected:
    """What a backtest has promised: trades won in parts per million, gross won per lost in thousandths; 0 for off."""

    win_rate_ppm: int = 0
    profit_factor_milli: int = 0


@dataclass(frozen=True, slots=True)
class TellSettings:
    """What a person is told of besides what concerns orders and limits; 0 switches one off.

    daily, hourly    a summary when a day, an hour of the market has ended
    slippage_ppm     a fill so much worse than its price was meant to be, as a share of that price
    slow_call_ms     an answer that takes longer is slow; so many slow ones in a row are told …
    slow_calls       … this many
    stuck_ms         a position that has been closing, or an entry pending, for so long
    disk_low_mb      less free space than this is told; a tenth of it forbids entries
    least_trades     a strategy is compared with its backtest after so many trades
    expected         strategy → what it is compared with
    """

    daily: bool = False
    hourly: bool = False
    slippage_ppm: int = 5_000
    slow_call_ms: int = 3_000
    slow_calls: int = 3
    stuck_ms: int = 300_000
    disk_low_mb: int = 2_000
    least_trades: int = 20
    expected: Mapping[str, Expected] = field(default_factory=dict)

    @property
    def disk_shut_mb(self) -> int:
        """Less free space than this forbids entries: the ledger needs what is left for the exits."""
        return self.disk_low_mb // 10


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything a decision depends on besides state and event.

    atr_periods   strategy → period of the average true range that its signals come with, where exits or sizing ask
    levels        strategy → where its stop and target are put, where that is not its own word
    signals_only  everything is decided and written down, and nothing is sent to the venue
    """

    venue: str
    account: str
    asset: str
    instruments: Mapping[str, Instrument]
    leverage: Decimal = Decimal(1)
    absence_is_proof: bool = False
    visibility_delay_ms: int = 0
    sizing: SizingSettings = field(default_factory=SizingSettings)
    exits: ExitSettings = field(default_factory=ExitSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    foreign: ForeignSettings = field(default_factory=ForeignSettings)
    atr_periods: Mapping[str, int] = field(default_factory=dict)
    levels: Mapping[str, Levels] = field(default_factory=dict)
    tell: TellSettings = field(default_factory=TellSettings)
    signals_only: bool = False

    def foreign_policy(self, symbol: str) -> ForeignPolicy:
        """What becomes of a foreign position on `symbol`; nothing, where nothing is sent."""
        if self.signals_only or symbol not in self.instruments:
            return ForeignPolicy.IGNORE
        return self.foreign.symbols.get(symbol, self.foreign.default)
