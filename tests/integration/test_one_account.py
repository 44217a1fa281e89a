"""Two state directories and one account: the second engine is refused, on a venue's own protocol."""

import sys
from collections.abc import Iterator
from pathlib import Path

import e2e_tools as tools
import pytest
from fakes.venue_rig import VenueDesk, venue_desk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the claim on an account is Linux's own")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[VenueDesk]:
    """A state that began at a venue, where nothing is open."""
    monkeypatch.chdir(tmp_path)
    with venue_desk("binance", tmp_path, capsys) as made:
        made.begin()
        yield made


def test_only_one_engine_trades_on_an_account_until_it_is_dead(desk: VenueDesk) -> None:
    """Exit 3 for a start and an emergency close from another state; after SIGKILL the account is free at once.

    A run that sends nothing claims nothing: it may stand beside.
    """
    first, other, watching = desk.folder / "state", desk.folder / "other", desk.folder / "watching"
    run = ["run", "--config", str(desk.config), "--state"]
    close = ["flatten", "--direct", "--yes", "--config", str(desk.config), "--state"]
    with tools.running([*run, first]) as engine, tools.running([*run, watching, "--signals-only"]) as watcher:
        tools.eventually(lambda: _starts(first), engine)
        taken = f"process {engine.pid} on this machine trades"
        assert (3, taken, False) == (*_refusal(*run, other), (other / "engine.db").exists())
        assert (3, taken) == _refusal(*close, other)
        own = tools.read(*run, first)
        assert (3, True) == (own.code, "an engine runs on this state directory already" in own.err)
        tools.eventually(lambda: _starts(watching), watcher)
        engine.kill()
        engine.communicate()
    with tools.running([*run, other]) as engine:
        tools.eventually(lambda: _starts(other), engine)
        taken = f"process {engine.pid} on this machine trades"
        assert (3, taken) == _refusal(*close, first)
        apply = ["reconcile", "--apply", "--yes", "--config", str(desk.config), "--state"]
        assert (3, taken) == _refusal(*apply, first)
    assert [] == desk.held()


def _starts(state: Path) -> list[tuple[object, ...]]:
    return tools.query(state, "SELECT 1 FROM runs WHERE run_id <> 'run-1'")


def _refusal(*arguments: str | Path) -> tuple[int, str]:
    """Exit code, and who holds the account; the whole message where it is another one."""
    done = tools.read(*arguments)
    _, found, rest = done.err.strip().partition("binance/main: ")
    return done.code, rest.partition(" with this API key")[0] if found else done.err
