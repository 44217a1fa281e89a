"""The fast engine: the loop over arrays, compiled, and what it leaves as trades.

What belongs here: calling the loop and turning its rows into a result. What does not: the loop, compiling it.
"""

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from trading_engine.backtest import loop
from trading_engine.backtest.equity import Curve
from trading_engine.backtest.market import Market
from trading_engine.backtest.result import Decision, Outcome, Trade
from trading_engine.backtest.settings import loop_desks, loop_plans, loop_rules
from trading_engine.backtest.signals import Spoken
from trading_engine.backtest.tables import Account, Handover, Ints, Reason, Records, Stage, T, records, space_for
from trading_engine.core.settings import EngineSettings
from trading_engine.domain.ids import position_id
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.money import from_e8, to_e8
from trading_engine.domain.time import iso
from trading_engine.venues.embedded.terms import Terms

Loop = Callable[..., None]

_REASONS = {
    Reason.STOP: CloseReason.STOP,
    Reason.TARGET: CloseReason.TARGET,
    Reason.TRAILING: CloseReason.TRAILING,
    Reason.SIGNAL: CloseReason.SIGNAL,
    Reason.TIME: CloseReason.TIME,
    Reason.RISK: CloseReason.RISK,
    Reason.LIQUIDATION: CloseReason.LIQUIDATION,
}
_WHY = {
    Handover.THIN_VOLUME: "an order wants more than its share of the candle's volume",
    Handover.TARGET_REFUSED: "the price was beyond a target when its order was placed",
    Handover.LEFT_OVER: "a target filled while a partial exit rested",
    Handover.LADDER: "a further signal may make a position larger",
}


class NeedsFullEngine(Exception):
    """The market asks for something that the fast engine does not model; the full engine does."""


def run_fast(
    market: Market,
    spoken: Spoken,
    settings: EngineSettings,
    terms: Terms,
    deposit: Decimal,
    run_loop: Loop = loop.run,
) -> Outcome:
    """Trade the whole of a market; NeedsFullEngine where the loop has stopped."""
    desks = loop_desks(settings, market.symbols, market.candles, market.funding)
    accounts = records(Account, 1)
    plans = loop_plans(settings, spoken.strategies)
    rules = loop_rules(settings, terms, deposit, market.interval_ms)
    space = space_for(market.candles, spoken.table, rules[0])
    run_loop(market.candles, market.funding, spoken.table, desks, plans, accounts, rules, space)
    account = accounts[0]
    why = Handover(int(account.handover))
    if why is not Handover.DONE:
        raise NeedsFullEngine(f"{iso(int(account.handover_ms))}: {_WHY[why]}")
    rows = space.trades[: int(account.trades)]
    rows = rows[np.lexsort((rows[:, T.NUMBER], rows[:, T.CLOSED_MS]))]
    return Outcome(
        engine="fast",
        deposit=deposit,
        trades=_trades(rows, market, spoken, settings),
        samples=_samples(space.samples[: int(account.samples)], market.instants(), rows, deposit),
        balance=from_e8(int(account.balance_e8)),
        unrealized=_open_pnl(desks, settings, market),
        open_positions=int(np.count_nonzero(desks["stage"] > Stage.PENDING)),
        still_open=_still_open(desks, market, spoken),
        open_since=tuple(int(desk.opened_ms) for desk in desks if desk.stage > Stage.PENDING),
        stopped_ms=int(account.stopped_ms),
    )


def _trades(rows: Ints, market: Market, spoken: Spoken, settings: EngineSettings) -> tuple[Trade, ...]:
    intervals = spoken.intervals
    return tuple(_trade(row, market, spoken, settings, intervals[row[T.STRATEGY]]) for row in rows.tolist())


def _trade(row: list[int], market: Market, spoken: Spoken, settings: EngineSettings, interval_ms: int) -> Trade:
    symbol = market.symbols[row[T.SYMBOL]]
    instrument = settings.instruments[symbol]
    price = instrument.ticks_to_price
    return Trade(
        position_id=position_id(row[T.NUMBER]),
        symbol=symbol,
        side="long" if row[T.SIGN] > 0 else "short",
        strategy=spoken.strategies[row[T.STRATEGY]],
        opened_ms=row[T.OPENED_MS],
        closed_ms=row[T.CLOSED_MS],
        entry_price=price(row[T.ENTRY]),
        quantity=instrument.steps_to_quantity(row[T.STEPS]),
        exit_value=from_e8(row[T.EXIT_VALUE_E8]),
        initial_stop=price(row[T.INITIAL_STOP]),
        stop_price=price(row[T.STOP]),
        target_price=price(row[T.TARGET]) if row[T.TARGET] else None,
        gross_pnl=from_e8(row[T.GROSS_E8]),
        fees=from_e8(row[T.FEES_E8]),
        funding=from_e8(row[T.FUNDING_E8]),
        close_reason=_REASONS[Reason(row[T.REASON])],
        fills=row[T.FILLS],
        signal_ms=row[T.SIGNAL_MS] - interval_ms,
    )


def _still_open(desks: Records, market: Market, spoken: Spoken) -> frozenset[Decision]:
    intervals = spoken.intervals
    return frozenset(
        Decision(
            symbol,
            spoken.strategies[int(desk.strategy)],
            "long" if desk.sign > 0 else "short",
            int(desk.signal_ms) - intervals[int(desk.strategy)],
        )
        for desk, symbol in zip(desks, market.symbols, strict=True)
        if desk.stage > Stage.PENDING
    )


def _samples(seen: Ints, instants: Ints, trades: Ints, deposit: Decimal) -> Curve:
    """The account at these instants: as the loop has seen it, or what is booked while nothing was open."""
    net_e8 = trades[:, T.GROSS_E8] - trades[:, T.FEES_E8] + trades[:, T.FUNDING_E8]
    booked_e8 = to_e8(deposit) + np.concatenate(([0], np.cumsum(net_e8)))
    balance_e8 = booked_e8[trades[:, T.CLOSED_MS].searchsorted(instants)]
    unrealized_e8 = np.zeros_like(balance_e8)
    ts_ms = seen[:, 0]
    at = instants.searchsorted(ts_ms)
    known = instants[np.minimum(at, len(instants) - 1)] == ts_ms if len(instants) else np.zeros(len(at), np.bool_)
    balance_e8[at[known]], unrealized_e8[at[known]] = seen[known, 1], seen[known, 2]
    return Curve(instants, balance_e8, unrealized_e8)


def _open_pnl(desks: Records, settings: EngineSettings, market: Market) -> Decimal:
    total = Decimal(0)
    for desk, symbol in zip(desks, market.symbols, strict=True):
        if desk.steps:
            value = settings.instruments[symbol].value_per_tick_step * int(desk.last) * int(desk.steps)
            total += (value - from_e8(int(desk.cost_e8))) * int(desk.sign)
    return total
