"""`config` and `validate`: what the engine would run with, before it runs.

What belongs here: showing and checking a configuration. What does not: reading it (config), the checks
(runtime.bootstrap).
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli import shapes
from trading_engine.cli.arguments import ConfigOption, FundingOption, JsonOption, ReplayOption, parse_pairs
from trading_engine.cli.failure import DONE, USAGE

config_app = typer.Typer(
    rich_markup_mode="rich", add_completion=False, help="Show a configuration, or describe every key."
)
validate_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

DEFAULT_CONFIG = Path("configs/paper.yaml")
EXIT_INVALID = 78


@config_app.callback(invoke_without_command=True)
def _config(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


@config_app.command()
def show(
    *,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="Configuration file (YAML).")
    ] = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Print the configuration with every default filled in and every secret masked."""
    from trading_engine.config import config_hash, load_config, redacted  # noqa: PLC0415 - schema does without

    read = load_config(config, {}, os.environ, Path(".env"))
    values = redacted(read)
    if as_json:
        typer.echo(shapes.dump({"config_hash": config_hash(read), "config": values}))
        return
    import yaml  # noqa: PLC0415 - as above

    sys.stdout.write(f"# {config}, hash {config_hash(read)}, secrets masked\n")
    sys.stdout.write(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=False))


@config_app.command()
def schema() -> None:
    """Print JSON Schema of the file, for editors and for reading: every key with its meaning."""
    from trading_engine.config import json_schema  # noqa: PLC0415 - for symmetry with `show`

    typer.echo(shapes.dump(json_schema()))


@validate_app.command()
def validate(*, config: ConfigOption, replay: ReplayOption = None, funding: FundingOption = None) -> int:
    """Check configuration, strategies and data files; nothing is written.

    Exits with 0 where it would run, with 78 where it would not or its alerts
    would reach nobody. Warnings say what is odd but allowed: gaps, prices off
    the tick, levels beyond the target.
    """
    from trading_engine.cli.findings import has_errors, print_findings  # noqa: PLC0415 - `config` does without
    from trading_engine.runtime.bootstrap import RunOptions, check, configuration  # noqa: PLC0415 - as above

    options = RunOptions(
        config_path=config,
        replay=parse_pairs("--replay", replay),
        funding=parse_pairs("--funding", funding),
    )
    found = check(options, os.environ)
    read = configuration(options, os.environ)
    if read.mode != "paper":
        from trading_engine.runtime.remote import hosts_of  # noqa: PLC0415 - only here are adapters needed

        hosts_of(read)
    can_run = not has_errors(found)
    print_findings(found, f"{config} {'can run' if can_run else 'cannot run as it is meant'}")
    return DONE if can_run else EXIT_INVALID
