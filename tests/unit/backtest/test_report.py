"""What a run leaves: JSON, CSV, and a page that needs nothing but itself."""

import base64
import csv
import hashlib
import io
import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.backtest_bench import MINUTE_MS, START_MS, draw, instrument
from fakes.report_bench import hourly, of_equity, outcome, run_of, trade, traded, walk
from msgspec import structs

from trading_engine.backtest.market import make_market
from trading_engine.backtest.metrics import Metrics
from trading_engine.backtest.page.figures import ALL
from trading_engine.backtest.page.notes import notes, summary
from trading_engine.backtest.report import make_run, result_json, write_csv, write_json, write_report
from trading_engine.backtest.result import compare
from trading_engine.backtest.shape import costs
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.time import HOUR_MS
from trading_engine.marketdata.block import CandleBlock, Int64, from_units
from trading_engine.venues.embedded.terms import Terms

HOSTILE = "</script><script>alert(1)</script><!--&amp;'\"\u2028"
VOID = {"meta", "input"}
FLAT = hourly([10_000] * 60)


class Page(HTMLParser):
    """Reads a page and holds it to be well formed: every element closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.style = ""
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """The element that was opened last ends."""
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        """Text of the page, of its style or of a script."""
        if self._open[-1:] == ["script"]:
            self.scripts[self.elements[-1][1].get("id") or "code"] = data
        elif self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.words += data

    def ids(self) -> list[str]:
        """Every id in the page."""
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


def page_of(run: Any, folder: Path) -> Page:
    """The page of a run, read."""
    write_report(folder / "report.html", run)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    """The same market traded twice: JSON, CSV and page are the same to the byte."""
    for name in ("one", "two"):
        run = traded()
        write_json(tmp_path / name / "result.json", run)
        write_csv(tmp_path / name, run)
        write_report(tmp_path / name / "report.html", run)
    written = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert ["equity.csv", "report.html", "result.json", "trades.csv"] == written
    for name in written:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_both_engines_give_the_same_result_but_for_their_name() -> None:
    """Where the engines agree on the trades, they agree on every byte that follows from them."""
    case = draw(2)
    told = {}
    fast, full = case.fast(), case.full()
    assert [] == compare(fast, full)
    for engine in (fast, full):
        run = make_run(engine, case.market, case.settings.instruments, case.terms, case.spoken.strategies, "c0ffee")
        told[engine.engine] = json.loads(result_json(run))
    assert ("fast", "full") == (told["fast"].pop("engine"), told["full"].pop("engine"))
    assert told["fast"] == told["full"]


def test_the_json_is_canonical_and_exact() -> None:
    """Sorted keys, one line, money as plain decimal text, ratios as numbers, nothing that is not a number."""
    text = result_json(traded())
    told = json.loads(text)
    again = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    assert again == text
    for one in told["trades"]:
        for name in ("entry_price", "quantity", "net_pnl", "fees"):
            assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", one[name]), (name, one[name])
    assert isinstance(told["metrics"]["return_pct"], float)
    assert isinstance(told["metrics"]["total_pnl"], str)


def test_the_json_has_the_shape_scripts_rely_on() -> None:
    """The keys of `backtest --json` that interfaces promise; trades newest first, the curve oldest first."""
    run = traded()
    told = json.loads(result_json(run))
    assert {"hash", "rows", "symbols", "from", "to"} <= set(told["dataset"])
    promised = {
        "initial_balance", "final_balance", "total_pnl", "total_pnl_pct", "total_trades", "winning_trades",
        "losing_trades", "win_rate", "avg_win", "avg_loss", "profit_factor", "max_drawdown", "max_consecutive_losses",
        "sharpe_ratio",
    }  # fmt: skip
    assert promised <= set(told["metrics"])
    assert {"config_hash", "code_version", "engine", "ambiguous_trades"} <= set(told)
    assert [one.position_id for one in reversed(run.outcome.trades)] == [one["position_id"] for one in told["trades"]]
    assert (told["dataset"]["from"], told["dataset"]["to"]) == (
        told["equity_curve"][0][0],
        told["equity_curve"][-1][0],
    )
    assert [time for time, _ in told["equity_curve"]] == [time for time, _ in told["buy_and_hold"]]


def test_another_dataset_or_configuration_is_another_hash() -> None:
    """What a result came from can be told from the result."""
    one, other = run_of(outcome(), FLAT), run_of(outcome(), hourly([10_000] * 59 + [10_001]))
    assert one.dataset_hash != other.dataset_hash
    assert one.dataset_hash == run_of(outcome(), hourly([10_000] * 60)).dataset_hash
    assert b'"config_hash":"c0ffee"' in result_json(one)


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_missing_candles_and_remarks_are_told() -> None:
    """In the JSON by symbol, and on the page among the doubts."""
    kept = np.array([0, 1, 5, 6, 9])
    market = make_market({"AAAUSDT": CandleBlock(**_rows_kept(walk(10), kept))}, [], MINUTE_MS)
    run = structs.replace(run_of(outcome(), market), remarks=("The full engine ran: thin volume.",))
    told = json.loads(result_json(run))
    assert ({"AAAUSDT": 5}, ["The full engine ran: thin volume."]) == (told["dataset"]["missing"], told["remarks"])
    doubts = " ".join(notes(run))
    assert "5 candles missing in the data (AAAUSDT 5)" in doubts
    assert "The full engine ran: thin volume." in doubts


def _rows_kept(block: CandleBlock, rows: Int64) -> dict[str, Any]:
    return {name: getattr(block, name)[rows] for name in block._fields}


def test_csv_has_every_trade_and_every_hour(tmp_path: Path) -> None:
    """Oldest first, exact, and the same figures as the JSON."""
    run = traded()
    told = json.loads(result_json(run))
    write_csv(tmp_path, run)
    rows = _rows(tmp_path / "trades.csv")
    assert [one["net_pnl"] for one in reversed(told["trades"])] == [row["net_pnl"] for row in rows]
    assert [one["position_id"] for one in reversed(told["trades"])] == [row["position_id"] for row in rows]
    points = _rows(tmp_path / "equity.csv")
    assert told["equity_curve"] == [[point["time"], point["equity"]] for point in points]
    assert told["buy_and_hold"] == [[point["time"], point["buy_and_hold"]] for point in points]
    sums = [Decimal(point["balance"]) + Decimal(point["unrealized_pnl"]) for point in points]
    assert [Decimal(point["equity"]) for point in points] == sums


def test_csv_of_a_run_without_trades_has_its_heading(tmp_path: Path) -> None:
    """A reader of columns finds them."""
    write_csv(tmp_path, run_of(outcome(), FLAT))
    lines = (tmp_path / "trades.csv").read_text(encoding="utf-8").splitlines()
    assert 1 == len(lines)
    assert lines[0].startswith("position_id,symbol,side,strategy,opened_at")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\tx"])
def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path, name: str) -> None:
    """A strategy's name that a spreadsheet would calculate is marked as text; numbers stay numbers."""
    write_csv(tmp_path, run_of(outcome([trade(1, "-5", strategy=name)]), FLAT))
    row = _rows(tmp_path / "trades.csv")[0]
    assert (f"'{name}", "-5") == (row["strategy"], row["net_pnl"])


def test_a_place_that_cannot_be_written_to_is_one_clear_line(tmp_path: Path) -> None:
    """Named with what to do, and nothing is left behind."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ConfigInvalid, match=r"taken/report\.html cannot be written: .*; name a place") as caught:
        write_report(tmp_path / "taken" / "report.html", run_of(outcome(), FLAT))
    assert "\n" not in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigInvalid, match="folder cannot be written"):
        write_json(tmp_path / "folder", run_of(outcome(), FLAT))
    assert ["folder", "taken"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("trades", [0, 1, 40])
def test_the_page_is_well_formed_and_holds_the_json(tmp_path: Path, trades: int) -> None:
    """Every element closed, every id once, what is pointed at is there, and the embedded result is the JSON."""
    run = run_of(outcome([trade(at, str(at - 20), at * 60) for at in range(trades)]), FLAT)
    page = page_of(run, tmp_path)
    assert json.loads(result_json(run)) == json.loads(page.scripts["result"])
    assert len(page.ids()) == len(set(page.ids()))
    for _, attributes in page.elements:
        for name in ("href", "aria-labelledby"):
            if name in attributes:
                assert (attributes[name] or "").lstrip("#") in page.ids()
    assert {"html", "head", "body", "title", "main", "nav", "canvas"} <= {tag for tag, _ in page.elements}


def test_the_script_finds_every_element_it_asks_for(tmp_path: Path) -> None:
    """Names in the script are ids of the page."""
    page = page_of(run_of(outcome([trade()]), FLAT), tmp_path)
    asked = set(re.findall(r'(?:byId|readJson)\("([a-z-]+)"\)', page.scripts["code"]))
    assert len(asked) > 15
    assert set() == asked - set(page.ids())


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    """No address, no import, nothing loaded; the policy allows its own script and style by hash and nothing else."""
    page = page_of(traded(), tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert [] == re.findall(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|import\(|WebSocket", text)
    assert {"link", "img", "iframe", "object", "embed", "base"}.isdisjoint({tag for tag, _ in page.elements})
    assert all("src" not in attributes for _, attributes in page.elements)
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.elements)
    assert all(not name.startswith("on") and name != "style" for _, found in page.elements for name in found)
    policy = next(found["content"] or "" for _, found in page.elements if "http-equiv" in found)
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src '{_hash(page.scripts['code'])}'" in policy
    assert f"style-src '{_hash(page.style)}'" in policy
    assert "unsafe" not in policy


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_a_hostile_name_is_only_text(tmp_path: Path) -> None:
    """A symbol and a strategy that close the script and open another change nothing but words."""
    ts = START_MS + HOUR_MS * np.arange(59, dtype=np.int64)
    ticks = np.full(59, 10_000, dtype=np.int64)
    block = from_units(instrument(HOSTILE), ts, [ticks] * 4, ticks)
    market = make_market({HOSTILE: block}, [], HOUR_MS)
    run = run_of(outcome([trade(1, "1", symbol=HOSTILE, strategy=HOSTILE)]), market, strategies=[HOSTILE])
    page = page_of(run, tmp_path)
    assert ["result", "candle-data", "code"] == list(page.scripts)
    assert HOSTILE == json.loads(page.scripts["result"])["trades"][0]["strategy"]
    assert HOSTILE == json.loads(page.scripts["candle-data"])["symbols"][0]["symbol"]
    assert page.words.count("<script>alert(1)</script>") >= 4
    assert 3 == (tmp_path / "report.html").read_text(encoding="utf-8").count("<script")


def test_every_figure_is_on_the_page_with_its_meaning(tmp_path: Path) -> None:
    """No field of the metrics is kept from the reader; distributions and groups have their own sections."""
    own = {"r_distribution", "monthly_return_pct", "groups"}
    assert set(Metrics.__struct_fields__) - own == {one.field for one in ALL}
    words = page_of(traded(), tmp_path).words
    assert all(one.label in words and one.meaning in words for one in ALL)


@pytest.mark.parametrize(
    ("nets", "changes", "terms", "expected"),
    [
        ([], {}, Terms(), "No trade was closed"),
        (["1"] * 3, {}, Terms(), "3 closed trades: with fewer than 30"),
        (["30", "-10", "-10"], {}, Terms(), "Without its best trade"),
        ([], {"open_positions": 2}, Terms(), "2 positions still open at the end"),
        ([], {"balance": Decimal(-3)}, Terms(), "The account was lost"),
        ([], {}, Terms(taker_fee_e8=0), "No taker fee was charged."),
        ([], {}, Terms(slippage_ppm=0), "No slippage was assumed."),
        ([], {}, Terms(slippage_ppm=0, latency_candles=1), "No slippage was assumed."),
    ],
)
def test_the_page_says_what_speaks_against_its_figures(
    nets: list[str], changes: dict[str, Any], terms: Terms, expected: str
) -> None:
    """Each reason for doubt is told where it applies, and not for a run that gives none."""
    made = outcome([trade(at, net, at * 60) for at, net in enumerate(nets)], **changes)
    assert expected in " ".join(notes(run_of(made, FLAT, terms)))
    for unremarkable in ("1", "-1"):
        quiet = outcome([trade(at, unremarkable, at * 10) for at in range(40)] + [trade(41, "2", 410)])
        assert expected not in " ".join(notes(run_of(quiet, FLAT)))


def test_what_a_liquidation_would_really_cost_is_said() -> None:
    """The rest of the margin, which the built-in exchange gives back."""
    made = outcome([trade(0, "-5", close_reason=CloseReason.LIQUIDATION), trade(1, "5", 60)])
    assert "1 trade ended in liquidation, filled at the liquidation price" in " ".join(notes(run_of(made, FLAT)))
    assert "liquidation" not in " ".join(notes(run_of(outcome([trade(0, "-5")]), FLAT)))


def test_a_share_of_the_range_and_latency_are_told_where_they_are_assumed(tmp_path: Path) -> None:
    """In the result and on the page; otherwise neither has a word of them."""
    plain = run_of(outcome(), FLAT)
    assert {"taker_fee_pct", "maker_fee_pct", "slippage_pct", "volume_share_pct", "leverage"} == costs(
        plain.terms
    ).keys()
    assert "Latency" not in page_of(plain, tmp_path).words
    run = run_of(outcome(), FLAT, Terms(slippage_ppm=0, slippage_range_ppm=125_000, latency_candles=2))
    told = costs(run.terms)
    assert ("0", "12.5", "2") == (told["slippage_pct"], told["slippage_range_pct"], told["latency_candles"])
    assert "No slippage" not in " ".join(notes(run))
    words = page_of(run, tmp_path).words
    assert "0 % of the price and 12.5 % of the range of the candle before, against us" in words
    assert "2 candles before an order at the market trades" in words


def test_an_impact_is_told_where_it_is_assumed(tmp_path: Path) -> None:
    """In the result, on the page, and as slippage, although no part of the price is the same for all."""
    run = run_of(outcome(), FLAT, Terms(slippage_ppm=0, impact_ppm=1_250))
    told = costs(run.terms)
    assert ("0", "0.125") == (told["slippage_pct"], told["slippage_impact_pct"])
    assert "slippage_range_pct" not in told
    assert "slippage_impact_pct" not in costs(Terms())
    assert "No slippage" not in " ".join(notes(run))
    assert "No slippage" in " ".join(notes(run_of(outcome(), FLAT, Terms(slippage_ppm=0))))
    assert (
        "0 % of the price and 0.125 % of it times the root of the fill's share of the volume of the candle before,"
        " against us"
    ) in page_of(run, tmp_path).words


def test_what_is_always_doubtful_is_always_said() -> None:
    """A short run without settlements: growth is stretched, funding is missing, hours hide what is in them."""
    told = " ".join(notes(run_of(outcome([trade(at, "1", at * 10) for at in range(40)]), FLAT)))
    for expected in ("stretch 2 days to a year", "No funding was charged", "within an hour", "It is the past, once."):
        assert expected in told


def test_the_run_in_one_sentence_names_gain_fall_and_holding() -> None:
    """Money before and after, the way between, and what doing nothing would have made."""
    market = hourly([10_000, 10_500, 11_000])
    made = of_equity([1000, 900, 1100], step_ms=HOUR_MS)
    expected = (
        "1,000.00 USDT became 1,100.00 in 2 h 0 min: +10.00 %, with a deepest fall of −10.00 % on the way. Holding the "
        "symbol, with all of the deposit all of the time, would have made +10.00 %."
    )
    assert expected == summary(run_of(made, market))


@pytest.mark.parametrize(
    ("name", "side", "candle", "reason", "expected"),
    [
        ("stop and target", "long", (1000, 1310, 890, 1000), CloseReason.STOP, True),
        ("only the stop", "long", (1000, 1290, 890, 1000), CloseReason.STOP, False),
        ("opened beyond the stop: no guess", "long", (890, 1310, 880, 1000), CloseReason.STOP, False),
        ("left at the target", "long", (1000, 1310, 890, 1000), CloseReason.TARGET, False),
        ("a trailing stop", "long", (1000, 1310, 890, 1000), CloseReason.TRAILING, True),
        ("a short", "short", (1000, 1110, 690, 1000), CloseReason.STOP, True),
        ("a short, opened beyond", "short", (1100, 1110, 690, 1000), CloseReason.STOP, False),
    ],
)
def test_a_guess_is_a_stop_in_a_candle_with_the_target(
    name: str, side: str, candle: tuple[int, int, int, int], reason: CloseReason, expected: bool
) -> None:
    """Stop at 90 and target at 130 of a long, 110 and 70 of a short, ticks of 0.1."""
    columns = [np.array([1000, one, 1000], dtype=np.int64) for one in candle]
    ts = START_MS + MINUTE_MS * np.arange(3, dtype=np.int64)
    block = from_units(instrument("AAAUSDT"), ts, columns, np.full(3, 10**6, dtype=np.int64))
    market = make_market({"AAAUSDT": block}, [], MINUTE_MS)
    stop, target = (Decimal(90), Decimal(130)) if side == "long" else (Decimal(110), Decimal(70))
    ended = START_MS + MINUTE_MS  # a fill at the very open belongs to the candle that begins
    made = trade(side=side, closed_ms=ended, stop_price=stop, target_price=target, close_reason=reason)
    run = run_of(outcome([made]), market)
    assert expected is (made.position_id in run.ambiguous), name
    assert int(expected) == json.loads(result_json(run))["ambiguous_trades"]
    assert expected is ("In 1 trade one candle held both stop and target" in " ".join(notes(run)))
