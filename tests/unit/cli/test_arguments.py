"""Values of options that typer does not know."""

from decimal import Decimal
from pathlib import Path

import pytest

from trading_engine.cli import arguments
from trading_engine.cli.failure import CommandFailed


def test_pairs_become_a_mapping() -> None:
    """The first equals sign parts them; a file name may hold more."""
    expected = {"BTCUSDT": Path("a.csv"), "ETHUSDT": Path("dir/b=1.parquet")}
    assert expected == arguments.parse_pairs("--replay", ["BTCUSDT=a.csv", "ETHUSDT=dir/b=1.parquet"])
    assert {} == arguments.parse_pairs("--replay", None)


@pytest.mark.parametrize("pair", ["BTCUSDT", "=a.csv", "BTCUSDT=", "btcusdt=a.csv", "BTC/USDT=a.csv", ""])
def test_a_malformed_pair_is_a_usage_error(pair: str) -> None:
    """The message shows the argument and the form that is expected."""
    with pytest.raises(CommandFailed, match="is not SYMBOL=FILE") as caught:
        arguments.parse_pairs("--replay", [pair])
    assert 2 == caught.value.exit_code


def test_a_symbol_given_twice_is_a_usage_error() -> None:
    """Neither file is silently dropped."""
    with pytest.raises(CommandFailed, match=r"--replay names BTCUSDT twice \(a.csv and b.csv\)"):
        arguments.parse_pairs("--replay", ["BTCUSDT=a.csv", "BTCUSDT=b.csv"])


@pytest.mark.parametrize(
    ("text", "expected"), [("max", None), ("MAX", None), ("1", 1.0), ("0.5", 0.5), ("1e3", 1000.0)]
)
def test_speed_is_max_or_a_factor(text: str, expected: float | None) -> None:
    """`max` has no factor."""
    assert expected == arguments.parse_speed(text)


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf", ""])
def test_another_speed_is_a_usage_error(text: str) -> None:
    """Zero, negative, infinite and words."""
    with pytest.raises(CommandFailed, match="is neither max nor a factor above 0") as caught:
        arguments.parse_speed(text)
    assert 2 == caught.value.exit_code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-01", 1_735_689_600_000),
        ("2025-01-01T00:00:01Z", 1_735_689_601_000),
        ("2025-01-01T01:00+01:00", 1_735_689_600_000),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str, expected: int) -> None:
    """Dates and times, with and without an offset."""
    assert expected == arguments.parse_time("--since", text)


def test_a_text_that_is_no_time_is_a_usage_error() -> None:
    """The message says which forms are read."""
    with pytest.raises(CommandFailed, match="--since yesterday is not a date or time"):
        arguments.parse_time("--since", "yesterday")


def test_only_what_was_given_overrides_the_configuration() -> None:
    """By dotted keys, numbers exactly as they were typed."""
    nothing = arguments.overrides(mode=None, symbols=None, leverage=None, risk_pct=None)
    assert {} == nothing
    given = arguments.overrides(mode="paper", symbols=["BTCUSDT"], leverage="2", risk_pct="0.25")
    assert {
        "mode": "paper",
        "symbols": ["BTCUSDT"],
        "leverage": Decimal(2),
        "sizing.risk_pct": Decimal("0.25"),
    } == given


def test_a_mode_that_does_not_exist_is_a_usage_error() -> None:
    """It names those that do."""
    with pytest.raises(
        CommandFailed, match=r"--mode demo: there is no such mode \(known: paper, testnet, live\)"
    ) as caught:
        arguments.overrides(mode="demo", symbols=None, leverage=None, risk_pct=None)
    assert 2 == caught.value.exit_code


@pytest.mark.parametrize("text", ["x", "nan", "inf", ""])
def test_an_override_that_is_no_number_is_a_usage_error(text: str) -> None:
    """Ranges are the configuration's to check."""
    with pytest.raises(CommandFailed, match="is not a number"):
        arguments.overrides(mode=None, symbols=None, leverage=text, risk_pct=None)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_beyond_its_range_is_a_usage_error(seed: int) -> None:
    """The synthetic market is drawn from 63 bits."""
    with pytest.raises(CommandFailed, match="is not a whole number from 0 to"):
        arguments.check_seed(seed)
    assert (None, 0) == (arguments.check_seed(None), arguments.check_seed(0))


def test_the_state_directory_comes_from_argument_environment_or_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In that order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert tmp_path / "state" == arguments.state_of(None).root
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "systemd"))
    assert tmp_path / "systemd" == arguments.state_of(None).root
    assert tmp_path / "mine" == arguments.state_of(Path("mine")).root


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1.5h", 5_400), ("2D", 172_800)])
def test_a_length_of_time_has_a_unit(text: str, seconds: float) -> None:
    """Seconds, minutes, hours or days, in either case."""
    assert seconds == arguments.parse_duration("--duration", text)


@pytest.mark.parametrize("text", ["5", "0s", "-5m", "m", "", "5 weeks", "1e9s"])
def test_what_is_no_length_of_time_is_a_usage_error(text: str) -> None:
    """A number alone would be a guess."""
    with pytest.raises(CommandFailed, match=r"--duration .* is not a length of time"):
        arguments.parse_duration("--duration", text)


def test_symbols_are_taken_once_each() -> None:
    """In the order given; what is no symbol is named."""
    assert ("BTCUSDT", "ETHUSDT") == arguments.check_symbols("--symbol", ["BTCUSDT", "ETHUSDT", "BTCUSDT"])
    with pytest.raises(CommandFailed, match="--symbol btc-usdt is not a symbol"):
        arguments.check_symbols("--symbol", ["btc-usdt"])
