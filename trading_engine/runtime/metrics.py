"""`/metrics`, `/healthz` and `/readyz` for a monitor on this machine.

What belongs here: the figures by the names that a monitor knows, and serving them on 127.0.0.1. What does not: what
they are computed from (status, telemetry, health).

The libraries are imported where it is switched on: they take a tenth of a second and five megabytes. Everything is
read from values that never change, so a scrape never waits for the engine, and the engine never for a scrape.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from trading_engine.core.state import EngineState
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import SECOND_MS
from trading_engine.ports import Checkpoint
from trading_engine.runtime.health import Health
from trading_engine.runtime.supervise import RUNNING, Component
from trading_engine.runtime.telemetry import Telemetry

HOST = "127.0.0.1"
_PREFIX = "trading_engine_"
_JSON = "application/json"


class Figures:
    """A collector: the engine's figures at the moment of a scrape."""

    def __init__(
        self,
        labels: Mapping[str, str],
        state: Callable[[], EngineState],
        checkpoint: Callable[[], Checkpoint],
        telemetry: Telemetry,
        components: Callable[[], tuple[Component, ...]],
    ) -> None:
        self._labels = labels
        self._state = state
        self._checkpoint = checkpoint
        self._telemetry = telemetry
        self._components = components

    def collect(self) -> Iterator[Metric]:
        """Every family, once."""
        state, seen = self._state(), self._checkpoint()
        yield _gauge("info", "Version, mode, venue and account of this run.", 1, self._labels)
        yield from self._money(state, seen)
        yield from self._standing(state, seen)
        yield from self._process()

    def _money(self, state: EngineState, seen: Checkpoint) -> Iterator[Metric]:
        ledger, unrealized = state.book.ledger, Decimal(seen.unrealized)
        peak = ledger.start_balance + ledger.peak
        below = (ledger.performance - ledger.peak) * 100 / peak if peak > 0 else 0
        yield _gauge("balance", "Settled money of the account.", ledger.balance)
        yield _gauge("equity", "Balance and open profit and loss.", ledger.balance + unrealized)
        yield _gauge("unrealized_pnl", "Open profit and loss at the last closes.", unrealized)
        yield _gauge("drawdown_percent", "Realized equity below its peak, negative.", below)
        if ledger.days:
            yield _gauge("realized_pnl_today", "Result of the newest trading day, net.", ledger.days[-1].realized)

    def _standing(self, state: EngineState, seen: Checkpoint) -> Iterator[Metric]:
        book, market = state.book, state.market
        live = [order for order in book.orders.values() if order.is_live]
        yield _gauge(
            "open_positions", "Positions with exposure.", sum(1 for p in book.positions.values() if p.quantity)
        )
        yield _gauge("live_orders", "Orders that may still fill.", len(live))
        unresolved = sum(1 for order in live if order.state.is_unresolved)
        yield _gauge("unresolved_orders", "Orders whose outcome is not known yet.", unresolved)
        yield _gauge("kill_switch", "0 RUN, 1 NO_ENTRY, 2 FLATTEN, 3 LOCKED.", book.control.level.rank)
        yield _gauge("synced", "1 while the account was compared since the last break.", int(market.is_synced))
        gates = GaugeMetricFamily(f"{_PREFIX}may_enter", "1 where entries are possible.", labels=["symbol"])
        for gate in seen.gates:
            gates.add_metric([gate.symbol], int(gate.ok))
        yield gates
        used = GaugeMetricFamily(
            f"{_PREFIX}limit_used_percent", "How much of a limit is used.", labels=["limit", "scope"]
        )
        tripped = GaugeMetricFamily(
            f"{_PREFIX}limit_tripped", "1 while a limit forbids entries.", labels=["limit", "scope"]
        )
        for item in seen.limits:
            used.add_metric([item.limit, item.scope], float(item.used_pct))
            tripped.add_metric([item.limit, item.scope], int(item.tripped))
        yield used
        yield tripped
        for name, at_ms in (
            ("candle", seen.cursor_ms),
            ("decision", seen.decided_ms),
            ("reconcile", seen.reconciled_ms),
        ):
            yield _gauge(
                f"last_{name}_timestamp_seconds", f"When the last {name} was, by the engine.", at_ms / SECOND_MS
            )

    def _process(self) -> Iterator[Metric]:
        calls = SummaryMetricFamily(f"{_PREFIX}call_ms", "How long the venue took to answer.", labels=["call"])
        for kind, series in sorted(self._telemetry.calls.items()):
            calls.add_metric([kind], series.count, series.total)
        yield calls
        commits = self._telemetry.commits
        yield SummaryMetricFamily(f"{_PREFIX}commit_ms", "How long commits took.", commits.count, commits.total)
        up = GaugeMetricFamily(f"{_PREFIX}component_up", "1 while a part runs.", labels=["component"])
        failures = CounterMetricFamily(f"{_PREFIX}component_failures", "How often a part failed.", labels=["component"])
        for component in self._components():
            up.add_metric([component.name], int(component.state == RUNNING))
            failures.add_metric([component.name], component.failures)
        yield up
        yield failures


def _gauge(name: str, text: str, value: Any, labels: Mapping[str, str] | None = None) -> Metric:
    names = labels or {}
    family = GaugeMetricFamily(_PREFIX + name, text, labels=list(names))
    family.add_metric(list(names.values()), float(value))
    return family


class MetricsServer:
    """Serves them until cancelled. `port` 0 takes any; `bound_port` is the one it has."""

    def __init__(self, port: int, figures: Figures, health: Callable[[], Health]) -> None:
        self._port = port
        self._health = health
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(figures)
        ProcessCollector(registry=self._registry)
        self.bound_port = 0

    async def open(self) -> web.AppRunner:
        """Listen; ConfigInvalid where the port is taken."""
        app = web.Application(client_max_size=1_024)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigInvalid(
                f"metrics.port = {self._port} cannot be listened on ({error.strerror}); choose another"
            ) from None
        self.bound_port = runner.addresses[0][1]
        return runner

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer(self._health(), is_ok=self._health().is_alive)

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self._health(), is_ok=self._health().is_ready)


def _answer(health: Health, *, is_ok: bool) -> web.Response:
    return web.Response(text=json.dumps(health.row()), status=200 if is_ok else 503, content_type=_JSON)
