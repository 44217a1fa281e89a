"""The commands that check, keep and release, in process, on small state directories."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_engine.cli.main import main
from trading_engine.store.migrate import upgrade
from trading_engine.store.read_models import Reader
from trading_engine.store.schema_version import HEAD
from trading_engine.store.sql_store import SqlStore
from trading_engine.strategy import registry
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir

CONFIG = """\
mode: paper
symbols: [BTCUSDT]
strategies:
  - name: trend_vwap
alerts:
  channels:
    - url: ${ALERT_URL:-tgram://123456:secret-token/42}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "paper.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def state(folder: Path) -> Iterator[StateDir]:
    """A state directory in it with a new database."""
    state = StateDir(folder / "state")
    state.root.mkdir()
    upgrade(state.database)
    return state


# config and validate


def test_show_fills_in_defaults_and_masks_secrets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As YAML that says where it comes from."""
    assert 0 == main(["config", "show", "--config", "paper.yaml"])
    printed = capsys.readouterr().out
    assert printed.startswith("# paper.yaml, hash ")
    assert "max_drawdown_pct: '10'" in printed
    assert "tgram://***" in printed
    assert "secret-token" not in printed


def test_show_as_json_holds_hash_and_values(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts that compare configurations."""
    assert 0 == main(["config", "show", "--config", "paper.yaml", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"config_hash", "config"} == set(found)
    assert ["BTCUSDT"] == found["config"]["symbols"]


def test_schema_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the whole file."""
    assert 0 == main(["config", "schema"])
    found = json.loads(capsys.readouterr().out)
    assert "symbols" in found["properties"]


def test_validate_tells_what_it_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named, and the last line says that it can run."""
    assert 0 == main(["validate", "--config", "paper.yaml"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" ok       paper.yaml: ")
    assert lines[-1].startswith(" paper.yaml can run · 0 errors")
    assert ["paper.yaml"] == [item.name for item in folder.iterdir()]


@pytest.mark.parametrize(
    ("mode", "host", "code"),
    [
        ("testnet", "https://fapi.binance.com", 78),
        ("live", "https://testnet.binancefuture.com", 3),
        ("live", "https://demo-fapi.binance.com", 3),
        ("live", "https://fapi.binance.com", 0),
        ("testnet", "https://demo-fapi.binance.com", 0),
    ],
)
def test_validate_refuses_the_host_of_the_other_money(folder: Path, mode: str, host: str, code: int) -> None:
    """As a start would: play money at real hosts, and real money at those of play money."""
    text = (
        f"mode: {mode}\nvenue: binance\nsymbols: [BTCUSDT]\nstrategies: [{{name: trend_vwap}}]\n"
        "credentials: {key: '${TEST_KEY}', secret: '${TEST_SECRET}'}\n"
        f"venues: {{binance: {{rest_url: '{host}', ws_url: 'wss://{host.partition('//')[2]}'}}}}\n"
        "alerts: {channels: [{url: 'json://127.0.0.1:1/'}]}\n"
    )
    (folder / "venue.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_KEY", "test-key-of-16-letters")
        patch.setenv("TEST_SECRET", "test-secret-of-16-letters")
        assert code == main(["validate", "--config", str(folder / "venue.yaml")])


def test_validate_names_a_channel_that_no_service_stands_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error with the channel's key and without its secrets; nothing is sent. A dry run says the same."""
    monkeypatch.setenv("ALERT_URL", "nosuchservice://token-that-is-secret")
    for command in (["validate", "--config", "paper.yaml"], ["run", "--dry-run", "--config", "paper.yaml"]):
        assert 78 == main(command)
        printed = capsys.readouterr()
        assert " error    alerts.channels[0].url: nosuchservice://*** is not a URL that Apprise knows" in printed.out
        assert "token-that-is-secret" not in printed.out + printed.err
    assert ["paper.yaml"] == [item.name for item in folder.iterdir()]


def test_a_kill_switch_that_is_a_directory_is_a_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise it would stop the engine for ever."""
    (folder / "halt").mkdir()
    (folder / "paper.yaml").write_text(CONFIG + "kill_switch: {file: halt}\n")
    assert 78 == main(["validate", "--config", "paper.yaml"])
    assert "error: paper.yaml: kill_switch.file = halt is a directory; expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("strategies: [{name: trend_vwap, settings: {foo: 1}}]", "trend_vwap.foo is not a setting of this strategy"),
        ("strategies: [{name: '../x'}]", "strategy '../x' does not exist"),
        (
            "strategies: [{name: trend_vwap}]\nleverage: 3\npaper: {instruments: {BTCUSDT: {max_leverage: 2}}}",
            "leverage = 3 is above BTCUSDT's maximum of 2",
        ),
    ],
)
def test_a_mistake_that_only_strategies_and_contracts_show_names_the_file(
    lines: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every other mistake of a configuration does, in whichever command; the command line where that is to blame."""
    (folder / "odd.yaml").write_text(f"mode: paper\nsymbols: [BTCUSDT]\n{lines}\n", encoding="utf-8")
    (folder / "x.csv").write_text("ts,open,high,low,close,volume\n", encoding="utf-8")
    for command in (["validate"], ["run"], ["backtest", "--data", "BTCUSDT=x.csv"]):
        assert 78 == main([*command, "--config", "odd.yaml"])
        assert f"error: odd.yaml: {said}" in capsys.readouterr().err
    if "leverage" in lines:
        assert 78 == main(["run", "--config", "odd.yaml", "--leverage", "4"])
        assert "error: command line: leverage = 4 is above BTCUSDT's maximum of 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--leverage", "0"], "command line: leverage = 0 is not a leverage from 1 to 125"),
        (["--symbol", "BTCUSDT", "--replay", "ETHUSDT=x.csv"], "--replay ETHUSDT=…: --symbol BTCUSDT excludes it"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_of_usage(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, whoever noticed it."""
    assert 2 == main(["run", "--config", "paper.yaml", *arguments])
    assert said in capsys.readouterr().err
    assert ["paper.yaml"] == [item.name for item in folder.iterdir()]


def test_validate_looks_at_data_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gap in the candles is a warning, not a refusal."""
    minutes = [*range(60), *range(65, 200)]
    rows = [f"{1_735_689_600_000 + minute * 60_000},100,100,100,100,1" for minute in minutes]
    (folder / "btc.csv").write_text("\n".join(["ts,open,high,low,close,volume", *rows]))
    assert 0 == main(["validate", "--config", "paper.yaml", "--replay", "BTCUSDT=btc.csv"])
    printed = capsys.readouterr().out
    assert "195 candles of 1m" in printed
    assert " warning  btc.csv: 5 candles missing in 1 gaps" in printed


def test_validate_tells_of_stops_that_never_move(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The target of 3 R is nearer than where they would begin."""
    (folder / "paper.yaml").write_text(CONFIG + "exits: {break_even_at_r: 4, trail_pct: 1, trail_from_r: 3}\n")
    assert 0 == main(["validate", "--config", "paper.yaml"])
    printed = capsys.readouterr().out
    assert " warning  trend_vwap: trailing at 4 R is never reached: the target is 3 R" in printed
    assert " warning  trend_vwap: the stop never follows: it would begin at 3 R, and the target is 3 R" in printed


def test_validate_tells_of_costs_that_are_not_charged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On recorded candles and on a venue's live market alike."""
    for where in ("", "venue: binance\n"):
        (folder / "paper.yaml").write_text(CONFIG + where + "paper: {slippage: depth, slippage_pct: 0.01}\n")
        assert 0 == main(["validate", "--config", "paper.yaml"])
        printed = capsys.readouterr().out
        line = "paper.slippage_pct = 0.01 has no effect with paper.slippage = depth; it is read by fixed: leave it out"
        assert 1 == printed.count(f" warning  paper: {line}")
        assert "0 errors, 1 warning" in printed


def test_validate_knows_where_a_target_was_put(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Multiples of the stop, or both in one unit; in two units it cannot tell."""
    ladder = "exits: {break_even_at_r: 4}\n"
    for target, is_told in (("target: {r: 2}", True), ("target: {percent: 2}", False), ("target: {r: 9}", False)):
        text = CONFIG.replace("- name: trend_vwap", f"- name: trend_vwap\n    {target}")
        assert text != CONFIG
        (folder / "paper.yaml").write_text(text + ladder)
        assert 0 == main(["validate", "--config", "paper.yaml"])
        assert is_told is ("never reached: the target is 2 R" in capsys.readouterr().out)


def test_validate_takes_every_built_in_strategy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one whose target is not a setting: nothing is said of its multiple then."""
    for name in registry.names():
        (folder / "paper.yaml").write_text(CONFIG.replace("- name: trend_vwap", f"- name: {name}"))
        assert 0 == main(["validate", "--config", "paper.yaml"])
        assert " ok " in capsys.readouterr().out


def test_validate_refuses_an_unknown_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit 78 and the nearest known one."""
    (folder / "paper.yaml").write_text(CONFIG + "riks: {}\n")
    assert 78 == main(["validate", "--config", "paper.yaml"])
    assert "error: paper.yaml: riks is not a known key (did you mean risk?)\n" == capsys.readouterr().err


# resume


def test_resume_is_refused_while_the_stop_file_is_there(
    state: StateDir, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3, whichever file the configuration names."""
    (folder / "STOP").touch()
    assert 3 == main(["resume"])
    assert f"error: {folder / 'STOP'} is still there; remove it, then resume\n" == capsys.readouterr().err
    (folder / "STOP").rename(folder / "HALT")
    (folder / "paper.yaml").write_text(CONFIG + "kill_switch: {file: HALT}\n")
    assert 3 == main(["resume", "--config", "paper.yaml"])
    assert f"error: {folder / 'HALT'} is still there" in capsys.readouterr().err


def test_resume_with_nothing_to_release_says_so(state: StateDir, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, nothing is written."""
    assert 0 == main(["resume", "--actor", "me"])
    assert capsys.readouterr().out.startswith("nothing to resume")


def test_resume_of_an_engine_that_does_not_answer_is_exit_4(
    state: StateDir, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lock is held but nobody listens yet."""
    with InstanceLock(state.lock):
        assert 4 == main(["resume"])
    assert "it may be starting or stopping: try again" in capsys.readouterr().err


# db


def test_migrate_makes_a_database_and_then_has_nothing_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both in one line, both exit 0."""
    assert 0 == main(["db", "migrate"])
    assert f"state/engine.db is now at schema {HEAD}\n" in capsys.readouterr().out
    assert 0 == main(["db", "migrate"])
    assert f"state/engine.db is at schema {HEAD} already\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["migrate"], ["restore", "copy.db", "--force"]])
def test_the_database_of_a_running_engine_is_not_touched(
    command: list[str], state: StateDir, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3, and the process is named."""
    (folder / "copy.db").write_bytes(state.database.read_bytes())
    before = state.database.read_bytes()
    with InstanceLock(state.lock):
        assert 3 == main(["db", *command])
    assert "an engine runs on this state directory already" in capsys.readouterr().err
    assert before == state.database.read_bytes()


def test_a_sound_database_is_called_sound(state: StateDir, capsys: pytest.CaptureFixture[str]) -> None:
    """With its schema."""
    assert 0 == main(["db", "check"])
    assert f"{state.database} is sound, schema {HEAD}\n" == capsys.readouterr().out


def test_a_damaged_database_is_exit_78(state: StateDir, capsys: pytest.CaptureFixture[str]) -> None:
    """And the message says what to do."""
    content = bytearray(state.database.read_bytes())
    content[4096:12_288] = b"\xff" * 8_192
    state.database.write_bytes(content)
    assert 78 == main(["db", "check"])
    assert "restore a backup" in capsys.readouterr().err


def test_a_backup_is_made_while_the_engine_writes(
    state: StateDir, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into backups/ of the state, or where `--output` says; its path is printed."""
    with SqlStore.open(state.database), InstanceLock(state.lock):
        assert 0 == main(["db", "backup"])
        assert 0 == main(["db", "backup", "--output", "elsewhere"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{state.backups}/engine-")
    assert second.startswith("elsewhere/engine-")
    assert 1 == len(list((folder / "elsewhere").iterdir()))


# alerts


def test_alerts_without_a_channel_are_exit_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody would be told: that is a finding."""
    (folder / "paper.yaml").write_text(CONFIG.partition("alerts:")[0])
    assert 1 == main(["alerts", "test", "--config", "paper.yaml"])
    assert "alerts.channels is empty, so nobody is told" in capsys.readouterr().out


def test_a_channel_that_refuses_is_exit_1_and_masked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scheme that no service has: refused before anything is sent."""
    monkeypatch.setenv("ALERT_URL", "nosuchservice://token-that-is-secret")
    assert 1 == main(["alerts", "test", "--config", "paper.yaml"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" nosuchservice://*** refused: ")
    assert " 0 of 1 channel accepted the message" == lines[-1]


# strategy enable, strategy disable


def test_a_strategy_is_disabled_and_enabled_while_the_engine_is_down(
    state: StateDir, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kept in the database, shown by status; the same word again changes nothing."""
    assert 0 == main(["strategy", "disable", "momentum", "--actor", "alice"])
    assert "momentum makes no entries from now on; its positions keep their stops" in capsys.readouterr().out
    assert 0 == main(["strategy", "disable", "momentum"])
    assert "momentum makes no entries already" in capsys.readouterr().out
    assert 0 == main(["status", "--json"])
    (found,) = json.loads(capsys.readouterr().out)["disabled_strategies"]
    assert "momentum" == found["strategy"]
    assert 0 == main(["status"])
    assert "momentum disabled since" in capsys.readouterr().out
    assert 0 == main(["strategy", "enable", "momentum"])
    assert 0 == main(["strategy", "enable", "momentum"])
    said = capsys.readouterr().out.splitlines()
    assert ["momentum may make entries again", "momentum may make entries already"] == said
    with Reader.open(state.database) as reader:
        assert {} == reader.control().disabled
    assert 0 == main(["audit"])


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("momentun", 2, "strategy 'momentun' does not exist; there are "),
        ("momentum", 4, "engine.db: nothing has run on this state yet"),
    ],
)
def test_what_cannot_be_switched_is_named(
    name: str, code: int, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt name, a state without an engine; nothing is made."""
    assert code == main(["strategy", "disable", name])
    assert said in capsys.readouterr().err
    assert ["paper.yaml"] == [item.name for item in folder.iterdir()]
