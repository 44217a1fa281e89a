"""Real money is touched only after somebody has said that they know it.

What belongs here: the question, and what stands for its answer in a script or a service. What does not: what is done
then, the record of an answer given beforehand (arming).
"""

import sys
from pathlib import Path

from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime import arming, remote
from trading_engine.runtime.process import EXIT_REFUSED
from trading_engine.system.state_dir import StateDir

ACKNOWLEDGEMENT = "I UNDERSTAND THE RISKS"


def is_real_money(config: Config) -> bool:
    """Whether what is done with this configuration costs somebody something; a server on this machine does not."""
    return config.mode == "live" and not remote.hosts_of(config).is_local


def acknowledge(config: Config, what: str = "trades", given: str | None = None) -> None:
    """ConfigInvalid (exit 3) unless the money is play money, or the sentence is typed on a terminal.

    what    what is about to happen to the money
    given   VENUE/ACCOUNT, where a script says which account it means instead; empty asks, and so does None, for
            what no script may begin
    """
    if not is_real_money(config):
        return
    name = f"{config.venue}/{config.account}"
    if given:
        if given != name:
            raise ConfigInvalid(
                f"--acknowledge {given}: the configuration is that of {name}; nothing was done", exit_code=EXIT_REFUSED
            )
        return
    if not _is_terminal():
        script = "" if given is None else f", or give --acknowledge {name} in a script"
        raise ConfigInvalid(
            f"mode = live {what} real money: start it from a terminal and type {ACKNOWLEDGEMENT}{script}",
            exit_code=EXIT_REFUSED,
        )
    sys.stderr.write(
        f"This {what} REAL MONEY on {config.venue}, account {config.account}, symbols {', '.join(config.symbols)}.\n"
        f"Type {ACKNOWLEDGEMENT} to go on: "
    )
    sys.stderr.flush()
    if sys.stdin.readline().strip() != ACKNOWLEDGEMENT:
        raise ConfigInvalid("not acknowledged; nothing was done", exit_code=EXIT_REFUSED)


def acknowledge_run(config: Config, state: StateDir, config_path: Path) -> None:
    """As `acknowledge`, but where nobody sits at a terminal, as under systemd, the arming record speaks."""
    if not is_real_money(config):
        return
    if _is_terminal():
        acknowledge(config)
        return
    if refusal := arming.refusal(state, config, config_path):
        raise ConfigInvalid(refusal, exit_code=EXIT_REFUSED)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
