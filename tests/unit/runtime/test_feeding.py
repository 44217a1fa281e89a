"""Which stream a run listens to and where, and what becomes of a feed's notices."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from builders import BTC, make_instrument

from trading_engine.config.load import load_config
from trading_engine.config.model import Config
from trading_engine.domain.events import FeedFault, FeedReported
from trading_engine.domain.market import Candle
from trading_engine.domain.time import MINUTE_MS
from trading_engine.marketdata.feed import Notice, NoticeKind
from trading_engine.runtime import remote
from trading_engine.runtime.feeding import Feeding
from trading_engine.runtime.remote import PublicStream, StreamNeeds
from trading_engine.venues.binance import facts
from trading_engine.venues.wire.transport import Transport

START = 1_746_316_800_000
LOCAL = {"venues.binance.rest_url": "http://127.0.0.1:9001", "venues.binance.ws_url": "ws://127.0.0.1:9001"}
ELSEWHERE = {
    "venues.binance.rest_url": "https://fapi.binance.com",
    "venues.binance.ws_url": "wss://fstream.binance.com",
}
TEXT = """
mode: paper
venue: binance
symbols: [BTCUSDT]
strategies: [{name: trend_vwap}]
credentials: {key: '${TEST_KEY}', secret: '${TEST_SECRET}'}
"""


class Standing:
    """A clock that nobody moves."""

    def now_ms(self) -> int:
        """The present instant."""
        return START + 2_000


class History:
    """Answers what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles that stood still."""
        self.asked.append((symbol, since_ms, until_ms))
        return [Candle(symbol, at, interval_ms, 1, 1, 1, 1, 1) for at in range(since_ms, until_ms, interval_ms)]


def configured(folder: Path, **values: object) -> Config:
    path = folder / "engine.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return load_config(path, values, {"TEST_KEY": "test-key", "TEST_SECRET": "test-secret"}, None)


def needs_of(config: Config, monkeypatch: pytest.MonkeyPatch) -> StreamNeeds:
    """What the venue's stream is made with."""
    asked: list[StreamNeeds] = []
    real: Callable[[StreamNeeds], PublicStream] = remote._STREAMS["binance"]

    def maker(needs: StreamNeeds) -> PublicStream:
        asked.append(needs)
        return real(needs)

    monkeypatch.setattr(remote, "_STREAMS", {"binance": maker})

    def note(text: str) -> None:
        raise AssertionError(text)

    async def make() -> None:
        transport = Transport()
        remote.make_stream(config, [make_instrument(BTC)], Standing(), transport, note)
        await transport.close()

    asyncio.run(make())
    return asked[0]


def test_paper_listens_to_the_real_market_and_hears_of_settlements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real venue books its funding itself."""
    needs = needs_of(configured(tmp_path), monkeypatch)
    assert (facts.MAINNET.public_ws_url, True) == (needs.url, needs.with_marks)


def test_a_testnet_run_listens_to_the_testnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is on the way to the real one."""
    needs = needs_of(configured(tmp_path, mode="testnet"), monkeypatch)
    assert (facts.DEMO.public_ws_url, False) == (needs.url, needs.with_marks)
    with pytest.raises(Exception, match="mode = testnet reaches"):
        needs_of(configured(tmp_path, mode="testnet", **ELSEWHERE), monkeypatch)


@pytest.mark.parametrize("mode", ["paper", "testnet", "live"])
def test_a_server_on_this_machine_is_listened_to_in_every_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """It is how they are rehearsed."""
    needs = needs_of(configured(tmp_path, mode=mode, **LOCAL), monkeypatch)
    assert "ws://127.0.0.1:9001/market" == needs.url


def test_the_warm_up_comes_from_history_and_takes_one_more(tmp_path: Path) -> None:
    """History may lack the minute that has just ended."""
    history = History()

    async def main() -> None:
        feeding = Feeding(configured(tmp_path), history, [make_instrument(BTC)], Standing())
        warm = await feeding.open({BTC: 2})
        assert [START - n * MINUTE_MS for n in (3, 2, 1)] == [candle.open_time_ms for candle in warm[BTC]]
        feeding.listen([].append)
        await feeding.close()

    asyncio.run(main())
    assert [(BTC, START - 3 * MINUTE_MS, START)] == history.asked


def test_notices_of_faults_become_reports_and_the_others_stay_in_the_log(tmp_path: Path) -> None:
    """Each fault has its beginning and its end."""
    reports: list[FeedReported] = []

    async def main() -> None:
        feeding = Feeding(configured(tmp_path), History(), [make_instrument(BTC)], Standing())
        feeding._on_notice(Notice(NoticeKind.STALE, BTC, START, "told before anybody listens"))
        feeding.on_report = reports.append
        for kind in NoticeKind:
            feeding._on_notice(Notice(kind, BTC, START, "why"))
        await feeding.close()

    asyncio.run(main())
    told = {(report.fault, report.is_over) for report in reports}
    assert {(fault, is_over) for fault in FeedFault for is_over in (False, True)} == told
    assert len(told) == len(reports)
    assert {(START + 2_000, BTC, "why")} == {(report.ts_ms, report.symbol, report.text) for report in reports}
