"""`compare`: what a run has made of a span, beside what the backtest makes of it.

What belongs here: the command and what it shows. What does not: replaying, matching and splitting (backtest).
"""

import os
from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.backtest.compare import Gap, Kind, Pair
from trading_engine.backtest.compare_state import Comparison, compare_state
from trading_engine.backtest.job import Engine, Job
from trading_engine.backtest.result import Trade
from trading_engine.cli import shapes, table, text
from trading_engine.cli.arguments import (
    ConfigOption,
    FundingOption,
    JsonOption,
    StateOption,
    overrides,
    parse_pairs,
    state_of,
)
from trading_engine.cli.failure import DONE, FINDINGS
from trading_engine.cli.line import Cell
from trading_engine.cli.progress import Bar
from trading_engine.cli.table import Column, Out
from trading_engine.cli.text import DASH, count
from trading_engine.domain import money
from trading_engine.domain.time import iso
from trading_engine.marketdata.candle_store.name import DEFAULT_FOLDER

compare_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_EPILOG = """\
Examples:

trading-engine compare --config configs/paper.yaml --state state --data BTCUSDT=btc.parquet

trading-engine compare --config configs/paper.yaml --data BTCUSDT=btc.parquet
--funding BTCUSDT=funding.parquet --json

trading-engine compare --config configs/binance.yaml --state state/binance-paper

Without --data the candles and funding rates come from the candle store (see
`data download`). Candles that lie before the run warm the strategies up.
Exit codes: 0 no gap, 1 a gap, 2 candles that do not cover the run, 78 no
database, or a configuration that is wrong.
"""
_CAUSES = (Column("CAUSE"), Column("TRADES", is_number=True), Column("GAP", is_number=True), Column(""))
_PAIRS = (
    Column("OPENED"),
    Column("SYMBOL"),
    Column("SIDE", gives_way=3),
    Column("STRATEGY", gives_way=2),
    Column("RUN", is_number=True),
    Column("BACKTEST", is_number=True),
    Column("GAP", is_number=True),
    Column("PRICE", is_number=True, gives_way=4),
    Column("FEE", is_number=True, gives_way=5),
    Column("FUNDING", is_number=True, gives_way=6),
    Column("SIZE", is_number=True, gives_way=7),
    Column("WHY", gives_way=1),
)
_SHOWN = 20
_MEANS = {
    "signal": "the backtest's alone: the run decided otherwise, or never heard the signal",
    "missed_fill": "the backtest's alone: the run's entry was never filled",
    "withheld": "the backtest's alone: the run was one with --signals-only",
    "extra": "the run's alone",
    "size": "the run's was larger or smaller",
    "price": "other entries, or exits at other prices or times",
    "fee": "the run paid more or less in fees, at the same size",
    "funding": "the run was paid more or less in funding, at the same size",
}
_ONE_SIDED = {"signal": Kind.SIGNAL, "missed_fill": Kind.MISSED, "withheld": Kind.WITHHELD, "extra": Kind.EXTRA}


class Replayed(StrEnum):
    """By which engine."""

    FAST = "fast"
    FULL = "full"


@compare_app.command(epilog=_EPILOG)
def compare(
    *,
    config: ConfigOption,
    state: StateOption = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="SYMBOL=FILE",
            help="Candles of the run's span (Parquet or CSV: ts open high low close volume). Once for each symbol.",
            show_default=False,
        ),
    ] = None,
    funding: FundingOption = None,
    store: Annotated[Path, typer.Option("--store", metavar="DIR", help="The candle store (see `data`).")] = (
        DEFAULT_FOLDER
    ),
    venue: Annotated[
        str,
        typer.Option("--venue", metavar="NAME", help="Whose stored candles; the configuration's.", show_default=False),
    ] = "",
    engine: Annotated[
        Replayed, typer.Option("--engine", help="fast: compiled arrays; full: the live code.")
    ] = Replayed.FAST,
    leverage: Annotated[
        str | None,
        typer.Option("--leverage", metavar="X", help="The run's, where it was given one.", show_default=False),
    ] = None,
    risk_pct: Annotated[
        str | None,
        typer.Option("--risk-pct", metavar="PCT", help="The run's, where it was given one.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=f"Every trade, not the {_SHOWN} largest gaps.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Compare a run with the backtest of its span, trade by trade.

    Trades are the same where one signal decided both. What lies between
    their results is split into price, fees, funding and size; trades of one
    side only are told with the reason. The run may still be going on: it is
    compared up to its last candle.
    """
    files, rates = parse_pairs("--data", data), parse_pairs("--funding", funding)
    changes = overrides(mode=None, symbols=None, leverage=leverage, risk_pct=risk_pct)
    job = Job(config, files, rates, store, venue, engine=Engine(engine), overrides=changes)
    with Bar("full engine") as bar:
        found = compare_state(job, state_of(state), os.environ, bar.show)
    for remark in found.remarks:
        typer.echo(f"note: {remark}", err=True)
    if as_json:
        typer.echo(shapes.dump(_shape(found)))
    else:
        _show(found, every=every)
    return DONE if found.is_equal else FINDINGS


def _shape(found: Comparison) -> dict[str, object]:
    lived = found.lived
    return {
        "run": {"mode": lived.run.mode, "run_id": lived.run.run_id, "config_hash": lived.run.config_hash},
        "engine": found.engine,
        "symbols": list(found.symbols),
        "from": iso(lived.from_ms),
        "to": iso(lived.to_ms),
        "candles": found.candles,
        "equal": found.is_equal,
        "run_pnl": money.text(found.done_made),
        "backtest_pnl": money.text(found.tested_made),
        "gap": {"total": money.text(found.done_made - found.tested_made), **_gap_shape(found.gap)}
        | {"other": money.text(found.other)},
        "counts": {_named(kind): _many(found, kind) for kind in Kind},
        "open_positions": {"run": found.done_open, "backtest": found.tested_open},
        "remarks": list(found.remarks),
        "trades": [_pair_shape(pair) for pair in reversed(found.pairs)],
    }


def _gap_shape(gap: Gap) -> dict[str, str]:
    return {one.name: money.text(getattr(gap, one.name)) for one in fields(Gap)}


def _pair_shape(pair: Pair) -> dict[str, object]:
    trade = pair.trade
    return {
        "kind": _named(pair.kind),
        "symbol": trade.symbol,
        "side": trade.side,
        "strategy": trade.strategy,
        "signal_candle": iso(trade.signal_ms),
        "run": _side_shape(pair.done),
        "backtest": _side_shape(pair.tested),
        "gap": {"total": money.text(pair.gap.total), **_gap_shape(pair.gap)},
        "why": pair.why,
    }


def _named(kind: Kind) -> str:
    return kind.value.replace(" ", "_")


def _side_shape(trade: Trade | None) -> dict[str, object] | None:
    if trade is None:
        return None
    return {
        "position_id": trade.position_id,
        "opened_at": iso(trade.opened_ms),
        "closed_at": iso(trade.closed_ms),
        "quantity": money.text(trade.quantity),
        "entry_price": money.text(trade.entry_price),
        "exit_price": money.text(trade.exit_price),
        "fees": money.text(trade.fees),
        "funding": money.text(trade.funding),
        "net_pnl": money.text(trade.net_pnl),
        "close_reason": str(trade.close_reason),
    }


def _show(found: Comparison, *, every: bool) -> None:
    out, lived = table.console(), found.lived
    span = f"{text.moment(lived.from_ms)} to {text.moment(lived.to_ms)} UTC, {count(found.candles, 'candle')}"
    table.say(out, f"{lived.run.mode} beside the {found.engine} engine: {', '.join(found.symbols)}, {span}")
    different = sorted((pair for pair in found.pairs if not pair.is_equal), key=lambda pair: -abs(pair.gap.total))
    if different:
        _show_pairs(out, different if every else different[:_SHOWN])
        if len(different) > _SHOWN and not every:
            table.say(out, f"{len(different) - _SHOWN} more with smaller gaps: --all", table.ASIDE)
        table.say(out, "")
    _show_causes(out, found)
    table.say(out, "")
    made = f"the run made {text.signed(found.done_made)}, the backtest {text.signed(found.tested_made)}"
    both = _many(found, Kind.MATCHED)
    what = f"{count(both, 'trade')} on both sides, {len(found.pairs) - both} on one · {made}{_still_open(found)}"
    table.say(out, what)
    if found.is_equal:
        table.say(out, "no gap: every trade of the run is that of the backtest", table.GOOD)
    else:
        table.say(out, f"{count(len(different), 'trade')} of {len(found.pairs)} with a gap", table.ATTENTION)


def _still_open(found: Comparison) -> str:
    if not found.done_open and not found.tested_open:
        return ""
    return f" · still open: {found.done_open} and {found.tested_open}"


def _many(found: Comparison, kind: Kind) -> int:
    return sum(1 for pair in found.pairs if pair.kind is kind)


def _show_causes(out: Out, found: Comparison) -> None:
    rows: list[list[Cell | str]] = []
    for one in fields(Gap):
        concerned = [pair for pair in found.pairs if _concerns(pair, one.name)]
        if one.name == "withheld" and not concerned:
            continue  # most runs trade
        amount: Decimal = getattr(found.gap, one.name)
        rows.append([one.name.replace("_", " "), str(len(concerned)), table.pnl(amount), _MEANS[one.name]])
    if found.other:
        means = "costs of what is still open, bookings without a position"
        rows.append(["other", DASH, table.pnl(found.other), means])
    rows.append(["all", str(len(found.pairs)), table.pnl(found.done_made - found.tested_made), ""])
    table.show(out, _CAUSES, rows)


def _concerns(pair: Pair, cause: str) -> bool:
    kind = _ONE_SIDED.get(cause)
    return pair.kind is kind if kind else bool(getattr(pair.gap, cause))


def _show_pairs(out: Out, pairs: Sequence[Pair]) -> None:
    table.show(out, _PAIRS, [_row(pair) for pair in pairs])


def _row(pair: Pair) -> list[Cell | str]:
    trade, gap = pair.trade, pair.gap
    why = f"{pair.kind}: {pair.why}" if pair.kind is not Kind.MATCHED else pair.why
    return [
        text.moment(trade.opened_ms),
        trade.symbol,
        trade.side,
        trade.strategy,
        text.signed(pair.done.net_pnl) if pair.done else DASH,
        text.signed(pair.tested.net_pnl) if pair.tested else DASH,
        table.pnl(gap.total),
        *(text.signed(part) if part else DASH for part in (gap.price, gap.fee, gap.funding, gap.size)),
        Cell(why, table.ASIDE),
    ]
