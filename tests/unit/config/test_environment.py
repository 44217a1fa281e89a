"""References to the environment are replaced, and never give a secret away."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from trading_engine.config import load_config
from trading_engine.config.environment import read_credentials, read_dotenv, substitute, variables
from trading_engine.domain.errors import ConfigInvalid

ROOT = Path(__file__).parents[3]
MINIMAL = "mode: paper\nsymbols: [BTCUSDT]\nstrategies: [{name: trend_vwap}]\n"
ENVIRON = {"NAME": "value", "EMPTY": "", "OTHER_1": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${NAME}", "value"),
        ("a-${NAME}/${OTHER_1}", "a-value/x"),
        ("${NOWHERE:-5}", "5"),
        ("${NOWHERE:-}", ""),
        ("${EMPTY:-given}", "given"),
        ("${NAME:-5}", "value"),
        ("${NOWHERE:-json://h/?a=b}", "json://h/?a=b"),
        ("$${NAME}", "${NAME}"),
        ("$NAME $5 $", "$NAME $5 $"),
    ],
)
def test_references_are_replaced(text: str, expected: str) -> None:
    """Defaults stand in for what is unset or empty; a doubled sign is a literal one."""
    assert expected == substitute(text, ENVIRON)


def test_a_value_is_not_looked_at_again() -> None:
    """A secret may hold what looks like a reference."""
    assert "a${B}" == substitute("${A}", {"A": "a${B}", "B": "c"})


@pytest.mark.parametrize("text", ["${NOWHERE}", "${EMPTY}", "${", "${1X}", "${NAME", "${NAME:5}", "${}"])
def test_a_reference_that_leads_nowhere_is_refused(text: str) -> None:
    """No half-replaced text reaches the configuration."""
    with pytest.raises(ValueError, match=r"\$\{|environment variable"):
        substitute(text, ENVIRON)


def _load(folder: Path, lines: str, environ: Mapping[str, str]) -> object:
    path = folder / "engine.yaml"
    path.write_text(MINIMAL + lines, encoding="utf-8")
    return load_config(path, {}, environ, folder / ".env")


def test_a_missing_variable_is_named_with_its_key(tmp_path: Path) -> None:
    """The message says which variable, where it is used, and the ways to give it."""
    with pytest.raises(ConfigInvalid) as caught:
        _load(tmp_path, "alerts: {channels: [{url: '${ALERT_URL}'}]}\n", {})
    assert (
        f"{tmp_path}/engine.yaml: alerts.channels[0].url needs the environment variable ALERT_URL, which is "
        "not set or empty (set it, write it into .env, or hand it over as a credential; what is no secret may have a"
        " default behind its name, as ${NAME:-default})"
    ) == str(caught.value)


def test_a_bare_reference_is_read_like_a_bare_value(tmp_path: Path) -> None:
    """Numbers, flags and nothing come out of the environment as what they look like."""
    config = load_config(
        _written(tmp_path, "leverage: ${LEVERAGE:-2}\nlogging:\n  file: ${FILE}\naccount: '${ACCOUNT}'\n"),
        {},
        {"FILE": "false", "ACCOUNT": "007"},
        None,
    )
    assert (Decimal(2), False, "007") == (config.leverage, config.logging.file, config.account)


def test_a_value_cannot_add_keys(tmp_path: Path) -> None:
    """A line break or a comment sign in a variable stays within its value."""
    with pytest.raises(ConfigInvalid, match="account = "):
        _load(tmp_path, "account: ${NAME}\n", {"NAME": "a\nleverage: 5 # x"})


@pytest.mark.parametrize("key", ["account", "venue", "leverage", "on_shutdown"])
def test_a_value_from_the_environment_is_never_shown(tmp_path: Path, key: str) -> None:
    """A secret in the wrong place is wrong, but still a secret."""
    with pytest.raises(ConfigInvalid) as caught:
        _load(tmp_path, f"{key}: ' ${{SECRET}}'\n", {"SECRET": "hunter2-hunter2"})
    assert "hunter2" not in str(caught.value)
    assert f"{key} =  ${{SECRET}} is not" in str(caught.value)


def test_a_wrong_alert_url_is_not_shown(tmp_path: Path) -> None:
    """Not even where it was written into the file."""
    with pytest.raises(ConfigInvalid) as caught:
        _load(tmp_path, "alerts: {channels: [{url: bot123-token}]}\n", {})
    assert "bot123" not in str(caught.value)
    assert "alerts.channels[0].url is not an Apprise URL" in str(caught.value)


def _written(folder: Path, lines: str) -> Path:
    path = folder / "engine.yaml"
    path.write_text(MINIMAL + lines, encoding="utf-8")
    return path


def test_dotenv_is_read_as_shells_read_it(tmp_path: Path) -> None:
    """Comments, export, quotes and spaces."""
    path = tmp_path / ".env"
    path.write_text(
        "# comment\n\nA=1\nexport B = two words # note\nC='x # y'\nD=\"q\"  # note\nE=\nF=a#b\nG=json://h/#x\n",
        encoding="utf-8",
    )
    path.chmod(0o600)
    assert {
        "A": "1",
        "B": "two words",
        "C": "x # y",
        "D": "q",
        "E": "",
        "F": "a#b",
        "G": "json://h/#x",
    } == read_dotenv(path)


def test_no_dotenv_is_no_mistake(tmp_path: Path) -> None:
    """The file is optional."""
    assert {} == read_dotenv(tmp_path / ".env")
    assert {} == read_dotenv(None)


@pytest.mark.parametrize("line", ["secret-without-name", "1A=hunter2", 'A="hunter2', "A='x' hunter2"])
def test_a_broken_line_of_dotenv_is_numbered_not_shown(tmp_path: Path, line: str) -> None:
    """The line may be a secret."""
    path = tmp_path / ".env"
    path.write_text(f"GOOD=1\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        read_dotenv(path)
    assert f"{path}, line 2: is not NAME=value (quotes, if any, on both sides)" == str(caught.value)


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    """What is set for this run counts more than what lies in a file."""
    (tmp_path / ".env").write_text("ACCOUNT=file\n", encoding="utf-8")
    (tmp_path / ".env").chmod(0o600)
    path = _written(tmp_path, "account: ${ACCOUNT}\n")
    assert "file" == load_config(path, {}, {}, tmp_path / ".env").account
    assert "run" == load_config(path, {}, {"ACCOUNT": "run"}, tmp_path / ".env").account


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_dotenv_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """One line with the way out; a file without values keeps nothing from anybody."""
    path = tmp_path / ".env"
    path.write_text("ACCOUNT=\nSECRET=hunter2\n", encoding="utf-8")
    path.chmod(mode)
    with pytest.raises(ConfigInvalid) as caught:
        read_dotenv(path)
    told = f"{path}: holds secrets, and its mode {mode:04o} lets others at them: chmod 600 {path}"
    assert told == str(caught.value)
    path.write_text("ACCOUNT=\n", encoding="utf-8")
    assert {"ACCOUNT": ""} == read_dotenv(path)


def _handed_over(folder: Path, **values: str) -> dict[str, str]:
    """The environment of a service with these credentials."""
    directory = folder / "credentials"
    directory.mkdir()
    for name, value in values.items():
        (directory / name).write_text(value, encoding="utf-8")
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def test_credentials_of_a_service_win_over_everything(tmp_path: Path) -> None:
    """Files, then the environment, then .env; what is empty in one place is taken from the next."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("A=file\nB=file\nC=file\nD=file\n", encoding="utf-8")
    dotenv.chmod(0o600)
    environ = {"A": "run", "B": "run", "C": ""} | _handed_over(tmp_path, A="credential\n", D="")
    found = variables(environ, dotenv)
    assert ("credential", "run", "file", "file") == tuple(found[name] for name in "ABCD")


def test_a_credential_is_a_file_of_its_name_with_or_without_the_directorys_prefix(tmp_path: Path) -> None:
    """One by one, or a whole directory at once; a line end is no part of a value, other files are passed over."""
    environ = _handed_over(tmp_path, venue_BINANCE_KEY="k1\r\n", BINANCE_SECRET="s1", venue_BINANCE_SECRET="s2")
    (tmp_path / "credentials" / "tls.crt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "credentials" / "sub").mkdir()
    assert {"BINANCE_KEY": "k1", "BINANCE_SECRET": "s1"} == read_credentials(environ["CREDENTIALS_DIRECTORY"])
    assert {} == read_credentials(None)


def test_credentials_that_cannot_be_read_are_named_and_not_shown(tmp_path: Path) -> None:
    """The directory or the file, never what is in it."""
    with pytest.raises(ConfigInvalid, match=r"^CREDENTIALS_DIRECTORY: \S*/nowhere cannot be read as text \(No such"):
        read_credentials(str(tmp_path / "nowhere"))
    directory = _handed_over(tmp_path, A="x")["CREDENTIALS_DIRECTORY"]
    (tmp_path / "credentials" / "A").write_bytes(b"hunter2\xff")
    with pytest.raises(ConfigInvalid) as caught:
        read_credentials(directory)
    assert f"CREDENTIALS_DIRECTORY: {directory} cannot be read as text (not UTF-8)" == str(caught.value)


VENUE = (
    "mode: testnet\nvenue: bingx\nsymbols: [BTCUSDT]\nstrategies: [{name: trend_vwap}]\n"
    "credentials: {key: hunter22, secret: '${BINGX_SECRET}'}\n"
)


def test_a_key_that_stands_in_the_file_is_refused_unless_its_server_is_on_this_machine(tmp_path: Path) -> None:
    """Every backup and every commit would take it along; the message does not show it."""
    path = tmp_path / "engine.yaml"
    path.write_text(VENUE, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        load_config(path, {}, {"BINGX_SECRET": "hunter23"}, None)
    told = "credentials.key stands in the file itself; write ${BINGX_KEY}, and set that where it belongs (.env, say)"
    assert f"{path}: {told}" == str(caught.value)
    path.write_text(VENUE.replace("key: hunter22", "key: '${BINGX_KEY:-hunter22}'"), encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        load_config(path, {}, {"BINGX_SECRET": "hunter23"}, None)
    assert f"{path}: {told}" == str(caught.value), "a default is written out as well"
    path.write_text(VENUE, encoding="utf-8")
    local = "venues: {bingx: {rest_url: 'http://127.0.0.1:9001', ws_url: 'ws://127.0.0.1:9001'}}\n"
    path.write_text(VENUE + local, encoding="utf-8")
    assert load_config(path, {}, {"BINGX_SECRET": "hunter23"}, None).credentials is not None


def test_the_example_names_every_variable_of_the_shipped_files() -> None:
    """Also those that stand in comments, ready to be taken; and it gives no values."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^([A-Z_]+)=", example, flags=re.MULTILINE))
    used = {
        name
        for path in (ROOT / "configs").glob("*.yaml")
        for name in re.findall(r"\$\{([A-Za-z0-9_]+)", path.read_text(encoding="utf-8"))
    }
    assert used - {"NAME"} <= named
    assert {"ALERT_URL"} <= named
    assert {""} == set(read_dotenv(ROOT / ".env.example").values())
