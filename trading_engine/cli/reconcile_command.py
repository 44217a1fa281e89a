"""`reconcile`: what reconciliation would find and do, and doing it while no engine runs.

What belongs here: options, the question, showing it. What does not: the plan (runtime.offline), the act (repair).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_engine.cli import shapes, table
from trading_engine.cli.arguments import (
    AcknowledgeOption,
    JsonOption,
    StateOption,
    ask,
    check_symbols,
    require_answer,
    state_of,
    user,
)
from trading_engine.cli.config_commands import DEFAULT_CONFIG
from trading_engine.cli.failure import DONE, FINDINGS, usage
from trading_engine.cli.table import Column
from trading_engine.cli.text import DASH, count

if TYPE_CHECKING:  # the runtime is loaded when the command acts
    from trading_engine.runtime.offline import Difference, Word

reconcile_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_COLUMNS = (Column("KIND"), Column("SYMBOL"), Column("HERE"), Column("EXCHANGE"), Column("ACTION"))

_BookGapOption = Annotated[
    bool,
    typer.Option("--book-gap", help="With --apply: accept what the wallet holds and nothing explains."),
]
_DropOption = Annotated[
    str,
    typer.Option(
        "--drop",
        metavar="SYMBOL",
        help="With --apply: close the position in the book that the exchange does not hold any more.",
        show_default=False,
    ),
]
_ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="With --book-gap or --drop: why, for the journal.")
]
_WhoOption = Annotated[
    str | None,
    typer.Option(
        "--actor",
        metavar="NAME",
        help="With --book-gap or --drop: who, for the journal. Default: the user's name.",
        show_default=False,
    ),
]


@reconcile_app.command()
def reconcile(
    *,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="Configuration the engine runs with.")
    ] = DEFAULT_CONFIG,
    state: StateOption = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print differences and actions without acting.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Perform them; the engine must not run.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --apply: do not ask.")] = False,
    book_gap: _BookGapOption = False,
    drop: _DropOption = "",
    reason: _ReasonOption = "accepted by the operator",
    actor: _WhoOption = None,
    acknowledge: AcknowledgeOption = "",
    as_json: JsonOption = False,
) -> int:
    """Print where this state and the exchange differ, and what the engine would do about it.

    --plan exits with 1 where they differ; the engine may run meanwhile. --apply
    does, after a question, what the plan says, and exits with 0, or with 1 where
    a venue has not settled everything in time. It is refused (exit 3) while an
    engine runs, for that one reconciles by itself.

    --drop is for a position whose end nobody tells any more, as after a pause
    longer than the exchange's history: two looks, at a venue a minute apart, must
    show that the exchange holds nothing of it and no order of ours; otherwise it
    is refused (exit 3) and nothing is written. No result is made up: what the
    wallet lost or won by it stays a difference, which --book-gap books, also in
    the same call:

        trading-engine reconcile --apply --drop BTCUSDT --book-gap

    With mode = live, --apply asks for the sentence that `run` asks for; a script
    names the account it means with --acknowledge.
    """
    given = {"--yes": yes, "--book-gap": book_gap, "--drop": bool(drop), "--acknowledge": bool(acknowledge)}
    _check(plan=plan, apply=apply, only_with_apply=given)
    dropped = "".join(check_symbols("--drop", [drop])) if drop else ""
    root = state_of(state).root
    if apply:
        require_answer(yes=yes)
    from trading_engine.runtime import offline  # noqa: PLC0415 - not for a usage error

    if apply:
        word = offline.Word(actor or user(), reason, books_gap=book_gap, drops=dropped)
        return _apply(root, config, word, acknowledge, yes=yes, as_json=as_json)
    differences = offline.plan(root, config)
    if as_json:
        typer.echo(shapes.dump({"differences": [asdict(item) for item in differences]}))
    else:
        _show(differences)
    return FINDINGS if differences else DONE


def _check(*, plan: bool, apply: bool, only_with_apply: Mapping[str, bool]) -> None:
    if plan == apply:
        raise usage(
            "reconcile needs --plan or --apply: a running engine reconciles by itself, at its start, after every "
            "reconnect and every execution.reconcile_interval_s"
        )
    for option, is_given in only_with_apply.items():
        if is_given and not apply:
            raise usage(f"{option} goes with --apply")


def _apply(root: Path, config: Path, word: "Word", acknowledged: str, *, yes: bool, as_json: bool) -> int:
    from trading_engine.runtime import repair  # noqa: PLC0415 - as above

    def agree(differences: "Sequence[Difference]") -> bool:
        if not as_json:
            _show(differences)
        ask("do this?", yes=yes)
        return True

    if word.drops and not as_json:
        typer.echo(f"{word.drops}: the exchange is looked at twice, a venue with a minute in between", err=True)
    done = repair.reconcile(root, config, agree, word, acknowledged=acknowledged)
    if as_json:
        shown = {"differences": [asdict(item) for item in done.differences], "applied": True, "done": list(done.done)}
        typer.echo(shapes.dump(shown | ({"left": list(done.left)} if done.left else {})))
        return FINDINGS if done.left else DONE
    if not done.differences:
        _show(())
    for line in done.done:
        typer.echo(f"done: {line}")
    for line in done.left:
        typer.echo(f"left: {line}")
    return FINDINGS if done.left else DONE


def _show(differences: "Sequence[Difference]") -> None:
    out = table.console()
    keys = ("kind", "symbol", "local", "venue", "action")
    if differences:
        table.show(out, _COLUMNS, [[getattr(item, key) or DASH for key in keys] for item in differences])
    table.say(out, f"{count(len(differences), 'difference')}" if differences else "state and exchange agree")
