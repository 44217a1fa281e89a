"""A run that has traded, beside the backtest of the same span: trade by trade, and where the money differs.

What belongs here: matching trades of both sides by what decided them, and splitting what lies between their results.
What does not: reading a state, running the backtest (compare_state), what a person sees (cli).

A gap is the run's money less the backtest's: negative where the run made less. That of a trade which both have made
splits exactly into what it was larger or smaller, traded at other prices, paid in fees and was paid in funding:

    size     net of the backtest × (share − 1), share = quantity of the run / quantity of the backtest
    fee      fees of the backtest × share − fees of the run
    funding  funding of the run − funding of the backtest × share
    price    the rest: other entries, or exits at other prices or times
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from trading_engine.backtest.result import Decision, Trade
from trading_engine.domain import money
from trading_engine.domain.money import ZERO
from trading_engine.domain.records import Fate
from trading_engine.domain.time import MINUTE_MS


class Kind(StrEnum):
    """Whose trade it is.

    MATCHED   both have made it
    SIGNAL    the backtest's alone: the run decided otherwise, or never heard the signal
    MISSED    the backtest's alone: the run decided the same, and its entry was never filled
    WITHHELD  the backtest's alone: the run was one that sends nothing (`run --signals-only`)
    EXTRA     the run's alone
    """

    MATCHED = "matched"
    SIGNAL = "signal"
    MISSED = "missed fill"
    WITHHELD = "withheld"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Gap:
    """What lies between two results, by cause, in money."""

    signal: Decimal = ZERO
    missed_fill: Decimal = ZERO
    withheld: Decimal = ZERO
    extra: Decimal = ZERO
    size: Decimal = ZERO
    price: Decimal = ZERO
    fee: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """All of it."""
        return sum((getattr(self, one.name) for one in fields(self)), ZERO)


@dataclass(frozen=True, slots=True)
class Pair:
    """A trade of both sides, or of one; `why` says in words what differs, empty where nothing does."""

    kind: Kind
    done: Trade | None
    tested: Trade | None
    gap: Gap
    why: str

    @property
    def trade(self) -> Trade:
        """The run's, or the backtest's where it is that one's alone."""
        found = self.done or self.tested
        assert found is not None  # noqa: S101 - a pair has one of them at least
        return found

    @property
    def is_equal(self) -> bool:
        """Both have made it and nothing differs."""
        return self.kind is Kind.MATCHED and not self.why and not self.gap.total


class Heard(NamedTuple):
    """What a run made of a signal: its fate, the reason in words, and whether an entry for it was never filled."""

    fate: str
    reason: str
    is_abandoned: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """What both sides have done in a span, and what they were told.

    done, tested            closed trades
    done_open, tested_open  what was still open at the end
    heard                   what the run made of each signal that it heard
    said                    the entries that were asked for in the backtest
    """

    done: Sequence[Trade]
    tested: Sequence[Trade]
    done_open: Collection[Decision]
    tested_open: Collection[Decision]
    heard: Mapping[Decision, Heard]
    said: Collection[Decision]


def pairs_of(sides: Sides) -> tuple[Pair, ...]:
    """The trades of both sides, matched, in order of opening."""
    theirs = {trade.decision: trade for trade in sides.tested}
    found = []
    for trade in sides.done:
        tested = theirs.pop(trade.decision, None)
        found.append(_extra(trade, sides) if tested is None else _matched(trade, tested))
    found += [_untraded(trade, sides) for trade in theirs.values()]
    return tuple(sorted(found, key=lambda pair: (pair.trade.opened_ms, pair.trade.symbol, pair.kind)))


def total(gaps: Iterable[Gap]) -> Gap:
    """Gaps added up, cause by cause."""
    every = tuple(gaps)
    return Gap(*(sum((getattr(gap, one.name) for gap in every), ZERO) for one in fields(Gap)))


def _matched(done: Trade, tested: Trade) -> Pair:
    share = done.quantity, tested.quantity
    fee = money.share(tested.fees, *share) - done.fees
    funding = done.funding - money.share(tested.funding, *share)
    size = money.share(tested.net_pnl, *share) - tested.net_pnl
    price = done.net_pnl - tested.net_pnl - size - fee - funding
    return Pair(Kind.MATCHED, done, tested, Gap(size=size, price=price, fee=fee, funding=funding), _why(done, tested))


def _why(done: Trade, tested: Trade) -> str:
    """What a person looks for first: another end, other prices, another size; costs are seen in their columns."""
    found = []
    if done.close_reason != tested.close_reason:
        found.append(f"left by {done.close_reason}, not by {tested.close_reason}")
    for what, later_ms in (
        ("entered", done.opened_ms - tested.opened_ms),
        ("left", done.closed_ms - tested.closed_ms),
    ):
        if abs(later_ms) >= MINUTE_MS:
            found.append(f"{what} {abs(later_ms) // MINUTE_MS} min {'later' if later_ms > 0 else 'earlier'}")
    for what, mine, its in (
        ("entry", done.entry_price, tested.entry_price),
        ("exit", done.exit_price, tested.exit_price),
        ("quantity", done.quantity, tested.quantity),
    ):
        if mine != its:
            found.append(f"{what} {money.text(mine)}, not {money.text(its)}")
    return "; ".join(found)


def _extra(done: Trade, sides: Sides) -> Pair:
    if done.decision in sides.tested_open:
        why = "still open in the backtest"
    elif done.decision in sides.said:
        why = "the backtest heard the signal and made no entry"
    else:
        why = "the backtest heard no such signal"
    return Pair(Kind.EXTRA, done, None, Gap(extra=done.net_pnl), why)


def _untraded(tested: Trade, sides: Sides) -> Pair:
    """Of the backtest alone: why not of the run."""
    lost = -tested.net_pnl
    heard = sides.heard.get(tested.decision)
    if tested.decision in sides.done_open:
        return Pair(Kind.SIGNAL, None, tested, Gap(signal=lost), "still open in the run")
    if heard is None:
        return Pair(Kind.SIGNAL, None, tested, Gap(signal=lost), "the run heard no such signal")
    if heard.is_abandoned:
        return Pair(Kind.MISSED, None, tested, Gap(missed_fill=lost), "the entry was never filled")
    if heard.fate == Fate.WITHHELD:
        return Pair(Kind.WITHHELD, None, tested, Gap(withheld=lost), "the run was one with --signals-only")
    told = f"{heard.fate} in the run{f', {heard.reason}' if heard.reason else ''}"
    return Pair(Kind.SIGNAL, None, tested, Gap(signal=lost), told)
