"""A state directory, replayed: the backtest of what a run has lived through, and both compared.

What belongs here: reading what a run has traded and heard, checking that candles of the same span are at hand, running
the backtest. What does not: matching and splitting (compare), what a person sees (cli).

The span is the run's: from its first candle to the last one that it has processed. The backtest begins with the balance
that the run began with, on the contracts that the run was told, under the configuration that is given: that is the
run's own, or one that asks what another would have made of the same span.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from msgspec import structs

from trading_engine.backtest.booked import decision_of, trade_of
from trading_engine.backtest.compare import Gap, Heard, Pair, Sides, pairs_of, total
from trading_engine.backtest.job import Ground, Job, outcome_of, prepare, remarks_of
from trading_engine.backtest.result import Decision, Outcome, Trade
from trading_engine.config.show import config_hash
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.position import Position
from trading_engine.domain.records import Fate
from trading_engine.domain.time import MINUTE_MS, floor_to, iso
from trading_engine.runtime import bootstrap, contracts
from trading_engine.runtime.bootstrap import RunOptions
from trading_engine.store.read_models import Reader, RunView, SignalView
from trading_engine.system.state_dir import StateDir

_OTHER_BALANCE = "paper.balance"
_ATTEMPTS = 10
Seen = TypeVar("Seen")
OnDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Lived:
    """What a run has left: its span, its money, its positions and signals.

    start     the balance it began with; `made` what trading has added since, costs of what is open included
    funding   what each position was paid in funding, also what the venue has booked after its close
    is_whole  nothing was written while it was read
    """

    run: RunView
    from_ms: int
    to_ms: int
    start: Decimal
    made: Decimal
    positions: Sequence[Position]
    funding: Mapping[str, Decimal]
    signals: Sequence[SignalView]
    is_whole: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A run beside the backtest of its span.

    done_made, tested_made   what trading has added to the balance, of either side
    done_open, tested_open   positions that were open at the end, in no pair unless one side has closed them
    remarks                  what a reader must know before believing it
    """

    lived: Lived
    engine: str
    symbols: tuple[str, ...]
    candles: int
    pairs: tuple[Pair, ...]
    done_made: Decimal
    tested_made: Decimal
    done_open: int
    tested_open: int
    remarks: tuple[str, ...]

    @property
    def gap(self) -> Gap:
        """All trades' gaps, by cause."""
        return total(pair.gap for pair in self.pairs)

    @property
    def other(self) -> Decimal:
        """What lies between the balances and in no trade: costs of what is still open, bookings without a position."""
        return self.done_made - self.tested_made - self.gap.total

    @property
    def is_equal(self) -> bool:
        """Every trade is that of the backtest, and so is the balance."""
        is_same = all(pair.is_equal for pair in self.pairs) and self.done_open == self.tested_open
        return is_same and self.done_made == self.tested_made


def compare_state(job: Job, state: StateDir, environ: Mapping[str, str], on_done: OnDone | None = None) -> Comparison:
    """Replay the span of a state through a backtest.

    job       what a backtest is asked for, without its span
    on_done   told by the full engine how many candles are done, and of how many

    ConfigInvalid where there is no database, where it has seen no candle yet, where candles of its span are missing,
    and as `prepare` raises it.
    """
    lived = read(state)
    job = structs.replace(job, from_ms=lived.from_ms, to_ms=lived.to_ms, contracts=contracts.kept(state))
    if _configured_balance(job, environ) != lived.start:
        job = structs.replace(job, overrides={**job.overrides, _OTHER_BALANCE: lived.start})
    ground = prepare(job, environ)
    _check_data(ground, lived, state)

    def on_progress(done: int, _now_ms: int) -> None:
        if on_done is not None:
            on_done(done, ground.market.rows)

    outcome, handed_over = outcome_of(ground, job.engine, on_progress)
    sides = _sides(lived, outcome, ground)
    return Comparison(
        lived,
        outcome.engine,
        ground.market.symbols,
        ground.market.rows,
        pairs_of(sides),
        lived.made,
        outcome.balance - outcome.deposit,
        len(sides.done_open),
        outcome.open_positions,
        (*remarks_of(ground, handed_over), *_remarks(job, lived, environ)),
    )


def read(state: StateDir) -> Lived:
    """What a run has left; ConfigInvalid where there is no database, or no candle in it yet."""
    with Reader.open(state.database) as reader:
        lived, is_whole = steady(lambda: _read(reader), lambda: [record.seq for record in reader.journal(1)])
        return replace(lived, is_whole=is_whole)


def steady(read_all: Callable[[], Seen], mark: Callable[[], object]) -> tuple[Seen, bool]:
    """What was read while `mark` stayed the same, and whether it did: several times, then with what there is.

    A running engine writes between two questions; it does so once a minute, and reading takes a moment.
    """
    before = mark()
    for _ in range(_ATTEMPTS):
        seen, after = read_all(), mark()
        if after == before:
            return seen, True
        before = after
    return seen, False


def _read(reader: Reader) -> Lived:
    runs, seen = reader.runs(), reader.control().checkpoint
    if seen is None or not runs or seen.cursor_ms <= runs[-1].started_ms:
        raise ConfigInvalid(f"{reader.path}: no candle was traded on yet; compare it once the engine has run")
    ledger = reader.ledger()
    return Lived(
        run=runs[0],
        from_ms=floor_to(runs[-1].started_ms, MINUTE_MS),
        to_ms=seen.cursor_ms,
        start=ledger.start_balance,
        made=ledger.performance,
        positions=tuple(view.position for view in reader.positions(include_closed=True)),
        funding={trade.position_id: trade.funding for trade in reader.trades()},
        signals=tuple(reader.signals()),
    )


def _configured_balance(job: Job, environ: Mapping[str, str]) -> Decimal:
    options = RunOptions(job.config_path, overrides={**job.overrides, "mode": "paper"})
    return bootstrap.configuration(options, environ).paper.balance


def _check_data(ground: Ground, lived: Lived, state: StateDir) -> None:
    """The candles are those of the whole span, and of everything that was traded."""
    market = ground.market
    strangers = sorted({one.symbol for one in lived.positions if one.fills} - set(market.symbols))
    if strangers:
        raise ConfigInvalid(
            f"{state.database} has trades of {strangers[0]}, of which there are no candles; give --data"
            f" {strangers[0]}=FILE as well",
            exit_code=2,
        )
    span = f"the run went from {iso(lived.from_ms)} to {iso(lived.to_ms)}"
    if market.first_ms > lived.from_ms + market.interval_ms or market.last_ms < lived.to_ms:
        raise ConfigInvalid(
            f"the candles go from {iso(market.first_ms)} to {iso(market.last_ms)}, {span}; give candles of all of it",
            exit_code=2,
        )


def _sides(lived: Lived, outcome: Outcome, ground: Ground) -> Sides:
    closed = [one for one in lived.positions if one.state is PositionState.CLOSED and one.fills]
    abandoned = {decision_of(one) for one in lived.positions if one.close_reason is CloseReason.ABANDONED}
    still_open = (PositionState.OPEN, PositionState.CLOSING)
    return Sides(
        done=[_with_funding(trade_of(one), lived.funding) for one in closed],
        tested=outcome.trades,
        done_open=[decision_of(one) for one in lived.positions if one.state in still_open],
        tested_open=outcome.still_open,
        heard=_heard(lived.signals, abandoned),
        said=_said(ground),
    )


def _with_funding(trade: Trade, funding: Mapping[str, Decimal]) -> Trade:
    return structs.replace(trade, funding=funding.get(trade.position_id, trade.funding))


def _heard(signals: Sequence[SignalView], abandoned: set[Decision]) -> dict[Decision, Heard]:
    found = {}
    for one in signals:
        if one.side is not None:
            decision = Decision(one.symbol, one.strategy, one.side, one.candle_ms)
            found[decision] = Heard(one.fate, one.reason, decision in abandoned)
    return found


def _said(ground: Ground) -> set[Decision]:
    table = ground.spoken.table
    columns = zip(
        table.symbol.tolist(),
        table.strategy.tolist(),
        table.side.tolist(),
        table.closed_ms.tolist(),
        ground.spoken.primaries,
        strict=True,
    )
    return {
        Decision(
            ground.market.symbols[symbol],
            ground.spoken.strategies[strategy],
            "long" if side > 0 else "short",
            closed_ms - interval_ms,
        )
        for symbol, strategy, side, closed_ms, interval_ms in columns
        if side
    }


def _remarks(job: Job, lived: Lived, environ: Mapping[str, str]) -> list[str]:
    found = []
    options = RunOptions(job.config_path, overrides={**_without_balance(job), "mode": lived.run.mode})
    given = config_hash(bootstrap.configuration(options, environ))
    if given != lived.run.config_hash:
        found.append(
            f"{job.config_path} is not the configuration that traded (hash {given}, the run's {lived.run.config_hash})"
        )
    withheld = sum(one.fate == Fate.WITHHELD for one in lived.signals)
    if withheld:
        found.append(
            f"{withheld} entries were withheld by a run with --signals-only: what the backtest made of them is"
            " under `withheld`, and what it traded besides rests on money and positions that the run never had"
        )
    if not lived.is_whole:
        found.append("the engine went on while it was read: what it did in that moment may look like a gap")
    if _OTHER_BALANCE in job.overrides:
        found.append(f"the backtest begins with {money.text(lived.start)}, as the run did")
    return found


def _without_balance(job: Job) -> dict[str, object]:
    return {key: value for key, value in job.overrides.items() if key != _OTHER_BALANCE}
