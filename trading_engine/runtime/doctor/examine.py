"""The whole examination, in the order in which a person would mend things.

What belongs here: which questions are asked, and those about configuration, credentials and venue. What does not:
each question (machine, state_checks), what a start checks (bootstrap, app).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from trading_engine.config.alerts import AlertsConfig
from trading_engine.config.model import Config, KillSwitchConfig
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime import bootstrap
from trading_engine.runtime.bootstrap import Finding, RunOptions
from trading_engine.runtime.doctor import machine as of_machine
from trading_engine.runtime.doctor import state_checks
from trading_engine.runtime.doctor.machine import ERROR, OK, WARNING, Ailment, Machine
from trading_engine.system.state_dir import StateDir

Ask = Callable[[RunOptions], list[Finding]]

_FOR_OTHERS = 0o077


def examine(
    directory: StateDir,
    config_path: Path | None,
    environ: Mapping[str, str],
    machine: Machine | None = None,
    ask_venue: Ask | None = None,
    dotenv: Path = Path(".env"),
) -> list[Ailment]:
    """Everything that is found; nothing is changed, and nothing but questions is sent.

    ask_venue   asks the configured venue what a start asks it; None leaves the network alone
    """
    asked = machine or Machine()
    found = of_machine.software(asked)
    options = RunOptions(config_path, state_dir=directory.root) if config_path is not None else None
    config, ailments = _configuration(options, environ)
    alerts = config.alerts if config else AlertsConfig()
    found += [of_machine.clock(asked), *of_machine.disk(asked, directory.root, alerts.disk_free_mb)]
    found += state_checks.state(directory, asked.now_ms())
    found.append(state_checks.stop_file((config.kill_switch if config else KillSwitchConfig()).file))
    found += _secrets(dotenv)
    found += ailments
    if config is not None and options is not None:
        found += _venue(options, config, ask_venue)
        found.append(_channels(config))
    found.append(of_machine.systemd(asked))
    return found


def _configuration(options: RunOptions | None, environ: Mapping[str, str]) -> tuple[Config | None, list[Ailment]]:
    if options is None:
        remedy = "give --config FILE"
        return None, [Ailment(OK, "configuration", "none given: keys, venue and alerts were not looked at", remedy)]
    try:
        config = bootstrap.configuration(options, environ)
    except ConfigInvalid as error:
        lines = str(error).splitlines()
        return None, [Ailment(ERROR, "configuration", line, "correct it; `trading-engine validate`") for line in lines]
    told = f"{options.config_path}: mode {config.mode}, venue {config.venue}, {', '.join(config.symbols)}"
    return config, [Ailment(OK, "configuration", told)]


def _secrets(dotenv: Path) -> list[Ailment]:
    try:
        mode = dotenv.stat().st_mode & 0o777
    except OSError:
        return []
    if mode & _FOR_OTHERS:
        return [Ailment(ERROR, "secrets", f"{dotenv} ({mode:04o}) can be read by others", f"chmod 600 {dotenv}")]
    return [Ailment(OK, "secrets", f"{dotenv} can be read by its owner alone")]


def _venue(options: RunOptions, config: Config, ask: Ask | None) -> list[Ailment]:
    found = []
    if config.mode != "paper":
        found.append(Ailment(OK, "credentials", f"a key for {config.venue} is there"))
    if config.mode == "paper" and not config.is_paper_at_venue:
        return [*found, Ailment(OK, "venue", "embedded: needs no network and no key")]
    if ask is None:
        return [*found, Ailment(OK, "venue", f"{config.venue} was not asked (--offline)")]
    try:
        answers = ask(options)
    except ConfigInvalid as error:
        remedy = "check key, permissions and addresses at the venue; the configuration names the host"
        return [*found, Ailment(ERROR, "venue", str(error), remedy)]
    return [*found, *(_of(answer, config.venue) for answer in answers if answer.subject != str(options.config_path))]


def _of(answer: Finding, venue: str) -> Ailment:
    remedy = ""
    if answer.level == ERROR and "cannot be asked" in answer.text:
        remedy = f"check this machine's network and the status page of {venue}"
    elif answer.level != OK:
        remedy = "see docs/venues.md"
    return Ailment(answer.level, answer.subject, answer.text, remedy)


def _channels(config: Config) -> Ailment:
    count = len(config.alerts.channels)
    if not count:
        return Ailment(WARNING, "alerts", "no channel: nobody is told of anything", "fill in alerts.channels")
    return Ailment(OK, "alerts", f"{count} configured; `trading-engine alerts test` sends a message")
