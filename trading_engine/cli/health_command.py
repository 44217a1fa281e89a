"""`health`: how the process stands: its checks, its parts and their restarts, what it measures.

What belongs here: asking the engine, what can be said where none runs, and the display. What does not: the judgement
(runtime.health).
"""

from decimal import Decimal
from typing import Any

import typer

from trading_engine.cli import shapes, table, text
from trading_engine.cli.arguments import JsonOption, StateOption, state_of
from trading_engine.cli.failure import DONE, FINDINGS
from trading_engine.cli.line import Cell
from trading_engine.cli.table import Column
from trading_engine.cli.views import reading
from trading_engine.runtime.control import EngineNotRunning, request
from trading_engine.runtime.health import HealthCheck
from trading_engine.store.read_models import Reader
from trading_engine.system.single_instance import holder
from trading_engine.system.state_dir import StateDir

health_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_STYLES = {"ok": table.GOOD, "degraded": table.ATTENTION, "starting": table.ATTENTION}
_PARTS = (
    Column("PART"),
    Column("STATE"),
    Column("RESTARTS", is_number=True),
    Column("OF", is_number=True),
    Column("FAILURES", is_number=True, gives_way=1),
    Column("LAST ERROR", gives_way=2),
)
_MEASURED = (
    Column("MEASURED"),
    Column("COUNT", is_number=True),
    Column("MEAN", is_number=True),
    Column("P99", is_number=True),
    Column("MOST", is_number=True),
    Column("WHEN", gives_way=1),
)
_UNITS = {"commit": "ms", "slippage": "bps", "memory": "MB", "cpu": "%"}


@health_app.command()
def health(*, state: StateOption = None, as_json: JsonOption = False) -> int:
    """Show how the engine's process stands: checks, parts with their restart budget, latency, memory.

    Without a running engine: how the last run ended, and what it measured last.
    Exits with 0 where it runs and all is well, otherwise with 1.
    """
    directory = state_of(state)
    with reading(directory) as reader:
        found = _found(directory, reader)
    if as_json:
        typer.echo(shapes.dump(found))
    else:
        _show(found)
    return DONE if found["state"] == "ok" else FINDINGS


def _found(directory: StateDir, reader: Reader) -> dict[str, Any]:
    measured: dict[str, dict[str, Any]] = {}
    for item in reader.measured(100):
        figures = item.measured
        row: dict[str, Any] = {"count": figures.samples, "mean": round(figures.mean, 2), "p99": round(figures.p99, 2)}
        row |= {"most": round(figures.most, 2), "at": shapes.time(item.ts_ms)}
        measured.setdefault(figures.name, row)
    waiting = reader.status_counts().unsent_alerts
    rest = {"measured": measured, "unsent_alerts": waiting}
    try:
        answer: Any = request(directory.root, {"command": "health"}).get("health")
        return {**answer, **rest}
    except EngineNotRunning:
        run = reader.last_run()
    pid = holder(directory.lock)
    if pid is not None:  # it waits for its venue, or has just begun
        waits = HealthCheck("start", ok=False, detail=_waiting(reader))
        return {**_nobody("starting", waits), "pid": pid, **rest}
    crashed = run is not None and run.ended_ms is None
    last = None
    if run is not None:
        ended = shapes.time(run.ended_ms or 0)
        last = {"run_id": run.run_id, "started": shapes.time(run.started_ms), "ended": ended, "how": run.how}
    return {**_nobody("stopped", HealthCheck("last run", not crashed, _ended(last))), "last_run": last, **rest}


def _nobody(state: str, check: HealthCheck) -> dict[str, Any]:
    """What can be said where no engine answers."""
    shown = {"name": check.name, "ok": check.ok, "detail": check.detail}
    return {"state": state, "alive": False, "ready": False, "checks": [shown], "components": []}


def _waiting(reader: Reader) -> str:
    """Why a process that holds the lock may not answer yet: the last word about its venue."""
    newest = reader.alerts(1)
    return newest[0].text if newest and newest[0].key.startswith("venue:") else "the engine is starting"


def _ended(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none ever did"
    return f"ended ({last['how']})" if last["ended"] else "ended without a word: a crash, a kill or a power loss"


def _show(found: dict[str, Any]) -> None:
    out = table.console()
    state = str(found["state"])
    about = [f"process {found['pid']}"] if "pid" in found else []
    if "memory_mb" in found:
        about += [f"{found['memory_mb']} MB", f"{found['open_files']} open files"]
    shown = Cell(state, _STYLES.get(state, table.BAD))
    table.say(out, table.line(shown, " · ".join(about)) if about else table.line(shown))
    for check in found["checks"]:
        verdict = Cell("ok    ", table.GOOD) if check["ok"] else Cell("NOT OK", table.BAD)
        table.say(
            out, table.line(verdict, f"{check['name']}:", Cell(check["detail"], table.ASIDE if check["ok"] else ""))
        )
    if found.get("components"):
        table.show(out, _PARTS, [_part(item) for item in found["components"]])
    if found["measured"]:
        table.show(out, _MEASURED, [_figure(name, row) for name, row in sorted(found["measured"].items())])
    waiting = found["unsent_alerts"]
    told = Cell(f"{text.count(waiting, 'alert')} waiting", table.ATTENTION if waiting else "")
    bad = sum(not check["ok"] for check in found["checks"])
    well = "all is well" if state == "ok" else "no engine runs" if state == "stopped" else "not ready yet"
    table.say(out, table.line(Cell(f"{text.count(bad, 'check')} not ok" if bad else well), "·", told))


def _part(item: dict[str, Any]) -> list[Cell | str]:
    style = {"running": "", "restarting": table.ATTENTION}.get(item["state"], table.BAD)
    return [
        item["name"],
        Cell(item["state"], style),
        str(item["restarts"]),
        str(item["budget"]),
        str(item["failures"]),
        item["last_error"] or text.DASH,
    ]


def _figure(name: str, row: dict[str, Any]) -> list[Cell | str]:
    unit = _UNITS.get(name, "ms")
    figures = [f"{text.amount(Decimal(str(row[key])))} {unit}" for key in ("mean", "p99", "most")]
    return [name, text.number(Decimal(row["count"])), *figures, str(row["at"])[:19].replace("T", " ")]
