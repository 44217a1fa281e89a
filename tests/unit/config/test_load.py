"""A configuration file is read exactly, and every mistake in it is told in one line."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from trading_engine.config import Config, load_config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime.configured import idle_slippage

MINIMAL = "mode: paper\nsymbols: [BTCUSDT, ETHUSDT]\nstrategies:\n  - name: trend_vwap\n"
CONFIGS = Path(__file__).parents[3] / "configs"
NO_OVERRIDES: Mapping[str, object] = {}


def load(folder: Path, text: str, environ: Mapping[str, str] | None = None, **overrides: object) -> Config:
    """Load a text as a file; overrides are written with __ for the dot."""
    path = folder / "engine.yaml"
    path.write_text(text, encoding="utf-8")
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_config(path, dotted, environ or {}, folder / ".env")


def complaints(folder: Path, text: str, environ: Mapping[str, str] | None = None, **overrides: object) -> list[str]:
    """The lines of the refusal, without the folder; it is one of usage where only the command line is to blame."""
    with pytest.raises(ConfigInvalid) as caught:
        load(folder, text, environ, **overrides)
    lines = str(caught.value).replace(f"{folder}/", "").split("\n")
    assert (2 if all(line.startswith("command line: ") for line in lines) else 78) == caught.value.exit_code
    return lines


def test_a_minimal_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    """Three keys are enough; everything else has the safe value of the specification."""
    config = load(tmp_path, MINIMAL)
    assert ("paper", "embedded", "paper") == (config.mode, config.venue, config.account)
    assert Decimal(1) == config.leverage
    assert (Decimal("0.5"), Decimal(20), None) == (
        config.sizing.risk_pct,
        config.sizing.max_position_pct,
        config.sizing.max_position_money,
    )
    assert [(2, 30), (4, 40)] == [(int(step.at_r), int(step.share_pct)) for step in config.exits.partials]
    assert [(3, 1), (5, 3)] == [(int(step.at_r), int(step.to_r)) for step in config.exits.trailing]
    assert "limit" == config.exits.target_order
    assert (Decimal(5), Decimal(10), 3, 60) == (
        config.risk.max_daily_loss_pct,
        config.risk.max_drawdown_pct,
        config.risk.max_consecutive_losses,
        config.risk.cooldown_minutes,
    )
    assert (Path("STOP"), "block", "keep") == (
        config.kill_switch.file,
        config.kill_switch.action,
        config.on_shutdown,
    )
    assert () == config.alerts.channels


def test_numbers_are_read_as_the_decimals_that_were_written(tmp_path: Path) -> None:
    """0.1 is a tenth, not the float next to it, bare or quoted."""
    config = load(tmp_path, MINIMAL + "sizing: {risk_pct: 0.1, max_position_money: '250.10'}\n")
    assert "0.1" == str(config.sizing.risk_pct)
    assert "250.10" == str(config.sizing.max_position_money)


def test_strategy_settings_are_plain_values(tmp_path: Path) -> None:
    """Settings reach the strategy as floats, ints, texts, flags and lists, unjudged."""
    settings = "    settings: {period: 10, threshold: 1.2, name: on, flag: true, levels: [1, 2.5], none: null}\n"
    config = load(tmp_path, MINIMAL + settings)
    expected = {
        "period": 10,
        "threshold": 1.2,
        "name": "on",
        "flag": True,
        "levels": [1, 2.5],
        "none": None,
    }
    assert expected == config.strategies[0].settings
    assert float is type(config.strategies[0].settings["threshold"])


@pytest.mark.parametrize("value", [".nan", "-.inf", ".Inf"])
def test_a_setting_of_a_strategy_is_a_finite_number(tmp_path: Path, value: str) -> None:
    """It is named as it was written, not as a text in quotes."""
    assert [
        f"engine.yaml: strategies[0].settings has for stop_atr the value {value}, which is not a finite number"
    ] == complaints(tmp_path, f"{MINIMAL}    settings: {{stop_atr: {value}}}\n")


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    """Everything reads the same values for as long as it runs."""
    config = load(tmp_path, MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.risk.max_positions = 9


CASES = {
    "a percentage above 100": (
        "risk: {max_daily_loss_pct: 150}",
        "risk.max_daily_loss_pct = 150 is not a percentage between 0 and 100 (a fraction? 1.5 % is written 1.5)",
    ),
    "a percentage of zero": (
        "risk: {max_drawdown_pct: 0}",
        "risk.max_drawdown_pct = 0 is not a percentage between 0 and 100 (a fraction? 1.5 % is written 1.5)",
    ),
    "a quoted percentage above 100": (
        "risk: {max_drawdown_pct: '150'}",
        "risk.max_drawdown_pct = 150 is not a percentage between 0 and 100 (a fraction? 1.5 % is written 1.5)",
    ),
    "a percentage sign": (
        "sizing: {risk_pct: 5 %}",
        "sizing.risk_pct = 5 % is not a percentage between 0 and 100 (a fraction? 1.5 % is written 1.5)",
    ),
    "a percentage finer than a millionth": (
        "sizing: {risk_pct: 0.00001}",
        "sizing.risk_pct = 0.00001 is finer than 0.0001, the smallest step",
    ),
    "a flag for a number": (
        "leverage: true",
        "leverage = true is not a leverage from 1 to 125",
    ),
    "not a number": (
        "paper: {balance: .nan}",
        "paper.balance = .nan is not an amount of money above 0, up to 1,000,000,000",
    ),
    "a number without end": (
        "paper: {balance: Infinity}",
        "paper.balance = Infinity is not an amount of money above 0, up to 1,000,000,000",
    ),
    "more money than can be counted": (
        "paper: {balance: 1e30}",
        "paper.balance = 1000000000000000000000000000000 is not an amount of money above 0, up to 1,000,000,000",
    ),
    "money finer than it is counted": (
        "risk: {max_daily_loss_money: 1e-9}",
        "risk.max_daily_loss_money = 0.000000001 is finer than 0.00000001, the smallest step",
    ),
    "a slippage model of one's own": (
        "paper: {slippage: volume}",
        "paper.slippage = volume is not one of fixed, spread_volatility, depth",
    ),
    "more latency than is modelled": (
        "paper: {latency_candles: 6}",
        "paper.latency_candles = 6 is not a whole number of candles from 0 to 5",
    ),
    "half a candle of latency": (
        "paper: {latency_candles: 0.5}",
        "paper.latency_candles = 0.5 is not a whole number of candles from 0 to 5",
    ),
    "more than the whole range": (
        "paper: {range_share_pct: 101}",
        "paper.range_share_pct = 101 is not a percentage from 0 to 100 (a fraction? 1.5 % is written 1.5)",
    ),
    "a spread below zero": (
        "paper: {half_spread_pct: -0.01}",
        "paper.half_spread_pct = -0.01 is not a percentage from 0 to 100 (a fraction? 1.5 % is written 1.5)",
    ),
    "an impact beyond the price": (
        "paper: {slippage: depth, impact_pct: 100.1}",
        "paper.impact_pct = 100.1 is not a percentage from 0 to 100 (a fraction? 1.5 % is written 1.5)",
    ),
    "an impact finer than a millionth": (
        "paper: {slippage: depth, impact_pct: 0.00001}",
        "paper.impact_pct = 0.00001 is finer than 0.0001, the smallest step",
    ),
    "an endless quantity": (
        "paper: {instruments: {BTCUSDT: {max_quantity: 1e13}}}",
        "paper.instruments.BTCUSDT.max_quantity = 10000000000000 is not an amount above 0, up to 1,000,000,000,000",
    ),
    "a misspelt key": (
        "risk: {max_dayly_loss_pct: 5}",
        "risk.max_dayly_loss_pct is not a known key (did you mean max_daily_loss_pct?)",
    ),
    "a key of another section": (
        "cooldown_minutes: 5",
        "cooldown_minutes is not a known key (did you mean risk.cooldown_minutes?)",
    ),
    "a key that resembles nothing": (
        "kill_switch: {xyz: 5}",
        "kill_switch.xyz is not a known key (known here: file, action)",
    ),
    "a misspelt choice": (
        "exits: {on_max_age: alrt}",
        "exits.on_max_age = alrt is not one of alert, tighten, close (did you mean alert?)",
    ),
    "a venue that does not exist": (
        "venue: binanc",
        "venue = binanc is not one of embedded, binance, bingx, zoomex (did you mean binance?)",
    ),
    "a venue address in two halves": (
        "venues: {binance: {rest_url: 'http://127.0.0.1:9001'}}",
        "venues.binance needs both rest_url and ws_url, or neither: an account must not be split over two hosts",
    ),
    "an address that is none": (
        "venues: {bingx: {rest_url: example.org, ws_url: 'wss://example.org'}}",
        "venues.bingx.rest_url = example.org is not an address (SCHEME://HOST[:PORT][/PATH], without a query or a"
        " user)",
    ),
    "an address that everybody on the way can listen to": (
        "venues: {bingx: {rest_url: 'http://example.org', ws_url: 'wss://example.org'}}",
        "venues.bingx.rest_url = http://example.org is open to everybody on the way; on another machine it must be"
        " https://",
    ),
    "play money and real money in one venue": (
        "venues: {bingx: {rest_url: 'http://127.0.0.1:9001', ws_url: 'wss://example.org'}}",
        "venues.bingx has one of rest_url and ws_url on this machine, which is play money, and one elsewhere",
    ),
    "half a position": (
        "risk: {max_positions: 2.5}",
        "risk.max_positions = 2.5 is not a whole number of positions from 1 to 1000",
    ),
    "a group of symbols that are not traded": (
        "risk: {groups: {majors: {symbols: [BTCUSDT, SOLUSDT]}}}",
        "risk.groups.majors.symbols = SOLUSDT is not one of the top-level symbols",
    ),
    "a group with a symbol twice": (
        "risk: {groups: {majors: {symbols: [BTCUSDT, BTCUSDT]}}}",
        "risk.groups.majors.symbols names BTCUSDT more than once",
    ),
    "a ladder beyond the size": (
        "sizing: {ladder_pct: [50, 60]}",
        "sizing.ladder_pct adds up to 110 %; keep the sum of the shares at 100 or below",
    ),
    "a ladder of one rung": (
        "sizing: {ladder_pct: [100]}",
        "sizing.ladder_pct has 1 shares; give 2 to 10, or null for one entry",
    ),
    "a method without its number": (
        "sizing: {method: fixed_money}",
        "sizing.money is missing: sizing.method = fixed_money needs it",
    ),
    "a number that no method reads": (
        "sizing: {volatility_pct: 1}",
        "sizing.volatility_pct = 1 has no effect with sizing.method = fixed_fraction; expected volatility",
    ),
    "a method that does not exist": (
        "sizing: {method: martingale}",
        "sizing.method = martingale is not one of fixed_fraction, fixed_money, volatility, kelly",
    ),
    "Kelly on a handful of trades": (
        "sizing: {method: kelly, kelly_trades: 10}",
        "sizing.kelly_trades = 10 is not a whole number of trades from 30 to 200",
    ),
    "Kelly above what all positions may risk": (
        "sizing: {method: kelly, kelly_max_risk_pct: 6}",
        "sizing.kelly_max_risk_pct = 6 is above risk.max_portfolio_risk_pct = 5",
    ),
    "a winning streak that shrinks": (
        "sizing: {win_streak_factor: 0.9}",
        "sizing.win_streak_factor = 0.9 is not a factor above 1, up to 10",
    ),
    "a multiple finer than it is counted": (
        "exits: {trail_atr: 2.0005}",
        "exits.trail_atr = 2.0005 is finer than 0.001, the smallest step",
    ),
    "a trailing stop as far as the price": (
        "exits: {trail_pct: 60}",
        "exits.trail_pct = 60 is not a percentage between 0 and 50 (a fraction? 1.5 % is written 1.5)",
    ),
    "a begin of nothing": (
        "exits: {trail_from_r: 2}",
        "exits.trail_from_r = 2 has no effect without trail_pct or trail_atr; set one of them, or leave it out",
    ),
    "an age that does what nobody knows": (
        "exits: {on_max_age: shrink}",
        "exits.on_max_age = shrink is not one of alert, tighten, close",
    ),
    "a break-even at once": (
        "exits: {break_even_at_r: 0}",
        "exits.break_even_at_r = 0 is not a number above 0, up to 1000",
    ),
    "a text for a flag": (
        "exits: {exit_on_opposite: yes}",
        "exits.exit_on_opposite = yes is not true or false",
    ),
    "a number for a name": (
        "account: 5",
        "account = 5 is not a text (put it into quotes)",
    ),
    "a value for a section": (
        "risk: 5",
        "risk = 5 is not a section (expected KEY: VALUE lines below it)",
    ),
    "a value for a list": (
        "exits: {partials: 30}",
        "exits.partials = 30 is not a list (write [ONE, TWO], or one line for each with a dash)",
    ),
    "partials that close everything": (
        "exits: {partials: [{at_r: 1, share_pct: 60}, {at_r: 2, share_pct: 40}]}",
        "exits.partials closes 100 % in all (keep the sum of share_pct below 100, the rest is the target's)",
    ),
    "partials out of order": (
        "exits: {partials: [{at_r: 2, share_pct: 10}, {at_r: 2, share_pct: 10}]}",
        "exits.partials does not climb in at_r (each must be above the one before)",
    ),
    "a stop that jumps over the price": (
        "exits: {trailing: [{at_r: 2, to_r: 2}]}",
        "exits.trailing[0].to_r = 2 is not below its at_r = 2; the stop would be at or beyond the price",
    ),
    "a stop that moves back": (
        "exits: {trailing: [{at_r: 2, to_r: 1}, {at_r: 3, to_r: 0.5}]}",
        "exits.trailing does not climb in to_r (each must be above the one before)",
    ),
    "a position above the ceiling": (
        "sizing: {max_position_pct: 41}",
        "sizing.max_position_pct = 41 is not a percentage between 0 and 40 (a fraction? 1.5 % is written 1.5)",
    ),
    "leverage above its limit": (
        "leverage: 10",
        "leverage = 10 is above risk.max_leverage = 5",
    ),
    "sizing above the limit of a position": (
        "risk: {max_position_pct: 10}",
        "sizing.max_position_pct = 20 is above risk.max_position_pct = 10",
    ),
    "a time of day that is none": (
        "risk: {day_start: 24:00}",
        'risk.day_start = 24:00 is not a time of day (write it as "00:00", UTC)',
    ),
    "an override for a symbol that is not traded": (
        "paper: {instruments: {XRPUSDT: {tick: 0.1}}}",
        "paper.instruments.XRPUSDT is not one of the top-level symbols",
    ),
    "an override for something that is no symbol": (
        "paper: {instruments: {btc-usdt: {}}}",
        "paper.instruments has the key btc-usdt, which is not a symbol (letters and digits only, as BTCUSDT)",
    ),
    "a stop file without a name": (
        "kill_switch: {file: ''}",
        "kill_switch.file = '' does not name a file (as ./STOP)",
    ),
    "no severity of that name": (
        "alerts: {channels: [{url: 'json://localhost', min_severity: severe}]}",
        "alerts.channels[0].min_severity = severe is not one of info, warning, critical",
    ),
}


@pytest.mark.parametrize(("lines", "expected"), CASES.values(), ids=list(CASES))
def test_a_mistake_is_told_with_file_key_value_and_remedy(tmp_path: Path, lines: str, expected: str) -> None:
    """One line says where, what stands there, and what to write instead."""
    assert [f"engine.yaml: {expected}"] == complaints(tmp_path, f"{MINIMAL}{lines}\n")


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Nobody corrects a file one run at a time."""
    text = (
        "mode: paper\nsymbols: [btcusdt]\nstrategies: [{name: trend_vwap, symbol: BTCUSDT}]\n"
        "leverage: 0\nrisk: {max_positions: 0, max_positions: 2, x: 1}\naccount: ${NOWHERE}\n"
    )
    lines = complaints(tmp_path, text)
    assert [
        "risk.max_positions",
        "account",
        "symbols[0]",
        "strategies[0].symbol",
        "leverage",
        "risk.max_positions",
        "risk.x",
    ] == [line.split(" ")[1] for line in lines]
    assert all(line.startswith("engine.yaml: ") for line in lines)


def test_what_must_be_there_is_asked_for(tmp_path: Path) -> None:
    """A missing key is named together with what it is for."""
    assert [
        "engine.yaml: symbols is missing: What is traded; every symbol needs candles.",
        "engine.yaml: strategies is missing: What decides, on which symbols.",
    ] == complaints(tmp_path, "mode: paper\n")


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ("[]", "symbols is empty; name at least one"),
        ("[BTCUSDT, BTCUSDT]", "symbols names BTCUSDT more than once"),
    ],
)
def test_symbols_are_named_once_and_at_least_one(tmp_path: Path, symbols: str, expected: str) -> None:
    """An empty list trades nothing, a doubled one might trade twice."""
    text = f"mode: paper\nsymbols: {symbols}\nstrategies: [{{name: trend_vwap}}]\n"
    assert [f"engine.yaml: {expected}"] == complaints(tmp_path, text)


def test_a_strategy_trades_only_symbols_of_the_file(tmp_path: Path) -> None:
    """Candles are fetched for the top-level list only."""
    text = "mode: paper\nsymbols: [BTCUSDT]\nstrategies: [{name: a, symbols: [XRPUSDT]}, {name: a}]\n"
    assert ["engine.yaml: strategies names a more than once"] == complaints(tmp_path, text)
    assert ["engine.yaml: strategies[0].symbols = XRPUSDT is not in the top-level symbols; add it there"] == complaints(
        tmp_path, text.replace(", {name: a}", "")
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\nb: 3\n", "engine.yaml, line 2, column 2: "),
        ("a: 1\n\tb: 2\n", "engine.yaml, line 2, column 1: "),
        ("a: &x 1\n", "engine.yaml, line 1, column 4: anchors and aliases"),
        ("a: [${X}]\n", "engine.yaml, line 1, column 6: expected ',' or ']', but got '{' (inside"),
        ("a: [1,\n", "engine.yaml, line 2, column 1: "),
        ("a: *x\n", "engine.yaml, line 1, column 4: anchors and aliases"),
        ("a: !!python/object:os.system x\n", "engine.yaml, line 1, column 4: tags (!) are not read"),
        ("a: 1\n---\nb: 1\n", "engine.yaml, line 2, column 1: "),
        ("a: \x07\n", "engine.yaml, line 1: holds a character that YAML does not allow"),
        ("", "engine.yaml: does not hold a configuration"),
        ("- a\n", "engine.yaml: does not hold a configuration"),
        ("[" * 5_000, "engine.yaml: is nested too deeply"),
    ],
)
def test_a_file_that_is_not_yaml_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    """Where YAML can tell the place, the message has it; nothing in a file is ever run."""
    lines = complaints(tmp_path, text)
    assert 1 == len(lines)
    assert lines[0].startswith(expected)


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    """Of two limits the reader sees one and YAML takes the other."""
    text = MINIMAL + "risk:\n  max_positions: 1\n  max_positions: 9\n"
    assert ["engine.yaml: risk.max_positions is given twice, on line 6 and on line 7; keep one"] == complaints(
        tmp_path, text
    )


def test_a_time_without_quotes_stays_a_time(tmp_path: Path) -> None:
    """YAML 1.1 would read 12:30 as the number 750."""
    config = load(tmp_path, MINIMAL + "risk: {day_start: 12:30}\n")
    assert "12:30" == config.risk.day_start
    assert 12 * 3_600_000 + 30 * 60_000 == config.risk.day_start_ms


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a directory, or not text."""
    for path, reason in (
        (tmp_path / "none.yaml", "no such file; give a configuration with --config FILE"),
        (tmp_path, "cannot be read (Is a directory)"),
    ):
        with pytest.raises(ConfigInvalid) as caught:
            load_config(path, NO_OVERRIDES, {}, None)
        assert f"{path}: {reason}" == str(caught.value)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigInvalid, match="is not a UTF-8 text file"):
        load_config(tmp_path / "binary.yaml", NO_OVERRIDES, {}, None)


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    """What the command line says counts, in sections that the file has and in those it has not."""
    config = load(
        tmp_path,
        MINIMAL + "sizing: {risk_pct: 1, max_position_pct: 10}\n",
        sizing__risk_pct="0.25",
        leverage=2,
        risk__max_leverage=3.5,
        symbols=["SOLUSDT"],
    )
    assert (Decimal("0.25"), Decimal(10)) == (config.sizing.risk_pct, config.sizing.max_position_pct)
    assert (Decimal(2), Decimal("3.5"), ("SOLUSDT",)) == (
        config.leverage,
        config.risk.max_leverage,
        config.symbols,
    )


def test_a_wrong_override_names_the_command_line(tmp_path: Path) -> None:
    """The file is not to blame."""
    assert [
        "command line: leverage = 500 is not a leverage from 1 to 125",
        "command line: sizing.risk_pct = x is not a percentage between 0 and 100 (a fraction? 1.5 % is written 1.5)",
    ] == sorted(complaints(tmp_path, MINIMAL, leverage=500, sizing__risk_pct="x"))
    assert ["command line: leverage = 9 is above risk.max_leverage = 5"] == complaints(tmp_path, MINIMAL, leverage="9")


def test_an_override_does_not_hide_a_broken_section(tmp_path: Path) -> None:
    """A section that is none stays the file's mistake."""
    assert ["engine.yaml: sizing = 5 is not a section (expected KEY: VALUE lines below it)"] == complaints(
        tmp_path, MINIMAL + "sizing: 5\n", sizing__risk_pct=1
    )


@pytest.mark.parametrize("name", ["demo.yaml", "paper.yaml"])
def test_the_shipped_files_load_without_any_environment(name: str) -> None:
    """A first run needs no preparation."""
    config = load_config(CONFIGS / name, NO_OVERRIDES, {}, None)
    assert {"trend_vwap", "multi_timeframe_long"} == {strategy.name for strategy in config.strategies}
    assert {"BTCUSDT", "ETHUSDT", "SOLUSDT"} <= set(config.symbols)


def test_the_paper_file_shows_the_defaults_that_it_claims_to_show() -> None:
    """Its first lines promise that keys left out have the values shown."""
    shown = load_config(CONFIGS / "paper.yaml", NO_OVERRIDES, {}, None)
    bare = Config.model_validate(
        {"mode": "paper", "symbols": shown.symbols, "strategies": shown.strategies},
    )
    assert bare == shown


def test_the_paper_file_shows_the_defaults_of_what_it_leaves_out(tmp_path: Path) -> None:
    """Settings of other slippage models stand in comments: written down they would do nothing."""
    text = (CONFIGS / "paper.yaml").read_text(encoding="utf-8")
    whole = re.sub(r"^  # (half_spread_pct|range_share_pct|impact_pct):", r"  \1:", text, flags=re.MULTILINE)
    (tmp_path / "whole.yaml").write_text(whole, encoding="utf-8")
    written = load_config(tmp_path / "whole.yaml", NO_OVERRIDES, {}, None).paper
    assert {"half_spread_pct", "range_share_pct", "impact_pct"} <= written.model_fields_set
    shown = load_config(CONFIGS / "paper.yaml", NO_OVERRIDES, {}, None)
    assert shown.paper == written
    assert [] == idle_slippage(shown)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("stop: {percent: 1, atr: 2}", "strategies[0].stop has percent and atr; give exactly one of percent, atr"),
        ("target: {}", "strategies[0].target has nothing; give exactly one of percent, atr, r"),
        (
            "stop: {percent: 60}",
            "strategies[0].stop.percent = 60 is not a percentage between 0 and 50 (a fraction? 1.5 % is written 1.5)",
        ),
        ("target: {r: 0}", "strategies[0].target.r = 0 is not a number above 0, up to 1000"),
    ],
)
def test_a_stop_or_target_is_put_in_one_unit(tmp_path: Path, lines: str, expected: str) -> None:
    """Percent, average true ranges, or for a target multiples of the stop."""
    assert [f"engine.yaml: {expected}"] == complaints(tmp_path, f"{MINIMAL}    {lines}\n")
