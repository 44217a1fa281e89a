"""What a recording of Binance USDⓈ-M holds as a whole, found out before it is played.

What belongs here: symbols and their ticks, the candles of the tape, how far numbers reach, the venue's clock against
the recorder's. What does not: playing (binance), reading files (tape).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

import msgspec

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.venue_servers.playback.binance_frames import SNAPSHOT, Recorded, Shift, recorded
from trading_engine.venue_servers.playback.tape import Tape
from trading_engine.venues.embedded.facts import DEFAULT_MAINTENANCE_RATE, known_instrument, single_tier
from trading_engine.venues.wire.units import Units

_E8 = Decimal("0.00000001")
_UNITS = Units(_E8)
_MIN_NOTIONAL = Decimal(5)
_MOST_LEVERAGE = Decimal(75)
_MOST_STEPS = 100_000_000
KLINE = "kline_1m"
_UPDATES_APART = 1_000  # between the last number of a turn and the first of the next


class _Snapshot(msgspec.Struct):
    last_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Kline(msgspec.Struct):
    t: int
    i: str
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the venue's name
    c: Decimal
    v: Decimal


@dataclass(slots=True)
class Facts:
    """One recorded symbol.

    candles    by open time: the minutes of one turn; the first and the last as far as they were recorded, or, of an
               endless tape, made whole by each other
    snapshot   the first one of the book, None where none was recorded
    shift      what each turn adds
    """

    instrument: Instrument
    topics: frozenset[str]
    candles: Mapping[int, Candle]
    snapshot: bytes | None
    shift: Shift


@dataclass(frozen=True, slots=True)
class Contents:
    """All symbols, by name; which symbol a file is about; what the venue's clock was ahead of the recorder's."""

    symbols: Mapping[str, Facts]
    symbol_of_file: Mapping[int, str]
    ahead_ms: int
    ignored: int


@dataclass(slots=True)
class _Symbol:
    """What is gathered of a symbol, in 1e-8; rows of minutes are open, high, low, close, volume, by their source."""

    topics: set[str] = field(default_factory=set)
    price_unit: int = 0
    quantity_unit: int = 0
    rows: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    snapshot: bytes | None = None
    updates: list[int] = field(default_factory=lambda: [0, 0])
    trades: list[int] = field(default_factory=lambda: [0, 0])
    agg_trades: list[int] = field(default_factory=lambda: [0, 0])


def contents(tape: Tape) -> Contents:
    """Read a tape once. ConfigInvalid where it holds no stream of this venue."""
    symbols: dict[str, _Symbol] = {}
    files: dict[int, str] = {}
    early: list[tuple[int, bytes]] = []  # snapshots of files whose symbol is not known yet
    ahead_ms: int | None = None
    ignored = 0
    for frame in tape.frames():
        event = recorded(frame.raw)
        if event is None:
            if frame.raw.startswith(SNAPSHOT):
                early.append((frame.file, frame.raw))
            else:
                ignored += 1
            continue
        files.setdefault(frame.file, event.symbol)
        _gather(symbols.setdefault(event.symbol, _Symbol()), event)
        sent_ms = event.number("E") - frame.receive_ms
        ahead_ms = sent_ms if ahead_ms is None else max(ahead_ms, sent_ms)
    if ahead_ms is None:
        names = ", ".join(str(path) for path in tape.paths)
        raise ConfigInvalid(f"{names}: holds no combined stream of Binance USDⓈ-M")
    for file, raw in early:
        one = symbols.get(files.get(file, ""))
        if one is not None:
            one.snapshot = one.snapshot or raw
            _snapshot(one, msgspec.json.decode(raw, type=_Snapshot))
    start_ms = tape.first_ms + ahead_ms
    found = {name: _facts(name, one, tape.turn_ms, start_ms) for name, one in sorted(symbols.items())}
    return Contents(found, files, ahead_ms, ignored)


def _gather(one: _Symbol, event: Recorded) -> None:
    one.topics.add(event.topic)
    match event.kind:
        case "trade":
            _reach(one.trades, event.number("t"))
            if event.text("X") in ("", "MARKET"):
                _trade(one, event)
        case "aggTrade":
            _reach(one.agg_trades, event.number("a"))
            _trade(one, event)
        case "depthUpdate":
            _reach(one.updates, event.number("u"), event.number("pu"))
        case "bookTicker":
            _reach(one.updates, event.number("u"))
            one.price_unit = math.gcd(one.price_unit, _UNITS[event.text("b")], _UNITS[event.text("a")])
            one.quantity_unit = math.gcd(one.quantity_unit, _UNITS[event.text("B")], _UNITS[event.text("A")])
        case "kline":
            _kline(one, event)


def _trade(one: _Symbol, event: Recorded) -> None:
    price, quantity = _UNITS[event.text("p")], _UNITS[event.text("q")]
    if not quantity:
        return
    one.price_unit, one.quantity_unit = math.gcd(one.price_unit, price), math.gcd(one.quantity_unit, quantity)
    open_ms = floor_to(event.number("T"), MINUTE_MS)
    row = one.rows.setdefault(event.kind, {}).setdefault(open_ms, [price, price, price, price, 0])
    row[1], row[2], row[3], row[4] = max(row[1], price), min(row[2], price), price, row[4] + quantity


def _kline(one: _Symbol, event: Recorded) -> None:
    """The last word on each candle is kept."""
    if event.topic != KLINE:
        return
    kline = msgspec.json.decode(event.fields["k"], type=_Kline)
    row = [money.exact_units(value, _E8) for value in (kline.o, kline.h, kline.l, kline.c, kline.v)]
    one.rows.setdefault(event.kind, {})[kline.t] = row
    one.price_unit, one.quantity_unit = math.gcd(one.price_unit, *row[:4]), math.gcd(one.quantity_unit, row[4])


def _snapshot(one: _Symbol, book: _Snapshot) -> None:
    _reach(one.updates, book.last_id)
    for price, quantity in (*book.bids, *book.asks):
        one.price_unit = math.gcd(one.price_unit, _UNITS[price])
        one.quantity_unit = math.gcd(one.quantity_unit, _UNITS[quantity])


def _reach(span: list[int], *numbers: int) -> None:
    """Widen the span [lowest, highest] of numbers that were seen; 0 is none."""
    for number in numbers:
        if number:
            span[0] = min(span[0] or number, number)
            span[1] = max(span[1], number)


def _facts(name: str, one: _Symbol, turn_ms: int, start_ms: int) -> Facts:
    instrument = _instrument(name, one)
    tick, step = money.exact_units(instrument.tick, _E8), money.exact_units(instrument.step, _E8)
    # Candles of the venue itself count more than those built here.
    source = next((kind for kind in ("kline", "trade", "aggTrade") if kind in one.rows), "")
    rows = one.rows.get(source, {})
    if turn_ms:
        rows = _turned(rows, turn_ms, start_ms, is_cumulative=source == "kline")
    candles = {
        open_ms: Candle(
            name, open_ms, MINUTE_MS, row[0] // tick, row[1] // tick, row[2] // tick, row[3] // tick, row[4] // step
        )
        for open_ms, row in _without_holes(rows, turn_ms, start_ms).items()
    }
    shift = Shift(
        turn_ms,
        one.updates[1] - one.updates[0] + _UPDATES_APART,
        one.trades[1] - one.trades[0] + 1,
        one.agg_trades[1] - one.agg_trades[0] + 1,
    )
    return Facts(instrument, frozenset(one.topics), candles, one.snapshot, shift)


def _turned(rows: Mapping[int, list[int]], turn_ms: int, start_ms: int, *, is_cumulative: bool) -> dict[int, list[int]]:
    """The minutes of a turn in the middle of others: the first begins with what the turn before ended with."""
    first_ms = floor_to(start_ms, MINUTE_MS)
    turned: dict[int, list[int]] = {}
    for open_ms, row in sorted(rows.items(), reverse=True):
        place_ms = first_ms + (open_ms - first_ms) % turn_ms
        older = turned.get(place_ms)
        if older is None or is_cumulative:
            turned[place_ms] = row
        else:
            turned[place_ms] = [older[0], max(older[1], row[1]), min(older[2], row[2]), row[3], older[4] + row[4]]
    return turned


def _without_holes(rows: Mapping[int, list[int]], turn_ms: int, start_ms: int) -> dict[int, list[int]]:
    """Minutes in which nobody traded repeat the last close with no volume."""
    if not rows:
        return {}
    first_ms = floor_to(start_ms, MINUTE_MS) if turn_ms else min(rows)
    last_ms = first_ms + turn_ms - MINUTE_MS if turn_ms else max(rows)
    close = rows[max(rows)][3] if turn_ms else rows[first_ms][0]
    whole: dict[int, list[int]] = {}
    for open_ms in range(first_ms, last_ms + MINUTE_MS, MINUTE_MS):
        row = rows.get(open_ms) or [close, close, close, close, 0]
        close = row[3]
        whole[open_ms] = row
    return whole


def _instrument(name: str, one: _Symbol) -> Instrument:
    """What is known of the symbol, with a tick and a step that everything recorded is a multiple of."""
    tick, step = money.from_units(one.price_unit or 1, _E8), money.from_units(one.quantity_unit or 1, _E8)
    known = known_instrument(name)
    if known is not None:
        fits_tick, fits_step = tick % known.tick == 0, step % known.step == 0
        return replace(
            known,
            tick=known.tick if fits_tick else tick,
            step=known.step if fits_step else step,
            min_quantity=known.min_quantity if fits_step else step,
        )
    return Instrument(
        symbol=name,
        tick=tick,
        step=step,
        min_quantity=step,
        max_quantity=step * _MOST_STEPS,
        min_notional=_MIN_NOTIONAL,
        max_leverage=_MOST_LEVERAGE,
        tiers=single_tier(DEFAULT_MAINTENANCE_RATE, _MOST_LEVERAGE),
    )
