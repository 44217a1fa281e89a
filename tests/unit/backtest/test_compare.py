"""Where the money of a run and of its backtest differs, trade by trade."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from msgspec import structs

from trading_engine.backtest.compare import Gap, Heard, Kind, Pair, Sides, pairs_of, total
from trading_engine.backtest.result import Decision, Trade
from trading_engine.domain.lifecycle import CloseReason

MINUTE_MS = 60_000


def trade(number: int = 1, **changes: object) -> Trade:
    """One coin bought at 100, sold at 110, for fees of 0.2 and a funding of −0.1: a net of 9.7."""
    made = Trade(
        position_id=f"P{number:06d}",
        symbol="BTCUSDT",
        side="long",
        strategy="momentum",
        opened_ms=number * MINUTE_MS,
        closed_ms=(number + 5) * MINUTE_MS,
        entry_price=Decimal(100),
        quantity=Decimal(1),
        exit_value=Decimal(110),
        initial_stop=Decimal(95),
        stop_price=Decimal(95),
        target_price=Decimal(110),
        gross_pnl=Decimal(10),
        fees=Decimal("0.2"),
        funding=Decimal("-0.1"),
        close_reason=CloseReason.TARGET,
        fills=2,
        signal_ms=(number - 15) * MINUTE_MS,
    )
    return structs.replace(made, **changes)  # type: ignore[arg-type]


def paired(
    done: Sequence[Trade],
    tested: Sequence[Trade],
    heard: Mapping[Decision, Heard] | None = None,
    said: Sequence[Decision] = (),
    done_open: Sequence[Decision] = (),
    tested_open: Sequence[Decision] = (),
) -> tuple[Pair, ...]:
    return pairs_of(Sides(done, tested, done_open, tested_open, heard or {}, said))


def test_equal_trades_leave_no_gap() -> None:
    """Under whatever name either side keeps them."""
    (pair,) = paired([trade()], [trade(position_id="P000009")])
    assert (Kind.MATCHED, True, Gap(), "") == (pair.kind, pair.is_equal, pair.gap, pair.why)


@pytest.mark.parametrize(
    ("changes", "gap", "why"),
    [
        ({"fees": Decimal("0.5")}, Gap(fee=Decimal("-0.3")), ""),
        ({"funding": Decimal("0.3")}, Gap(funding=Decimal("0.4")), ""),
        (
            {"entry_price": Decimal(101), "gross_pnl": Decimal(9)},
            Gap(price=Decimal(-1)),
            "entry 101, not 100",
        ),
        # Half of it: half of 10, of 0.2 and of −0.1, all of it size.
        (
            {
                "quantity": Decimal("0.5"),
                "exit_value": Decimal(55),
                "gross_pnl": Decimal(5),
                "fees": Decimal("0.1"),
                "funding": Decimal("-0.05"),
            },
            Gap(size=Decimal("-4.85")),
            "quantity 0.5, not 1",
        ),
        # Twice of it, at 109 instead of 110, for 0.1 more than twice the fees, and without any funding.
        (
            {
                "quantity": Decimal(2),
                "exit_value": Decimal(218),
                "gross_pnl": Decimal(18),
                "fees": Decimal("0.5"),
                "funding": Decimal(0),
            },
            Gap(size=Decimal("9.7"), price=Decimal(-2), fee=Decimal("-0.1"), funding=Decimal("0.2")),
            "exit 109, not 110; quantity 2, not 1",
        ),
        (
            {
                "close_reason": CloseReason.STOP,
                "closed_ms": 4 * MINUTE_MS,
                "exit_value": Decimal(94),
                "gross_pnl": Decimal(-6),
            },
            Gap(price=Decimal(-16)),
            "left by stop, not by target; left 2 min earlier; exit 94, not 110",
        ),
    ],
)
def test_a_gap_is_split_by_cause(changes: dict[str, object], gap: Gap, why: str) -> None:
    """Size first, then fees and funding at the run's size; what is left is price. Nothing is left over."""
    done, tested = trade(**changes), trade()
    (pair,) = paired([done], [tested])
    assert (Kind.MATCHED, gap, why) == (pair.kind, pair.gap, pair.why)
    assert done.net_pnl - tested.net_pnl == pair.gap.total
    assert not pair.is_equal


def test_a_gap_adds_up_also_where_shares_must_be_rounded() -> None:
    """A third of a position: what rounding leaves is in the price."""
    done = trade(quantity=Decimal(1), fees=Decimal("0.06666667"), gross_pnl=Decimal("3.33333333"))
    (pair,) = paired([done], [trade(quantity=Decimal(3))])
    assert done.net_pnl - trade().net_pnl == pair.gap.total


@pytest.mark.parametrize(
    ("heard", "kind", "why"),
    [
        (None, Kind.SIGNAL, "the run heard no such signal"),
        (
            Heard("gated", "cooldown until 10:00", is_abandoned=False),
            Kind.SIGNAL,
            "gated in the run, cooldown until 10:00",
        ),
        (Heard("held", "", is_abandoned=False), Kind.SIGNAL, "held in the run"),
        (Heard("taken", "", is_abandoned=True), Kind.MISSED, "the entry was never filled"),
        (
            Heard("withheld", "signals only: …", is_abandoned=False),
            Kind.WITHHELD,
            "the run was one with --signals-only",
        ),
    ],
)
def test_a_trade_of_the_backtest_alone_has_its_reason(heard: Heard | None, kind: Kind, why: str) -> None:
    """Its whole result is the gap: decided otherwise, or decided and never filled."""
    tested = trade()
    (pair,) = paired([], [tested], heard={} if heard is None else {tested.decision: heard})
    lost = Decimal("-9.7")
    cause = {Kind.SIGNAL: "signal", Kind.MISSED: "missed_fill", Kind.WITHHELD: "withheld"}[kind]
    gap = replace(Gap(), **{cause: lost})
    assert (kind, gap, why, tested) == (pair.kind, pair.gap, pair.why, pair.trade)


@pytest.mark.parametrize(
    ("is_said", "why"),
    [(True, "the backtest heard the signal and made no entry"), (False, "the backtest heard no such signal")],
)
def test_a_trade_of_the_run_alone_has_its_reason(is_said: bool, why: str) -> None:
    """Its whole result is the gap."""
    done = trade()
    (pair,) = paired([done], [], said=[done.decision] if is_said else [])
    assert (Kind.EXTRA, Gap(extra=Decimal("9.7")), why) == (pair.kind, pair.gap, pair.why)


def test_what_one_side_still_holds_is_told() -> None:
    """A position that the other side has closed is no missing signal."""
    one = trade()
    (pair,) = paired([], [one], done_open=[one.decision])
    assert (Kind.SIGNAL, "still open in the run") == (pair.kind, pair.why)
    (pair,) = paired([one], [], tested_open=[one.decision])
    assert (Kind.EXTRA, "still open in the backtest") == (pair.kind, pair.why)


def test_only_trades_of_one_decision_are_matched() -> None:
    """Another strategy, side, symbol or candle is another trade, however alike the rest is; in order of opening."""
    done = trade(2)
    others = [
        trade(1, strategy="trend_vwap"),
        trade(3, signal_ms=done.signal_ms + MINUTE_MS),
        trade(4, side="short", signal_ms=done.signal_ms),
        trade(5, symbol="ETHUSDT", signal_ms=done.signal_ms),
    ]
    pairs = paired([done], others)
    kinds = [Kind.SIGNAL, Kind.EXTRA, Kind.SIGNAL, Kind.SIGNAL, Kind.SIGNAL]
    assert kinds == [pair.kind for pair in pairs]
    assert Decimal("9.7") - 4 * Decimal("9.7") == total(pair.gap for pair in pairs).total
