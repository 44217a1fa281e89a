"""Kill the engine and the venue it trades on with SIGKILL again and again, on real sockets; nothing may be lost.

    python tests/e2e/venue_kill_loop.py --venue binance --kills 100 --server-kills 20
    python tests/e2e/venue_kill_loop.py --venue zoomex --kills 100 --server-kills 20 --seed 2 --speed 20 --keep runs/z

The venue is `exchange serve --venue NAME --db FILE` in a process of its own, on a market that is made here: nine
symbols, entries every few minutes, stops, partial exits, trailing, targets, exits on signals, shorts, funding, and
candles too thin to fill an order at once. The engine trades there over REST and websockets, on the server's clock.

A round: start, then die while starting, at a named crash point around a commit, a send, a cancel or an answer, or at
a random moment after things had settled. In some rounds the server dies, at a random moment or around one of its own
commits, alone or together with the engine, and comes back on its file.

While the engine is dead both databases are compared: one accepted entry a position at most, no order at the venue
without a row, none that the engine holds for void, every stop that stood before the kill still standing, audit ok.
Each life that is not cut short must bring both to the last digit: positions, orders, each trade booked once, ledger
equal to the wallet, every open position behind a stop. At the end every position is closed by the STOP file, the
engine ends in order, and opening balance, trades and wallet must add up. Exit 0 if everything held.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from venue_kill_views import (  # noqa: E402 - a script beside this one
    Bare,
    EngineView,
    VenueView,
    Violation,
    bare_stretches,
    check_always,
    cover,
    engine_view,
    unsettled,
    venue_view,
)

from trading_engine.store.audit import audit  # noqa: E402 - as above

POINTS = {  # crash point → the most visits that are counted before it strikes
    "engine.commit.before": 14,
    "engine.commit.inside": 14,
    "engine.commit.after": 14,
    "send.before": 4,
    "send.after": 4,
    "cancel.before": 3,
    "cancel.after": 3,
    "lookup.after": 2,
    "fills.after": 2,
    "snapshot.after": 2,
}
# A kill may come between a fill and the answer about its stop: the audit says so until the next life has settled.
OF_THE_MOMENT = ("no open position without a confirmed stop", "no unresolved order older than its window")
SERVER_POINTS = ("exchange.commit.before", "exchange.commit.inside", "exchange.commit.after")
SYMBOLS = {  # price, decimals of a price, step of a quantity
    "BTCUSDT": (50_000.0, 1, "0.001"),
    "ETHUSDT": (3_000.0, 2, "0.001"),
    "SOLUSDT": (150.0, 2, "0.01"),
    "XRPUSDT": (2.0, 4, "0.1"),
    "LTCUSDT": (100.0, 2, "0.001"),
    "BNBUSDT": (600.0, 2, "0.01"),
    "ADAUSDT": (0.5, 4, "1"),
    "LINKUSDT": (15.0, 3, "0.01"),
    "AVAXUSDT": (25.0, 3, "1"),
}
SWINGS = ("ETHUSDT", "BNBUSDT")  # long and short on crosses; the others long on breakouts
STEPS = {symbol: Decimal(step) for symbol, (_, _, step) in SYMBOLS.items()}
START_MS = 1_735_689_600_000
MINUTE_MS = 60_000
HISTORY = 3_000  # minutes that the server shows as history
PATIENCE_S = 90.0
BARE_S = 5.0  # real seconds without a stop after which the test fails; the engine itself closes after BARE_S - 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    venue: str
    kills: int
    server_kills: int
    seed: int
    speed: float
    slice_s: float
    symbols: tuple[str, ...]

    @property
    def minutes(self) -> int:
        """Candles of the market: history, and a real minute for each kill."""
        return HISTORY * 2 + int((self.kills + self.server_kills) * self.speed)


# ── the market and the configuration ────────────────────────────────────────


def write_market(folder: Path, wanted: Wanted) -> tuple[dict[str, Path], dict[str, Path]]:
    """Candles and funding of every symbol: trends that turn, wide candles, thin ones; files by symbol."""
    candles, funding, minutes = {}, {}, wanted.minutes
    for number, symbol in enumerate(wanted.symbols):
        price, digits, _ = SYMBOLS[symbol]
        rng = np.random.default_rng([wanted.seed, number])
        trend = np.resize(np.repeat([0.0009, -0.0018], [20, 10]), minutes + 30 * number)[30 * number // 4 :][:minutes]
        closes = price * np.exp(np.cumsum(trend + rng.normal(0, 0.0009, minutes)))
        opens = np.concatenate(([price], closes[:-1]))
        highs = np.maximum(opens, closes) * (1 + np.abs(rng.normal(0, 0.0006, minutes)))
        lows = np.minimum(opens, closes) * (1 - np.abs(rng.normal(0, 0.0006, minutes)))
        volumes = 30_000 / price * np.exp(rng.normal(1.5, 1.5, minutes))
        columns = [np.round(column, digits) for column in (opens, highs, lows, closes)]
        lines = ["ts,open,high,low,close,volume"]
        for row, (open_, high, low, close, volume) in enumerate(zip(*columns, volumes, strict=True)):
            prices = ",".join(f"{value:.{digits}f}" for value in (open_, high, low, close))
            lines.append(f"{START_MS + row * MINUTE_MS},{prices},{volume:.3f}")
        candles[symbol] = folder / f"{symbol}.csv"
        candles[symbol].write_text("\n".join(lines) + "\n", encoding="utf-8")
        funding[symbol] = folder / f"{symbol}-funding.csv"
        rates = [f"{START_MS + row * MINUTE_MS},{rng.normal(0, 0.0003):.6f}" for row in range(0, minutes, 15)]
        funding[symbol].write_text("\n".join(["ts,rate", *rates]) + "\n", encoding="utf-8")
    return candles, funding


def write_config(folder: Path, wanted: Wanted, port: int) -> Path:
    """The shipped file of the venue, on this machine's server, with strategies that trade all the time."""
    venue = wanted.venue
    values = yaml.safe_load((ROOT / "configs" / f"{venue}.yaml").read_text(encoding="utf-8"))
    values["credentials"] = {"key": "local-key", "secret": "local-secret"}
    values["venues"][venue] |= {"rest_url": f"http://127.0.0.1:{port}", "ws_url": f"ws://127.0.0.1:{port}"}
    values["symbols"] = list(wanted.symbols)
    breakout = {"atr_period": 3, "range_atr": 0.1, "body_share": 0.1, "breakout_bars": 2, "volume_period": 3}
    breakout |= {"volume_ratio": 0.05, "trend_fast": 2, "trend_slow": 3, "stop_atr": 1.5, "target_atr": 3.0}
    cross = {"fast": 2, "slow": 3, "rsi_low": 1, "rsi_high": 99, "volume_filter": False, "stop_pct": 0.3}
    cross |= {"target_pct": 0.6, "early_exit_on_cross": True, "shorts": True}
    values["strategies"] = [
        {
            "name": "multi_timeframe_long",
            "settings": breakout,
            "symbols": [name for name in wanted.symbols if name not in SWINGS],
        },
        {"name": "trend_vwap", "settings": cross, "symbols": [name for name in wanted.symbols if name in SWINGS]},
    ]
    values["strategies"][1] |= {"partials": True, "trailing": True}
    values["sizing"] = {"risk_pct": 0.2, "max_position_pct": 10}
    values["exits"] = {
        "partials": [{"at_r": 0.6, "share_pct": 30}, {"at_r": 1.2, "share_pct": 30}],
        "trailing": [{"at_r": 0.5, "to_r": 0}, {"at_r": 1, "to_r": 0.4}],
    }
    values["risk"] = {"max_daily_loss_pct": 100, "max_drawdown_pct": 100, "max_consecutive_losses": 0}
    values["risk"] |= {"cooldown_minutes": 0, "max_positions": len(wanted.symbols), "min_balance_pct": 0}
    # A real second is `speed` of the market's: what waits for an answer must wait in real time.
    values["execution"] = {"recv_window_ms": 60_000, "max_send_delay_ms": 60_000, "entry_ttl_ms": 120_000}
    values["execution"] |= {
        "unprotected_timeout_ms": int((BARE_S - 2) * 1000 * wanted.speed),
        "reconcile_interval_s": 120,
    }
    values["kill_switch"] = {"file": str(folder / "STOP"), "action": "block"}
    path = folder / "engine.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


# ── processes ───────────────────────────────────────────────────────────────


@dataclass
class Report:
    """What the loop has seen."""

    kills: Counter[str] = field(default_factory=Counter)
    server_kills: Counter[str] = field(default_factory=Counter)
    settled: int = 0
    survived: int = 0
    audits: int = 0
    covered: int = 0
    longest_s: dict[str, float] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)

    def longest(self, what: str, seconds: float) -> None:
        """Keep the longest of its kind."""
        self.longest_s[what] = max(self.longest_s.get(what, 0.0), seconds)


class Stage:
    """A folder with a market, a server and an engine in it, and what may be done to them."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self.folder, self.speed = folder, wanted.speed
        self.state, self.venue_db = folder / "state", folder / "venue.db"
        self.database = self.state / "engine.db"
        self.port = free_port()
        self.config = write_config(folder, wanted, self.port)
        candles, funding = write_market(folder, wanted)
        self._serve = ["exchange", "serve", "--venue", wanted.venue, "--port", str(self.port)]
        self._serve += ["--speed", str(wanted.speed), "--db", str(self.venue_db)]
        for option, files in (("--replay", candles), ("--funding", funding)):
            for symbol, path in files.items():
                self._serve += [option, f"{symbol}={path}"]
        self.server: subprocess.Popen[bytes] | None = None
        self.engine: subprocess.Popen[bytes] | None = None

    def start_server(self, crash_at: str = "") -> None:
        """Start it and wait until it listens."""
        self.server = self._start(self._serve, "server.log", crash_at)
        self.wait(self._listens, "the server does not listen")

    def start_engine(self, crash_at: str = "") -> None:
        """Start it; it is on its own from here."""
        run = ["run", "--config", str(self.config), "--state", str(self.state)]
        self.engine = self._start(run, "engine.log", crash_at)

    def kill(self, who: str) -> None:
        """SIGKILL, unless it has died at a crash point; Violation where it has ended in another way."""
        process: subprocess.Popen[bytes] = getattr(self, who)
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        code = process.wait(30)
        setattr(self, who, None)
        if code != -signal.SIGKILL:
            raise Violation(f"the {who} ended by itself with {code}:\n{self.tail(who)}")

    def is_dead(self, who: str) -> bool:
        """It has died at a crash point, or was never there."""
        process: subprocess.Popen[bytes] | None = getattr(self, who)
        return process is None or process.poll() is not None

    def now_ms(self) -> int:
        """The server's time, whether it runs or not."""
        kept = json.loads(self.venue_db.with_suffix(".clock.json").read_text(encoding="utf-8"))
        return int(kept["market_ms"] + (time.time() * 1000 - kept["wall_ms"]) * self.speed)

    def views(self) -> tuple[VenueView, EngineView] | None:
        """Both databases, the venue's first; None before the engine has one."""
        venue = venue_view(self.venue_db)
        engine = engine_view(self.database)
        return None if engine is None else (venue, engine)

    def ask(self, *arguments: str) -> tuple[int, Any]:
        """A reading command's exit code and JSON."""
        command = [sys.executable, "-m", "trading_engine", *arguments, "--state", str(self.state), "--json"]
        done = subprocess.run(command, capture_output=True, env=_environment(""), check=False, timeout=300)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            raise Violation(f"{arguments[0]}: exit {done.returncode}: {done.stderr.decode()}") from None

    def tail(self, who: str) -> str:
        """The end of a process's log."""
        return (self.folder / f"{who}.log").read_text(encoding="utf-8", errors="replace")[-4_000:]

    def wait(self, holds: Callable[[], bool], why: str, patience_s: float = PATIENCE_S) -> None:
        """Until `holds`; Violation where that takes too long or a process ends."""
        until = time.monotonic() + patience_s
        while not holds():
            if time.monotonic() > until:
                raise Violation(f"{why} within {patience_s:g} s:\n{self.tail('server')}")
            time.sleep(0.05)

    def end(self) -> None:
        """Leave nothing running."""
        for process in (self.engine, self.server):
            if process is not None:
                process.kill()
                process.wait()

    def _start(self, arguments: list[str], log: str, crash_at: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "trading_engine", *arguments]
        with (self.folder / log).open("ab") as output:
            return subprocess.Popen(command, cwd=self.folder, env=_environment(crash_at), stdout=output, stderr=output)

    def _listens(self) -> bool:
        if self.is_dead("server"):
            raise Violation(f"the server has ended:\n{self.tail('server')}")
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _environment(crash_at: str) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TRADING_ENGINE_CRASH_AT", None)
    return {**environment, "TRADING_ENGINE_CRASH_AT": crash_at} if crash_at else environment


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ── a round ─────────────────────────────────────────────────────────────────


@dataclass
class Loop:
    """The rounds, and what is known between them."""

    stage: Stage
    chance: random.Random
    report: Report
    slice_s: float
    watched: list[tuple[int, int]] = field(default_factory=list)  # server time: settled until killed
    settled_ms: int = 0
    server_point: str = ""

    def start_server(self) -> None:
        """With a crash point in about half of its lives."""
        self.server_point = self.chance.choice((*SERVER_POINTS, "random", "random"))
        count = self.chance.randint(5, 60)
        self.stage.start_server("" if self.server_point == "random" else f"{self.server_point}:{count}")

    def round(self, *, with_server: bool) -> None:
        """One life of the engine, one death, and what the two databases say of it."""
        how = self.chance.choice(("starting", "random", "random", *self.chance.sample(list(POINTS), 4)))
        if not self.report.kills:
            how = "random"
        armed = f"{how}:{self.chance.randint(1, POINTS[how])}" if how in POINTS else ""
        self.settled_ms = 0
        self.stage.start_engine(armed)
        if how == "starting":
            self._let_pass(self.chance.uniform(0.2, 1.0) * self.report.longest_s.get("start to settled", 5.0))
        elif self._settle("start to settled"):
            self.report.settled += 1
            if not self.report.kills:  # the first to die has something to lose
                self._hold()
            if with_server:
                with_server = False
                self._kill_server()
            self._let_pass(self.chance.uniform(0, self.slice_s) + (self.slice_s if armed else 0))
        is_by_itself = self.stage.is_dead("engine")
        self._kill_engine()
        self.report.kills[how if is_by_itself or how not in POINTS else "random"] += 1
        if with_server:  # the engine died first
            self._kill_server()
        self._look_at_the_dead()

    def _hold(self) -> None:
        """Until a position is open at the venue, and both databases agree on it."""
        self.stage.wait(lambda: bool(venue_view(self.stage.venue_db).positions), "nothing was entered")
        self._settle("a position to settled")

    def _let_pass(self, seconds: float) -> None:
        """Wait, or less where a process dies at its crash point; a server that has died comes back."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.stage.is_dead("engine"):
            if self.stage.is_dead("server"):
                self._kill_server()
                self._settle("server back to settled")
            time.sleep(0.02)

    def _settle(self, what: str) -> bool:
        """Until both databases agree to the last digit; False where the engine dies before."""
        begun = time.monotonic()
        begun_ms, reasons = self.stage.now_ms(), ["no database yet"]
        while time.monotonic() - begun < PATIENCE_S:
            if self.stage.is_dead("engine"):
                return False
            if self.stage.is_dead("server"):  # at its crash point
                self._kill_server()
                begun, begun_ms = time.monotonic(), self.stage.now_ms()
            views = self.stage.views()
            if views is not None:
                reasons = unsettled(*views, STEPS)
                if views[1].reconciled_ms < begun_ms:
                    reasons.append("not reconciled yet")
                if not reasons:  # an audit takes a moment: it comes last
                    checks = audit(self.stage.database, views[0].wallet)
                    reasons = [f"audit: {check.name}: {check.detail}" for check in checks if not check.ok]
                if not reasons:
                    self.report.audits += 1
                    self.report.longest(what, time.monotonic() - begun)
                    self.report.covered += len(views[0].positions)
                    self.settled_ms = self.settled_ms or self.stage.now_ms()
                    return True
            time.sleep(0.2)
        raise Violation(f"not settled within {PATIENCE_S:g} s: {'; '.join(reasons)}\n{self.stage.tail('engine')}")

    def _kill_engine(self) -> None:
        now_ms = self.stage.now_ms()
        self.stage.kill("engine")
        self._unwatch(now_ms)

    def _unwatch(self, now_ms: int) -> None:
        if self.settled_ms:
            self.watched.append((self.settled_ms, now_ms))
        self.settled_ms = 0

    def _kill_server(self) -> None:
        """Kill it, or count its death at a crash point; leave it down for a moment; the engine may die meanwhile."""
        self._unwatch(self.stage.now_ms())
        is_by_itself = self.stage.is_dead("server")
        self.stage.kill("server")
        self.report.server_kills[self.server_point if is_by_itself else "random"] += 1
        time.sleep(self.chance.choice((0.0, 0.3, 1.5)))
        if not self.stage.is_dead("engine") and self.chance.random() < 0.3:
            self.stage.kill("engine")
            self.report.kills["with the server"] += 1
            self.start_server()
            self.stage.start_engine()
        else:
            self.start_server()
        if not self.stage.is_dead("engine") and self._settle("server back to settled"):
            self.report.survived += 1

    def _look_at_the_dead(self) -> None:
        """The engine is dead: what is at the venue, what is written here, and whether the stops still stand."""
        found = self.stage.views()
        if found is None:
            return
        venue, engine = found
        check_always(venue, engine)
        before = {name: (item, cover(venue, name, -item["sign"])) for name, item in venue.positions.items()}
        failed = [check for check in audit(self.stage.database) if not check.ok and check.name not in OF_THE_MOMENT]
        if failed:
            raise Violation(f"audit of what the kill has left: {failed}")
        self.report.audits += 1
        after = venue_view(self.stage.venue_db)
        for symbol, (was, guarded) in before.items():
            item = after.positions.get(symbol)
            if item is not None and item["sign"] == was["sign"]:
                still = cover(after, symbol, -item["sign"])
                if still < min(guarded, item["steps"]):
                    raise Violation(f"{symbol}: {item['steps']} steps open, {still} covered while the engine is dead")
        self._check_cover(after)

    def _check_cover(self, venue: VenueView) -> None:
        """While both lived and things had settled, no position was without its stop for longer than the bound."""
        for bare in bare_stretches(venue, self.stage.now_ms()):
            seconds = self._watched_ms(bare) / 1000 / self.stage.speed
            self.report.longest("without a stop", seconds)
            if seconds > BARE_S:
                raise Violation(f"{bare.symbol}: {bare.steps} steps without a stop for {seconds:.1f} s ({bare})")

    def _watched_ms(self, bare: Bare) -> int:
        return max((min(bare.to_ms, end) - max(bare.from_ms, begin) for begin, end in self.watched), default=0)

    # ── the end ─────────────────────────────────────────────────────────────

    def finish(self) -> None:
        """Everything is closed by the STOP file, the engine ends in order, and the money adds up."""
        stage = self.stage
        stage.start_engine()
        self._settle("start to settled")
        (stage.folder / "STOP").write_text("flatten\n", encoding="utf-8")
        stage.wait(self._is_flat, "not flat")
        assert stage.engine is not None
        stage.engine.send_signal(signal.SIGTERM)
        if stage.engine.wait(60):
            raise Violation(f"the engine did not end in order:\n{stage.tail('engine')}")
        stage.engine = None
        found = stage.views()
        assert found is not None
        venue, engine = found
        if reasons := unsettled(venue, engine, STEPS):
            raise Violation(f"at the end: {'; '.join(reasons)}")
        code, told = stage.ask("audit")
        if code or not told["ok"]:
            raise Violation(f"audit: exit {code}: {told}")
        self.report.audits += 1
        self._add_up(venue)

    def _is_flat(self) -> bool:
        found = self.stage.views()
        assert found is not None
        venue, engine = found
        is_closed = all(row["state"] == "CLOSED" for row in engine.positions.values())
        return is_closed and not venue.positions and not unsettled(venue, engine, STEPS)

    def _add_up(self, venue: VenueView) -> None:
        _, trades = self.stage.ask("trades")
        opening = Decimal(10_000)
        nets = [Decimal(trade["net_pnl"]) for trade in trades]
        if opening + sum(nets) != venue.wallet:
            raise Violation(f"opening {opening} and trades {sum(nets)} make {opening + sum(nets)}, not {venue.wallet}")
        reasons = Counter(trade["close_reason"] for trade in trades)
        purposes = Counter(trade["client_order_id"][12:13] or "liquidation" for trade in venue.trades)
        wins = sum(1 for net in nets if net > 0)
        self.report.figures += [
            f"{len(trades)} trades, {wins} won and {len(nets) - wins} lost, {len(venue.trades)} executions,"
            f" {len(venue.orders)} orders",
            f"closed by {', '.join(f'{reason} {count}' for reason, count in reasons.most_common())}",
            f"executions of {', '.join(f'{_PURPOSES[letter]} {count}' for letter, count in purposes.most_common())}",
            f"opening {opening} + trades {sum(nets)} = wallet {venue.wallet} = ledger",
        ]


_PURPOSES = {"e": "entries", "s": "stops", "t": "targets", "p": "partials", "x": "exits", "liquidation": "liquidations"}


def loop(stage: Stage, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """Kill the engine and the server as often as it is wanted, then end in order."""
    kills, server_kills = wanted.kills, wanted.server_kills
    work = Loop(stage, random.Random(wanted.seed), Report(), wanted.slice_s)
    begun = time.monotonic()
    work.start_server()
    while (done := sum(work.report.kills.values())) < kills or sum(work.report.server_kills.values()) < server_kills:
        due = sum(work.report.server_kills.values()) * kills < server_kills * (done + 1)
        work.round(with_server=due and sum(work.report.server_kills.values()) < server_kills)
        died = sum(work.report.server_kills.values())
        tell(f"{time.monotonic() - begun:6.0f} s  {sum(work.report.kills.values())} kills, {died} of the server")
    work.finish()
    return work.report


@contextmanager
def staged(folder: Path | None, wanted: Wanted) -> Iterator[Stage]:
    """A stage in a folder that is kept, or in one that goes away."""
    where = Path(tempfile.mkdtemp(prefix=f"venue-kill-{wanted.venue}-")) if folder is None else folder.absolute()
    where.mkdir(parents=True, exist_ok=True)
    stage = Stage(where, wanted)
    try:
        yield stage
    finally:
        stage.end()
        if folder is None:
            shutil.rmtree(where, ignore_errors=True)


def show(report: Report, seconds: float) -> None:
    """The summary."""
    kills, server_kills = sum(report.kills.values()), sum(report.server_kills.values())
    print(f"{kills} kills of the engine and {server_kills} of the server in {seconds:.0f} s")
    print(f"{report.settled} lives and {report.survived} returns of the server settled to the last digit")
    print(f"{report.covered} open positions seen then, each covered by its stop; {report.audits} audits ok")
    for line in report.figures:
        print(line)
    for what, longest in sorted(report.longest_s.items()):
        print(f"longest {what}: {longest:.2f} s")
    for name, counts in (("engine", report.kills), ("server", report.server_kills)):
        for point, count in sorted(counts.items()):
            print(f"  {name} {point:24} {count}")


def main() -> int:
    """Parse, loop, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venue", required=True, choices=("binance", "bingx", "zoomex"))
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--server-kills", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=20.0, help="market seconds in a real one")
    parser.add_argument("--slice", type=float, default=8.0, help="longest life after things have settled, seconds")
    parser.add_argument("--symbols", type=int, default=len(SYMBOLS), help="how many are traded")
    parser.add_argument("--keep", type=Path, help="work in this folder, which must be new, and leave it")
    parser.add_argument("--progress", action="store_true", help="a line after each round")
    chosen = parser.parse_args()
    begun = time.monotonic()
    wanted = Wanted(
        chosen.venue,
        chosen.kills,
        chosen.server_kills,
        chosen.seed,
        chosen.speed,
        chosen.slice,
        tuple(SYMBOLS)[: max(chosen.symbols, 2)],  # one for each strategy at least
    )
    tell = print if chosen.progress else (lambda _: None)
    with staged(chosen.keep, wanted) as stage:
        try:
            report = loop(stage, wanted, tell)
        except Violation as violation:
            print(f"VIOLATION on {chosen.venue}, seed {chosen.seed}: {violation}", file=sys.stderr)
            return 1
    show(report, time.monotonic() - begun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
