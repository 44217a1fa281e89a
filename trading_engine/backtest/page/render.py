"""The whole page: static sections, places for what the script draws, the run's JSON and its candles.

What belongs here: putting it together, and what the browser may do. What does not: sections, drawing.

The page fetches nothing: its policy lets it run its own script and style, known by their hashes, and nothing else.
"""

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from xml.etree.ElementTree import Element

from trading_engine.backtest.page import sections
from trading_engine.backtest.page.candles import pack
from trading_engine.backtest.page.markup import data, document, el
from trading_engine.backtest.run import Run

_SCRIPTS = ("base.js", "chart.js", "equity.js", "candles.js", "trades.js", "theme.js")
_JUMPS = (
    ("figures", "Figures"),
    ("equity", "Equity"),
    ("months", "Months"),
    ("risk", "R-multiples"),
    ("groups", "Results by"),
    ("chart", "Candles"),
    ("trades", "Trades"),
    ("origin", "Origin"),
)


def render(run: Run, result_json: bytes) -> bytes:
    """The page of a run; `result_json` is in it as it is."""
    packed = pack(run)
    script, style = _script(), _asset("page.css")
    top = [
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(script, style)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", sections.title(run)),
        el("style", style),
    ]
    body = [
        sections.head(run),
        el("nav", *(el("a", name, href=f"#{target}") for target, name in _JUMPS), aria_label="Parts of the page"),
        el(
            "main",
            el("noscript", el("p", "Charts and the list of trades need JavaScript.", class_="empty")),
            sections.headline(run),
            _equity(run),
            sections.months(run),
            sections.distribution(run),
            sections.groups(run),
            _candles(packed.told),
            _trades(run),
            sections.every_figure(run),
            sections.origin(run),
        ),
        data("result", result_json.decode()),
        data("candle-data", json.dumps(packed.shape, separators=(",", ":"))),
        el("script", script),
    ]
    return document(top, body)


def _equity(run: Run) -> Element:
    label = "Equity and drawdown over time; the figures are in the table of months"
    return sections.section(
        "equity",
        "Equity and drawdown",
        el(
            "div",
            el("span", "equity", class_="key equity"),
            el("label", el("input", type="checkbox", id="show-held", checked=True), "buy and hold", class_="key held"),
            el("span", "drawdown", class_="key drawdown"),
            el("button", "Whole span", type="button", id="equity-fit"),
            class_="tools",
        ),
        el("canvas", id="equity-chart", class_="chart", tabindex="0", role="img", aria_label=label),
        el("p", id="equity-told", class_="told", aria_live="polite"),
        el("p", f"{run.settle_asset} at every full hour. {_HANDS}", class_="hint"),
    )


_MARKS = (
    "▲ long entry, ▼ short entry, ● mean price of the exits, green where the trade made money. Dashed lines are the "
    "target and the stop at first, a dotted one the stop at last. Where trades stand close together only their exits "
    "are drawn."
)
_HANDS = (
    "Drag or swipe sideways to move, pinch or use the wheel with Ctrl to zoom; "
    "on the keyboard ← → + − and 0 for the whole."
)


def _candles(told: str) -> Element:
    buttons = (
        ("previous-trade", "‹", "Previous trade"),
        ("next-trade", "›", "Next trade"),
        ("zoom-in", "+", "Zoom in"),
        ("zoom-out", "−", "Zoom out"),
        ("chart-fit", "Whole span", "Whole span"),
    )
    return sections.section(
        "chart",
        "Trades on the candles",
        el(
            "div",
            el("label", "Symbol ", el("select", id="chart-symbol")),
            *(el("button", text, type="button", id=name, aria_label=label) for name, text, label in buttons),
            class_="tools",
        ),
        el("canvas", id="candle-chart", class_="chart tall", tabindex="0", role="img", aria_label="Candles and trades"),
        el("p", id="candle-told", class_="told", aria_live="polite"),
        el("p", told, class_="hint"),
        el(
            "details",
            el("summary", "How to read and move it"),
            el("p", _MARKS),
            el("p", f"{_HANDS} P and N go to the previous and the next trade."),
            class_="hint",
        ),
    )


def _trades(run: Run) -> Element:
    if not run.outcome.trades:
        return sections.section("trades", "Trades", sections.empty("No closed trade."))
    selects = (("symbol", "Symbol"), ("strategy", "Strategy"), ("side", "Side"), ("close_reason", "Close reason"))
    return sections.section(
        "trades",
        "Trades",
        el(
            "div",
            *(el("label", f"{label} ", el("select", id=f"filter-{name}")) for name, label in selects),
            el("label", "Result ", el("select", id="filter-result")),
            el("label", "Search ", el("input", type="search", id="filter-text", placeholder="id or date")),
            el("button", "Clear", type="button", id="filter-clear"),
            class_="tools filters",
        ),
        el("p", id="trades-told", class_="told", aria_live="polite"),
        sections.scroller(el("table", id="trade-table", class_="numbers trades"), "Trades"),
        el("button", "Show more", type="button", id="more-trades", hidden=True),
    )


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    parts = "\n".join(_asset(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
