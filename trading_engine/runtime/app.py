"""One run of the engine, from the checked configuration to the exit code.

What belongs here: which run it is, and the lock and database around it. What does not: the runs themselves, how
parts are made from configuration (bootstrap).

What runs is a process of its own kind: on recorded candles (paper), on a venue's live market without a key
(paper_live), on an account at a venue (live).
"""

import asyncio
import contextlib
import faulthandler
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from loguru import logger

from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.runtime import bootstrap, configured, startup, strategy_setup
from trading_engine.runtime.bootstrap import RunOptions
from trading_engine.runtime.paper import RecordedRun
from trading_engine.runtime.process import (
    EXIT_DONE,
    EXIT_REFUSED,
    Process,
    ensure_database,
    handlers_kept,
    require,
    stop_file_of,
)
from trading_engine.runtime.service_report import MORE_TIME_S, ServiceReport
from trading_engine.system import core_dumps, crash_points, state_dir
from trading_engine.system.service_manager import ServiceManager
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir

__all__ = ["RunOptions", "run"]

for _name in (
    "engine.commit.before",
    "engine.commit.inside",
    "engine.commit.after",
    "exchange.commit.before",
    "exchange.commit.inside",
    "exchange.commit.after",
    "send.before",
    "send.after",
    "cancel.before",
    "cancel.after",
    "run.recovered",
):
    crash_points.register(_name)


def run(options: RunOptions) -> int:
    """Run to the end of the data or a clean stop; the exit code. Raises ConfigInvalid for bad input."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be no file
        faulthandler.enable()
    manager = ServiceManager.from_environ(os.environ)
    config = bootstrap.configuration(options, os.environ)
    if config.mode != "paper":
        core_dumps.forbid()  # there are keys in memory from here on
    if config.mode != "paper" or config.is_paper_at_venue:
        return _run_at_venue(options, config, manager)
    plan = bootstrap.prepare(options, os.environ)
    if options.dry_run:
        return EXIT_DONE
    state = state_dir.resolve(options.state_dir, os.environ)
    if not state.database.exists():  # nothing to manage, so nothing is made
        _refuse_to_begin_stopped(config)
        require(startup.lost_engine(state))
    return _locked(state, manager, lambda prepared: RecordedRun(options, plan, prepared))


def _run_at_venue(options: RunOptions, config: Config, manager: ServiceManager) -> int:
    """The same on the market of a venue. The adapters are imported here: recorded candles do without a network."""
    from trading_engine.runtime import live, paper_live  # noqa: PLC0415 - see above
    from trading_engine.runtime.acknowledgement import acknowledge_run  # noqa: PLC0415 - see above
    from trading_engine.runtime.sole_trader import sole_trader  # noqa: PLC0415 - see above

    bootstrap.refuse_leftovers(options)
    with configured.told_with_file(options.config_path, options.overrides):
        strategy_setup.filters_of(config, strategy_setup.strategies_of(config, config.symbols))
    if options.dry_run:
        return EXIT_DONE
    state = state_dir.resolve(options.state_dir, os.environ)
    if not state.database.exists():
        _refuse_to_begin_stopped(config)
        require(startup.lost_engine(state))
    if config.mode == "paper":
        return _locked(state, manager, lambda prepared: paper_live.LivePaperRun(options, config, prepared))
    if not options.signals_only:  # what sends nothing costs nothing
        acknowledge_run(config, state, options.config_path)
    state_dir.require_private(state_dir.prepare(state))
    claim = nullcontext() if options.signals_only else sole_trader(config, logger.warning)
    return _locked(state, manager, lambda prepared: live.LiveRun(options, config, prepared), claim)


def rehearse(options: RunOptions) -> list[bootstrap.Finding]:
    """What `--dry-run` reports: the checks of `validate`, and at a venue what the venue says. Sends no order.

    Raises ConfigInvalid for what would not run at all.
    """
    config = bootstrap.configuration(options, os.environ)
    found = bootstrap.check(options)
    if config.mode == "paper" and not config.is_paper_at_venue:
        return found
    from trading_engine.runtime import live, paper_live  # noqa: PLC0415 - recorded candles do without a network

    try:
        if config.mode == "paper":
            return [*found, *paper_live.rehearse(config)]
        return [*found, *live.rehearse(config, signals_only=options.signals_only)]
    except VenueUnavailable as error:
        return [*found, bootstrap.Finding("error", config.venue, f"cannot be asked: {error}")]


def _refuse_to_begin_stopped(config: Config) -> None:
    stop_file = stop_file_of(config)
    if stop_file.read() is not None:
        raise ConfigInvalid(f"{stop_file.path} is present; remove it to start", exit_code=EXIT_REFUSED)


def _locked(
    state: StateDir,
    manager: ServiceManager,
    make: Callable[[StateDir], Process],
    claim: AbstractContextManager[None] | None = None,
) -> int:
    """Run what `make` makes of the prepared state, alone on it, and under `claim` where one is needed."""
    state = state_dir.prepare(state)
    with InstanceLock(state.lock), claim or nullcontext():
        manager.extend(MORE_TIME_S)
        ensure_database(state)
        with handlers_kept():
            return asyncio.run(_main(state, manager, make))


async def _main(state: StateDir, manager: ServiceManager, make: Callable[[StateDir], Process]) -> int:
    process = make(state)
    process.manager = manager
    looking = asyncio.create_task(ServiceReport(manager, process.report).run(), name="service report")
    try:
        return await process.main()
    finally:
        looking.cancel()
        manager.stopping()
