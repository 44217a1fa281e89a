"""Both backtest engines over every built-in strategy, on recorded and synthetic markets: how many trades differ?

    python tests/parity/parity_table.py                      everything: about half an hour of one core
    python tests/parity/parity_table.py --only momentum      cases whose name or market contains a word
    python tests/parity/parity_table.py --keep parity.jsonl  goes on where an earlier run of the same code stopped
    python tests/parity/parity_table.py --list               what there is

Each case is a configuration file and the job of `backtest --engine both`, done in this process. Compared is every
field of every trade (instants, side, reason, quantity and prices exactly, gross, fees and funding to 1e-8), the equity
of every full hour and the balance at the end. Recorded candles are looked for in --data (../shared/data); a case
without them is skipped and told so. Exit 1 where anything differs, where the fast engine gave up, or where a case
shows less than it is there for.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from parity.cases import RECORDED, SEED, Case, every_case  # noqa: E402 - found by the line above

from trading_engine.backtest.job import Engine, Job, code_version, run_job  # noqa: E402
from trading_engine.cli import table  # noqa: E402
from trading_engine.cli.line import Cell  # noqa: E402
from trading_engine.cli.main import main as command_line  # noqa: E402
from trading_engine.cli.table import Column  # noqa: E402
from trading_engine.domain.time import DAY_MS, parse_iso  # noqa: E402

_SYNTH_DAYS = 29
_SYNTH_FROM = "2025-05-05"
_COLUMNS = (
    Column("CASE"),
    Column("MARKET"),
    Column("SYMBOLS"),
    Column("CANDLES", is_number=True),
    Column("TRADES", is_number=True),
    Column("DIFFERENT", is_number=True),
    Column("SECONDS", is_number=True),
    Column("ENDED BY"),
)


@dataclass(frozen=True)
class Row:
    """What one case came to; `fault` is why it does not count, empty where it does."""

    case: str
    market: str
    symbols: str
    code: str
    candles: int
    trades: int
    differences: int
    seconds: float
    reasons: str
    fault: str


class Bench:
    """Where the candles lie, and where configurations and synthetic markets are written."""

    def __init__(self, data: Path, folder: Path, synthetic_days: int = _SYNTH_DAYS) -> None:
        self._data = data
        self._folder = folder
        self._days = synthetic_days

    def has(self, case: Case) -> bool:
        """Whether every recorded file that a case needs is there."""
        return case.market != RECORDED or all(self._files(symbol, case.interval) for symbol in case.symbols)

    def job(self, case: Case, engine: Engine = Engine.BOTH) -> Job:
        """A case as the job of `backtest`."""
        config = self._folder / "engine.yaml"
        config.write_text(json.dumps(case.config()), encoding="utf-8")  # which is YAML as well
        from_ms = parse_iso(case.first_day)
        to_ms = from_ms + case.days * DAY_MS
        if case.market == RECORDED:
            files = {symbol: self._files(symbol, case.interval)[0] for symbol in case.symbols}
            rates = {symbol: self._files(symbol, "funding")[0] for symbol in case.symbols} if case.is_funded else {}
            return Job(config, files, rates, from_ms=from_ms, to_ms=to_ms, engine=engine)
        venue, store = f"synth-{case.market}", self._folder / "store"
        for symbol in case.symbols:
            if not (store / venue / symbol).exists():
                _synthesise(store, venue, case.market, symbol, self._days)
        return Job(config, store=store, venue=venue, from_ms=from_ms, to_ms=to_ms, engine=engine)

    def _files(self, symbol: str, what: str) -> list[Path]:
        return sorted(self._data.glob(f"*_{symbol}_{what}_*.parquet"))


def _synthesise(store: Path, venue: str, kind: str, symbol: str, days: int) -> None:
    options = ["--seed", str(SEED), "--regime", kind, "--days", str(days), "--from", _SYNTH_FROM]
    with redirect_stdout(sys.stderr):
        done = command_line(["data", "synth", "--symbol", symbol, "--venue", venue, "--data", str(store), *options])
    if done:
        raise SystemExit(f"no synthetic market: exit {done}")


def run_case(bench: Bench, case: Case) -> tuple[Row, list[str]]:
    """Run a case with both engines; its row, and its first differences in words."""
    began = time.perf_counter()
    done = run_job(bench.job(case), {})
    trades = done.run.outcome.trades
    differences = () if done.parity is None else done.parity.differences
    reasons = Counter(str(trade.close_reason) for trade in trades)
    fault = f"the full engine ran alone: {done.handed_over}" if done.handed_over else ""
    if not fault and len(trades) < case.least:
        fault = f"{len(trades)} trades, fewer than {case.least}"
    if not fault and case.reasons - reasons.keys():
        fault = f"no trade ended by {', '.join(sorted(case.reasons - reasons.keys()))}"
    if not fault and case.is_variant and run_job(bench.job(case.plain, Engine.FAST), {}).run.outcome.trades == trades:
        fault = "it trades as its plain case does, so what it changes was not tried"
    compared = done.parity.compared if done.parity else 0
    row = Row(
        case.name,
        case.market,
        " ".join(symbol.removesuffix("USDT") for symbol in case.symbols),
        code_version(),
        done.run.market.rows,
        compared,
        len(differences),
        round(time.perf_counter() - began, 1),
        ", ".join(f"{name} {count}" for name, count in reasons.most_common()),
        fault,
    )
    return row, [f"{one.position} {one.field}: fast {one.fast}, full {one.full}" for one in differences[:5]]


def _wanted(words: Sequence[str]) -> list[Case]:
    told = [(case, f"{case.name} {case.market} {' '.join(case.symbols)}") for case in every_case()]
    return [case for case, text in told if all(word.lower() in text.lower() for word in words)]


def _kept(path: Path | None) -> dict[tuple[str, str, str], Row]:
    """Rows of this code that an earlier run has written."""
    if path is None or not path.exists():
        return {}
    rows = [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(row.case, row.market, row.symbols): row for row in rows if row.code == code_version()}


def _rows(bench: Bench, cases: Sequence[Case], keep: Path | None) -> Iterator[Row]:
    known = _kept(keep)
    for number, case in enumerate(cases, 1):
        key = (case.name, case.market, " ".join(symbol.removesuffix("USDT") for symbol in case.symbols))
        row, told = known.get(key), list[str]()
        if row is None:
            row, told = run_case(bench, case)
            if keep is not None:
                with keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
        state = row.fault or ("DIFFERENT" if row.differences else "equal")
        print(f"[{number}/{len(cases)}] {' · '.join(key)}: {row.trades} trades, {state}", file=sys.stderr, flush=True)
        for line in told:
            print(f"    {line}", file=sys.stderr, flush=True)
        yield row


def _show(rows: Sequence[Row]) -> None:
    shown = [
        [
            row.case,
            row.market,
            row.symbols,
            f"{row.candles:,}",
            f"{row.trades:,}",
            Cell(str(row.differences), table.BAD if row.differences else table.GOOD),
            f"{row.seconds:.1f}",
            Cell(row.fault, table.BAD) if row.fault else row.reasons,
        ]
        for row in rows
    ]
    total = [sum(column) for column in zip(*((one.candles, one.trades, one.differences) for one in rows), strict=True)]
    seconds = sum(row.seconds for row in rows)
    last = [f"{total[0]:,}", f"{total[1]:,}", str(total[2]), f"{seconds:.1f}", ""]
    table.show(table.console(), _COLUMNS, [*shown, [f"{len(rows)} cases", "", "", *last]])


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="cases that have all of these in them")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="recorded candles")
    parser.add_argument("--keep", type=Path, help="a file of rows, added to and gone on from")
    parser.add_argument("--list", action="store_true", help="the cases, without running them")
    options = parser.parse_args(arguments)
    cases = _wanted(options.only)
    if not cases:
        parser.error(f"no case has {' and '.join(options.only)} in it; --list shows them")
    if options.list:
        for case in cases:
            print(f"{case.name} · {case.market} · {' '.join(case.symbols)} · {case.days} days")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.data, Path(folder))
        there = [case for case in cases if bench.has(case)]
        rows = list(_rows(bench, there, options.keep))
    if rows:
        _show(rows)
    if len(there) < len(cases):
        print(f"skipped: {len(cases) - len(there)} cases, for there are no recorded candles in {options.data}")
    return 1 if not rows or any(row.differences or row.fault for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
