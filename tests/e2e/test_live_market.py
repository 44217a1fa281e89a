"""Live market data end to end: paper at a venue without a key, and a stream that falls silent under a live engine."""

import csv
import json
import signal
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from e2e_tools import (
    NO_LIMITS,
    START_MS,
    STRATEGY,
    SYMBOL,
    ask,
    audit_failures,
    eventually,
    query,
    running,
    write_config,
)

from trading_engine.domain.time import MINUTE_MS, iso, parse_iso

ROWS = 1_200  # the server shows the first half as history
CYCLE = 4  # minutes from one breakout to the next: whenever an engine is ready, one is not far
PAPER_SPEED = 40
LIVE_SPEED = 15
TARGET_MINUTES = CYCLE + 2  # from one breakout to behind the next


def write_cycles(path: Path) -> dict[int, Decimal]:
    """A market that breaks out every few minutes and thereby reaches the target of the breakout before; its opens."""
    price, opens = 100.0, {}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "open", "high", "low", "close", "volume"])
        for minute in range(ROWS):
            is_breakout = minute % CYCLE == CYCLE - 1
            change = 1.008 if is_breakout else 0.998 if minute % CYCLE == 0 else 1.0002
            close = round(price * change, 2)
            ends = f"{max(price, close) + 0.01:.2f}", f"{min(price, close) - 0.01:.2f}"
            opens[START_MS + minute * MINUTE_MS] = Decimal(f"{price:.2f}")
            volume = 50_000 if is_breakout else 1_000
            writer.writerow([START_MS + minute * MINUTE_MS, f"{price:.2f}", *ends, f"{close:.2f}", volume])
            price = close
    return opens


def write_engine(folder: Path, port: int, **changes: Any) -> Path:
    """The staged strategy at a server on this machine; it wants the next breakout and no more."""
    settings = {**STRATEGY["settings"], "breakout_bars": 3, "target_atr": 1}
    strategy = {"name": STRATEGY["name"], "settings": settings, "partials": False, "trailing": False}
    here = {"rest_url": f"http://127.0.0.1:{port}", "ws_url": f"ws://127.0.0.1:{port}"}
    return write_config(
        folder, venue="binance", strategies=[strategy], venues={"binance": here}, risk=dict(NO_LIMITS), **changes
    )


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(folder: Path, port: int, speed: int, *options: str) -> Iterator[None]:
    """A server of the cycles, for as long as the test needs it."""
    arguments = ["exchange", "serve", "--venue", "binance", "--port", str(port), "--speed", str(speed)]
    with running([*arguments, "--replay", f"{SYMBOL}={folder / 'market.csv'}", *options]) as server:
        eventually(lambda: is_listening(port), server)
        yield


def is_listening(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def market_ms(port: int) -> int:
    """The server's clock."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/local-venue/clock", timeout=5) as answer:
        return int(json.load(answer)["now_ms"])


def logged(state: Path, begin: str) -> list[str]:
    """What the engine has logged with this beginning, without it."""
    lines = (state / "logs" / "engine.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [_message(json.loads(line)) for line in lines]
    return [text.removeprefix(begin) for text in texts if text.startswith(begin)]


def _message(entry: Mapping[str, Any]) -> str:
    return str(entry.get("message", ""))


def minutes_played(state: Path) -> list[int]:
    """Open times of the candles that were handed to the driver, in order."""
    return [parse_iso(text.split(": ")[0]) for text in logged(state, "candles of ")]


def alerts(state: Path, key: str) -> list[tuple[Any, ...]]:
    return query(state, f"SELECT severity, text FROM alert_outbox WHERE key = '{key}' ORDER BY id")


def test_paper_at_a_venue_trades_without_a_key_and_catches_up_after_a_kill(tmp_path: Path) -> None:
    """Filled at the next open; killed behind its stop; what passed meanwhile is matched before it reconciles."""
    port, state = free_port(), tmp_path / "state"
    opens = write_cycles(tmp_path / "market.csv")
    paper = {"balance": 10_000, "range_share_pct": 5}
    config = write_engine(tmp_path, port, logging={"level": "DEBUG"}, paper=paper)
    run = ["run", "--config", config, "--state", state]
    with served(tmp_path, port, PAPER_SPEED):
        with running(run) as engine:
            stopped = "SELECT 1 FROM orders WHERE purpose = 'stop' AND state = 'ACKED'"
            eventually(lambda: query(state, stopped), engine)
            engine.kill()
            engine.communicate()
        (held,) = query(state, "SELECT position_id FROM positions WHERE state = 'OPEN'")
        before = minutes_played(state)
        goal_ms = before[-1] + TARGET_MINUTES * MINUTE_MS
        while market_ms(port) < goal_ms:  # the market goes on without us
            signal.sigtimedwait([], 0.2)
        with running(run) as engine:
            another = f"SELECT 1 FROM positions WHERE state = 'OPEN' AND position_id <> '{held[0]}'"
            eventually(lambda: query(state, another), engine)
            engine.send_signal(signal.SIGTERM)
            _, told = engine.communicate(timeout=60)
            assert 0 == engine.returncode, told
    assert [] == audit_failures(state)
    _is_complete(state, before)
    _is_filled_at_the_next_open(state, opens)
    ((exit_ms, reason),) = query(
        state,
        "SELECT fills.ts, positions.close_reason FROM fills JOIN positions USING (position_id)"
        f" WHERE position_id = '{held[0]}' AND fills.side = 'sell'",
    )
    assert ("target", True) == (reason, before[-1] < exit_ms <= goal_ms)
    assert 2 == len(logged(state, "paper.range_share_pct = 5 has no effect with paper.slippage = fixed"))


def _is_complete(state: Path, before: list[int]) -> None:
    """No minute is missing or doubled: played by the one process, matched at the start, played by the other."""
    played = minutes_played(state)
    after = played[len(before) :]
    for part in (before, after):
        assert list(range(part[0], part[-1] + 1, MINUTE_MS)) == part
    (told,) = logged(state, "matching the ")
    count, since = told.split(" minutes since ")
    assert parse_iso(since) in (before[-1], before[-1] + MINUTE_MS, before[-1] - MINUTE_MS)
    assert after[0] == parse_iso(since) + int(count) * MINUTE_MS


def _is_filled_at_the_next_open(state: Path, opens: Mapping[int, Decimal]) -> None:
    """As on recorded candles: an entry decided on a close trades at the open of the candle after it, and slips."""
    entries = query(
        state,
        "SELECT fills.ts, fills.price FROM fills JOIN orders USING (client_order_id) WHERE orders.purpose = 'entry'",
    )
    assert entries
    for ts_ms, price in entries:
        open_price = opens[ts_ms]
        assert open_price < Decimal(price) <= open_price * Decimal("1.0005") + Decimal("0.01"), iso(ts_ms)


def test_a_stream_that_falls_silent_blocks_entries_until_it_speaks_again(tmp_path: Path) -> None:
    """History still answers; a connection that is open proves nothing."""
    port, state = free_port(), tmp_path / "state"
    write_cycles(tmp_path / "market.csv")
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {site: stream.market, fault: silent, visits: [3]}\n", encoding="utf-8")
    keys = {"key": "local-key", "secret": "local-secret"}
    config = write_engine(tmp_path, port, mode="testnet", credentials=keys)
    with (
        served(tmp_path, port, LIVE_SPEED, "--faults", str(faults)),
        running(["run", "--config", config, "--state", state]) as engine,
    ):
        eventually(lambda: alerts(state, "feed:stale"), engine)
        reasons = _reasons(state)
        assert [reason for reason in reasons if reason.startswith("market data is stale since ")], reasons
        (begun,) = alerts(state, "feed:stale")
        assert ("warning", True) == (begun[0], begun[1].startswith(f"market data is stale, no entries on {SYMBOL}"))
        eventually(lambda: len(alerts(state, "feed:stale")) > 1, engine)
        assert ("info", f"market data is fresh again on {SYMBOL}") == alerts(state, "feed:stale")[1]
        eventually(lambda: not [reason for reason in _reasons(state) if "stale" in reason], engine)
        engine.send_signal(signal.SIGTERM)
        _, told = engine.communicate(timeout=60)
        assert 0 == engine.returncode, told
    assert [] == audit_failures(state)


def _reasons(state: Path) -> list[str]:
    """What `status` says against entries."""
    return [reason for gate in ask("status", state)["gates"] for reason in gate["reasons"]]
