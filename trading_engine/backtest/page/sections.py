"""The parts of the page that are there without a script: head, figures, tables of results.

What belongs here: one function a section, from a run to elements. What does not: charts and the list of trades, which
the page's script draws (*.js), and the whole (render).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from xml.etree.ElementTree import Element

from trading_engine.backtest.figures import Bucket
from trading_engine.backtest.metrics import Group
from trading_engine.backtest.page import words
from trading_engine.backtest.page.figures import ALL, HEADLINE, Figure
from trading_engine.backtest.page.markup import Child, el
from trading_engine.backtest.page.notes import notes, summary
from trading_engine.backtest.run import Run
from trading_engine.backtest.shape import costs
from trading_engine.domain.time import interval_name

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HEAT = (1.0, 3.0, 6.0, 12.0)  # percent a month from which a cell is coloured stronger
_GROUPS = (("symbol", "Symbol"), ("strategy", "Strategy"), ("side", "Side"), ("close_reason", "Close reason"))
_MANY = 4  # symbols that are named in the title


def title(run: Run) -> str:
    """What the tab says."""
    symbols = run.market.symbols
    named = ", ".join(symbols[:_MANY]) + (f" and {len(symbols) - _MANY} more" if len(symbols) > _MANY else "")
    return f"Backtest of {named}"


def head(run: Run) -> Element:
    """Name, span, and the run in a sentence."""
    market = run.market
    facts = (
        f"{words.moment(market.first_ms)} – {words.moment(market.last_ms)} UTC",
        ", ".join(run.strategies) or "no strategy",
        f"{words.count(market.rows, 'candle')} of {interval_name(market.interval_ms)}",
        f"{run.outcome.engine} engine",
    )
    return el(
        "header",
        el("div", el("h1", title(run)), el("button", "Dark", id="theme", type="button", hidden=True), class_="row"),
        el("p", *_joined(facts), class_="facts"),
        el("p", summary(run), class_="summary"),
    )


def _joined(facts: Iterable[str]) -> list[Child]:
    parts: list[Child] = []
    for fact in facts:
        parts += [el("span", fact), " "]
    return parts


def headline(run: Run) -> Element:
    """The twelve figures that most people look for, and what speaks against believing them."""
    cards = (
        el("div", el("dt", one.label), el("dd", one.text(run.metrics), class_=_tone(one, run)), title=one.meaning)
        for one in HEADLINE
    )
    doubts = (el("li", note) for note in notes(run))
    return section(
        "figures",
        "Figures",
        el("dl", *cards, class_="cards"),
        el("div", el("h3", "Before you believe it"), el("ul", *doubts), class_="notes"),
    )


def _tone(figure: Figure, run: Run) -> str | None:
    return words.tone(figure.value(run.metrics)) if figure.is_result else None


def months(run: Run) -> Element:
    """Returns by UTC month, a row a year."""
    returns = run.metrics.monthly_return_pct
    years = sorted({name[:4] for name in returns})
    shown = [month for month in range(1, 13) if len(years) > 1 or f"{years[0]}-{month:02d}" in returns]
    rows = (
        el(
            "tr",
            el("th", year, scope="row"),
            *(_heat(returns.get(f"{year}-{month:02d}")) for month in shown),
            _heat(_compound([one for name, one in returns.items() if name[:4] == year])),
        )
        for year in years
    )
    names = (el("th", name, scope="col") for name in ("Year", *(_MONTHS[month - 1] for month in shown), "All"))
    return section(
        "months",
        "Returns by month",
        el("p", "Change of equity in percent, UTC; the first and last month as far as the run goes.", class_="hint"),
        scroller(el("table", el("thead", el("tr", *names)), el("tbody", *rows), class_="heat"), "Returns by month"),
    )


def _compound(changes: Sequence[float]) -> float:
    value = 1.0
    for one in changes:
        value *= 1 + one / 100
    return (value - 1) * 100


def _heat(value: float | None) -> Element:
    if value is None:
        return el("td")
    strength = sum(1 for bound in _HEAT if abs(value) >= bound)
    return el("td", words.signed(value), class_=f"{words.tone(value)} h{strength}")


def distribution(run: Run) -> Element:
    """How many trades ended at which multiple of their risk."""
    buckets = run.metrics.r_distribution
    most = max((one.trades for one in buckets), default=0)
    bars = (
        _column(
            str(one.trades or ""), _bucket_name(one), one.trades / most, "gain" if _is_gain(one) else "loss", _told(one)
        )
        for one in buckets
    )
    content = (
        el("div", *bars, class_="columns", role="list", tabindex="0", aria_label="Distribution of R-multiples")
        if buckets
        else empty("No closed trade with money at risk.")
    )
    hint = (
        "Closed trades by net result in R, the money between entry and initial stop; "
        "each bar is half an R, named by its lower end."
    )
    return section("risk", "R distribution", el("p", hint, class_="hint"), content)


def _is_gain(bucket: Bucket) -> bool:
    return bucket.from_r is not None and bucket.from_r >= 0


def _bucket_name(bucket: Bucket) -> str:
    if bucket.from_r is None:
        return f"<{_r(bucket.to_r)}"
    return _r(bucket.from_r) if bucket.to_r is not None else f"≥{_r(bucket.from_r)}"


def _told(bucket: Bucket) -> str:
    number = words.count(bucket.trades, "trade")
    if bucket.from_r is None:
        return f"{number} below {_r(bucket.to_r)} R"
    if bucket.to_r is None:
        return f"{number} of {_r(bucket.from_r)} R or more"
    return f"{number} from {_r(bucket.from_r)} to {_r(bucket.to_r)} R"


def _r(value: float | None) -> str:
    return f"{value:g}".replace("-", "−")


def _column(above: str, below: str, part: float, tone: str, told: str) -> Element:
    """One bar of a chart made of bars; `part` of the highest."""
    height = max(part * 100, 1.0 if part > 0 else 0.0)
    bar = el("rect", x="0", y=f"{100 - height:.1f}", width="10", height=f"{height:.1f}")
    picture = el("svg", bar, viewBox="0 0 10 100", preserveAspectRatio="none", aria_hidden="true", class_=tone)
    return el(
        "div", el("b", above), picture, el("span", below), role="listitem", title=told, aria_label=told, class_="column"
    )


def groups(run: Run) -> Element:
    """Results by symbol, strategy, side, close reason and hour."""
    tables = [_group_table(label, run.metrics.groups[name]) for name, label in _GROUPS]
    content = [*tables, _hours(run.metrics.groups["hour"])] if run.outcome.trades else [empty("No closed trade.")]
    return section("groups", "Where it came from", *content)


def _group_table(label: str, kinds: dict[str, Group]) -> Element:
    most = max((abs(one.net_pnl) for one in kinds.values()), default=Decimal(0))
    names = (label, "Net PnL", "", "Trades", "Win rate", "Mean R", "Profit factor", "Fees", "Funding")
    rows = (
        el(
            "tr",
            el("th", name.replace("_", " ") if label == "Close reason" else name, scope="row", title=name),
            el("td", words.signed(one.net_pnl), class_=words.tone(one.net_pnl)),
            el("td", _bar(one.net_pnl, most), class_="bar"),
            el("td", f"{one.trades:,}"),
            el("td", words.share(one.won / one.trades * 100)),
            el("td", words.multiple(one.avg_r), class_=words.tone(one.avg_r)),
            el("td", words.ratio(one.profit_factor)),
            el("td", words.amount(one.fees)),
            el("td", words.signed(one.funding)),
        )
        for name, one in sorted(kinds.items(), key=lambda item: (-item[1].net_pnl, item[0]))
    )
    header = el("thead", el("tr", *(el("th", name, scope="col") for name in names)))
    caption = f"Results by {label.lower()}"
    return scroller(el("table", header, el("tbody", *rows), class_="numbers groups"), caption)


def _bar(value: Decimal, most: Decimal) -> Element:
    """A bar from the middle: to the right what was made, to the left what was lost."""
    width = float(abs(value) / most * 50) if most else 0.0
    bar = el("rect", x=f"{50 if value > 0 else 50 - width:.1f}", y="1", width=f"{width:.1f}", height="8")
    axis = el("line", x1="50", x2="50", y1="0", y2="10")
    return el(
        "svg", bar, axis, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true", class_=words.tone(value)
    )


def _hours(kinds: dict[str, Group]) -> Element:
    most = max(abs(one.net_pnl) for one in kinds.values())
    columns = []
    for hour in range(24):
        one = kinds.get(f"{hour:02d}")
        net = one.net_pnl if one else Decimal(0)
        told = f"{hour:02d}:00–{hour:02d}:59 UTC: " + (
            f"{words.signed(net)} in {words.count(one.trades, 'trade')}" if one else "no trade"
        )
        part = float(abs(net) / most) if most else 0.0
        columns.append(_column(f"{one.trades}" if one else "", f"{hour:02d}", part, words.tone(net), told))
    hint = "Net PnL by the hour of opening, UTC: green made, red lost; above each bar the number of trades."
    return el(
        "div",
        el("p", hint, class_="hint"),
        el("div", *columns, class_="columns", role="list", tabindex="0", aria_label="Net PnL by hour of opening"),
    )


def every_figure(run: Run) -> Element:
    """All figures with what each means."""
    rows = (
        el(
            "tr",
            el("th", one.label, scope="row"),
            el("td", one.text(run.metrics), class_=_tone(one, run)),
            el("td", one.meaning),
        )
        for one in ALL
    )
    header = el("thead", el("tr", *(el("th", name, scope="col") for name in ("Figure", "Value", "Meaning"))))
    table = scroller(el("table", header, el("tbody", *rows), class_="meanings"), "Every figure")
    return section("all", "Every figure", el("details", el("summary", f"{len(ALL)} figures and what they mean"), table))


def origin(run: Run) -> Element:
    """What the run was made from, so that it can be made again."""
    told = costs(run.terms)
    settlements = len(run.market.funding.ts)
    slippage = f"{told['slippage_pct']} % of the price"
    if "slippage_range_pct" in told:
        slippage += f" and {told['slippage_range_pct']} % of the range of the candle before"
    if "slippage_impact_pct" in told:
        slippage += (
            f" and {told['slippage_impact_pct']} % of it times the root of the fill's share of the volume of the candle"
            " before"
        )
    latency = words.count(run.terms.latency_candles, "candle") + " before an order at the market trades"
    rows = (
        ("Dataset", run.dataset_hash, True),
        ("Configuration", run.config_hash, True),
        ("Code", f"trading-engine {run.code_version}", True),
        ("Taker and maker fee", f"{told['taker_fee_pct']} % and {told['maker_fee_pct']} %", False),
        ("Slippage", f"{slippage}, against us", False),
        *((("Latency", latency, False),) if run.terms.latency_candles else ()),
        ("Volume", f"at most {told['volume_share_pct']} % of a candle's", False),
        ("Leverage", f"{told['leverage']}×", False),
        ("Funding", words.count(settlements, "settlement") if settlements else "none given", False),
    )
    items = (el("div", el("dt", name), el("dd", el("code", text) if is_code else text)) for name, text, is_code in rows)
    note = "The same candles, configuration and code give this very file again, byte for byte."
    return section("origin", "What it was made from", el("dl", *items, class_="origin"), el("p", note, class_="hint"))


def section(name: str, heading: str, *content: Child) -> Element:
    """A part of the page with its heading."""
    return el("section", el("h2", heading, id=f"{name}-heading"), *content, id=name, aria_labelledby=f"{name}-heading")


def scroller(table: Element, label: str) -> Element:
    """A table that scrolls sideways where it does not fit, by keyboard too."""
    return el("div", table, class_="scroller", tabindex="0", role="region", aria_label=label)


def empty(text: str) -> Element:
    """What stands where there is nothing to show."""
    return el("p", text, class_="empty")
