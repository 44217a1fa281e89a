"""The entry point: help, arguments, and every error as an exit code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from trading_engine import __version__, cli
from trading_engine.cli import main as entry
from trading_engine.cli.failure import CommandFailed
from trading_engine.cli.lazy import COMMANDS, load
from trading_engine.cli.main import Invocation, main
from trading_engine.domain.errors import ConfigInvalid, InvariantBroken, OutcomeUnknown, VenueUnavailable
from trading_engine.system.redaction import register_secret
from trading_engine.system.single_instance import AlreadyRunning


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConfigInvalid("a.yaml: x is wrong"), 78),
        (ConfigInvalid("STOP is present", exit_code=3), 3),
        (AlreadyRunning(Path("engine.lock"), 7), 3),
        (CommandFailed("no engine answers", 4), 4),
        (typer.BadParameter("no"), 2),
        (typer.Exit(5), 5),
        (typer.Abort(), 130),
        (InvariantBroken("stop above the price"), 70),
        (VenueUnavailable("timeout"), 70),
        (OutcomeUnknown("timeout"), 70),
        (KeyError("missing"), 70),
    ],
)
def test_every_kind_of_error_has_its_exit_code(
    error: Exception, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no traceback, nothing on standard output."""
    assert expected == entry._explain(error, Invocation(debug=False))
    printed = capsys.readouterr()
    assert "" == printed.out
    assert "Traceback" not in printed.err


def test_each_mistake_of_a_configuration_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """All at once, each marked."""
    entry._explain(ConfigInvalid("a.yaml: one\na.yaml: two"), Invocation(debug=False))
    assert "error: a.yaml: one\nerror: a.yaml: two\n" == capsys.readouterr().err


def test_an_internal_fault_is_one_line_that_says_where_the_log_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The traceback goes into the log file, where there is one."""
    log = tmp_path / "engine.jsonl"
    log.touch()
    try:
        raise KeyError("x\ny")
    except KeyError as error:
        entry._explain(error, Invocation(debug=False, log_file=log))
    printed = capsys.readouterr().err
    assert 1 == len(printed.splitlines())
    assert printed.startswith("error: internal fault: KeyError: ")
    assert str(log) in printed
    assert "Traceback" in log.read_text()


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the line that everybody gets."""
    entry._explain(ConfigInvalid("bad"), Invocation(debug=True))
    printed = capsys.readouterr().err
    assert "trading_engine.domain.errors.ConfigInvalid: bad" in printed
    assert printed.endswith("error: bad\n")


def test_a_secret_in_a_message_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors are written down like everything else."""
    register_secret("hunter2hunter2")
    entry._explain(RuntimeError("refused hunter2hunter2"), Invocation(debug=True))
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["statsu"], 2, "Did you mean 'status'?"),
        (["run"], 2, "Missing option '--config'"),
        (["run", "--nonsense"], 2, "No such option: --nonsense"),
        (["run", "--config", "x.yaml", "--speed", "0"], 2, "--speed 0"),
        (["run", "--config", "x.yaml", "--speed", "-2"], 2, "--speed -2"),
        (["run", "--config", "x.yaml", "--speed", "fast"], 2, "--speed fast"),
        (["run", "--config", "x.yaml", "--mode", "real"], 2, "there is no such mode"),
        (["run", "--config", "x.yaml", "--replay", "BTCUSDT"], 2, "is not SYMBOL=FILE"),
        (["run", "--config", "x.yaml", "--seed", "-1"], 2, "--seed -1"),
        (["run", "--config", "x.yaml"], 78, "error: x.yaml: no such file"),
        (["validate", "--config", "x.yaml"], 78, "error: x.yaml: no such file"),
        (["config", "show", "--config", "x.yaml"], 78, "error: x.yaml: no such file"),
        (["alerts", "test", "--config", "x.yaml"], 78, "error: x.yaml: no such file"),
        (["reconcile"], 2, "reconcile needs --plan"),
        (["trades", "--since", "soon"], 2, "--since soon"),
        (["trades", "--limit", "0"], 2, "--limit"),
        (["trades", "--limit", "99999999999999999999"], 2, "--limit"),
        (["status"], 78, "error: no database at"),
        (["db", "check"], 78, "error: no database at"),
        (["db", "backup"], 78, "error: no database at"),
        (["db", "restore", "none.db"], 2, "none.db: no such file"),
        (["resume"], 4, "nothing has run on this state yet"),
    ],
)
def test_bad_input_gets_a_message_an_exit_code_and_writes_nothing(
    arguments: list[str],
    expected: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Through the whole command line, in an empty directory that stays empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert expected == main(arguments)
    printed = capfd.readouterr()
    assert said in printed.err
    assert printed.err.startswith("error: ")
    assert "" == printed.out
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--debug", "status"], ["status", "--debug"]])
def test_debug_works_in_any_place(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before and after the command."""
    assert 78 == main([*arguments, "--state", str(tmp_path)])
    assert "Traceback" in capsys.readouterr().err


def test_an_option_takes_several_pairs() -> None:
    """`--replay A=1 B=2` is what people type; other options and commands end the list."""
    typed = ["run", "--replay", "A=1", "B=2", "--config", "c=d", "--funding", "A=3", "--seed", "1"]
    expected = [
        "run",
        *("--replay", "A=1", "--replay", "B=2"),
        *("--config", "c=d", "--funding", "A=3", "--seed", "1"),
    ]
    assert expected == list(entry._repeated(iter(typed)))


def test_no_argument_prints_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command with a line, examples, exit code 0."""
    assert 0 == main([])
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)
    assert "trading-engine run --config configs/demo.yaml --speed max" in printed


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output."""
    assert 0 == main(["--version"])
    assert f"trading-engine {__version__}\n" == capsys.readouterr().out


@pytest.mark.parametrize("group", ["config", "db", "alerts"])
def test_a_group_without_its_command_is_a_usage_error(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help is printed."""
    assert 2 == main([group])
    assert f"trading-engine {group}" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_help_of_80_columns(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each can be imported, says what it does, and describes each option."""
    monkeypatch.setenv("COLUMNS", "80")
    command = load(name)
    assert name == command.name
    assert 0 == main([name, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert all(parameter.help for parameter in command.params)


@pytest.mark.parametrize("command", ["status", "positions", "trades", "orders", "risk"])
def test_a_look_does_not_pay_for_the_engine(command: str, tmp_path: Path) -> None:
    """The read commands import neither numbers, data, alerts nor migrations, and JSON no terminal."""
    heavy = ("numpy", "talib", "pyarrow", "apprise", "alembic", "loguru", "rich", "trading_engine.runtime")
    program = (
        "import sys; from trading_engine.cli.main import main;"
        f"main([{command!r}, '--json', '--state', {str(tmp_path)!r}]);"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


@pytest.mark.parametrize(("call", "is_spared"), [("main()", True), ("main(sys.argv[1:])", False)])
def test_only_a_process_of_its_own_is_spared_looking_for_garbage_among_its_imports(call: str, is_spared: bool) -> None:
    """Neither after the start nor at the end; garbage of the work itself is looked for in any case."""
    begin = "import atexit, gc, sys; from trading_engine.cli.main import main"
    at_exit = "atexit.register(lambda: print(len(gc.get_objects()) < 1_000))"  # after those that are registered later
    after = "kept = [[] for _ in range(2_000)]; print(gc.isenabled(), gc.get_freeze_count() > 1_000)"
    asked = [sys.executable, "-c", f"{begin}; {at_exit}; {call}; {after}", "strategy", "list"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert [f"True {is_spared}", f"{is_spared}"] == done.stdout.splitlines()[-2:]


def test_garbage_is_looked_for_again_where_no_command_was_loaded() -> None:
    """Whoever calls the entry point gets a process back as it was."""
    program = "import gc, sys; from trading_engine.cli.main import main; main(); print(gc.isenabled())"
    asked = [sys.executable, "-c", program, "--version"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert [f"trading-engine {__version__}", "True"] == done.stdout.splitlines()


def test_help_texts_fit_eighty_columns_as_they_are_written() -> None:
    """Lines of a paragraph are kept as they are; a longer one would be broken a second time, in the middle."""
    folder = Path(cli.__file__).parent
    for path in folder.glob("*_command*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any("command" in ast.dump(item) for item in node.decorator_list):
                _, *rest = (ast.get_docstring(node) or "").split("\n\n")
                assert [] == [line for part in rest for line in part.splitlines() if len(line) > 78], node.name
