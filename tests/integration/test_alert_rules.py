"""Every rule of an alert: raised by the core itself, committed, carried by the worker, seen by a real receiver.

The table is the list of the product: a rule, the story that calls for it, the key it is told under.
"""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from builders import BTC, T0, Playbook, make_settings, without_limits
from fakes.databases import fresh
from fakes.record_stories import Story

from trading_engine.alerts import AlertRow, Channel, OutboxWorker, send_test
from trading_engine.alerts.remedies import RULES, remedy_of, rule_of
from trading_engine.core.settings import ExitPlan, ExitSettings, Expected, PartialStep, TellSettings
from trading_engine.domain.control import Level
from trading_engine.domain.events import (
    ClockMeasured,
    ComponentFailed,
    DiskMeasured,
    FeedFault,
    FeedReported,
    LookupFailed,
    RunBegan,
    RunFinished,
    SubmitAnswered,
    TimerKind,
)
from trading_engine.domain.ids import Purpose
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.reports import KEY_CODE, Balance, Unknown
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.store.sql_store import SqlStore

# apprise imports it where it exists, which is on Python before 3.13.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PARTS = ExitSettings(plans={"trend": ExitPlan(partials=(PartialStep(2_000, 300_000),))})
CORE = Path(__file__).resolve().parents[2] / "trading_engine"
OUTAGE_MS = 300_000


# ── the stories ─────────────────────────────────────────────────────────────


def started(play: Playbook) -> None:
    play.on(RunBegan(play.now, "r", "1", "live", "h"))


def crashed(play: Playbook) -> None:
    play.on(RunBegan(play.now, "r", "1", "live", "h", crashed_ms=T0))


def stopped(play: Playbook) -> None:
    play.on(RunFinished(play.now, "r", "SIGTERM"))


def placed(play: Playbook) -> None:
    play.enter()


def rejected(play: Playbook) -> None:
    play.reject(play.enter())


def refused_key(play: Playbook) -> None:
    play.reject(play.enter(), KEY_CODE, "-2015: invalid key")


def opened(play: Playbook) -> None:
    play.opened()


def part_closed(play: Playbook) -> None:
    play.opened()
    play.fill(play.place(Purpose.PARTIAL), 3, 110)


def closed(play: Playbook) -> None:
    play.stopped_out()


def naked(play: Playbook) -> None:
    entry = play.enter()
    play.ack(entry)
    play.fill(entry)
    play.wait(5_000)
    play.timer(TimerKind.STOP_CONFIRMATION, play.position.position_id)


def stuck(play: Playbook) -> None:
    play.opened()
    play.stop_file(Level.FLATTEN)
    play.wait(10 * MINUTE_MS)
    play.close_at(100)


def tripped(play: Playbook) -> None:
    play.opened()
    play.income(-600)


def halted(play: Playbook) -> None:
    play.stop_file()


def away(play: Playbook) -> None:
    play.snapshot_failed()
    play.wait(OUTAGE_MS)
    play.timer(TimerKind.OUTAGE)


def back(play: Playbook) -> None:
    away(play)
    play.snapshot()


def stale(play: Playbook) -> None:
    play.on(FeedReported(play.now, BTC, FeedFault.STALE, is_over=False, text="the last data is 9000 ms old"))


def slow(play: Playbook) -> None:
    for _ in range(3):
        play.on(SubmitAnswered(play.now, "x", Unknown("slow"), 5_000))


def drifted(play: Playbook) -> None:
    play.on(ClockMeasured(play.now, 400, 1))


def differing(play: Playbook) -> None:
    balance = play.book.ledger.balance
    for _ in range(2):
        play.snapshot(balance=Balance("USDT", balance + 7, balance))


def slipped(play: Playbook) -> None:
    entry = play.enter()
    play.fill(entry, price=102)


def failing(play: Playbook) -> None:
    for _ in range(5):
        play.on(LookupFailed(play.now, "x", "timeout"))


def full(play: Playbook) -> None:
    play.on(DiskMeasured(play.now, 100))


def day_over(play: Playbook) -> None:
    play.close_at(100)
    play.wait(DAY_MS)
    play.close_at(100)


def hour_over(play: Playbook) -> None:
    play.close_at(100)
    play.wait(HOUR_MS)
    play.close_at(100)


def degraded(play: Playbook) -> None:
    play.stopped_out()
    play.wait(2 * HOUR_MS)
    play.stopped_out()


def part_failed(play: Playbook) -> None:
    play.on(ComponentFailed(play.now, "market data", "boom", 1, is_over=False))


class Told(NamedTuple):
    """What a rule is told under: key and least severity, and words that its text must have."""

    key: str
    severity: Severity
    words: str = ""


TABLE: dict[str, tuple[Callable[[Playbook], None], Told]] = {
    "started": (started, Told("run:started", Severity.INFO)),
    "stopped": (stopped, Told("run:stopped", Severity.INFO, "flat")),
    "crashed": (crashed, Told("run:crashed", Severity.WARNING, "without a word")),
    "order placed": (placed, Told("entry", Severity.INFO)),
    "order rejected": (rejected, Told("rejected", Severity.WARNING, "margin is insufficient")),
    "authentication failure": (refused_key, Told("key:refused", Severity.CRITICAL, "no entries")),
    "position opened": (opened, Told("opened", Severity.INFO, "stop 95")),
    "position partial": (part_closed, Told("partial", Severity.INFO, "+30.00 USDT, +0.60 R")),
    "position closed with PnL and R": (closed, Told("closed", Severity.INFO, "-50.00 USDT, -1.00 R")),
    "stop not confirmed": (naked, Told("unprotected", Severity.CRITICAL, "closing")),
    "position stuck": (stuck, Told("stuck", Severity.CRITICAL, "closing since 11 min")),
    "limit tripped": (tripped, Told("limit", Severity.WARNING)),
    "kill switch": (halted, Told("control", Severity.CRITICAL, "NO_ENTRY")),
    "venue down": (away, Told("venue:down", Severity.WARNING, "5 min")),
    "venue up": (back, Told("venue:up", Severity.WARNING, "is back")),
    "data stale": (stale, Told("feed:stale", Severity.WARNING, BTC)),
    "slow API": (slow, Told("slow:calls", Severity.WARNING, "5000 ms")),
    "clock drift": (drifted, Told("clock:off", Severity.WARNING, "399 ms")),
    "reconciliation difference": (differing, Told("wallet", Severity.CRITICAL, "10007")),
    "abnormal slippage": (slipped, Told("slippage", Severity.WARNING, "2.00 %")),
    "repeated errors": (failing, Told("errors:blocked", Severity.WARNING, "5 errors")),
    "disk": (full, Told("disk:full", Severity.CRITICAL, "100 MB")),
    "hourly summary": (hour_over, Told("summary:hour", Severity.INFO, "balance 10000.00")),
    "daily summary": (day_over, Told("summary:day", Severity.INFO, "0 trades")),
    "strategy degradation": (degraded, Told("degraded", Severity.WARNING, "0% won, 90% expected")),
    "a part of the engine failed": (part_failed, Told("component", Severity.WARNING, "market data")),
}


def _alerts(rule: str) -> list[AlertRaised]:
    """What the core tells in the story of a rule."""
    tell = TellSettings(daily=True, hourly=True, least_trades=2, expected={"trend": Expected(win_rate_ppm=900_000)})
    limits = without_limits(daily_loss_ppm=50_000, errors_to_block=5)
    play = Playbook(make_settings(tell=tell, exits=PARTS, limits=limits))
    TABLE[rule][0](play)
    return [record for record in play.journal if isinstance(record, AlertRaised)]


@pytest.mark.parametrize("rule", TABLE)
def test_the_core_raises_it_and_it_names_what_to_do(rule: str) -> None:
    """With its key, at least its severity, and the words a person needs."""
    key, severity, words = TABLE[rule][1]
    found = [alert for alert in _alerts(rule) if f"{alert.key}:".startswith(f"{key}:")]
    assert found
    assert severity.rank <= max(alert.severity.rank for alert in found)
    assert any(words in alert.text for alert in found)
    assert rule_of(found[0].key) is not None


def test_every_key_that_is_raised_anywhere_has_a_remedy() -> None:
    """Found in the source: the beginning of each key up to its first variable part."""
    calls = re.compile(r"alert\(\s*(?:[^,]*?,\s*)?f?\"([a-z_]+(?::[A-Za-z_]+)*):?", re.DOTALL)
    keys = {
        match for path in CORE.glob("core/*.py") for match in calls.findall(path.read_text(encoding="utf-8")) if match
    }
    assert {"entry", "limit", "venue:down", "stuck", "closed", "slippage"} <= keys
    assert [] == sorted(key for key in keys if rule_of(key) is None)
    assert all(rule.remedy for rule in RULES.values())
    assert "`trading-engine status`" in remedy_of("something new")


# ── at a receiver ───────────────────────────────────────────────────────────


class Receiver:
    """A local web hook that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Keep test output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"json://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    """One that is told everything, and one for what is critical."""
    both = (Receiver(), Receiver())
    yield both
    for receiver in both:
        receiver.close()


def test_every_rule_reaches_a_receiver(tmp_path: Path, receivers: tuple[Receiver, Receiver]) -> None:
    """From the commit to the message: one after the other, each with what to do; the second hears the critical only."""
    everything, night = receivers
    channels = [Channel(everything.url), Channel(night.url, Severity.CRITICAL)]
    told = {rule: next(a for a in _alerts(rule) if f"{a.key}:".startswith(f"{TABLE[rule][1].key}:")) for rule in TABLE}

    async def deliver() -> None:
        with SqlStore.open(fresh(tmp_path)) as store:
            base = Story(1).begin()
            outbox = store.outbox(AlertRow, lambda: T0)
            worker = OutboxWorker(outbox, channels, now_ms=lambda: T0, throttle_s=0, timeout_s=60)
            records = list(told.values())
            for at in range(0, len(records), 9):  # no digest
                store.commit(replace(base, records=tuple(records[at : at + 9])))
                await worker.run_once()

    send_test(channels, timeout_s=60)  # loads the library, which a busy machine takes its time for
    for receiver in receivers:
        receiver.messages.clear()
    asyncio.run(deliver())
    texts = [message["message"] for message in everything.messages]
    for rule, alert in told.items():
        (message,) = [text for text in texts if text.startswith(alert.text)]
        assert f"→ {remedy_of(alert.key)}" in message, rule
    critical = [alert.text for alert in told.values() if alert.severity is Severity.CRITICAL]
    assert critical == [message["message"].split("\n")[0] for message in night.messages]
