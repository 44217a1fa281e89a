"""`audit`: proof that what is written down adds up.

What belongs here: joining the store's checks with the paper wallet, and showing them. What does not: the
checks (store.audit).
"""

import typer

from trading_engine.cli import shapes, table
from trading_engine.cli.arguments import JsonOption, StateOption, state_of
from trading_engine.cli.failure import DONE, FINDINGS
from trading_engine.cli.line import Cell
from trading_engine.cli.text import count
from trading_engine.runtime import offline
from trading_engine.store.audit import audit as run_checks
from trading_engine.store.engine import check_file

audit_app = typer.Typer(rich_markup_mode="rich", add_completion=False)


@audit_app.command()
def audit(*, state: StateOption = None, as_json: JsonOption = False) -> int:
    """Prove that journal, positions, orders, fills, ledger and wallet agree.

    Everything is rebuilt from the journal and compared row by row. Exits with 1
    where a check fails. The engine may run meanwhile.
    """
    directory = state_of(state)
    check_file(directory.database)  # before the wallet: a missing database is the clearer message
    checks = run_checks(directory.database, offline.paper_wallet(directory.root))
    failed = sum(not check.ok for check in checks)
    if as_json:
        rows = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks]
        typer.echo(shapes.dump({"ok": not failed, "checks": rows}))
        return FINDINGS if failed else DONE
    out = table.console()
    for check in checks:
        verdict = Cell("ok    ", table.GOOD) if check.ok else Cell("FAILED", table.BAD)
        table.say(out, table.line(verdict, check.name, Cell(check.detail, table.ASIDE if check.ok else "")))
    what = f"{failed} of {count(len(checks), 'check')} failed" if failed else f"all {len(checks)} checks passed"
    table.say(out, what, table.BAD if failed else "")
    return FINDINGS if failed else DONE
