"""`compare` from the command line: paper runs on recorded candles beside the backtest of their span."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from parity.cases import EAGER, PLAIN

from trading_engine.cli.main import main
from trading_engine.domain.time import HOUR_MS, MINUTE_MS, iso
from trading_engine.marketdata.synth import Character, SyntheticMarket
from trading_engine.venues.embedded.facts import known_instrument

START_MS = 1_746_316_800_000
ROWS = 935
SYMBOL = "SOLUSDT"
FILES = ("--data", f"{SYMBOL}=all.csv", "--funding", f"{SYMBOL}=funding.csv")
CONFIG: Mapping[str, Any] = {
    "mode": "paper",
    "symbols": [SYMBOL],
    "strategies": [
        {
            "name": "multi_timeframe_long",
            "settings": dict(EAGER["multi_timeframe_long"]),
            "partials": False,  # their levels follow the entry's price
            "trailing": False,
        }
    ],
    "sizing": {"method": "fixed_money", "money": 150},
    "risk": {"max_consecutive_losses": 0, "cooldown_minutes": 0},
    "logging": {"level": "ERROR", "file": False},
}

pytestmark = pytest.mark.xdist_group("compiled")  # machine code is made once


def write_market(symbol: str, rows: int, character: Character = Character.MIXED) -> None:
    """Candles of a made-up market as a file, and its funding rates beside them."""
    instrument = known_instrument(symbol)
    assert instrument is not None
    market = SyntheticMarket(3, {symbol: instrument}, START_MS, rows, character)
    end_ms = START_MS + rows * MINUTE_MS
    block = market.history(symbol, end_ms, rows)
    columns = (block.ts, block.open_price, block.high_price, block.low_price, block.close_price, block.base_volume)
    write_candles(f"{symbol}.csv", [list(row) for row in zip(*[column.tolist() for column in columns], strict=True)])
    rates = [f"{rate.ts_ms},{rate.rate}" for rate in market.funding_between(START_MS, end_ms)]
    Path(f"{symbol}-funding.csv").write_text("\n".join(["ts,rate", *rates]) + "\n", encoding="utf-8")


def write_config(name: str, **sections: object) -> None:
    Path(name).write_text(json.dumps({**CONFIG, **sections}), encoding="utf-8")  # which is YAML as well


def write_candles(name: str, rows: list[list[float]]) -> None:
    lines = ["ts,open,high,low,close,volume", *(",".join(repr(value) for value in row) for row in rows)]
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(state: str, candles: str = "all.csv", config: str = "engine.yaml") -> None:
    """A paper run from the first candle to the last."""
    files = ["--replay", f"{SYMBOL}={candles}", "--funding", f"{SYMBOL}=funding.csv"]
    assert 0 == main(["run", "--config", config, *files, "--speed", "max", "--state", state, "--seed", "1"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Candles, funding that is due every two hours, a configuration, and the state of a paper run on them."""
    path = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        write_market(SYMBOL, ROWS)
        Path(f"{SYMBOL}.csv").rename("all.csv")
        rates = [f"{START_MS + hour * HOUR_MS},0.0005" for hour in range(2, 16, 2)]
        Path("funding.csv").write_text("\n".join(["ts,rate", *rates]) + "\n", encoding="utf-8")
        write_config("engine.yaml")
        run("state")
    return path


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as the working directory."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLUMNS", raising=False)
    return folder


def told(capsys: pytest.CaptureFixture[str], code: int, *arguments: str, config: str = "engine.yaml") -> dict[str, Any]:
    """The JSON of a comparison that ends with an exit code."""
    capsys.readouterr()
    assert code == main(["compare", "--config", config, *arguments, "--json"])
    shape: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shape


def causes(shape: Mapping[str, Any]) -> set[str]:
    """Where there is a gap at all."""
    return {cause for cause, amount in shape["gap"].items() if float(amount) and cause != "total"}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("engine", ["fast", "full"])
def test_a_replayed_run_is_its_backtest(capsys: pytest.CaptureFixture[str], engine: str) -> None:
    """No gap in any trade, funding among them, and exit 0."""
    shape = told(capsys, 0, *FILES, "--engine", engine)
    assert (True, engine, []) == (shape["equal"], shape["engine"], shape["remarks"])
    assert (iso(START_MS), iso(START_MS + ROWS * MINUTE_MS), ROWS) == (shape["from"], shape["to"], shape["candles"])
    assert shape["counts"]["matched"] == len(shape["trades"]) > 4
    assert set() == causes(shape)
    assert shape["run_pnl"] == shape["backtest_pnl"]
    assert any(float(trade["run"]["funding"]) for trade in shape["trades"])
    assert all(trade["why"] == "" for trade in shape["trades"])


@pytest.mark.usefixtures("inside")
def test_another_fee_is_a_gap_of_fees(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the fees: the run paid more than the backtest at a lower rate, and the configuration is told of."""
    write_config("fee.yaml", paper={"taker_fee_pct": 0.03})
    shape = told(capsys, 1, *FILES, config="fee.yaml")
    assert {"fee"} == causes(shape)
    assert float(shape["gap"]["fee"]) < 0
    assert shape["gap"]["fee"] == shape["gap"]["total"]
    assert "fee.yaml is not the configuration that traded" in shape["remarks"][0]


@pytest.mark.usefixtures("inside")
def test_another_slippage_is_a_gap_of_prices(capsys: pytest.CaptureFixture[str]) -> None:
    """And of fees by less than a thousandth of it, for they are paid on the price."""
    write_config("slippage.yaml", paper={"slippage_pct": 0.01})
    shape = told(capsys, 1, *FILES, config="slippage.yaml")
    assert causes(shape) <= {"price", "fee"}
    assert float(shape["gap"]["price"]) < 0
    assert abs(float(shape["gap"]["fee"])) < abs(float(shape["gap"]["price"])) / 500
    assert all(trade["why"].startswith("entry ") for trade in shape["trades"])


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("engine", ["fast", "full"])
@pytest.mark.parametrize("slippage", ["spread_volatility", "depth"])
def test_a_run_with_late_fills_and_slippage_by_the_candle_before_is_its_backtest(
    capsys: pytest.CaptureFixture[str], slippage: str, engine: str
) -> None:
    """The exchange of a run remembers what both need, and both give entries the time; other fills are told."""
    state, config = f"late-{slippage}", f"late-{slippage}.yaml"
    write_config(config, paper={"slippage": slippage, "latency_candles": 2})
    if not Path(state).exists():
        run(state, config=config)
    late = ["--state", state, *FILES]
    shape = told(capsys, 0, *late, "--engine", engine, config=config)
    assert (True, set()) == (shape["equal"], causes(shape))
    assert shape["counts"]["matched"] == len(shape["trades"]) > 4
    assert not told(capsys, 1, *late)["equal"]


@pytest.mark.usefixtures("inside")
def test_a_candle_of_latency_is_as_long_as_the_candles_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Five minutes here: neither the run nor its backtest cancels an entry that is under way for so long."""
    rows = [
        [float(value) for value in line.split(",")]
        for line in Path("all.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    write_candles("long.csv", [[START_MS + (int(row[0]) - START_MS) * 5, *row[1:]] for row in rows])
    strategies = [{"name": "trend_vwap", "settings": dict(EAGER["trend_vwap"])}]
    write_config("long.yaml", strategies=strategies, paper={"latency_candles": 1})
    run("long", "long.csv", "long.yaml")
    shape = told(capsys, 0, "--state", "long", "--data", f"{SYMBOL}=long.csv", *FILES[2:], config="long.yaml")
    assert shape["equal"]
    assert shape["counts"]["matched"] > 4


@pytest.mark.usefixtures("inside")
def test_funding_that_is_not_given_is_a_gap_of_funding(capsys: pytest.CaptureFixture[str]) -> None:
    """And a note says that none is charged."""
    shape = told(capsys, 1, *FILES[:2])
    assert {"funding"} == causes(shape)
    assert ["no funding is charged on SOLUSDT: no rates are given"] == shape["remarks"]


@pytest.mark.usefixtures("inside")
def test_another_size_is_a_gap_of_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Twice as much of the same trades."""
    write_config("size.yaml", sizing={"method": "fixed_money", "money": 75})
    shape = told(capsys, 1, *FILES, config="size.yaml")
    assert "size" in causes(shape)
    assert len(shape["trades"]) == shape["counts"]["matched"]
    assert "quantity 1" in shape["trades"][0]["why"] or "quantity 0" in shape["trades"][0]["why"]


@pytest.mark.usefixtures("inside")
def test_trades_of_one_side_only_have_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """A second strategy of the backtest was never heard by the run; without the run's own its trades are extra."""
    settings = dict(EAGER["trend_distance_short"])
    write_config("short.yaml", strategies=[{"name": "trend_distance_short", "settings": settings}])
    shape = told(capsys, 1, *FILES, config="short.yaml")
    assert 0 == shape["counts"]["matched"]
    whys = {(trade["kind"], trade["why"]) for trade in shape["trades"]}
    expected = {("signal", "the run heard no such signal"), ("extra", "the backtest heard no such signal")}
    assert expected == whys
    assert {"signal", "extra"} <= causes(shape) <= {"signal", "extra", "other"}  # what is open at the end has cost fees


@pytest.mark.usefixtures("inside")
def test_an_entry_that_was_never_filled_is_a_missed_fill(capsys: pytest.CaptureFixture[str]) -> None:
    """The run saw no volume in the candle that its last entry was to trade in; the backtest did."""
    last = told(capsys, 0, *FILES)["trades"][0]["backtest"]
    lines = Path("all.csv").read_text(encoding="utf-8").splitlines()
    rows = [[float(value) for value in line.split(",")] for line in lines[1:]]
    thin = [[*row[:5], 0.0] if iso(int(row[0])) == last["opened_at"] else row for row in rows]
    write_candles("thin.csv", [[int(row[0]), *row[1:]] for row in thin])
    run("thin", "thin.csv")
    shape = told(capsys, 1, *FILES, "--state", "thin")
    missed = [trade for trade in shape["trades"] if trade["kind"] == "missed_fill"]
    assert [("the entry was never filled", last)] == [(trade["why"], trade["backtest"]) for trade in missed]
    assert float(last["net_pnl"]) == -float(shape["gap"]["missed_fill"])
    assert causes(shape) <= {"missed_fill", "extra"}


@pytest.mark.usefixtures("inside")
def test_what_a_run_has_withheld_is_no_signal_that_it_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """A run with --signals-only beside the backtest: its entries are under a cause of their own, and a note says so."""
    files = ["--replay", f"{SYMBOL}=all.csv", "--funding", f"{SYMBOL}=funding.csv", "--state", "watched"]
    assert 0 == main(["run", "--config", "engine.yaml", *files, "--speed", "max", "--signals-only"])
    capsys.readouterr()
    shape = told(capsys, 1, *FILES, "--state", "watched")
    assert {"withheld"} == {trade["kind"] for trade in shape["trades"]}
    assert shape["counts"]["withheld"] == len(shape["trades"]) > 0
    assert {"withheld"} <= causes(shape) <= {"withheld", "other"}
    assert "0" == shape["run_pnl"]
    assert any("withheld by a run with --signals-only" in remark for remark in shape["remarks"])
    assert 1 == main(["compare", "--config", "engine.yaml", *FILES, "--state", "watched"])
    assert "the run was one with --signals-only" in capsys.readouterr().out


@pytest.mark.usefixtures("inside")
def test_a_run_that_began_with_another_balance_is_compared_from_there(capsys: pytest.CaptureFixture[str]) -> None:
    """The balance of a configuration counts for a new account only: the backtest begins where the run began."""
    write_config("rich.yaml", paper={"balance": 5_000})
    shape = told(capsys, 0, *FILES, config="rich.yaml")
    assert "the backtest begins with 1000, as the run did" in shape["remarks"]


@pytest.mark.usefixtures("inside")
def test_the_table_says_what_the_json_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Causes with their sums, the largest gaps first, and whether all is well."""
    assert 0 == main(["compare", "--config", "engine.yaml", *FILES])
    assert "no gap: every trade of the run is that of the backtest" in capsys.readouterr().out
    write_config("fee.yaml", paper={"taker_fee_pct": 0.03})
    assert 1 == main(["compare", "--config", "fee.yaml", *FILES])
    out, err = capsys.readouterr()
    assert err.startswith("note: fee.yaml is not the configuration that traded")
    assert "the run paid more or less in fees" in out
    assert "0 on one" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--state", "nowhere", *FILES], 78, "no database at"),
        (["--state", "fresh", *FILES], 78, "no candle was traded on yet; compare it once the engine has run"),
        ([], 2, "engine.yaml names no venue whose candles are meant"),
        (["--data", f"{SYMBOL}=half.csv"], 2, "the candles go from"),
        (["--data", f"{SYMBOL}=nothing.csv"], 78, "nothing.csv"),
        (["--data", "ETHUSDT=all.csv"], 2, "ETHUSDT is not among the symbols"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    """A state without a run, candles that are missing or do not cover the run."""
    lines = Path("all.csv").read_text(encoding="utf-8").splitlines()
    Path("half.csv").write_text("\n".join(lines[:500]) + "\n", encoding="utf-8")
    assert 0 == main(["db", "migrate", "--state", "fresh"])
    capsys.readouterr()
    assert code == main(["compare", "--config", "engine.yaml", *arguments])
    out, err = capsys.readouterr()
    assert "" == out
    assert says in err
    assert 1 == len(err.splitlines())


@pytest.mark.usefixtures("inside")
def test_a_symbol_without_candles_that_was_traded_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Leaving it out would make all its trades look like extra ones."""
    write_config("both.yaml", symbols=[SYMBOL, "ETHUSDT"])
    assert 2 == main(["compare", "--config", "both.yaml", "--data", "ETHUSDT=all.csv"])
    assert "has trades of SOLUSDT, of which there are no candles" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("character", [Character.CRASH, Character.GAPS])
def test_a_run_of_every_strategy_is_its_backtest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], character: Character
) -> None:
    """Asked candle by candle, with filters, exits and limits, written to a database: hundreds of trades, no gap.

    `pytest -m slow tests/integration/test_cli_compare.py`: a minute or two.
    """
    monkeypatch.chdir(tmp_path)
    symbols = ("BTCUSDT", "SOLUSDT")
    for symbol in symbols:
        write_market(symbol, 9_000, character)
    calm = {"volatility": {"most": 1.5, "mean_period": 50}}
    strategies = [{"name": name, "settings": dict(each), "filters": calm} for name, each in EAGER.items()]
    sections = {name: section for name, section in PLAIN.items() if name != "account"}
    exits = {"max_age_hours": 1, "on_max_age": "tighten", "exit_on_opposite": True, "trail_atr": 2}
    risk = {**sections.pop("risk"), "cooldown_minutes": 5, "max_consecutive_losses": 4, "streak_pause_hours": 1}
    changed = {**sections, "symbols": list(symbols), "strategies": strategies, "exits": exits, "risk": risk}
    write_config("every.yaml", **changed)
    candles = [f"{symbol}={symbol}.csv" for symbol in symbols]
    funding = [f"{symbol}={symbol}-funding.csv" for symbol in symbols]
    end = ["--funding", *funding, "--state", "state"]
    assert 0 == main(["run", "--config", "every.yaml", "--replay", *candles, *end, "--speed", "max", "--seed", "1"])
    shape = told(capsys, 0, "--data", *candles, *end, config="every.yaml")
    assert set() == causes(shape)
    assert {*EAGER} == {trade["strategy"] for trade in shape["trades"]}
    assert len(shape["trades"]) > 200
