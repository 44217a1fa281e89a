"""A finished backtest as files: canonical JSON, CSV and a page for the browser.

What belongs here: writing files. What does not: what is in them (run, shape, page), printing (cli).
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from trading_engine.backtest.run import Run, make_run
from trading_engine.backtest.shape import result_json, result_shape, trade_shape
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import iso

__all__ = ["Run", "make_run", "remove_report", "result_json", "result_shape", "write_csv", "write_json", "write_report"]

JSON_NAME, TRADES_NAME, EQUITY_NAME, PAGE_NAME = "result.json", "trades.csv", "equity.csv", "report.html"
_TRADE_COLUMNS = (
    "position_id", "symbol", "side", "strategy", "opened_at", "closed_at", "entry_price", "exit_price", "quantity",
    "gross_pnl", "fees", "funding", "net_pnl", "r_multiple", "close_reason", "fills", "initial_stop", "stop_price",
    "target_price", "ambiguous",
)  # fmt: skip
_TEXTS = ("position_id", "symbol", "strategy")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would calculate


def write_json(path: Path, run: Run) -> None:
    """Write `result_json`. ConfigInvalid where the file cannot be written."""
    _write(path, result_json(run))


def write_csv(folder: Path, run: Run) -> None:
    """Write `trades.csv` and `equity.csv`, both oldest first. ConfigInvalid where they cannot be written.

    A text cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    _write(folder / TRADES_NAME, _trades_csv(run))
    _write(folder / EQUITY_NAME, _equity_csv(run))


def write_report(path: Path, run: Run) -> None:
    """Write the page: one file that needs nothing else. ConfigInvalid where it cannot be written."""
    from trading_engine.backtest.page.render import render  # noqa: PLC0415 - a run without a page draws none

    _write(path, render(run, result_json(run)))


def remove_report(path: Path) -> bool:
    """Remove the page of an earlier run, which would contradict the files beside it; whether there was one."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigInvalid(f"{path} is of an earlier run and cannot be removed: {error.strerror}") from error
    return True


def _trades_csv(run: Run) -> bytes:
    shapes = (trade_shape(one, run) for one in run.outcome.trades)
    return _csv(_TRADE_COLUMNS, ([_cell(name, shape[name]) for name in _TRADE_COLUMNS] for shape in shapes))


def _equity_csv(run: Run) -> bytes:
    rows = (
        [iso(point.ts_ms), *map(money.text, (point.equity, point.balance, point.unrealized, held.equity))]
        for point, held in zip(run.curve, run.held, strict=True)
    )
    return _csv(("time", "equity", "balance", "unrealized_pnl", "buy_and_hold"), rows)


def _csv(names: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return f"'{text}" if name in _TEXTS and text.startswith(_FORMULA) else text


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing: a reader never sees half a file, and an old one stays until the new one is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ConfigInvalid(
            f"{path} cannot be written: {error.strerror}; name a place that can be written to"
        ) from error
