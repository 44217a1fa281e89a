"""What the engine's database and a local venue server's own tell of one moment, and what must hold between them.

What belongs here: reading both files, the comparisons, and the time line of a position's cover. What does not:
processes and kills (venue_kill_loop).
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

Row = dict[str, Any]

OPEN = ("new", "working")
GUARDS = ("stop_market", "market")  # what reduces whatever the price does
ENTRY_LETTER = "e"
# Nobody but the engine trades here: a row of these kinds says that it took something of its own for a stranger's.
NEVER = ("wallet", "pnl", "position", "unknown_origin", "other_epoch", "foreign_order", "foreign_position")


class Violation(AssertionError):
    """Something that must hold did not."""


@dataclass(frozen=True, slots=True)
class VenueView:
    """The server's truth: `orders` by client order id, `trades` in their order, `positions` by symbol."""

    orders: dict[str, Row]
    trades: list[Row]
    positions: dict[str, Row]
    wallet: Decimal

    @property
    def traded(self) -> Counter[str]:
        """Steps traded by client order id."""
        found: Counter[str] = Counter()
        for trade in self.trades:
            found[trade["client_order_id"]] += trade["steps"]
        return found


@dataclass(frozen=True, slots=True)
class EngineView:
    """The engine's rows: `orders` and `positions` by their ids, `fills` as (order id, quantity)."""

    orders: dict[str, Row]
    positions: dict[str, Row]
    fills: list[tuple[str, Decimal]]
    ledger: Decimal
    adjustments: int
    differences: Counter[str]
    runs: int
    reconciled_ms: int
    level: str
    frozen: str

    def held(self) -> dict[str, Decimal]:
        """Signed quantity by symbol."""
        return {
            row["symbol"]: Decimal(row["quantity"]) * (1 if row["side"] == "long" else -1)
            for row in self.positions.values()
            if Decimal(row["quantity"])
        }


def venue_view(path: Path) -> VenueView:
    """One moment of the server's file."""
    with closing(_reader(path)) as connection:
        connection.execute("BEGIN")
        orders = [json.loads(body) for (body,) in connection.execute("SELECT body FROM orders")]
        trades = [json.loads(body) for (body,) in connection.execute("SELECT body FROM trades ORDER BY number")]
        positions = [json.loads(body) for (body,) in connection.execute("SELECT position FROM symbols")]
        ((progress,),) = connection.execute("SELECT body FROM progress").fetchall()
    return VenueView(
        {order["client_order_id"]: order for order in orders},
        trades,
        {item["symbol"]: item for item in positions if item["sign"]},
        Decimal(json.loads(progress)["wallet_e8"]).scaleb(-8),
    )


def engine_view(path: Path) -> EngineView | None:
    """One moment of the engine's database; None before it has one."""
    if not path.exists():
        return None
    with closing(_reader(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        orders = connection.execute("SELECT * FROM orders").fetchall()
        positions = connection.execute("SELECT * FROM positions").fetchall()
        fills = connection.execute("SELECT client_order_id, quantity FROM fills").fetchall()
        amounts = connection.execute("SELECT kind, amount FROM pnl").fetchall()
        journal = connection.execute("SELECT payload FROM journal WHERE kind = 'DifferenceFound'").fetchall()
        (control,) = connection.execute("SELECT level, frozen, checkpoint FROM control").fetchall()
        (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    seen = json.loads(control["checkpoint"] or "null") or {}
    return EngineView(
        {row["client_order_id"]: dict(row) for row in orders},
        {row["position_id"]: dict(row) for row in positions},
        [(row["client_order_id"], Decimal(row["quantity"])) for row in fills],
        sum((Decimal(row["amount"]) for row in amounts), Decimal(0)),
        sum(1 for row in amounts if row["kind"] == "adjustment"),
        Counter(json.loads(row["payload"])["kind"] for row in journal),
        runs,
        seen.get("reconciled_ms", 0),
        control["level"],
        control["frozen"],
    )


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)


# ── what holds at every moment ──────────────────────────────────────────────


def check_always(venue: VenueView, engine: EngineView) -> None:
    """What no kill may break, whoever lives: Violation where it is broken. `venue` was read before `engine`."""
    entries = Counter(name[:12] for name in venue.orders if name[12] == ENTRY_LETTER)
    doubled = [position for position, count in entries.items() if count > 1]
    if doubled:
        raise Violation(f"more than one accepted entry for the positions of {doubled}")
    strangers = sorted(set(venue.orders) - set(engine.orders))
    if strangers:
        raise Violation(f"orders at the venue without a row: {strangers}")
    for name, order in venue.orders.items():
        state = engine.orders[name]["state"]
        if state == "VOID" or (state == "REJECTED" and order["filled"]):
            raise Violation(f"{name} is {state} here and {order['status']} at the venue, filled {order['filled']}")
    confirmed = ("ACKED", "PARTIAL", "FILLED", "CANCELED", "EXPIRED")
    lost = [name for name, row in engine.orders.items() if row["state"] in confirmed and name not in venue.orders]
    if lost:
        raise Violation(f"the venue knows nothing of {lost}")
    times = [trade["ts_ms"] for trade in venue.trades]
    if times != sorted(times):
        raise Violation("the server's trades are not in the order of their times")
    _check_peace(engine)


def _check_peace(engine: EngineView) -> None:
    """Nobody else trades: nothing is frozen, locked, adjusted or taken for foreign."""
    if engine.level != "RUN" or engine.frozen not in ("", "{}"):
        raise Violation(f"the engine has stopped itself: {engine.level}, frozen {engine.frozen}")
    if engine.adjustments:
        raise Violation(f"{engine.adjustments} bookings were taken for a stranger's")
    odd = {kind: engine.differences[kind] for kind in NEVER if engine.differences[kind]}
    if odd:
        raise Violation(f"differences that nobody but the engine can have made: {odd}")


# ── what holds once things have settled ─────────────────────────────────────


def unsettled(venue: VenueView, engine: EngineView, steps: dict[str, Decimal]) -> list[str]:
    """Why the two do not agree to the last digit at this moment; `steps` are the symbols' quantity steps."""
    reasons = []
    theirs = {name: item["sign"] * item["steps"] * steps[name] for name, item in venue.positions.items()}
    ours = engine.held()
    if theirs != ours:
        reasons.append(f"positions {ours}, at the venue {theirs}")
    if venue.wallet != engine.ledger:
        reasons.append(f"ledger {engine.ledger}, wallet {venue.wallet}")
    booked: Counter[str] = Counter()
    for name, quantity in engine.fills:
        booked[name] += int(quantity / steps[engine.orders[name]["symbol"]])
    if len(engine.fills) != len(venue.trades) or booked != venue.traded:
        reasons.append(f"{len(engine.fills)} fills booked, {len(venue.trades)} trades at the venue")
    open_there = {name for name, order in venue.orders.items() if order["status"] in OPEN}
    live_here = {
        name for name, row in engine.orders.items() if row["state"] in ("INTENT", "UNKNOWN", "ACKED", "PARTIAL")
    }
    if open_there != live_here:
        reasons.append(f"orders live here {sorted(live_here - open_there)}, there {sorted(open_there - live_here)}")
    reasons += [f"{name}: {left} steps without a stop" for name, left in uncovered(venue).items()]
    return reasons


def uncovered(venue: VenueView) -> dict[str, int]:
    """Open steps by symbol that no reduce-only stop or closing order covers."""
    found = {}
    for symbol, position in venue.positions.items():
        left = position["steps"] - cover(venue, symbol, -position["sign"])
        if left > 0:
            found[symbol] = left
    return found


def cover(venue: VenueView, symbol: str, sign: int) -> int:
    """Steps that open reduce-only orders of one direction would close, whatever the price does."""
    return sum(
        order["steps"] - order["filled"]
        for order in venue.orders.values()
        if order["symbol"] == symbol
        and order["status"] in OPEN
        and order["reduce_only"]
        and order["kind"] in GUARDS
        and order["sign"] == sign
    )


# ── the cover of positions over time ────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Bare:
    """A stretch of server time in which part of a position had no stop."""

    symbol: str
    from_ms: int
    to_ms: int
    steps: int


@dataclass(slots=True)
class _Line:
    """One symbol while its past is gone through: signed position, and what is left of each guard."""

    position: int = 0
    guards: dict[str, int] = field(default_factory=dict)

    def bare(self, signs: dict[str, int]) -> int:
        guarded = sum(left for name, left in self.guards.items() if signs[name] * self.position < 0)
        return max(abs(self.position) - guarded, 0)


def bare_stretches(venue: VenueView, now_ms: int) -> list[Bare]:
    """Every stretch without full cover up to now, from the orders' and trades' own times."""
    return [
        bare
        for symbol in sorted({trade["symbol"] for trade in venue.trades})
        for bare in _bare_of(venue, symbol, now_ms)
    ]


def _bare_of(venue: VenueView, symbol: str, now_ms: int) -> list[Bare]:
    guards = [
        order
        for order in venue.orders.values()
        if order["symbol"] == symbol and order["reduce_only"] and order["kind"] in GUARDS
    ]
    signs = {order["client_order_id"]: order["sign"] for order in guards}
    # At one instant an order first comes, then trades, then ends.
    events: list[tuple[int, int, int, Row]] = [(order["created_ms"], 0, order["number"], order) for order in guards]
    events += [(row["ts_ms"], 1, row["number"], row) for row in venue.trades if row["symbol"] == symbol]
    events += [(order["updated_ms"], 2, order["number"], order) for order in guards if order["status"] not in OPEN]
    line, found = _Line(), []
    since_ms = steps = 0
    for at_ms, what, _, row in [*sorted(events, key=lambda event: event[:3]), (now_ms, 3, 0, {})]:
        if steps and at_ms > since_ms:
            found.append(Bare(symbol, since_ms, at_ms, steps))
        name = row.get("client_order_id", "")
        if what == 0:
            line.guards[name] = row["steps"]
        elif what == 1:
            line.position += row["sign"] * row["steps"]
            if name in line.guards:
                line.guards[name] -= row["steps"]
        elif what == 2:
            line.guards.pop(name, None)
        since_ms, steps = at_ms, line.bare(signs)
    return _joined(found)


def _joined(stretches: Iterable[Bare]) -> list[Bare]:
    """Stretches without a pause between them as one, with the most that was bare in it."""
    joined: list[Bare] = []
    for bare in stretches:
        last = joined[-1] if joined else None
        if last is not None and last.to_ms == bare.from_ms:
            joined[-1] = Bare(bare.symbol, last.from_ms, bare.to_ms, max(last.steps, bare.steps))
        else:
            joined.append(bare)
    return joined
