"""Whoever may send orders to an account is alone on it, as far as this machine goes.

What belongs here: which account it is, and saying so where that cannot be made sure. What does not: the claim itself
(system.account_claim), the lock of a state directory (system.single_instance).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trading_engine.config.model import Config
from trading_engine.runtime import remote
from trading_engine.system.account_claim import AccountClaim


@contextmanager
def sole_trader(config: Config, tell: Callable[[str], object]) -> Iterator[None]:
    """For as long as it lasts nobody else on this machine trades on the account of the configuration.

    ConfigInvalid, exit 3, where somebody does; `tell` hears where that cannot be known.
    """
    account = f"{config.venue}/{config.account}"
    with AccountClaim(_identity(config), account) as claim:
        if claim.problem:
            tell(f"{account}: {claim.problem}")
        yield


def _identity(config: Config) -> tuple[str, str, str]:
    """What makes an account one and the same: the key, not what the configuration or a proxy calls it.

    One key may open an account of real and one of play money at the same venue (BingX), and every server on this
    machine has accounts of its own.
    """
    assert config.credentials is not None  # noqa: S101 - the configuration demands them in these modes
    hosts = remote.hosts_of(config)
    return config.venue, hosts.rest_url if hosts.is_local else config.mode, config.credentials.key.get_secret_value()
