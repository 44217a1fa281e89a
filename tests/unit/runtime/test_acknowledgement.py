"""Real money is touched after somebody has said so: on a terminal by a sentence, in a script by the account's name."""

import io

import pytest

from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime.acknowledgement import ACKNOWLEDGEMENT, acknowledge


def config(mode: str = "live", **venue: str) -> Config:
    """An account at Binance."""
    return Config.model_validate(
        {
            "mode": mode,
            "venue": "binance",
            "account": "main",
            "symbols": ["BTCUSDT"],
            "strategies": [{"name": "trend_vwap"}],
            "credentials": {"key": "test-key", "secret": "test-secret"},
            "venues": {"binance": venue},
        }
    )


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        """It says so."""
        return True


def test_play_money_needs_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """The testnet, and a server on this machine whatever the mode."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    acknowledge(config("testnet"))
    acknowledge(config(rest_url="http://127.0.0.1:9001", ws_url="ws://127.0.0.1:9001"))


@pytest.mark.parametrize(
    ("given", "ending"),
    [(None, "type I UNDERSTAND THE RISKS"), ("", "or give --acknowledge binance/main in a script")],
)
def test_nobody_at_a_terminal_is_nobody_who_knows(
    monkeypatch: pytest.MonkeyPatch, given: str | None, ending: str
) -> None:
    """Exit 3; how a script says it is told where it may."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ACKNOWLEDGEMENT}\n"))
    with pytest.raises(ConfigInvalid, match="real money") as refused:
        acknowledge(config(), given=given)
    assert 3 == refused.value.exit_code
    assert str(refused.value).endswith(ending)


def test_a_script_names_the_account_it_means() -> None:
    """Another account's name does not count."""
    acknowledge(config(), given="binance/main")
    with pytest.raises(ConfigInvalid, match="--acknowledge binance/other: the configuration is that of binance/main"):
        acknowledge(config(), given="binance/other")


@pytest.mark.parametrize(("typed", "is_enough"), [(ACKNOWLEDGEMENT, True), ("yes", False), ("", False)])
def test_on_a_terminal_the_sentence_is_typed(monkeypatch: pytest.MonkeyPatch, typed: str, is_enough: bool) -> None:
    """Word for word."""
    shown = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    monkeypatch.setattr("sys.stderr", shown)
    if is_enough:
        acknowledge(config(), "closes positions held with")
    else:
        with pytest.raises(ConfigInvalid, match="not acknowledged; nothing was done"):
            acknowledge(config())
    assert "REAL MONEY on binance, account main, symbols BTCUSDT" in shown.getvalue()
