"""The rules hold their promises for all realistic numbers, against exact arithmetic, within 64 bits."""

import ast
import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import trading_engine.rules
from trading_engine.rules import exits, fills, integers, limits, margin, scaling, sizing, turbulence
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.rules.margin import Tier
from trading_engine.rules.sizing import Bound, SizingInput

E8 = 10**8
PPM = 10**6
MONEY = 10**18  # 1e10 of the quote asset
MAX_TICKS = 10**10
INT64_MAX = 2**63 - 1
MODULES = sorted(FilePath(trading_engine.rules.__file__).parent.glob("*.py"))

quick = settings(max_examples=150, deadline=None)

signs = st.sampled_from([1, -1])
money = st.integers(0, MONEY)
ticks = st.one_of(st.integers(1, 1_000), st.integers(1, MAX_TICKS))
shares = st.integers(0, PPM)
leverages = st.integers(1_000, 200_000)


class Wide(int):
    """An integer whose sums and products must fit 64 bits, as in compiled code."""

    def _checked(self, value: int) -> "Wide":
        assert -INT64_MAX - 1 <= value <= INT64_MAX, f"{value} does not fit 64 bits"
        return Wide(value)

    def __add__(self, other: int) -> "Wide":
        """Checked sum."""
        return self._checked(int(self) + int(other))

    def __radd__(self, other: int) -> "Wide":
        """Checked sum."""
        return self._checked(int(other) + int(self))

    def __sub__(self, other: int) -> "Wide":
        """Checked difference."""
        return self._checked(int(self) - int(other))

    def __rsub__(self, other: int) -> "Wide":
        """Checked difference."""
        return self._checked(int(other) - int(self))

    def __mul__(self, other: int) -> "Wide":
        """Checked product."""
        return self._checked(int(self) * int(other))

    def __rmul__(self, other: int) -> "Wide":
        """Checked product."""
        return self._checked(int(other) * int(self))

    def __floordiv__(self, other: int) -> "Wide":
        """Checked quotient."""
        return self._checked(int(self) // int(other))

    def __rfloordiv__(self, other: int) -> "Wide":
        """Checked quotient."""
        return self._checked(int(other) // int(self))

    def __mod__(self, other: int) -> "Wide":
        """Checked remainder."""
        return self._checked(int(self) % int(other))

    def __rmod__(self, other: int) -> "Wide":
        """Checked remainder."""
        return self._checked(int(other) % int(self))

    def __neg__(self) -> "Wide":
        """Checked negation."""
        return self._checked(-int(self))

    def __abs__(self) -> "Wide":
        """Checked magnitude."""
        return self._checked(abs(int(self)))


class Holding(NamedTuple):
    """A position whose notional is realistic."""

    entry_mticks: int
    steps: int
    value_e8: int


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    """Positions from dust to 1e10 of the quote asset."""
    entry_mticks = draw(st.integers(1_000, 10**7) | st.integers(1_000, MAX_TICKS * 1_000))
    value_e8 = draw(st.integers(1, min(10**8, MONEY // (entry_mticks // 1_000 + 1))))
    steps = draw(st.integers(1, max(1, MONEY // ((entry_mticks // 1_000 + 1) * value_e8))))
    return Holding(entry_mticks, steps, value_e8)


@st.composite
def sizings(draw: st.DrawFn) -> SizingInput:
    """Sizing inputs of any plausible account and instrument."""
    entry_ticks = draw(ticks)
    return SizingInput(
        balance_e8=draw(money),
        risk_ppm=draw(shares),
        cap_ppm=draw(shares),
        cap_money_e8=draw(st.just(0) | money),
        available_margin_e8=draw(st.integers(0, 10**6) | money),
        leverage_milli=draw(leverages),
        fee_rate_e8=draw(st.integers(0, 10**6)),
        entry_ticks=entry_ticks,
        stop_distance_ticks=draw(st.integers(1, entry_ticks)),
        value_per_tick_step_e8=draw(st.integers(1, 10**8)),
        max_steps=draw(st.integers(1, 10**6) | st.integers(1, MONEY)),
        min_steps=draw(st.integers(0, 100)),
        min_notional_e8=draw(st.just(0) | st.integers(0, 100 * E8)),
        method_steps=draw(st.just(sizing.NO_BOUND) | st.integers(0, 10**6)),
    )


tiers = st.builds(Tier, money, st.integers(0, 500_000), st.integers(0, 10**15))


@quick
@given(value=st.integers(-MONEY, MONEY), multiplier=st.integers(-E8, E8), divisor=st.integers(1_000, E8))
def test_scaling_is_exact_arithmetic_rounded_as_named(value: int, multiplier: int, divisor: int) -> None:
    """Floor and ceiling of the true quotient, for either sign."""
    exact = Fraction(value * multiplier, divisor)
    assert math.floor(exact) == integers.scale_floor(value, multiplier, divisor)
    assert math.ceil(exact) == integers.scale_ceil(value, multiplier, divisor)


@quick
@given(numerator=st.integers(-MONEY, MONEY), denominator=st.integers(1, MONEY), digits=st.integers(0, 6))
def test_ratios_are_exact_arithmetic_rounded_as_named(numerator: int, denominator: int, digits: int) -> None:
    """Floor and ceiling of the true quotient; remainders stay within 64 bits."""
    exact = Fraction(numerator * 10**digits, denominator)
    assume(abs(exact) < INT64_MAX)
    assert math.floor(exact) == integers.ratio_floor(Wide(numerator), Wide(denominator), digits)
    assert math.ceil(exact) == integers.ratio_ceil(Wide(numerator), Wide(denominator), digits)


def _exact_room(inputs: SizingInput) -> tuple[tuple[Bound, int], ...]:
    """The largest quantity within each bound, in the order of precedence, by exact arithmetic."""
    value = inputs.value_per_tick_step_e8
    step_e8 = inputs.entry_ticks * value
    risk_e8 = Fraction(inputs.balance_e8 * inputs.risk_ppm, PPM)
    cap_e8 = Fraction(inputs.balance_e8 * inputs.cap_ppm, PPM)
    money_e8 = inputs.cap_money_e8 or 10**30
    return (
        (Bound.RISK, math.floor(risk_e8 / (inputs.stop_distance_ticks * value))),
        (Bound.METHOD, 10**30 if inputs.method_steps == sizing.NO_BOUND else inputs.method_steps),
        (Bound.CAP, math.floor(cap_e8 / step_e8)),
        (Bound.CAP_MONEY, money_e8 // step_e8),
    )


def _reserved(inputs: SizingInput, steps: int) -> int:
    """Margin and fees of `steps`, each rounded up as the venue does, by exact arithmetic."""
    trade_e8 = steps * inputs.entry_ticks * inputs.value_per_tick_step_e8
    fee = math.ceil(Fraction(trade_e8 * inputs.fee_rate_e8, E8))
    return math.ceil(Fraction(trade_e8 * 1_000, inputs.leverage_milli)) + 2 * fee


@quick
@given(inputs=sizings())
def test_a_size_is_the_largest_within_every_bound_and_named_after_the_tightest(inputs: SizingInput) -> None:
    """One step more would break the bound that is named; none before it is as tight."""
    size = sizing.fixed_fraction(inputs)
    step_e8 = inputs.entry_ticks * inputs.value_per_tick_step_e8
    room = _exact_room(inputs)
    if size.binding is Bound.MINIMUM:
        assert 0 == size.steps
        free = sizing.fixed_fraction(inputs._replace(min_steps=0, min_notional_e8=0))
        assert free.steps < max(1, inputs.min_steps) or free.steps * step_e8 < inputs.min_notional_e8
        return
    assert size.steps <= min(steps for _, steps in room)
    assert _reserved(inputs, size.steps) <= inputs.available_margin_e8
    assert max(1, inputs.min_steps) <= size.steps <= inputs.max_steps
    assert size.steps * step_e8 >= inputs.min_notional_e8
    tight = [bound for bound, steps in room if steps == size.steps]
    if _reserved(inputs, size.steps + 1) > inputs.available_margin_e8:
        tight.append(Bound.MARGIN)
    if inputs.max_steps == size.steps:
        tight.append(Bound.VENUE)
    assert tight[0] is size.binding


@quick
@given(inputs=sizings())
def test_rounding_never_raises_the_risk(inputs: SizingInput) -> None:
    """The loss at the stop is at most the share of the balance that was asked for."""
    size = sizing.fixed_fraction(inputs)
    loss_e8 = size.steps * inputs.stop_distance_ticks * inputs.value_per_tick_step_e8
    assert loss_e8 * PPM <= inputs.balance_e8 * inputs.risk_ppm


@quick
@given(nets=st.lists(st.integers(-(10**15), 10**15), max_size=40), kelly_share=shares, factor=st.integers(1_000, 3_000))
def test_the_record_scales_within_its_bounds(nets: list[int], kelly_share: int, factor: int) -> None:
    """Kelly against exact arithmetic, at most its cap; streaks between half and the most, within 64 bits."""
    record = scaling.no_record()
    for at, net in enumerate(nets):
        record = scaling.recorded(record, Wide(net), at, 3, 1)
    won, lost = sum(net for net in nets if net > 0), -sum(net for net in nets if net < 0)
    assert (len(nets), sum(net > 0 for net in nets), won, lost) == record[:4]
    kelly = Fraction(record.wins * (won - lost), len(nets) * won) if won > lost else Fraction(0)
    assert 0 <= kelly * PPM - scaling.kelly_ppm(record) < 2
    rule = scaling.Scaling(scaling.Method.KELLY, 5_000, 0, 0, kelly_share, 20_000, factor, 2_000, 500)
    assert scaling.at_risk_ppm(rule, record) <= 20_000
    assert 500 <= scaling.scale_milli(rule, record) <= max(2_000, factor)


@quick
@given(reference=ticks, ppm=shares, atr=st.floats(0, 1e9), multiple=st.integers(1, 10_000))
def test_distances_are_never_wider_than_asked_but_for_the_first_tick(
    reference: int, ppm: int, atr: float, multiple: int
) -> None:
    """Rounded down, at least one tick."""
    from_percent = exits.distance_from_percent(reference, ppm)
    assert max(1, reference * ppm // PPM) == from_percent
    assert 1 <= exits.distance_from_atr(atr, multiple) <= max(1.0, atr * multiple / 1_000)


@quick
@given(
    sign=signs,
    entry=st.integers(10**6, 10**13),
    risk=st.integers(0, 10**13),
    r_milli=st.integers(-(10**6), 10**6),
)
def test_a_level_of_r_is_less_than_a_tick_short_of_the_exact_one(
    sign: int, entry: int, risk: int, r_milli: int
) -> None:
    """Never further than asked, never a whole tick nearer, except at the lowest price there is."""
    exact = Fraction(entry, 1_000) + sign * Fraction(risk * r_milli, PPM)
    level = exits.r_level(sign, entry, risk, r_milli)
    direction = sign if r_milli >= 0 else -sign
    assert level >= 1
    if exact >= 1:
        assert 0 <= direction * (exact - level) < 1


@quick
@given(sign=signs, entry=st.integers(1_000, 10**13), risk=st.integers(1, 10**13), price=ticks)
def test_r_reached_is_the_floor_of_the_exact_multiple(sign: int, entry: int, risk: int, price: int) -> None:
    """In thousandths, in favour of the position."""
    exact = Fraction(sign * (price * 1_000 - entry) * 1_000, risk)
    assert math.floor(exact) == exits.r_reached_milli(sign, entry, risk, price)


trail_steps = st.lists(st.builds(TrailStep, st.integers(0, 10_000), st.integers(-1_000, 10_000)), max_size=4).map(tuple)


@quick
@given(
    sign=signs,
    entry=st.integers(500_000, 1_500_000),
    distance=st.integers(1, 100),
    prices=st.lists(st.integers(100, 2_000), min_size=1, max_size=12),
    steps=trail_steps,
)
def test_a_trailed_stop_never_moves_away_and_never_passes_the_best_price(
    sign: int, entry: int, distance: int, prices: list[int], steps: tuple[TrailStep, ...]
) -> None:
    """Along any path of prices; and what was seen in between changes nothing."""
    first = stop = exits.stop_level(sign, entry // 1_000, distance)
    risk = exits.initial_risk_mticks(entry, stop)
    best = prices[0]
    for price in prices:
        best = max(best, price) if sign > 0 else min(best, price)
        moved = exits.trailed_stop(sign, entry, risk, best, stop, steps)
        assert sign * moved >= sign * stop
        assert moved == stop or sign * moved <= sign * best
        stop = moved
    assert stop == exits.trailed_stop(sign, entry, risk, best, first, steps)


@quick
@given(
    sign=signs,
    entry=st.integers(10**6, 10**9),
    risk=st.integers(1, 10**5),
    step=st.builds(TrailStep, st.integers(1_000, 9_000), st.integers(0, 1_000)),
)
def test_a_trailed_stop_gives_back_no_more_than_asked(sign: int, entry: int, risk: int, step: TrailStep) -> None:
    """Rounded towards the price, by less than a tick, unless the best price is in the way."""
    best = (entry + sign * risk * 10) // 1_000 + sign
    current = entry // 1_000 - sign * (risk // 1_000 + 2)
    exact = Fraction(entry, 1_000) + sign * Fraction(risk * step.to_milli, PPM)
    stop = exits.trailed_stop(sign, entry, risk, best, current, (step,))
    assert 0 <= sign * (stop - exact) < 1 or stop == best


follows = st.builds(
    Follow,
    st.sampled_from([0, 1, 10_000]) | st.integers(0, 500_000),
    st.sampled_from([0, 1_000]) | st.integers(0, 10_000),
    st.sampled_from([0, 500]) | st.integers(0, 5_000),
    st.sampled_from([0, 0, 1_000]),
)


@quick
@given(
    sign=signs,
    entry=st.integers(500_000, 1_500_000),
    distance=st.integers(0, 100),
    atr=st.integers(0, 50_000),
    prices=st.lists(st.integers(1, 2_000), min_size=1, max_size=12),
    steps=trail_steps,
    follow=follows,
    aged=follows,
)
def test_a_following_stop_never_moves_away_and_never_reaches_the_close(
    sign: int,
    entry: int,
    distance: int,
    atr: int,
    prices: list[int],
    steps: tuple[TrailStep, ...],
    follow: Follow,
    aged: Follow,
) -> None:
    """Along any path of closes; and closes short of the bound move nothing."""
    stop = exits.stop_level(sign, entry // 1_000, distance)
    risk = exits.initial_risk_mticks(entry, stop)
    for price in prices:
        followed = exits.followed_stop(sign, entry, risk, atr, price, stop, follow)
        bound = exits.follow_bound(sign, entry, risk, atr, stop, follow)
        assert followed == stop or (bound > 0 and sign * price >= sign * bound)
        assert followed == stop or sign * followed < sign * price
        moved = exits.moved_stop(sign, entry, risk, atr, price, stop, steps, follow, aged)
        assert sign * moved >= sign * followed
        assert moved == stop or sign * moved <= sign * price
        stop = moved


@quick
@given(
    total=st.integers(0, 10_000) | st.integers(0, 10**15),
    parts=st.lists(shares, max_size=5).map(tuple),
    minimum=st.integers(1, 500),
)
def test_partials_add_up_and_none_is_too_small(total: int, parts: tuple[int, ...], minimum: int) -> None:
    """The sum is the position; every part is nothing or an order that the venue takes."""
    split = exits.split_partials(total, parts, minimum)
    assert len(parts) + 1 == len(split)
    assert total == sum(split)
    assert all(part == 0 or part >= minimum for part in split) or split == (0,) * len(parts) + (total,)
    assert all(part * PPM <= total * share for part, share in zip(split, parts, strict=False))


near = st.integers(-2, 2)  # around the threshold, where rounding decides
amounts_e8 = st.integers(1, 1_000) | st.integers(1, MONEY)


@quick
@given(amount=amounts_e8, ppm=st.integers(1, PPM), offset=near | st.integers(-MONEY, MONEY), limit_e8=amounts_e8)
def test_loss_limits_compare_as_if_unrounded(amount: int, ppm: int, offset: int, limit_e8: int) -> None:
    """Tripped exactly when the loss reaches the exact share, or the money."""
    share = Fraction(amount * ppm, PPM)
    loss = math.floor(share) + offset
    lost_share = loss > 0 and loss >= share
    assert lost_share is limits.daily_loss(-loss, amount, ppm, 0, 1).tripped
    assert lost_share is limits.drawdown(amount - loss, amount, ppm).tripped
    lost_money = loss > 0 and loss >= limit_e8
    assert (lost_share or lost_money) is limits.daily_loss(-loss, amount, ppm, limit_e8, 1).tripped


@quick
@given(equity=amounts_e8, ppm=st.integers(1, PPM), milli=st.integers(1, 20_000), offset=near)
def test_exposure_limits_compare_as_if_unrounded(equity: int, ppm: int, milli: int, offset: int) -> None:
    """Tripped exactly when the value exceeds the exact share; below it for the smallest balance."""
    share = Fraction(equity * ppm, PPM)
    value = max(0, math.floor(share) + offset)
    assert (value > share) is limits.position_size(value, equity, ppm).tripped
    assert (value > share) is limits.portfolio_risk(value // 2, value - value // 2, equity, ppm).tripped
    assert (value < share) is limits.minimum_balance(value, equity, ppm).tripped
    multiple = Fraction(equity * milli, 1_000)
    gross = max(0, math.floor(multiple) + offset)
    assert (gross > multiple) is limits.leverage(gross, equity, milli).tripped


@quick
@given(notional=money, rate=st.integers(-E8, E8), sign=signs)
def test_fees_and_funding_are_exact_within_one_unit_against_us(notional: int, rate: int, sign: int) -> None:
    """A fee is at most one unit too high, a funding flow at most one unit too low."""
    fee = fills.fee_e8(notional, rate)
    assert 0 <= fee - Fraction(notional * rate, E8) < 1
    flow = fills.funding_e8(notional, rate, sign)
    assert 0 <= Fraction(-sign * notional * rate, E8) - flow < 1


@quick
@given(trade_sign=signs, price=ticks, ppm=st.integers(1, PPM))
def test_slippage_is_the_exact_share_rounded_against_the_taker(trade_sign: int, price: int, ppm: int) -> None:
    """By less than a tick."""
    exact = price + trade_sign * Fraction(price * ppm, PPM)
    slipped = fills.slipped(trade_sign, price, ppm)
    assert 0 <= trade_sign * (slipped - exact) < 1 or slipped == 1


@quick
@given(trade_sign=signs, price=ticks, ppm=st.integers(0, PPM), width=ticks, range_ppm=st.integers(0, PPM))
def test_slippage_by_range_is_never_less_than_its_shares(
    trade_sign: int, price: int, ppm: int, width: int, range_ppm: int
) -> None:
    """And by less than two ticks more: one for each of its parts."""
    exact = price + trade_sign * Fraction(price * ppm + width * range_ppm, PPM)
    slipped = fills.slipped(trade_sign, price, ppm, width, range_ppm)
    assert 0 <= trade_sign * (slipped - exact) < 2 or slipped == 1


@quick
@given(value=st.integers(0, 100) | st.integers(0, INT64_MAX) | st.integers(1, 3_037_000_499).map(lambda root: root**2))
def test_roots_are_exact_to_the_last_of_64_bits(value: int) -> None:
    """As those of whole numbers without end."""
    floor = math.isqrt(value)
    assert floor == integers.root_floor(Wide(value))
    assert floor + (floor * floor < value) == integers.root_ceil(Wide(value))


@quick
@given(impact_ppm=shares, steps=amounts_e8, more=st.integers(0, 10**6), volume=st.integers(0, 100) | amounts_e8)
@example(impact_ppm=513, steps=78, more=0, volume=424)
def test_impact_is_the_root_of_a_share_rounded_up_and_never_more_than_all(
    impact_ppm: int, steps: int, more: int, volume: int
) -> None:
    """By two millionths of it and a unit at most, against exact squares; who takes more never pays less."""
    most = impact_ppm * 100
    impact = int(fills.impact_e8(Wide(impact_ppm), Wide(steps), Wide(volume)))  # a Wide cuts fractions off
    squared = Fraction(most * most * min(steps, volume), volume) if volume else Fraction(most * most)
    assert impact**2 >= squared
    assert max(0, impact - 1 - Fraction(2 * most, PPM)) ** 2 <= squared
    assert impact <= most
    assert impact <= fills.impact_e8(impact_ppm, steps + more, volume)


@quick
@given(prices=st.lists(st.integers(1, 1_000), min_size=4, max_size=4), sign=signs, trigger=st.integers(1, 1_000))
def test_a_candle_path_holds_every_trigger_of_the_candle(prices: list[int], sign: int, trigger: int) -> None:
    """A stop triggers on the path exactly when the candle's adverse extreme reaches it."""
    low, *between, high = sorted(prices)
    path = fills.adverse_path(sign, between[0], high, low, between[1])
    triggered = any(fills.crosses_stop(-sign, start, end, trigger) for start, end in pairwise(path))
    assert (low <= trigger if sign > 0 else high >= trigger) is triggered
    assert sorted(prices) == sorted(path)


@quick
@given(trade_sign=signs, start=ticks, end=ticks, level=ticks)
def test_fills_are_never_better_than_the_order(trade_sign: int, start: int, end: int, level: int) -> None:
    """A stop trades at its trigger or worse; a limit that trades was passed."""
    if fills.crosses_stop(trade_sign, start, end, level):
        base = fills.stop_base_ticks(trade_sign, start, level)
        assert trade_sign * base >= trade_sign * level
        assert base in (start, level)
    if fills.limit_trades(trade_sign, start, end, level):
        assert fills.crosses_target(trade_sign, start, end, level - trade_sign)
        assert level == fills.limit_price(trade_sign, start, level)


@quick
@given(notional=money, leverage=leverages, steps=st.lists(tiers, min_size=1, max_size=3).map(tuple))
def test_margins_are_exact_arithmetic_rounded_up(notional: int, leverage: int, steps: tuple[Tier, ...]) -> None:
    """By less than one unit; maintenance is never negative."""
    assert math.ceil(Fraction(notional * 1_000, leverage)) == margin.initial_margin_e8(notional, leverage)
    tier = margin.tier_for(notional, steps)
    exact = Fraction(notional * tier.rate_ppm, PPM) - tier.deduction_e8
    assert max(0, math.ceil(exact)) == margin.maintenance_margin_e8(notional, steps)


@quick
@given(sign=signs, holding=holdings(), share=st.integers(0, 2 * PPM), tier=tiers)
def test_the_liquidation_price_is_the_formula_rounded_towards_the_entry(
    sign: int, holding: Holding, share: int, tier: Tier
) -> None:
    """Exactly: up for a long, down for a short, 0 where the formula is not positive."""
    entry, steps, value = holding
    isolated = entry * steps * value * share // (1_000 * PPM)
    quantity = steps * value
    exact = (isolated + tier.deduction_e8 - sign * quantity * Fraction(entry, 1_000)) / (
        quantity * (Fraction(tier.rate_ppm, PPM) - sign)
    )
    assume((isolated + tier.deduction_e8) // quantity < margin.UNREACHABLE_TICKS)
    expected = max(0, math.ceil(exact)) if sign > 0 else math.floor(exact)
    assert expected == margin.liquidation_ticks(sign, entry, steps, value, isolated, tier)


@quick
@given(sign=signs, holding=holdings(), shares_of=st.tuples(shares, shares), rates=st.tuples(shares, shares))
def test_more_margin_and_a_lower_rate_move_the_liquidation_price_away(
    sign: int, holding: Holding, shares_of: tuple[int, int], rates: tuple[int, int]
) -> None:
    """Monotonic in the margin and in the maintenance rate."""
    entry, steps, value = holding
    notional = entry * steps * value // 1_000
    less, more = (notional * share // PPM for share in sorted(shares_of))
    low, high = (rate // 2 for rate in sorted(rates))

    def price(isolated: int, rate: int) -> int:
        return margin.liquidation_ticks(sign, entry, steps, value, isolated, Tier(MONEY, rate, 0))

    assert sign * price(more, low) <= sign * price(less, low)
    assert sign * price(less, low) <= sign * price(less, high)


@quick
@given(inputs=sizings())
@example(SizingInput(MONEY, PPM, PPM, 0, MONEY, 1_000, 10**6, MAX_TICKS, 1, 1, MONEY, 1, 0))
@example(SizingInput(MONEY, PPM, PPM, MONEY, MONEY, 200_000, 10**6, 1, 1, 1, MONEY, 1, MONEY))
def test_sizing_stays_within_64_bits(inputs: SizingInput) -> None:
    """With balances, margins and notionals up to 1e10 of the quote asset."""
    assert sizing.fixed_fraction(inputs) == sizing.fixed_fraction(SizingInput(*map(Wide, inputs)))


@quick
@given(amounts=st.tuples(money, money), ppm=shares, milli=st.integers(1_000, 200_000), rate=st.integers(-E8, E8))
@example(amounts=(MONEY, MONEY), ppm=PPM, milli=1_000, rate=E8)
@example(amounts=(MONEY - 1, MONEY - 1), ppm=PPM - 1, milli=1_001, rate=1 - E8)
def test_money_stays_within_64_bits(amounts: tuple[int, int], ppm: int, milli: int, rate: int) -> None:
    """Limits, fees, funding and margins of amounts up to 1e10 of the quote asset."""
    first, second = Wide(amounts[0]), Wide(amounts[1])
    share, leverage = Wide(ppm), Wide(milli)
    limits.daily_loss(-first, second, share, Wide(1), 1)
    limits.drawdown(first, second, share)
    limits.portfolio_risk(first, second, second, share)
    limits.minimum_balance(first, second, share)
    # Leverage is a ratio: thousandths of 1e18 times do not fit, nor are they leverage.
    limits.leverage(first, Wide(max(second, first // 10**15, 1)), leverage)
    fills.fee_e8(first, Wide(rate))
    fills.funding_e8(first, Wide(rate), -1)
    margin.initial_margin_e8(first, leverage)
    margin.maintenance_margin_e8(first, (Tier(second, share, first),))


@quick
@given(
    sign=signs,
    holding=holdings(),
    isolated=money,
    tier=tiers,
    price=ticks,
    r_milli=st.integers(-(10**6), 10**6),
)
@example(1, Holding(MAX_TICKS * 1_000, 1, E8), MONEY, Tier(MONEY, 500_000, 0), MAX_TICKS, 10**6)
@example(-1, Holding(MAX_TICKS * 1_000, 1, E8), MONEY, Tier(MONEY, 0, MONEY), 1, -(10**6))
@example(-1, Holding(1_000, 1, 10**6), MONEY - 1, Tier(MONEY, 0, 0), MAX_TICKS, 10**6)
def test_prices_stay_within_64_bits(
    sign: int, holding: Holding, isolated: int, tier: Tier, price: int, r_milli: int
) -> None:
    """Levels, trailing and liquidation of entries up to 1e10 ticks and multiples up to 1,000 R."""
    entry, steps, value = map(Wide, holding)
    wide_tier = Tier(*map(Wide, tier))
    margin.liquidation_ticks(sign, entry, steps, value, Wide(isolated), wide_tier)
    risk = exits.initial_risk_mticks(entry, Wide(price))
    exits.r_level(sign, entry, risk, Wide(r_milli))
    trail = (TrailStep(Wide(1_000), Wide(r_milli)),)
    exits.trailed_stop(sign, entry, risk, Wide(price), Wide(price), trail)
    follow = Follow(Wide(500_000), Wide(10**6), Wide(10**6), Wide(1_000))
    exits.followed_stop(sign, entry, risk, Wide(10**13), Wide(price), Wide(price), follow)
    exits.follow_bound(sign, entry, risk, Wide(10**13), Wide(price), follow)
    exits.distance_from_percent(Wide(price), Wide(PPM))
    exits.split_partials(steps, (Wide(300_000), Wide(400_000)), Wide(1))
    fills.slipped(sign, Wide(price), Wide(PPM))


FORBIDDEN = (
    ast.Try,
    ast.TryStar,
    ast.Raise,
    ast.Assert,
    ast.With,
    ast.Dict,
    ast.DictComp,
    ast.Set,
    ast.SetComp,
    ast.GeneratorExp,
    ast.JoinedStr,
    ast.Lambda,
    ast.Yield,
    ast.Await,
    ast.AsyncFunctionDef,
    ast.Global,
    ast.Nonlocal,
    ast.Import,
    ast.Starred,
)
ALLOWED_IMPORTS = {"enum", "typing"}


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """The constants that are documentation."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first: Any = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_rules_stay_in_the_subset_that_compiles(path: FilePath) -> None:
    """No exceptions, text, dicts, sets, closures, keyword catch-alls, or imports from outside the package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(constant) for constant in _docstrings(tree)}
    for node in ast.walk(tree):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, FORBIDDEN), f"{where} uses {type(node).__name__}"
        if isinstance(node, ast.ImportFrom):
            name = node.module or ""
            assert name in ALLOWED_IMPORTS or name.startswith("trading_engine.rules."), f"{where}: {name}"
        if isinstance(node, ast.FunctionDef):
            assert node.args.kwarg is None, f"{where}: {node.name} takes **kwargs"
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            assert not isinstance(node.value, str), f"{where} uses text {node.value!r}"


@quick
@given(candles=st.lists(st.tuples(st.integers(0, 5), ticks, ticks, ticks), min_size=1, max_size=80))
def test_the_usual_range_is_the_median_of_the_hours(candles: list[tuple[int, int, int, int]]) -> None:
    """Against a plain count of what happened in each of the last 24 hours; within 64 bits."""
    seen, closed_ms, hours = turbulence.calm(), 3_600_000, list[tuple[int, list[int]]]()
    for pause, *prices in candles:
        closed_ms += pause * 1_800_000 + 60_000
        seen = turbulence.measured(seen, closed_ms, Wide(max(prices)), Wide(min(prices)), Wide(prices[0]))
        assert 0 <= seen.atr_mticks <= MAX_TICKS * 1_000
        hour = (closed_ms - 1) // 3_600_000
        if not hours or hours[-1][0] != hour:
            hours.append((hour, []))
        hours[-1][1].append(seen.atr_mticks)
    means = [sum(values) // len(values) for _, values in hours[:-1]][-24:]
    usual = sorted(means)[11] if len(means) == 24 and means[0] else 0
    assert means == list(seen.means_mticks[24 - len(means) :])
    assert usual == seen.usual_mticks or 0 in means
