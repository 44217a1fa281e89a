"""Only one process of a machine trades on an account, and a second one can tell which."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trading_engine.system.account_claim import AccountClaim, AccountTaken

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract addresses are Linux's own")

HOLD = """
import sys, time
from trading_engine.system.account_claim import AccountClaim
with AccountClaim(sys.argv[1:], "binance/main"):
    print("held", flush=True)
    time.sleep(60)
"""
ROOT = Path(__file__).resolve().parents[3]


def claim(*identity: str) -> AccountClaim:
    """A claim that does not pause; this process is in its name, so that test runs do not meet."""
    return AccountClaim((str(os.getpid()), *identity), "binance/main", sleep=lambda _: None)


def test_the_second_is_refused_and_gets_it_once_the_first_has_left() -> None:
    """Exit 3, and the message says what to do; who holds it is no number of one's own."""
    with claim("binance", "live", "key"):
        with pytest.raises(AccountTaken, match="stop that one first, or name its state with --state DIR") as caught:
            claim("binance", "live", "key").__enter__()
        assert (3, None) == (caught.value.exit_code, caught.value.pid)
        assert str(caught.value).startswith("binance/main: another process on this machine")
    with claim("binance", "live", "key") as again:
        assert "" == again.problem


@pytest.mark.parametrize("other", [("bingx", "live", "key"), ("binance", "testnet", "key"), ("binance", "livek", "ey")])
def test_another_account_is_another_claim(other: tuple[str, str, str]) -> None:
    """Venue, kind of money and key count, each for itself."""
    with claim("binance", "live", "key"), claim(*other) as second:
        assert "" == second.problem


def test_a_killed_process_leaves_nothing_behind() -> None:
    """Its number is told while it lives; after SIGKILL the account is free at once."""
    identity = ("held", str(os.getpid()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", HOLD, *identity], stdout=subprocess.PIPE, env=environment) as first:
        try:
            assert first.stdout is not None
            assert b"held\n" == first.stdout.readline()
            with pytest.raises(AccountTaken, match=f"process {first.pid} on this machine") as caught:
                AccountClaim(identity, "binance/main", sleep=lambda _: None).__enter__()
            assert first.pid == caught.value.pid
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
    with AccountClaim(identity, "binance/main", sleep=lambda _: None):
        pass


def test_a_child_of_the_dead_that_is_about_to_go_is_waited_for() -> None:
    """A claim that is given back within the pauses refuses nobody."""
    first = claim("waits")
    first.__enter__()
    pauses: list[float] = []

    def leave(pause_s: float) -> None:
        pauses.append(pause_s)
        first.__exit__(None, None, None)

    with AccountClaim((str(os.getpid()), "waits"), "binance/main", sleep=leave):
        assert 1 == len(pauses)


def test_children_do_not_inherit_the_claim() -> None:
    """A program that outlives the engine must not keep the account from the next one."""
    with claim("inherits") as held:
        assert held._held is not None
        assert not held._held.get_inheritable()


def test_the_name_tells_nothing_of_the_key() -> None:
    """Every user of the machine can list the kernel's names."""
    with claim("binance", "live", "secret-key-of-the-venue"):
        names = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace")
    assert "secret-key" not in names


def test_a_sandbox_that_forbids_it_is_told_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account is not left unattended for want of a guard."""

    def refuse(_: AccountClaim) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(AccountClaim, "_take", refuse)
    with claim("forbidden") as made:
        assert "whether another engine of this machine trades on it is not known (Operation not permitted)" == (
            made.problem
        )
