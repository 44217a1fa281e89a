"""What a simulated world is made of besides its faults.

What belongs here: symbols, spans, limits, and the engine's settings in such a world. What does not: living
through it (world).
"""

from dataclasses import dataclass, field
from decimal import Decimal

from trading_engine.core.settings import (
    EngineSettings,
    ExecutionSettings,
    ExitPlan,
    ExitSettings,
    ForeignPolicy,
    ForeignSettings,
    LimitSettings,
    PartialStep,
    SizingSettings,
)
from trading_engine.domain.instrument import Instrument
from trading_engine.rules.exits import TrailStep
from trading_engine.simulation.exchange import VISIBILITY_DELAY_MS
from trading_engine.simulation.faults import MIDNIGHT_MS
from trading_engine.simulation.market import MINUTE_MS, STRATEGY, Weather
from trading_engine.venues.embedded.facts import known_instrument

WALL_MS = 1_735_689_600_000 - MIDNIGHT_MS  # virtual time zero: midnight falls into every seed
END_MS = 25_000  # a simulation ends between two points of a candle, with nothing on the way
SYMBOLS = ("BTCUSDT", "SOLUSDT")
START_TICKS = {"BTCUSDT": 500_000, "SOLUSDT": 15_000}
DEPOSIT = Decimal(10_000)
MOST_STARTS = 400
CALLS_PER_MINUTE = 400


LADDER = (250_000, 350_000, 400_000)
WIDE_LIMITS = LimitSettings(daily_loss_ppm=500_000, drawdown_ppm=500_000, consecutive_losses=0, cooldown_ms=30_000)
TIGHT_LIMITS = LimitSettings(
    daily_loss_ppm=4_000,
    drawdown_ppm=8_000,
    flatten_on_drawdown=True,
    consecutive_losses=3,
    streak_pause_ms=10 * MINUTE_MS,
    cooldown_ms=3 * MINUTE_MS,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a world is made of besides its faults.

    troubled_ms, quiet_ms  how long things go wrong, and how long the engine then has to put itself in order
    foreign                what becomes of what somebody else trades in the account
    script                 minutes of one entry and one exit, None for signals by chance
    ladder                 shares of a size by which further signals add to a position
    history_lag_ms         the venue's history shows a fill up to so much later, each after a time of its own
    """

    seed: int
    symbols: tuple[str, ...] = SYMBOLS
    troubled_ms: int = 55 * MINUTE_MS
    quiet_ms: int = 6 * MINUTE_MS
    script: tuple[int, int] | None = None
    leverage: Decimal = Decimal(5)
    weather: Weather = field(default_factory=Weather)
    limits: LimitSettings = field(default_factory=lambda: WIDE_LIMITS)
    foreign: ForeignPolicy = ForeignPolicy.FREEZE
    ladder: tuple[int, ...] = ()
    history_lag_ms: int = 0


def settings_of(scenario: Scenario) -> EngineSettings:
    """The engine's settings in a simulated world: everything that acts on orders is on."""
    instruments: dict[str, Instrument] = {}
    for symbol in scenario.symbols:
        instrument = known_instrument(symbol)
        assert instrument is not None  # noqa: S101 - both are built in
        instruments[symbol] = instrument
    plan = ExitPlan(
        (PartialStep(700, 300_000), PartialStep(1_400, 400_000)), (TrailStep(1_000, 0), TrailStep(2_000, 1_000))
    )
    return EngineSettings(
        venue="embedded",
        account="simulated",
        asset="USDT",
        instruments=instruments,
        leverage=scenario.leverage,
        absence_is_proof=False,
        visibility_delay_ms=VISIBILITY_DELAY_MS,
        sizing=SizingSettings(risk_ppm=5_000, cap_ppm=300_000, ladder=scenario.ladder),
        exits=ExitSettings({STRATEGY: plan}, exit_on_opposite=True, max_age_ms=20 * MINUTE_MS, close_on_max_age=True),
        limits=scenario.limits,
        foreign=ForeignSettings(scenario.foreign),
        execution=ExecutionSettings(reconcile_interval_ms=MINUTE_MS),
    )
