"""Orders merge in any order, money adds up however it is split, names read back: for all realistic numbers."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from builders import make_fill, make_order, make_position, make_report
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_engine.domain import money, time
from trading_engine.domain.fills import Fill
from trading_engine.domain.ids import (
    OrderKey,
    Purpose,
    derive_client_order_id,
    parse_client_order_id,
    position_id,
    position_number,
)
from trading_engine.domain.market import Side
from trading_engine.domain.orders import Order, OrderReport, OrderState, closing_side, merge, opening_side
from trading_engine.domain.position import Position, apply_fill, gross_of

quick = settings(max_examples=150, deadline=None)

RANKED = list(OrderState)
STEP = Decimal("0.001")
TICK = Decimal("0.01")

prices = st.integers(1, 10_000_000).map(lambda ticks: ticks * TICK)
quantities = st.integers(1, 1_000_000).map(lambda steps: steps * STEP)
amounts = st.integers(-(10**15), 10**15).map(money.from_e8)
instants = st.integers(0, 4_000_000_000_000)


@st.composite
def reports(draw: st.DrawFn) -> OrderReport:
    """What a venue may say about an order for ten coins, possible or not."""
    return make_report(
        make_order(),
        draw(st.sampled_from(OrderState)),
        filled=Decimal(draw(st.integers(0, 10))),
        ts_ms=draw(instants),
        venue_order_id=draw(st.sampled_from(["", "v1", "v2"])),
        reason=draw(st.sampled_from(["", "late", "moved"])),
    )


def merged(order: Order, *told: OrderReport) -> Order:
    for report in told:
        order = merge(order, report)
    return order


@quick
@given(st.lists(reports(), max_size=6).flatmap(lambda told: st.tuples(st.just(told), st.permutations(told))))
def test_reports_merge_in_any_order(both: tuple[list[OrderReport], list[OrderReport]]) -> None:
    """Commutative and associative: only what was told counts, not when."""
    told, shuffled = both
    assert merged(make_order(), *told) == merged(make_order(), *shuffled)


@quick
@given(st.lists(reports(), min_size=1, max_size=4))
def test_a_report_merged_again_adds_nothing(told: list[OrderReport]) -> None:
    """Idempotent, for each of the reports and for all of them."""
    once = merged(make_order(), *told)
    assert once == merged(once, *told)


@quick
@given(reports(), reports())
def test_an_order_never_steps_back(first: OrderReport, second: OrderReport) -> None:
    """Neither in the lattice nor in quantity nor in time; and all filled means FILLED."""
    before = merge(make_order(), first)
    after = merge(before, second)
    assert RANKED.index(after.state) >= RANKED.index(before.state)
    assert after.reported_filled >= before.reported_filled
    assert after.updated_ms >= before.updated_ms
    assert (after.reported_filled >= after.quantity) <= (after.state is OrderState.FILLED)


def split(draw: st.DrawFn, total_steps: int) -> list[Decimal]:
    """`total_steps` cut into parts."""
    cuts = draw(st.lists(st.integers(0, total_steps), max_size=5))
    edges = sorted({0, total_steps, *cuts})
    return [(high - low) * STEP for low, high in pairwise(edges)]


@st.composite
def round_trips(draw: st.DrawFn) -> tuple[Side, list[Fill], list[Fill]]:
    """The fills of a position that opens in parts at several prices and closes at one, in parts."""
    side = draw(st.sampled_from(Side))
    total = draw(st.integers(1, 1_000_000))
    opening = [
        make_fill(side=opening_side(side), quantity=part, price=draw(prices), fee=abs(draw(amounts)), ts_ms=at + 1)
        for at, part in enumerate(split(draw, total))
    ]
    price = draw(prices)
    closing = [
        make_fill(side=closing_side(side), quantity=part, price=price, fee=abs(draw(amounts)), ts_ms=at + 100)
        for at, part in enumerate(split(draw, total))
    ]
    return side, opening, closing


def traded(position: Position, fills: list[Fill]) -> Position:
    for fill in fills:
        position = apply_fill(position, fill, gross_of(position, fill))
    return position


def cash(fills: list[Fill]) -> Decimal:
    """What the fills did to the wallet: sales less purchases less fees."""
    return sum((-fill.side.sign * fill.quantity * fill.price - fill.fee for fill in fills), Decimal(0))


@quick
@given(round_trips())
def test_the_pnl_is_the_cash_flow(trip: tuple[Side, list[Fill], list[Fill]]) -> None:
    """To the last digit, whatever the parts; nothing is left of the cost."""
    side, opening, closing = trip
    position = traded(make_position(side=side), [*opening, *closing])
    assert cash([*opening, *closing]) == position.net_pnl
    assert (Decimal(0), Decimal(0)) == (position.quantity, position.cost)


@quick
@given(round_trips())
def test_the_pnl_does_not_depend_on_how_the_exit_is_split(trip: tuple[Side, list[Fill], list[Fill]]) -> None:
    """In one piece or in several: the same gross, exactly."""
    side, opening, closing = trip
    whole = replace(closing[0], quantity=sum((fill.quantity for fill in closing), Decimal(0)))
    held = traded(make_position(side=side), opening)
    assert traded(held, [whole]).gross_pnl == traded(held, closing).gross_pnl


@quick
@given(round_trips(), st.randoms(use_true_random=False))
def test_opening_fills_count_in_any_order(trip: tuple[Side, list[Fill], list[Fill]], random: object) -> None:
    """Quantity, cost, fees, and the date, which is that of the earliest."""
    side, opening, _ = trip
    shuffled = list(opening)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert traded(make_position(side=side), opening) == traded(make_position(side=side), shuffled)


@quick
@given(round_trips(), prices)
def test_open_and_booked_profit_add_up_to_the_value(trip: tuple[Side, list[Fill], list[Fill]], mark: Decimal) -> None:
    """At any mark: gross so far + open PnL = what selling everything there would make, to the last digit."""
    side, opening, closing = trip
    held = traded(make_position(side=side), [*opening, *closing[:-1]])
    last = replace(closing[-1], price=mark)
    assert gross_of(held, last) == held.unrealized(mark)


keys = st.builds(
    OrderKey,
    epoch=st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=4),
    position_number=st.integers(0, 36**6 - 1),
    purpose=st.sampled_from(Purpose),
    leg=st.integers(0, 35),
    generation=st.integers(0, 36**4 - 1),
)


@quick
@given(keys)
def test_a_client_order_id_reads_back(key: OrderKey) -> None:
    """Eighteen lower-case letters and digits that give the columns they were made of, in any case."""
    text = derive_client_order_id(key)
    assert 18 == len(text)
    assert text.isalnum()
    assert key == parse_client_order_id(text)
    assert key == parse_client_order_id(text.upper())


@quick
@given(keys, keys)
def test_different_columns_give_different_ids(left: OrderKey, right: OrderKey) -> None:
    """No two orders share a name."""
    assert (left == right) is (derive_client_order_id(left) == derive_client_order_id(right))


@quick
@given(st.text(max_size=24))
def test_a_stranger_s_id_is_never_taken_for_one_of_ours(text: str) -> None:
    """What reads as ours is exactly what we would have written."""
    key = parse_client_order_id(text)
    assert key is None or derive_client_order_id(key) == text.lower()


@quick
@given(st.integers(0, 10**9))
def test_a_position_name_reads_back(number: int) -> None:
    """P and its number."""
    assert number == position_number(position_id(number))


@quick
@given(amounts)
def test_money_survives_1e8_and_text(amount: Decimal) -> None:
    """Both forms give the same value again."""
    assert amount == money.from_e8(money.to_e8(amount))
    assert amount == Decimal(money.text(amount))
    assert "e" not in money.text(amount).lower()


@quick
@given(st.integers(-(10**18), 10**18), st.integers(1, 10**9))
def test_rounding_down_and_up_enclose_the_value(value: int, unit: int) -> None:
    """By less than one unit, and meet where the value lies on the grid."""
    low = money.floor_units(Decimal(value), Decimal(unit))
    high = money.ceil_units(Decimal(value), Decimal(unit))
    assert low * unit <= value <= high * unit
    assert high - low == (0 if value % unit == 0 else 1)


@quick
@given(instants, st.integers(0, 23))
def test_an_instant_lies_within_its_day(ts_ms: int, start_hour: int) -> None:
    """The next day begins later, at most a day later, and is another day."""
    start_ms = start_hour * time.HOUR_MS
    next_ms = time.next_day_ms(ts_ms, start_ms)
    assert 0 < next_ms - ts_ms <= time.DAY_MS
    assert time.day_of(next_ms - 1, start_ms) == time.day_of(ts_ms, start_ms)
    assert time.day_of(next_ms, start_ms) > time.day_of(ts_ms, start_ms)


@quick
@given(instants)
def test_the_text_of_an_instant_reads_back(ts_ms: int) -> None:
    """To the millisecond."""
    assert ts_ms == time.parse_iso(time.iso(ts_ms))
