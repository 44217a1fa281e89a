"""The page of a backtest in a real browser: drawn, moved, sorted, filtered, on a screen and on a phone."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes.backtest_bench import MINUTE_MS, START_MS
from fakes.browser import CHROMIUM, Tab, browse
from fakes.report_bench import outcome, run_of, trade, walk

from trading_engine.backtest.equity import Sample
from trading_engine.backtest.market import make_market
from trading_engine.backtest.report import Run, write_report
from trading_engine.domain.time import HOUR_MS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

HOSTILE = "</script><img src=x onerror=alert(1)>"
MINUTES = 3 * 1440
MARKET = make_market(
    {"AAAUSDT": walk(MINUTES), "BBBUSDT": walk(MINUTES, "BBBUSDT", 2)},
    [],
    MINUTE_MS,
)
# Whether anything at all is drawn, and in how many colours.
COLOURS = """(id) => {
  const canvas = document.getElementById(id), pen = canvas.getContext("2d");
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height), seen = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3]) seen.add(`${data.slice(at, at + 3)}`);
  return seen.size;
}"""


def run(trades: int) -> Run:
    """So many trades, half of them on either symbol, won and lost in turn."""
    made = [
        trade(
            at + 1,
            f"{(-1) ** at * (at % 7 + 1)}",
            at * 20,
            15,
            symbol=("AAAUSDT", "BBBUSDT")[at % 2],
            side=("long", "short")[at % 3 % 2],
            strategy=("alpha", HOSTILE)[at % 5 == 4],
            entry_price=Decimal(1000),
            exit_value=Decimal(1001),
            initial_stop=Decimal(995),
            stop_price=Decimal(996),
            target_price=Decimal(1010),
        )
        for at in range(trades)
    ]
    samples = [
        Sample(START_MS + hour * HOUR_MS, Decimal(1000 + hour % 9 - hour // 3), Decimal(0)) for hour in range(1, 72)
    ]
    return run_of(outcome(made, samples), MARKET, strategies=["alpha", HOSTILE])


def look(folder: Path, trades: int, what: Any) -> None:
    """Write a page and hand it to a browser; nothing it does may complain or leave the file."""
    page = folder / "report.html"
    write_report(page, run(trades))

    async def seen(tab: Tab) -> None:
        await what(tab, page)
        assert [] == tab.complaints()
        assert {page.as_uri()} == set(tab.requests())

    browse(folder / "profile", seen)


async def text(tab: Tab, name: str) -> str:
    """What an element says."""
    return str(await tab.evaluate(f"document.getElementById('{name}').textContent"))


def test_the_page_draws_on_screen_and_phone_in_light_and_dark(tmp_path: Path) -> None:
    """Without a trade, with one, with many: both charts have colours, and nothing is wider than the window."""
    expected = {0: "AAAUSDT: 0 trades", 1: "AAAUSDT: 1 trade", 120: "AAAUSDT: 60 trades"}
    for trades in expected:
        write_report(tmp_path / f"{trades}.html", run(trades))

    async def what(tab: Tab) -> None:
        for trades, told in expected.items():
            for width, scheme in ((1280, "light"), (390, "dark")):
                await tab.open(tmp_path / f"{trades}.html", width, scheme=scheme)
                for chart in ("equity-chart", "candle-chart"):
                    assert await tab.evaluate(f"({COLOURS})('{chart}')") > 5, (chart, trades, scheme)
                assert width == await tab.evaluate("document.documentElement.scrollWidth"), trades
                ground = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
                assert {"light": "rgb(244, 245, 247)", "dark": "rgb(18, 22, 28)"}[scheme] == ground
                assert told == await text(tab, "candle-told")
                assert [] == tab.complaints()

    browse(tmp_path / "profile", what)


def test_the_list_of_trades_sorts_filters_and_leads_to_the_candles(tmp_path: Path) -> None:
    """By any column both ways, by symbol, result and strategy; a hostile name is text; a row leads to its candles."""

    async def what(tab: Tab, page: Path) -> None:
        await tab.open(page)
        rows = "document.querySelectorAll('#trade-table tbody tr')"
        cells = f"[...{rows}].map((row) => row.cells[%d].textContent)"
        assert 50 == await tab.evaluate(f"{rows}.length")
        assert "Show more (70 left)" == await text(tab, "more-trades")
        await tab.evaluate("document.getElementById('more-trades').click()")
        assert 120 == await tab.evaluate(f"{rows}.length")

        heads = "document.querySelectorAll('#trade-table thead button')"
        await tab.evaluate(f"{heads}[2].click()")
        best = await tab.evaluate(cells % 2)
        assert ("+7.00", "descending") == (
            best[0],
            await tab.evaluate(f"{heads}[2].parentElement.getAttribute('aria-sort')"),
        )
        await tab.evaluate(f"{heads}[2].click()")
        assert "−7.00" == (await tab.evaluate(cells % 2))[0]

        await choose(tab, "filter-symbol", "BBBUSDT")
        assert (await text(tab, "trades-told")).startswith("60 of 120 · net −")
        await choose(tab, "filter-result", "won")
        assert "No trade fits." == await text(tab, "trades-told")
        await tab.evaluate("document.getElementById('filter-clear').click()")
        await choose(tab, "filter-strategy", HOSTILE)
        assert (await text(tab, "trades-told")).startswith("24 of 120")
        assert {HOSTILE} == set(await tab.evaluate(cells % 9))
        assert 0 == await tab.evaluate("document.images.length")

        await tab.evaluate(f"{heads}[0].click(); {heads}[0].click()")
        await tab.evaluate(f"{rows}[0].querySelector('button').click()")
        told = await text(tab, "candle-told")
        assert told.startswith("P000005 short AAAUSDT, </script>")
        assert "candle-chart" == await tab.evaluate("document.activeElement.id")

    look(tmp_path, 120, what)


async def choose(tab: Tab, name: str, value: str) -> None:
    """As a person would in a list to choose from."""
    await tab.evaluate(
        f"(() => {{ const list = document.getElementById('{name}'); list.value = {value!r}; "
        "list.dispatchEvent(new Event('change')); })()"
    )


def test_the_chart_shows_the_very_candles_and_moves_by_keyboard_and_mouse(tmp_path: Path) -> None:
    """Zoomed in to minutes, what is told under the pointer is the market's candle; keys step through the trades."""

    async def what(tab: Tab, page: Path) -> None:
        await tab.open(page)
        await tab.evaluate("document.getElementById('candle-chart').focus()")
        await tab.press("n")
        assert (await text(tab, "candle-told")).startswith("P000001 ")
        await tab.press("n")
        assert (await text(tab, "candle-told")).startswith("P000003 ")
        await tab.press("p")
        assert (await text(tab, "candle-told")).startswith("P000001 ")

        box = await tab.evaluate(
            "(({left, top}) => [left, top])(document.getElementById('candle-chart').getBoundingClientRect())"
        )
        found = set()
        for x in range(150, 1000, 50):
            await tab.mouse("mouseMoved", box[0] + x, box[1] + 100)
            found.add((await text(tab, "candle-told")).split(" · P0")[0])
        block = MARKET.blocks[0]
        known = {
            f"4 May 2025 {row // 60:02d}:{row % 60:02d} UTC, 1 min · open {block.open[row] / 10:,.1f} · "
            f"high {block.high[row] / 10:,.1f} · low {block.low[row] / 10:,.1f} · close {block.close[row] / 10:,.1f}"
            for row in range(200)
        }
        assert len(found) > 8
        assert set() == found - known

        before = await picture(tab)
        await tab.press("0")
        whole = await picture(tab)
        assert before != whole
        await tab.press("+")
        closer = await picture(tab)
        assert closer != whole
        await tab.press("ArrowLeft")
        assert closer != await picture(tab)
        await tab.press("0")
        await tab.mouse("mouseMoved", box[0] + 300, box[1] + 900)
        await tab.evaluate("document.getElementById('theme').click()")
        await tab.drawn()
        assert "rgb(18, 22, 28)" == await tab.evaluate("getComputedStyle(document.body).backgroundColor")

    look(tmp_path, 120, what)


def test_fingers_move_and_zoom_the_chart_and_a_tap_stays_readable(tmp_path: Path) -> None:
    """On a phone: one finger moves, two zoom, and what was tapped is still told when the finger is gone."""

    async def what(tab: Tab, page: Path) -> None:
        await tab.open(page, 390)
        await tab.evaluate("document.getElementById('chart').scrollIntoView()")
        box = await tab.evaluate(
            "(({left, top}) => [left, top])(document.getElementById('candle-chart').getBoundingClientRect())"
        )
        x, y = box[0], box[1] + 100

        async def tapped() -> str:
            await tab.touch("touchStart", (x + 150, y))
            await tab.touch("touchEnd")
            return await text(tab, "candle-told")

        assert ", 2 h 0 min · open " in await tapped()
        await tab.touch("touchStart", (x + 130, y), (x + 170, y))
        for by in (20, 40, 60):
            await tab.touch("touchMove", (x + 130 - by, y), (x + 170 + by, y))
        await tab.touch("touchEnd")
        closer = await tapped()
        assert ", 30 min · open " in closer
        await tab.touch("touchStart", (x + 200, y))
        for by in (20, 60, 100):
            await tab.touch("touchMove", (x + 200 - by, y))
        await tab.touch("touchEnd")
        moved = await tapped()
        assert ", 30 min · open " in moved
        assert closer != moved

    look(tmp_path, 10, what)


async def picture(tab: Tab) -> str:
    """What the chart of candles shows, to be compared."""
    return str(await tab.evaluate("document.getElementById('candle-chart').toDataURL()"))
