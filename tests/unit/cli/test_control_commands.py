"""`pause`, `resume`, `close`, `cancel`, `flatten` and `reload` on the command line."""

import json
import shutil
from pathlib import Path

import pytest
from e2e_tools import call, write_config

from trading_engine.cli.main import main
from trading_engine.system.state_dir import StateDir

Capture = pytest.CaptureFixture[str]


pytestmark = pytest.mark.xdist_group("control commands")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short run has left behind."""
    folder = tmp_path_factory.mktemp("control")
    done = call("run", "--config", write_config(folder, demo={"candles": 200}), "--state", folder / "state")
    assert 0 == done.code, done.err
    return folder


@pytest.fixture
def state(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDir:
    """A copy of that state, in the current directory."""
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return StateDir(tmp_path / "state")


def said(capture: Capture, *arguments: str, code: int = 0) -> str:
    """What a command says on either stream."""
    assert code == main(list(arguments))
    captured = capture.readouterr()
    return captured.out + captured.err


def test_pauses_are_kept_while_the_engine_is_down_and_shown(state: StateDir, capsys: Capture) -> None:
    """Of everything, a symbol and a strategy; each is lifted by its name, and the journal says who it was."""
    for name in ([], ["SOLUSDT"], ["momentum"]):
        assert "from now on" in said(capsys, "pause", *name, "--actor", "alice")
    shown = json.loads(said(capsys, "status", "--json"))
    assert [None, "SOLUSDT"] == [item["symbol"] for item in shown["paused"]]
    assert ["momentum"] == [item["strategy"] for item in shown["disabled_strategies"]]
    lines = said(capsys, "status")
    for line in ("everything paused since", "SOLUSDT paused since", "momentum disabled since"):
        assert line in lines
    assert "entries again; no limit was counted anew; the next start trades again" in said(capsys, "resume")
    assert "nothing to resume" in said(capsys, "resume")
    assert "entries on SOLUSDT again" in said(capsys, "resume", "SOLUSDT")
    assert "momentum may make entries again" in said(capsys, "resume", "momentum")
    shown = json.loads(said(capsys, "status", "--json"))
    assert ([], []) == (shown["paused"], shown["disabled_strategies"])
    assert main(["audit"]) == 0


def test_a_name_that_means_nothing_is_refused_while_the_engine_is_down(state: StateDir, capsys: Capture) -> None:
    """As by a running one: an operator who has misspelled it would believe in a pause that there is not."""
    for verb in ("pause", "resume"):
        for name in ("btcusdt", "NOPE", "momentun"):
            refused = said(capsys, verb, name, code=3)
            assert f"{name} is no symbol and no strategy of this state; it has SOLUSDT, momentum" in refused
    shown = json.loads(said(capsys, "status", "--json"))
    assert ([], []) == (shown["paused"], shown["disabled_strategies"])
    assert state.database.exists()


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_an_empty_name_is_not_everything(state: StateDir, capsys: Capture, verb: str) -> None:
    """A script's empty variable must not release a kill switch."""
    Path("STOP").touch()
    assert "the name is empty" in said(capsys, verb, "", "--state", str(state.root), code=2)


def test_a_paused_engine_starts_flat(state: StateDir, capsys: Capture) -> None:
    """A pause is no locked engine: it survives the start, which is not refused."""
    said(capsys, "pause")
    again = write_config(state.root.parent, demo={"candles": 300})
    done = call("run", "--config", again, "--state", state.root)
    assert 0 == done.code, done.err
    shown = json.loads(said(capsys, "status", "--json"))
    assert [None] == [item["symbol"] for item in shown["paused"]]
    assert "paused by an operator since" in shown["gates"][0]["reasons"][0]


@pytest.mark.parametrize(
    "arguments", [["close", "SOLUSDT", "--yes"], ["cancel", "x", "--yes"], ["reload"], ["flatten", "--yes"]]
)
def test_what_needs_an_engine_says_that_there_is_none(state: StateDir, arguments: list[str], capsys: Capture) -> None:
    """Exit 4, before anybody is asked anything."""
    assert f"no engine runs on {state.root}; " in said(capsys, *arguments, code=4)


def test_without_a_terminal_nothing_is_destroyed_unasked(tmp_path: Path, capsys: Capture) -> None:
    """A script says --yes."""
    from trading_engine.system.single_instance import InstanceLock  # noqa: PLC0415 - as an engine holds it

    state = StateDir(tmp_path)
    with InstanceLock(state.lock):
        for words in (["close", "BTCUSDT"], ["cancel", "x"], ["flatten"]):
            assert "nobody can be asked here (no terminal); give --yes" in said(
                capsys, *words, "--state", str(tmp_path), code=2
            )
        for words in (["close", "BTCUSDT", "--yes"], ["pause"], ["reload"], ["resume"]):
            assert "no engine answers at" in said(capsys, *words, "--state", str(tmp_path), code=4)


def test_a_state_without_a_database_has_nothing_to_pause(tmp_path: Path, capsys: Capture) -> None:
    """Exit 4; nothing is made."""
    assert "nothing has run on this state yet" in said(capsys, "pause", "--state", str(tmp_path), code=4)
    assert [] == list(tmp_path.iterdir())
