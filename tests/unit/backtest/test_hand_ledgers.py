"""Small scenarios whose ledgers were worked out by hand, and that both engines must arrive at, to the last digit.

The contract has a tick of 0.1, a step of 0.001 coins, and takes no order below 5 of money. An account of 1,000 risks
0.1 % a trade, which is 1.00: with a stop 10.0 below a close of 1,000.0 that buys 1.00 / 10.0 = 0.1 coins. Unless a
scenario says otherwise a market order costs 0.06 % and fills 0.05 % of the price worse, rounded to a tick against us; a
resting order costs 0.02 % and fills at its own price. An entry that is decided on a close trades at the next open.
In the last scenarios a market order fills half a spread of 0.02 % and 10 % of the range of the candle before worse,
each rounded to a tick against us, or is under way for some candles while what rests at the exchange is not; or it fills
half that spread worse and 0.5 % of the price times the root of its share of the volume of the candle before.

A line of a ledger is a fill or a settlement: what, coins, price, value = coins × price, rate, fee = value × rate, and
what an exit makes before fees = coins × (exit − entry), negated for a short. `net` is the sum of that column, less fees
and what funding cost; `balance` is what the account holds at the end. The first test checks the tables against their
own arithmetic, the second one both engines against the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pytest
from builders import without_limits
from fakes.backtest_bench import DEPOSIT, MINUTE_MS, START_MS, Case, instrument
from msgspec import structs

from trading_engine.backtest.market import make_market
from trading_engine.backtest.result import Trade, compare
from trading_engine.backtest.run import ambiguous
from trading_engine.backtest.signals import Spoken
from trading_engine.backtest.tables import Signals as Table
from trading_engine.core.settings import (
    EngineSettings,
    ExecutionSettings,
    ExitPlan,
    ExitSettings,
    LimitSettings,
    PartialStep,
    SizingSettings,
)
from trading_engine.domain.market import FundingRate
from trading_engine.domain.order_type import OrderType
from trading_engine.marketdata.block import from_units
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.strategy.api import Signals
from trading_engine.venues.embedded.terms import Terms

AAA = "AAAUSDT"
DAY = 24 * 60
Shape = tuple[float, float, float, float]  # open, high, low, close
QUIET: Shape = (1_000, 1_000, 1_000, 1_000)
WINS: Shape = (1_000, 1_030.1, 1_000, 1_000)
LOSES: Shape = (1_000, 1_000, 989, 1_000)
PLAN = "made"


class Said(NamedTuple):
    """A signal on the close of the candle that opened at a minute; distances in money."""

    minute: int = 0
    side: int = 1
    stop: float = 10
    target: float = 30


@dataclass(frozen=True)
class Scenario:
    """Candles by the minute they open at, what was said, and the ledger that follows.

    settled   funding rates by the minute they are due; the price then is the close before
    volumes   what traded in the candle of a minute, steps; in any other more than enough
    """

    ledger: str
    candles: Mapping[int, Shape]
    said: Sequence[Said] = (Said(),)
    settled: Mapping[int, str] = field(default_factory=dict)
    volumes: Mapping[int, int] = field(default_factory=dict)
    terms: Terms = field(default_factory=lambda: Terms(60_000, 20_000, 500))
    sizing: Mapping[str, Any] = field(default_factory=dict)
    limits: LimitSettings = field(default_factory=lambda: without_limits(refuses_liquidation=False))
    exits: ExitSettings = field(default_factory=ExitSettings)
    leverage: int = 1
    ambiguous: int = 0


class Line(NamedTuple):
    """One row of a table, as it stands there."""

    what: str
    numbers: tuple[Decimal, ...]


def minutes(*shapes: Shape) -> dict[int, Shape]:
    """A quiet candle, on whose close the signal is heard, and these after it."""
    return dict(enumerate([QUIET, *shapes]))


WIDE = Terms(60_000, 20_000, 200, slippage_range_ppm=100_000)
DEEP = Terms(60_000, 20_000, 200, impact_ppm=5_000)
LATE = Terms(60_000, 20_000, 500, latency_candles=1)

PARTIALS = (PartialStep(2_000, 300_000), PartialStep(4_000, 400_000))
TRAILING = (TrailStep(3_000, 1_000), TrailStep(5_000, 3_000))

SCENARIOS: Mapping[str, Scenario] = {
    "a long to its target": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        target     0.1     1030     103        0.02%   0.0206     +2.95      0.1 × 29.5
        net       +2.86937                                                   2.95 − 0.06003 − 0.0206
        balance   1002.86937
        """,
        minutes(QUIET, WINS),
    ),
    "a long to its stop": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1       990 less 0.495, which is 5 ticks
        net       −1.2194
        balance    998.7806
        """,
        minutes(QUIET, LOSES),
    ),
    "a short to its target": Scenario(
        """
        entry      0.1      999.5    99.95     0.06%   0.05997
        target     0.1      970      97        0.02%   0.0194     +2.95      0.1 × (999.5 − 970)
        net       +2.87063
        balance   1002.87063
        """,
        minutes(QUIET, (1_000, 1_000, 969.9, 975)),
        [Said(side=-1)],
    ),
    "a short to its stop": Scenario(
        """
        entry      0.1      999.5    99.95     0.06%   0.05997
        stop       0.1     1010.6   101.06     0.06%   0.060636   −1.11      1010 and 0.505, which is 6 ticks
        net       −1.230606
        balance    998.769394
        """,
        minutes(QUIET, (1_000, 1_010, 1_000, 1_005)),
        [Said(side=-1)],
    ),
    # R is what lies between the entry and the first stop: 1000.5 − 990 = 10.5. 2 R: 1021.5; 4 R: 1042.5.
    "partial exits": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        partial    0.03    1021.5    30.645    0.02%   0.006129   +0.63      30 % of 0.1; 0.03 × 21
        partial    0.04    1042.5    41.7      0.02%   0.00834    +1.68      40 % of 0.1; 0.04 × 42
        target     0.03    1060      31.8      0.02%   0.00636    +1.785     the rest; 0.03 × 59.5
        net       +4.014141                                                  4.095 − 0.080859
        balance   1004.014141
        """,
        minutes(QUIET, (1_000, 1_022, 1_000, 1_022), (1_022, 1_043, 1_022, 1_043), (1_043, 1_061, 1_043, 1_061)),
        [Said(target=60)],
        exits=ExitSettings(plans={PLAN: ExitPlan(PARTIALS)}),
    ),
    "partial exits, then the stop": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        partial    0.03    1021.5    30.645    0.02%   0.006129   +0.63
        stop       0.07     989.5    69.265    0.06%   0.041559   −0.77      0.07 × −11
        net       −0.247718                                                  −0.14 − 0.107718
        balance    999.752282
        """,
        minutes(QUIET, (1_000, 1_022, 1_000, 1_022), (1_022, 1_022, 985, 990)),
        [Said(target=60)],
        exits=ExitSettings(plans={PLAN: ExitPlan(PARTIALS)}),
    ),
    # 3 R are 1000.5 + 31.5 = 1032; a close there puts the stop at +1 R, 1011. It sells at 1011 less 0.5055, 6 ticks.
    "a trailing stop": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        trailing   0.1     1010.4   101.04     0.06%   0.060624   +0.99
        net       +0.869346
        balance   1000.869346
        """,
        minutes(QUIET, (1_000, 1_033, 1_000, 1_033), (1_033, 1_033, 1_000, 1_000)),
        [Said(target=80)],
        exits=ExitSettings(plans={PLAN: ExitPlan((), TRAILING)}),
    ),
    # A close one tick short of 3 R moves nothing: the first stop stays.
    "a trailing stop that was not reached": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1
        net       −1.2194
        balance    998.7806
        """,
        minutes(QUIET, (1_000, 1_040, 1_000, 1_031.9), (1_031.9, 1_031.9, 985, 985)),
        [Said(target=80)],
        exits=ExitSettings(plans={PLAN: ExitPlan((), TRAILING)}),
    ),
    # One per cent behind a close of 1050: 1039.5, sold 0.51975, 6 ticks, below.
    "a stop that follows at one per cent": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        trailing   0.1     1038.9   103.89     0.06%   0.062334   +3.84
        net       +3.717636
        balance   1003.717636
        """,
        minutes(QUIET, (1_000, 1_050, 1_000, 1_050), (1_050, 1_050, 1_030, 1_030)),
        [Said(target=80)],
        exits=ExitSettings(plans={PLAN: ExitPlan((), (), Follow(10_000, 0, 0, 0))}),
    ),
    # Nothing traded between 1000 and 980: the stop at 990 sells at 980 less 0.49, 5 ticks.
    "a gap through the stop": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      979.5    97.95     0.06%   0.05877    −2.1
        net       −2.2188
        balance    997.7812
        """,
        minutes(QUIET, (980, 985, 978, 980)),
    ),
    # The price opens beyond the stop before there is a position: it is left at once, at the same open.
    "an entry beyond its own stop": Scenario(
        """
        entry      0.1      985.5    98.55     0.06%   0.05913               985 and 0.4925, 5 ticks
        stop       0.1      984.5    98.45     0.06%   0.05907    −0.1       985 less 0.4925, 5 ticks
        net       −0.2182
        balance    999.7818
        """,
        minutes((985, 986, 984, 985), QUIET),
    ),
    "a candle with both the stop and the target": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1       the worse of the two
        net       −1.2194
        balance    998.7806
        """,
        minutes(QUIET, (1_000, 1_035, 985, 1_020)),
        ambiguous=1,
    ),
    # A long pays a positive rate on what it is worth at the close before, and receives a negative one.
    "funding of a long, both signs": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        funding    0.1     1010     101        0.1%    0.101                 paid
        funding    0.1     1020     102       −0.05%  −0.051                 received
        target     0.1     1030     103        0.02%   0.0206     +2.95
        net       +2.81937                                                   2.86937 − 0.101 + 0.051
        balance   1002.81937
        """,
        minutes(QUIET, (1_000, 1_010, 1_000, 1_010), (1_010, 1_020, 1_010, 1_020), (1_020, 1_030.1, 1_020, 1_030)),
        settled={3: "0.001", 4: "-0.0005"},
    ),
    "funding of a short, both signs": Scenario(
        """
        entry      0.1      999.5    99.95     0.06%   0.05997
        funding    0.1      990      99        −0.1%  −0.099                 received
        funding    0.1      980      98         0.05%  0.049                 paid
        target     0.1      970      97        0.02%   0.0194     +2.95
        net       +2.92063                                                   2.87063 + 0.099 − 0.049
        balance   1002.92063
        """,
        minutes(QUIET, (1_000, 1_000, 990, 990), (990, 990, 980, 980), (980, 980, 969.9, 970)),
        [Said(side=-1)],
        settled={3: "0.001", 4: "-0.0005"},
    ),
    # 1 % at risk over 100 is 0.1 coins as well. At 50x the margin is 100.05 / 50 = 2.001, the maintenance rate 0.5 %:
    # (100.05 − 2.001) / (0.1 × 0.995) = 985.417, rounded towards the entry: 985.5. The stop at 900 is never reached.
    "a liquidation": Scenario(
        """
        entry        0.1   1000.5   100.05     0.06%   0.06003
        liquidation  0.1    985.5    98.55     0.06%   0.05913    −1.5       0.1 × −15; no slippage on top
        net         −1.61916
        balance      998.38084
        """,
        minutes(QUIET, (1_000, 1_000, 985.4, 990)),
        [Said(stop=100, target=0)],
        sizing={"risk_ppm": 10_000},
        leverage=50,
    ),
    # (99.95 + 1.999) / (0.1 × 1.005) = 1014.418, rounded towards the entry: 1014.4.
    "a liquidation of a short": Scenario(
        """
        entry        0.1    999.5    99.95     0.06%   0.05997
        liquidation  0.1   1014.4   101.44     0.06%   0.060864   −1.49
        net         −1.610834
        balance      998.389166
        """,
        minutes(QUIET, (1_000, 1_014.4, 1_000, 1_010)),
        [Said(side=-1, stop=100, target=0)],
        sizing={"risk_ppm": 10_000},
        leverage=50,
    ),
    "a target as a market order, fees of a taker on both sides": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        target     0.1     1029.4   102.94     0.06%   0.061764   +2.89      1030 less 0.515, 6 ticks
        net       +2.768206
        balance   1002.768206
        """,
        minutes(QUIET, WINS),
        exits=ExitSettings(target_order=OrderType.TAKE_PROFIT_MARKET),
    ),
    "a rebate for what rests": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        target     0.1     1030     103       −0.01%  −0.0103     +2.95
        net       +2.90027
        balance   1002.90027
        """,
        minutes(QUIET, WINS),
        terms=Terms(60_000, -10_000, 500),
    ),
    # 0.004 % of 1,000 is 0.04; 0.04 / 10.0 = 0.004 coins = 4.00, less than the least order of 5.
    "an order below the least the venue takes": Scenario(
        """
        balance   1000
        """,
        minutes(QUIET, WINS),
        sizing={"risk_ppm": 40},
    ),
    # 0.005 % is 0.05: 0.005 coins = 5.00, which is just enough; partials and fees of so little are exact, too.
    "the least order that the venue takes": Scenario(
        """
        entry      0.005   1000.5     5.0025   0.06%   0.0030015
        target     0.005   1030       5.15     0.02%   0.00103    +0.1475
        net       +0.1434685
        balance   1000.1434685
        """,
        minutes(QUIET, WINS),
        sizing={"risk_ppm": 50},
    ),
    # From three minutes on it is old, judged on the close of its third candle; the next opens at 1003, less 0.5015.
    "closed by age": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        time       0.1     1002.4   100.24     0.06%   0.060144   +0.19
        net       +0.069826
        balance   1000.069826
        """,
        minutes(QUIET, QUIET, QUIET, (1_003, 1_005, 1_003, 1_005), QUIET),
        exits=ExitSettings(max_age_ms=3 * MINUTE_MS, close_on_max_age=True),
    ),
    # The limit is 0.2 % of the day's first 1,000: 2.00. The second trade risks 0.1 % of 998.7806, which is 0.099 coins.
    # After it the day has lost 2.426606: the third signal is refused. The next day's is taken: 0.1 % of 997.573394.
    "the daily loss limit, and the next day": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1
        net       −1.2194
        entry      0.099   1000.5    99.0495   0.06%   0.0594297
        stop       0.099    989.5    97.9605   0.06%   0.0587763  −1.089
        net       −1.207206
        entry      0.099   1000.5    99.0495   0.06%   0.0594297
        stop       0.099    989.5    97.9605   0.06%   0.0587763  −1.089
        net       −1.207206
        balance    996.366188
        """,
        {0: QUIET, 1: LOSES, 2: LOSES, 3: LOSES, 4: QUIET, DAY: QUIET, DAY + 1: LOSES},
        [Said(0), Said(1), Said(2), Said(3), Said(DAY)],
        limits=without_limits(daily_loss_ppm=2_000),
    ),
    # The peak is 1002.86937. One loss leaves 0.12 % below it, two 2.4388 or 0.24 %: above the limit of 0.2 %, for ever.
    "the drawdown limit": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        target     0.1     1030     103        0.02%   0.0206     +2.95
        net       +2.86937
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1
        net       −1.2194
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1
        net       −1.2194
        balance   1000.43057
        """,
        {0: QUIET, 1: WINS, 2: LOSES, 3: LOSES, 4: QUIET, 9 * DAY: QUIET, 9 * DAY + 1: LOSES},
        [Said(0), Said(1), Said(2), Said(3), Said(9 * DAY)],
        limits=without_limits(drawdown_ppm=2_000),
    ),
    # Two losses in a row pause for an hour from the second one's close on: minute 63 is within it, minute 70 is not.
    "a losing streak": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1
        net       −1.2194
        entry      0.099   1000.5    99.0495   0.06%   0.0594297
        stop       0.099    989.5    97.9605   0.06%   0.0587763  −1.089
        net       −1.207206
        entry      0.099   1000.5    99.0495   0.06%   0.0594297
        target     0.099   1030     101.97     0.02%   0.020394   +2.9205
        net       +2.8406763
        balance   1000.4140703
        """,
        {0: QUIET, 1: LOSES, 2: LOSES, 60: QUIET, 61: WINS, 70: QUIET, 71: WINS},
        [Said(0), Said(1), Said(60), Said(70)],
        limits=without_limits(consecutive_losses=2, streak_pause_ms=60 * MINUTE_MS),
    ),
    # Ten minutes after a loss nothing is entered: minute 9 is within them, minute 12 is not.
    "a cooldown": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.1
        net       −1.2194
        entry      0.099   1000.5    99.0495   0.06%   0.0594297
        target     0.099   1030     101.97     0.02%   0.020394   +2.9205
        net       +2.8406763
        balance   1001.6212763
        """,
        {0: QUIET, 1: LOSES, 9: QUIET, 10: WINS, 12: QUIET, 13: WINS},
        [Said(0), Said(9), Said(12)],
        limits=without_limits(cooldown_ms=10 * MINUTE_MS),
    ),
    # Ranges before the fills are 6 and 7, of which 6 and 7 ticks; half spreads 2 ticks and 1.98, so 2. The range of 11
    # of the candle that meets the stop counts for nothing: it was not known.
    "spread and range, a long to its stop": Scenario(
        """
        entry      0.1     1000.8   100.08     0.06%   0.060048              1000 and 0.2 and 0.6
        stop       0.1      989.1    98.91     0.06%   0.059346   −1.17      990 less 0.2 and 0.7
        net       −1.289394
        balance    998.710606
        """,
        dict(enumerate([(1_000, 1_004, 998, 1_000), (1_000, 1_006, 999, 1_000), LOSES])),
        terms=WIDE,
    ),
    # 10 % of 3.3 are 3.3 ticks, so 4; the target rests and fills at its own price.
    "spread and range, a short to its target": Scenario(
        """
        entry      0.1      999.4    99.94     0.06%   0.059964              1000 less 0.2 and 0.4
        target     0.1      970      97        0.02%   0.0194     +2.94      0.1 × 29.4
        net       +2.860636
        balance   1002.860636
        """,
        dict(enumerate([(1_000, 1_003.3, 1_000, 1_000), QUIET, (1_000, 1_000, 969.9, 975)])),
        [Said(side=-1)],
        terms=WIDE,
    ),
    # 0.02 % of 1010 are 2.02 ticks, so 3; 10 % of 2.5 are 2.5 ticks, so 3.
    "spread and range, a short to its stop": Scenario(
        """
        entry      0.1      999.4    99.94     0.06%   0.059964
        stop       0.1     1010.6   101.06     0.06%   0.060636   −1.12      1010 and 0.3 and 0.3
        net       −1.2406
        balance    998.7594
        """,
        dict(enumerate([(1_000, 1_003.3, 1_000, 1_000), (1_000, 1_002, 999.5, 1_000), (1_000, 1_010, 1_000, 1_005)])),
        [Said(side=-1)],
        terms=WIDE,
    ),
    # As a market order: 0.02 % of 1030 are 2.06 ticks, so 3, and 7 of the range before.
    "spread and range, a target at the market": Scenario(
        """
        entry      0.1     1000.8   100.08     0.06%   0.060048
        target     0.1     1029     102.9      0.06%   0.06174    +2.82      1030 less 0.3 and 0.7
        net       +2.698212
        balance   1002.698212
        """,
        dict(enumerate([(1_000, 1_004, 998, 1_000), (1_000, 1_006, 999, 1_000), WINS])),
        terms=WIDE,
        exits=ExitSettings(target_order=OrderType.TAKE_PROFIT_MARKET),
    ),
    # 0.02 % of 1003 are 2.006 ticks, so 3; the range of the candle on whose close it was decided is 2.
    "spread and range, closed by age": Scenario(
        """
        entry      0.1     1000.4   100.04     0.06%   0.060024              1000 and 0.2 and 0.2
        time       0.1     1002.5   100.25     0.06%   0.06015    +0.21      1003 less 0.3 and 0.2
        net       +0.089826
        balance   1000.089826
        """,
        dict(
            enumerate(
                [
                    (1_000, 1_002, 1_000, 1_000),
                    QUIET,
                    QUIET,
                    (1_000, 1_001, 999, 1_000),
                    (1_003, 1_005, 1_003, 1_005),
                    QUIET,
                ]
            )
        ),
        terms=WIDE,
        exits=ExitSettings(max_age_ms=3 * MINUTE_MS, close_on_max_age=True),
    ),
    # 100 of 40,000 steps are 1/400, whose root is 1/20: 0.025 % of 1000 are 2.5 ticks, so 3. 100 of 2,500 are 1/25, so
    # a fifth: 0.1 % of 990 are 9.9 ticks, so 10. Half spreads 2 and 1.98, so 2.
    "depth, a long to its stop": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003               1000 and 0.2 and 0.3
        stop       0.1      988.8    98.88     0.06%   0.059328   −1.17      990 less 0.2 and 1.0
        net       −1.289358
        balance    998.710642
        """,
        minutes(QUIET, LOSES),
        volumes={0: 40_000, 1: 2_500},
        terms=DEEP,
    ),
    # A hundredth of the volume before, so a tenth: 0.05 % of 1000 are 5 ticks. The target rests and fills at its price.
    "depth, a short to its target": Scenario(
        """
        entry      0.1      999.3    99.93     0.06%   0.059958              1000 less 0.2 and 0.5
        target     0.1      970      97        0.02%   0.0194     +2.93
        net       +2.850642
        balance   1002.850642
        """,
        minutes(QUIET, (1_000, 1_000, 969.9, 975)),
        [Said(side=-1)],
        volumes={0: 10_000},
        terms=DEEP,
    ),
    # Nothing traded before the entry, as if it took all: 0.5 % of 1000 are 50 ticks. A millionth of the volume before
    # the stop, so a thousandth: 0.0005 % of 1010 is a twentieth of a tick, so 1; 0.02 % are 2.02, so 3.
    "depth, a short into a market without volume, to its stop": Scenario(
        """
        entry      0.1      994.8    99.48     0.06%   0.059688              1000 less 0.2 and 5.0
        stop       0.1     1010.4   101.04     0.06%   0.060624   −1.56      1010 and 0.3 and 0.1
        net       −1.680312
        balance    998.319688
        """,
        minutes(QUIET, (1_000, 1_010, 1_000, 1_005)),
        [Said(side=-1)],
        volumes={0: 0, 1: 100_000_000},
        terms=DEEP,
    ),
    # 100 steps where 50 traded before count as all of them, no more: 50 ticks.
    "depth, a long of more than what traded before": Scenario(
        """
        entry      0.1     1005.2   100.52     0.06%   0.060312              1000 and 0.2 and 5.0
        stop       0.1      989.7    98.97     0.06%   0.059382   −1.55      990 less 0.2 and 0.1
        net       −1.669694
        balance    998.330306
        """,
        minutes(QUIET, LOSES),
        volumes={0: 50},
        terms=DEEP,
    ),
    # Each by its own quantity, of 12,000 steps: 30 are 1/400, so 1/20: 0.025 % of 1021.5 are 2.6 ticks and of 1050 as
    # many, so 3; 40 are 1/300, whose root is 0.0577: 0.0289 % of 1042.5 are 3.01 ticks, so 4. Half spreads: 3 each.
    "depth, partial exits and a target at the market": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        partial    0.03    1020.9    30.627    0.06%   0.0183762  +0.612     1021.5 less 0.3 and 0.3
        partial    0.04    1041.8    41.672    0.06%   0.0250032  +1.652     1042.5 less 0.3 and 0.4
        target     0.03    1049.4    31.482    0.06%   0.0188892  +1.467     1050 less 0.3 and 0.3
        net       +3.6087014                                                 3.731 − 0.1222986
        balance   1003.6087014
        """,
        minutes(QUIET, (1_000, 1_050.1, 1_000, 1_000)),
        [Said(target=50)],
        volumes={0: 40_000, 1: 12_000},
        terms=DEEP,
        exits=ExitSettings(plans={PLAN: ExitPlan(PARTIALS)}, target_order=OrderType.TAKE_PROFIT_MARKET),
    ),
    # A tenth at the exit: 0.05 % of 1003 are 5.015 ticks, so 6; 0.02 % are 2.006, so 3. What trades in the candle
    # itself, and before the decision, counts for nothing.
    "depth, closed by age": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        time       0.1     1002.1   100.21     0.06%   0.060126   +0.16      1003 less 0.3 and 0.6
        net       +0.039844
        balance   1000.039844
        """,
        minutes(QUIET, QUIET, (1_000, 1_001, 999, 1_000), (1_003, 1_005, 1_003, 1_005), QUIET),
        volumes={0: 40_000, 2: 2_000, 3: 10_000, 4: 1_000},
        terms=DEEP,
        exits=ExitSettings(max_age_ms=3 * MINUTE_MS, close_on_max_age=True),
    ),
    # The volume that counts is the one before the fill, 10,000, not the one before the decision.
    "late, with depth": Scenario(
        """
        entry      0.1     1000.7   100.07     0.06%   0.060042              1000 and 0.2 and 0.5
        target     0.1     1030     103        0.02%   0.0206     +2.93
        net       +2.849358
        balance   1002.849358
        """,
        minutes(QUIET, QUIET, WINS),
        volumes={0: 100, 1: 10_000},
        terms=structs.replace(DEEP, latency_candles=1),
    ),
    # The candle after the signal would have met the stop: nothing is open then. The stop itself comes at once.
    "a long that is entered a candle late, to its stop": Scenario(
        """
        entry      0.1     1002.6   100.26     0.06%   0.060156              1002 and 0.501, 6 ticks
        stop       0.1      989.5    98.95     0.06%   0.05937    −1.31      0.1 × −13.1; sized at 1000 all the same
        net       −1.429526
        balance    998.570474
        """,
        minutes((1_000, 1_001, 989, 1_001), (1_002, 1_003, 1_001, 1_002), LOSES),
        terms=LATE,
    ),
    # The candle after the signal would have met the target.
    "a short that is entered two candles late, to its target": Scenario(
        """
        entry      0.1      989.5    98.95     0.06%   0.05937               990 less 0.495, 5 ticks
        target     0.1      970      97        0.02%   0.0194     +1.95
        net       +1.87123
        balance   1001.87123
        """,
        minutes((1_000, 1_002, 960, 965), (965, 995, 965, 990), (990, 991, 985, 988), (988, 988, 969.9, 975)),
        [Said(side=-1)],
        terms=structs.replace(LATE, latency_candles=2),
    ),
    # Entered with minute 2, three minutes old on the close of minute 4, sold at the open of minute 6.
    "closed by age, a candle late": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        time       0.1     1002.4   100.24     0.06%   0.060144   +0.19
        net       +0.069826
        balance   1000.069826
        """,
        minutes(QUIET, QUIET, QUIET, QUIET, (1_000, 1_008, 995, 1_007), (1_003, 1_005, 1_003, 1_005), QUIET),
        terms=LATE,
        exits=ExitSettings(max_age_ms=3 * MINUTE_MS, close_on_max_age=True),
    ),
    # The exit is under way in minute 5: what rests is not, and sells at 990 less 0.495. It was to be closed by age.
    "a stop that is met while an exit is under way": Scenario(
        """
        entry      0.1     1000.5   100.05     0.06%   0.06003
        time       0.1      989.5    98.95     0.06%   0.05937    −1.1
        net       −1.2194
        balance    998.7806
        """,
        minutes(QUIET, QUIET, QUIET, QUIET, LOSES, (1_003, 1_005, 1_003, 1_005), QUIET),
        terms=LATE,
        exits=ExitSettings(max_age_ms=3 * MINUTE_MS, close_on_max_age=True),
    ),
    # The venue takes no stop beyond the price; what closes instead is decided at the open and trades a candle later.
    "an entry beyond its own stop, a candle late": Scenario(
        """
        entry      0.1      985.5    98.55     0.06%   0.05913
        stop       0.1      979.5    97.95     0.06%   0.05877    −0.6       980 less 0.49, 5 ticks
        net       −0.7179
        balance    999.2821
        """,
        minutes(QUIET, (985, 986, 984, 985), (980, 981, 979, 980), QUIET),
        terms=LATE,
    ),
    # The range that counts is the one before the fill, 7, not the one before the decision, 100.
    "late, with spread and range": Scenario(
        """
        entry      0.1     1000.9   100.09     0.06%   0.060054              1000 and 0.2 and 0.7
        target     0.1     1030     103        0.02%   0.0206     +2.91
        net       +2.829346
        balance   1002.829346
        """,
        dict(enumerate([(1_000, 1_050, 950, 1_000), (1_000, 1_006, 999, 1_000), QUIET, WINS])),
        terms=structs.replace(WIDE, latency_candles=1),
    ),
}


def lines_of(ledger: str) -> list[Line]:
    """The rows of a table; what stands behind the numbers explains them."""
    made = []
    for row in ledger.strip().splitlines():
        what, *rest = row.split()
        count = {"net": 1, "balance": 1, "entry": 5, "funding": 5}.get(what, 6)
        made.append(Line(what, tuple(_number(text) for text in rest[:count])))
    return made


def _number(text: str) -> Decimal:
    plain = text.replace("−", "-")
    return Decimal(plain.removesuffix("%")) / 100 if plain.endswith("%") else Decimal(plain)


def trades_of(ledger: str) -> tuple[list[list[Line]], Decimal]:
    """The rows of each trade, up to its net result; the balance at the end."""
    trades: list[list[Line]] = [[]]
    *rows, last = lines_of(ledger)
    for line in rows:
        trades[-1].append(line)
        if line.what == "net":
            trades.append([])
    assert "balance" == last.what
    return trades[:-1], last.numbers[0]


def case_of(scenario: Scenario) -> Case:
    """The scenario as both engines take it."""
    contract = instrument(AAA)
    ts = np.array([START_MS + minute * MINUTE_MS for minute in scenario.candles], dtype=np.int64)
    shapes = np.array(list(scenario.candles.values())) / float(contract.tick)
    columns = list(np.rint(shapes).astype(np.int64).T)
    rates = [
        FundingRate(AAA, START_MS + minute * MINUTE_MS, Decimal(rate)) for minute, rate in scenario.settled.items()
    ]
    volumes = np.array([scenario.volumes.get(minute, 10**9) for minute in scenario.candles], dtype=np.int64)
    block = from_units(contract, ts, columns, volumes)
    market = make_market({AAA: block}, rates, MINUTE_MS)
    rows = [
        (
            START_MS + (one.minute + 1) * MINUTE_MS,
            0,
            0,
            one.side,
            0,
            0.5,
            round(one.stop * 10),
            round(one.target * 10),
            0,
        )
        for one in scenario.said
    ]
    kinds = [np.float64 if name == "confidence" else np.int64 for name in Table._fields]
    table = Table(*[np.array(column, dtype=kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)])
    none = np.empty(0)
    source = Signals(np.empty(0, np.int8), none, none, none, np.empty(0, np.int8), {}, PLAN)
    settings = EngineSettings(
        "embedded",
        "backtest",
        "USDT",
        {AAA: contract},
        leverage=Decimal(scenario.leverage),
        absence_is_proof=True,
        limits=scenario.limits,
        exits=scenario.exits,
        sizing=SizingSettings(**{"risk_ppm": 1_000, "cap_ppm": 200_000, **scenario.sizing}),
        execution=ExecutionSettings(entry_ttl_ms=(1 + scenario.terms.latency_candles) * MINUTE_MS),
    )
    spoken = Spoken(table, (PLAN,), ((source, 0),) * len(rows), (MINUTE_MS,) * len(rows))
    terms = structs.replace(scenario.terms, leverage_milli=scenario.leverage * 1_000)
    return Case(market, rates, spoken, settings, terms)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_the_tables_add_up(scenario: Scenario) -> None:
    """Values, fees, results and the balance follow from quantities, prices and rates by multiplication and sums."""
    trades, balance = trades_of(scenario.ledger)
    total = DEPOSIT
    for *lines, net in trades:
        entry = next(line.numbers for line in lines if line.what == "entry")
        made = Decimal(0)
        for line in lines:
            coins, price, value, rate, cost, *gross = line.numbers
            assert (coins * price, value * rate) == (value, cost), line
            made -= cost
            if gross:
                assert coins * (price - entry[1]) * scenario.said[0].side == gross[0], line
                made += gross[0]
        assert made == net.numbers[0]
        total += made
    assert total == balance


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_both_engines_keep_the_ledger_that_was_worked_out_by_hand(scenario: Scenario) -> None:
    """Every quantity, price, fee, settlement and reason, to the last digit of money; and all else they say."""
    case = case_of(scenario)
    fast, full = case.fast(), case.full()
    trades, balance = trades_of(scenario.ledger)
    for outcome in (fast, full):
        assert [expected(lines) for lines in trades] == [told(trade) for trade in outcome.trades], outcome.engine
        assert (balance, 0) == (outcome.balance, outcome.open_positions), outcome.engine
        assert scenario.ambiguous == len(ambiguous(outcome, case.market, case.settings.instruments))
    assert [] == compare(fast, full)


def expected(lines: Sequence[Line]) -> dict[str, object]:
    """A trade as its rows have it."""
    entry = next(line.numbers for line in lines if line.what == "entry")
    exits = [line for line in lines if line.what not in ("entry", "funding", "net")]
    return {
        "quantity": entry[0],
        "entry": entry[1],
        "exit value": sum(line.numbers[2] for line in exits),
        "gross": sum(line.numbers[5] for line in exits),
        "fees": entry[4] + sum(line.numbers[4] for line in exits),
        "funding": -sum((line.numbers[4] for line in lines if line.what == "funding"), Decimal(0)),
        "net": lines[-1].numbers[0],
        "reason": exits[-1].what,
        "fills": 1 + len(exits),
    }


def told(trade: Trade) -> dict[str, object]:
    """The same of an engine's trade."""
    return {
        "quantity": trade.quantity,
        "entry": trade.entry_price,
        "exit value": trade.exit_value,
        "gross": trade.gross_pnl,
        "fees": trade.fees,
        "funding": trade.funding,
        "net": trade.net_pnl,
        "reason": str(trade.close_reason),
        "fills": trade.fills,
    }
