"""Recordings played again: what is on a tape, and the same frames in another turn and of another symbol."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.streams import DepthChange
from trading_engine.marketdata.book import LocalBook, Verdict
from trading_engine.venue_servers.playback.binance import BinanceRecording
from trading_engine.venue_servers.playback.binance_book import RecordedBook
from trading_engine.venue_servers.playback.binance_frames import Shift, moved, recorded
from trading_engine.venue_servers.playback.tape import Tape
from trading_engine.venues.binance.market import MarketDecoder

T0 = 1_735_689_600_000  # 2025-01-01T00:00Z
MINUTE = 60_000
LATE = 40  # ms on the way to the recorder, at the least


def wrapped(topic: str, symbol: str = "BTCUSDT", **data: Any) -> bytes:
    text = {"stream": f"{symbol.lower()}@{topic}", "data": data}
    return json.dumps(text, separators=(",", ":")).encode()


def trade(ts_ms: int, number: int, price: str, quantity: str = "0.010", symbol: str = "BTCUSDT") -> bytes:
    return wrapped(
        "trade", symbol, e="trade", E=ts_ms, T=ts_ms, s=symbol, t=number, p=price, q=quantity, X="MARKET", m=True
    )


def depth(ts_ms: int, first: int, last: int, previous: int, bids: list[list[str]], asks: list[list[str]]) -> bytes:
    ids = {"U": first, "u": last, "pu": previous}
    return wrapped("depth@100ms", e="depthUpdate", E=ts_ms, T=ts_ms, s="BTCUSDT", **ids, b=bids, a=asks)


def snapshot(last_id: int, bids: list[list[str]], asks: list[list[str]]) -> bytes:
    return json.dumps({"lastUpdateId": last_id, "E": 1, "T": 1, "bids": bids, "asks": asks}).encode()


def write(path: Path, frames: list[tuple[int, bytes]]) -> Path:
    """A recording; times in ms."""
    path.write_bytes(b"".join(b"%d %b\n" % (at_ms * 1_000_000, raw) for at_ms, raw in frames))
    return path


def market(path: Path, minutes: float = 3.5, begin_ms: int = T0 + 20_000, symbol: str = "BTCUSDT") -> Path:
    """A trade each ten seconds, its price rising by one each time."""
    frames = []
    for number in range(int(minutes * 6)):
        ts_ms = begin_ms + number * 10_000
        frames.append((ts_ms + LATE, trade(ts_ms, 100 + number, f"{60_000 + number}.0", symbol=symbol)))
    return write(path, frames)


def test_files_are_played_in_the_order_in_which_their_frames_came(tmp_path: Path) -> None:
    """Whatever order they are given in; what two files have of one instant is told in turn."""
    one = write(tmp_path / "one", [(T0, b"a"), (T0 + 30, b"d")])
    two = write(tmp_path / "two", [(T0 + 10, b"b"), (T0 + 20, b"c"), (T0 + 40, b"e")])
    assert b"abcde" == b"".join(frame.raw for frame in Tape([two, one]).frames())


def test_an_endless_tape_is_a_whole_number_of_minutes_long(tmp_path: Path) -> None:
    """What comes after the last whole minute is left out; a tape without one is refused."""
    tape = Tape([market(tmp_path / "tape", 3.5)], is_endless=True)
    assert (3 * MINUTE, 18) == (tape.turn_ms, len(list(tape.frames())))
    assert 21 == len(list(Tape(tape.paths).frames()))
    with pytest.raises(ConfigInvalid, match=r"short: 40.0 s long; --loop needs at least a minute"):
        Tape([market(tmp_path / "short", 5 / 6)], is_endless=True)


def test_a_tape_without_frames_is_refused(tmp_path: Path) -> None:
    """In one line that names the file; so is a recording of something else."""
    with pytest.raises(ConfigInvalid, match="empty: holds no frame"):
        Tape([write(tmp_path / "empty", [])])
    with pytest.raises(ConfigInvalid, match="other: holds no combined stream of Binance"):
        BinanceRecording(Tape([write(tmp_path / "other", [(T0, b'{"topic":"publicTrade.BTCUSDT"}')])]))


def test_candles_of_a_recording_are_those_of_its_trades(tmp_path: Path) -> None:
    """The first minute as far as it was recorded, and a minute without trades flat."""
    frames = [
        (T0 + 59_000, trade(T0 + 59_000, 1, "60000.0")),
        (T0 + 60_500, trade(T0 + 59_900, 2, "60001.0")),  # late on the way: its own time counts
        (T0 + 61_000, trade(T0 + 61_000, 3, "59990.0", "0.020")),
        (T0 + 3 * MINUTE, trade(T0 + 3 * MINUTE, 4, "60010.0")),
    ]
    facts = BinanceRecording(Tape([write(tmp_path / "tape", frames)])).contents.symbols["BTCUSDT"]
    assert [
        (600_000, 600_010, 600_000, 600_010, 20),
        (599_900, 599_900, 599_900, 599_900, 20),
        (599_900, 599_900, 599_900, 599_900, 0),
        (600_100, 600_100, 600_100, 600_100, 10),
    ] == [candle[3:] for candle in facts.candles.values()]


def test_the_first_candle_of_a_turn_begins_with_the_end_of_the_turn_before(tmp_path: Path) -> None:
    """Three minutes from 00:00:20 on: 00:03:00 to 00:03:20 belongs in front of 00:00:20."""
    facts = BinanceRecording(Tape([market(tmp_path / "tape", 3.5)], is_endless=True)).contents.symbols["BTCUSDT"]
    assert [T0, T0 + MINUTE, T0 + 2 * MINUTE] == list(facts.candles)
    first = facts.candles[T0]
    assert (600_160, 600_170, 600_000, 600_030, 60) == first[3:]
    assert Shift(3 * MINUTE, 1_000, 18, 1) == facts.shift


def test_the_venue_clock_runs_ahead_of_the_recorders_by_what_no_frame_contradicts(tmp_path: Path) -> None:
    """No frame comes before the time that it names."""
    late = write(tmp_path / "late", [(T0 + 5, trade(T0, 1, "1.0")), (T0 + 12, trade(T0 + 10, 2, "1.0"))])
    assert -2 == BinanceRecording(Tape([late])).ahead_ms
    slow = write(tmp_path / "slow", [(T0, trade(T0 + 1_300, 1, "1.0")), (T0 + 10, trade(T0 + 1_305, 2, "1.0"))])
    assert 1_300 == BinanceRecording(Tape([slow])).ahead_ms


def test_unknown_symbols_get_a_tick_and_a_step_that_fit_everything_recorded(tmp_path: Path) -> None:
    """The largest that do; a known symbol keeps its own where they fit."""
    frames = [(T0 + n, trade(T0 + n, n + 1, price, "12", "NEWUSDT")) for n, price in enumerate(("0.0125", "0.0130"))]
    frames.append((T0 + 5, trade(T0 + 5, 1, "60000.05", "0.002")))
    found = {one.symbol: one for one in BinanceRecording(Tape([write(tmp_path / "tape", frames)])).instruments}
    assert (Decimal("0.0005"), Decimal(12)) == (found["NEWUSDT"].tick, found["NEWUSDT"].step)
    assert Decimal("60000.05") == found["BTCUSDT"].tick
    assert Decimal("0.001") == found["BTCUSDT"].step


def test_copies_are_named_after_their_originals(tmp_path: Path) -> None:
    """In turn; fewer symbols than were recorded are refused."""
    files = [market(tmp_path / "btc", 1), market(tmp_path / "eth", 1, symbol="ETHUSDT")]
    names = [one.symbol for one in BinanceRecording(Tape(files), 5).instruments]
    assert ["BTCUSDT", "BTC2USDT", "BTC3USDT", "ETHUSDT", "ETH2USDT"] == names
    with pytest.raises(ConfigInvalid, match="--symbols-to 1: the recording holds 2 symbols"):
        BinanceRecording(Tape(files), 1)


@pytest.mark.parametrize(
    ("topic", "data", "changed"),
    [
        ("bookTicker", {"u": 7, "b": "1", "B": "2", "a": "3", "T": 10, "E": 11}, {"u": 107, "T": 70, "E": 71}),
        ("trade", {"E": 11, "T": 10, "t": 5, "p": "1", "q": "2", "X": "MARKET"}, {"E": 71, "T": 70, "t": 1_005}),
        ("aggTrade", {"E": 11, "T": 10, "a": 3, "f": 5, "l": 6},
         {"E": 71, "T": 70, "a": 10_003, "f": 1_005, "l": 1_006}),
        ("kline", {"E": 11, "k": {"t": 1, "T": 2, "f": 5, "L": 6, "o": "9"}},
         {"E": 71, "k": {"t": 61, "T": 62, "f": 1_005, "L": 1_006, "o": "9"}}),
        ("forceOrder", {"E": 11, "o": {"s": "BTCUSDT", "T": 1}}, {"E": 71, "o": {"s": "BTCUSDT", "T": 61}}),
        ("markPriceUpdate", {"E": 11, "T": 28_800_000, "p": "1"}, {"E": 71, "T": 28_800_000}),
        ("markPriceUpdate", {"E": 11, "T": 60, "p": "1"}, {"E": 71, "T": 28_800_000}),
    ],
)  # fmt: skip
def test_times_and_numbers_rise_from_turn_to_turn_and_nothing_else_changes(
    topic: str, data: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Keys that nobody knows stay as well, in their order."""
    event = {"e": topic, "s": "BTCUSDT", **data, "new": [1, {"x": None}]}
    found = recorded(wrapped("any", **event))
    assert found is not None
    assert event == json.loads(moved(found, Shift()))
    told = json.loads(moved(found, Shift(60, 100, 1_000, 10_000)))
    assert event | changed == told
    assert list(event) == list(told)


@pytest.mark.parametrize("raw", [b'{"result":null,"id":1}', b'{"stream":"!markPrice@arr","data":[]}', b"{}", b""])
def test_what_is_no_event_of_a_symbol_is_passed_over(raw: bytes) -> None:
    """Acknowledgements, and streams of all symbols together."""
    assert recorded(raw) is None


BIDS, ASKS = [["100.0", "1.000"], ["99.0", "2.000"]], [["101.0", "1.000"]]


def test_a_client_in_step_at_the_end_of_a_turn_stays_in_step(tmp_path: Path) -> None:
    """What was recorded before the snapshot is left out; one change leads from the end to the begin."""
    frames = [
        (T0, depth(T0, 8, 9, 7, [["98.0", "1.000"]], [])),
        (T0 + 5, snapshot(10, BIDS, ASKS)),
        (T0 + 100, depth(T0 + 100, 10, 12, 9, [["100.5", "3.000"]], [])),
        (T0 + 70_000, depth(T0 + 70_000, 13, 15, 12, [["100.5", "0.000"], ["100.0", "0.000"]], [["100.2", "5.000"]])),
    ]
    facts = BinanceRecording(Tape([write(tmp_path / "tape", frames)])).contents.symbols["BTCUSDT"]
    book, decoder = RecordedBook(facts), MarketDecoder([facts.instrument])
    client = LocalBook("BTCUSDT")
    verdicts: list[Verdict] = []

    def hear(raw: bytes) -> None:
        event = decoder.decode(raw)
        assert isinstance(event, DepthChange)
        verdicts.append(client.apply(event))

    changes = [raw for _, raw in frames if b"depthUpdate" in raw]
    assert ([["100.0", "1.000"]], ASKS) == book.top(1)  # nothing was played yet: the snapshot that is to come
    for number in range(3):
        if number:
            book.turn(number)
            assert ([["99.0", "2.000"], ["98.0", "1.000"]][:1], 15 + (number - 1) * facts.shift.updates) == (
                book.top(1)[0],
                book.update_id,
            )
        for raw in changes:
            is_told, bridge = book.apply(raw, T0)
            if bridge is not None:
                hear(json.dumps(bridge).encode())
            if is_told:
                event = recorded(wrapped("depth", **json.loads(raw)["data"]))
                assert event is not None
                hear(moved(event, Shift(MINUTE * number, facts.shift.updates * number)).encode())
            if raw is changes[0]:
                book.restore(frames[1][1])
                if not number:
                    client.restore(decoder.snapshot("BTCUSDT", frames[1][1]))
        assert (990, 2_000) == client.best_bid()
        assert (1_002, 5_000) == client.best_ask()
    assert [Verdict.WAITING] + [Verdict.APPLIED] * 8 == verdicts
    assert 0 == client.restarts
