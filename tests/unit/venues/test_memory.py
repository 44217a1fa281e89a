"""The exchange's memory: what was visible survives a kill, what was not never happened."""

import sqlite3
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venues.embedded.account import (
    Account,
    ExchangeOrder,
    ExchangePosition,
    Kind,
    MarketPoint,
    Progress,
    Status,
)
from trading_engine.venues.embedded.matching import Change, IncomeRow, Kernel, TradeRow
from trading_engine.venues.embedded.memory import APPLICATION_ID, SCHEMA_VERSION, Memory, MemoryFailed
from trading_engine.venues.embedded.terms import Contract, Terms

E8 = 100_000_000
MINUTE = 60_000
SYMBOLS = ("A", "B")
TABLES = ("orders", "trades", "incomes", "symbols", "progress")


def _order(name: str = "a", number: int = 1, **changes: object) -> ExchangeOrder:
    order = ExchangeOrder(name, number, "A", Kind.LIMIT, 1, 10, 90, reduce_only=False, created_ms=5, updated_ms=5)
    for key, value in changes.items():
        setattr(order, key, value)
    return order


def _trade(number: int, ts_ms: int) -> TradeRow:
    return TradeRow(number, "a", 1, "A", 1, 10, 90, 0, 0, ts_ms, is_maker=False, is_liquidation=False)


def _rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the file, by table."""
    db = sqlite3.connect(path)
    try:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}
    finally:
        db.close()


# ── one file ────────────────────────────────────────────────────────────────


def test_a_new_file_holds_no_account_and_is_its_owners_alone(tmp_path: Path) -> None:
    """Mode 0600; the schema is marked as ours."""
    path = tmp_path / "paper.db"
    memory = Memory(path)
    assert memory.load() is None
    memory.close()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    db = sqlite3.connect(path)
    assert (APPLICATION_ID, SCHEMA_VERSION) == (
        db.execute("PRAGMA application_id").fetchone()[0],
        db.execute("PRAGMA user_version").fetchone()[0],
    )
    db.close()


def test_everything_written_is_loaded_again(tmp_path: Path) -> None:
    """Open orders by number, points and positions by symbol, progress; closed orders stay out of the account."""
    path = tmp_path / "paper.db"
    account = Account(
        orders={"b": _order("b", 2), "a": _order("a", 1, filled=3)},
        positions={"A": ExchangePosition("A", 1, 10, 900 * E8, 90 * E8, 82)},
        points={"A": MarketPoint("A", 91, 7, -1, 60, 12), "B": MarketPoint("B", 50)},
        progress=Progress(60, 3, 75, 60, 3, 4, 1_000),
    )
    memory = Memory(path)
    memory.write(account, Change(orders=[*account.orders.values(), _order("c", 3, status=Status.FILLED)]))
    memory.close()
    memory = Memory(path)
    loaded = memory.load()
    assert loaded is not None
    assert ["a", "b"] == list(loaded.orders)
    account.positions["B"] = ExchangePosition("B")
    assert account == loaded
    assert _order("c", 3, status=Status.FILLED) == memory.order("c")
    assert [True, True, False] == [memory.is_known(name) for name in ("a", "c", "d")]
    memory.close()


def test_what_an_earlier_release_has_written_of_a_market_is_read(tmp_path: Path) -> None:
    """It knew of no range and no volume: there is none until the next candle."""
    path = tmp_path / "paper.db"
    memory = Memory(path)
    memory.write(Account(points={"A": MarketPoint("A", 91, 7, -1, 60, 12, 34)}), Change())
    memory.close()
    db = sqlite3.connect(path)
    db.execute("UPDATE symbols SET point = json_remove(point, '$.range', '$.volume')")
    db.commit()
    db.close()
    memory = Memory(path)
    loaded = memory.load()
    assert loaded is not None
    assert {"A": MarketPoint("A", 91, 7, -1, 60, 0, 0)} == loaded.points
    memory.close()


def test_an_order_is_kept_in_its_latest_state(tmp_path: Path) -> None:
    """One row an id."""
    memory = Memory(tmp_path / "paper.db")
    memory.write(Account(), Change(orders=[_order()]))
    memory.write(Account(), Change(orders=[_order(filled=10, status=Status.FILLED)]))
    assert _order(filled=10, status=Status.FILLED) == memory.order("a")
    assert memory.load() == Account()
    memory.close()


def test_trades_and_incomes_are_read_from_an_instant_on(tmp_path: Path) -> None:
    """Inclusive, oldest first; also after the file was opened again."""
    path = tmp_path / "paper.db"
    memory = Memory(path)
    trades = [_trade(number, ts_ms) for number, ts_ms in ((1, 10), (2, 20), (3, 20), (4, 30))]
    incomes = [IncomeRow(name, "funding", "A", 1, ts_ms) for name, ts_ms in (("x", 10), ("y", 20), ("z", 20))]
    assert [] == memory.trades_since(0)
    memory.write(Account(), Change(trades=trades, incomes=incomes))
    for _ in range(2):
        assert trades == memory.trades_since(0)
        assert trades[1:] == memory.trades_since(20)
        assert [] == memory.trades_since(31)
        assert incomes[1:] == memory.incomes_since(11)
        assert [] == memory.incomes_since(21)
        memory.close()
        memory = Memory(path)
        memory.load()
    memory.close()


def test_the_crash_points_around_a_commit_are_hit_in_order(tmp_path: Path) -> None:
    """Before, inside, after."""
    names: list[str] = []
    memory = Memory(tmp_path / "paper.db", names.append)
    memory.write(Account(), Change())
    assert ["exchange.commit.before", "exchange.commit.inside", "exchange.commit.after"] == names
    memory.close()


class Died(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("point", "survives"),
    [("exchange.commit.before", False), ("exchange.commit.inside", False), ("exchange.commit.after", True)],
)
def test_a_change_is_kept_whole_or_not_at_all(tmp_path: Path, point: str, survives: bool) -> None:
    """Whatever happened at the crash points around its commit."""
    path = tmp_path / "paper.db"
    armed = False

    def die(name: str) -> None:
        if armed and name == point:
            raise Died

    memory = Memory(path, die)
    memory.write(Account(), Change(orders=[_order("before")]))
    armed = True
    account = Account(points={"A": MarketPoint("A", 5)}, progress=Progress(open_ms=60))
    change = Change(orders=[_order("after", 2)], trades=[_trade(1, 10)])
    with pytest.raises(Died):
        memory.write(account, change)
    memory.close()
    rows = _rows(path)
    assert (["after"] if survives else []) + ["before"] == [row[0] for row in rows["orders"]]
    assert survives == bool(rows["trades"]) == bool(rows["symbols"])


def test_a_transaction_that_the_database_gave_up_itself_is_no_second_fault(tmp_path: Path) -> None:
    """As it does on a full disk: the first error is the one that is told, and the memory goes on."""
    path = tmp_path / "paper.db"

    def fill_the_disk(name: str) -> None:
        if name == "exchange.commit.inside" and not memory.is_known("b"):
            memory._db.execute("ROLLBACK")
            raise OSError("disk full")

    memory = Memory(path)
    memory.write(Account(), Change(orders=[_order("b")]))
    memory._db.execute("DELETE FROM orders")
    memory._hit = fill_the_disk
    with pytest.raises(OSError, match="disk full"):
        memory.write(Account(), Change(orders=[_order("a")]))
    memory.write(Account(), Change(orders=[_order("b")]))
    assert [False, True] == [memory.is_known(name) for name in ("a", "b")]
    memory.close()


def test_an_open_transaction_is_given_up_on_closing(tmp_path: Path) -> None:
    """Closing never commits anything."""
    path = tmp_path / "paper.db"
    memory = Memory(path)
    memory._db.execute("BEGIN IMMEDIATE")
    memory._db.execute("INSERT INTO orders VALUES ('x', 1, '{}')")
    memory.close()
    assert [] == _rows(path)["orders"]


@pytest.mark.parametrize("name", ["50%41.db", "a#b.db", "is it?.db", "päper db"])
def test_any_path_can_hold_a_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Characters that mean something in a URI are part of the name; a relative path is one too."""
    monkeypatch.chdir(tmp_path)
    memory = Memory(Path(name))
    memory.write(Account(), Change())
    memory.close()
    assert (tmp_path / name).exists()
    memory = Memory(tmp_path / name, read_only=True)
    assert memory.load() == Account()
    memory.close()


def test_a_read_only_memory_writes_nothing(tmp_path: Path) -> None:
    """It reads beside a writer, and refuses to write."""
    path = tmp_path / "paper.db"
    writer = Memory(path)
    writer.write(Account(), Change(orders=[_order()]))
    reader = Memory(path, read_only=True)
    assert reader.is_known("a")
    with pytest.raises(MemoryFailed, match="a change of the account was not stored"):
        reader.write(Account(), Change())
    reader.close()
    writer.close()


def test_a_read_only_memory_shows_one_moment(tmp_path: Path) -> None:
    """What a running exchange writes meanwhile does not mix in."""
    path = tmp_path / "paper.db"
    writer = Memory(path)
    writer.write(Account(), Change(trades=[_trade(1, 10)]))
    reader = Memory(path, read_only=True)
    writer.write(Account(progress=Progress(trades=2)), Change(orders=[_order()], trades=[_trade(2, 20)]))
    assert (Account(), 1) == (reader.load(), reader.bookings())
    assert not reader.is_known("a")
    reader.close()
    assert 2 == writer.bookings()
    writer.close()


def test_every_file_of_a_memory_is_its_owners_alone(tmp_path: Path) -> None:
    """The log and its index as well, also those that an earlier release has made."""
    path = tmp_path / "paper.db"
    for mode in (0o600, 0o644):
        memory = Memory(path)
        memory.write(Account(), Change())
        modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in tmp_path.iterdir()}
        assert dict.fromkeys(("paper.db", "paper.db-wal", "paper.db-shm"), 0o600) == modes
        for item in tmp_path.iterdir():
            item.chmod(mode)
        other = Memory(path)
        assert {0o600} == {stat.S_IMODE(item.stat().st_mode) for item in tmp_path.iterdir()}
        other.close()
        memory.close()


def test_bookings_are_executions_and_incomes(tmp_path: Path) -> None:
    """What a ledger may know of the account; an empty file has had none."""
    (tmp_path / "empty.db").touch()
    empty = Memory(tmp_path / "empty.db", read_only=True)
    assert 0 == empty.bookings()
    empty.close()
    memory = Memory(tmp_path / "paper.db")
    incomes = [IncomeRow("x", "funding", "A", 1, 10)]
    memory.write(Account(), Change(trades=[_trade(1, 10), _trade(2, 20)], incomes=incomes))
    assert 3 == memory.bookings()
    memory.close()


# ── files that are not ours ─────────────────────────────────────────────────


def _file(path: Path, *statements: str) -> bytes:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()
    return path.read_bytes()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_memory_of_a_newer_release_is_refused(tmp_path: Path, read_only: bool) -> None:
    """With both schema numbers and what to do; nothing is written."""
    path = tmp_path / "paper.db"
    Memory(path).close()
    before = _file(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(ConfigInvalid, match=r"paper\.db: schema 2 is newer than this program's 1; use a newer"):
        Memory(path, read_only=read_only)
    assert before == path.read_bytes()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE positions (id INTEGER)",),
        ("PRAGMA user_version = 1", "CREATE TABLE orders (id INTEGER)"),
        ("PRAGMA user_version = 9",),
        ("PRAGMA application_id = 77",),
    ],
)
def test_a_database_of_another_program_is_refused(tmp_path: Path, statements: tuple[str, ...], read_only: bool) -> None:
    """Whatever its version, and nothing is written into it."""
    path = tmp_path / "paper.db"
    before = _file(path, *statements)
    with pytest.raises(ConfigInvalid, match=r"paper\.db: is not a memory of the paper exchange; move it away"):
        Memory(path, read_only=read_only)
    assert before == path.read_bytes()
    assert ["paper.db"] == [file.name for file in tmp_path.iterdir()]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """With the reason of the library."""
    path = tmp_path / "paper.db"
    path.write_text("these are not the rows you are looking for, and there are many of them\n" * 20)
    with pytest.raises(ConfigInvalid, match=r"paper\.db: cannot be used as the paper exchange's memory \(file is not"):
        Memory(path)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path, read_only: bool) -> None:
    """Pages overwritten in the middle: exit 78, not a fault of ours."""
    path = tmp_path / "paper.db"
    memory = Memory(path)
    memory.write(Account(), Change(orders=[_order(str(number), number) for number in range(500)]))
    memory.close()
    content = bytearray(path.read_bytes())
    content[20_480:40_960] = b"\xff" * 20_480
    path.write_bytes(content)
    with pytest.raises(ConfigInvalid, match=r"paper\.db: cannot be used .*`trading-engine db restore`"):
        Memory(path, read_only=read_only)


def test_a_row_that_cannot_be_read_is_damage_too(tmp_path: Path) -> None:
    """Sound pages may hold rows that are none of ours."""
    path = tmp_path / "paper.db"
    memory = Memory(path)
    memory.write(Account(), Change(orders=[_order()], trades=[_trade(1, 10)]))
    memory.close()
    _file(path, "UPDATE orders SET body = 'x'", "UPDATE trades SET body = '{}'")
    memory = Memory(path)
    for look in (memory.load, lambda: memory.order("a"), lambda: memory.trades_since(0)):
        with pytest.raises(ConfigInvalid, match=r"paper\.db: cannot be used"):
            look()
    memory.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path, read_only: bool) -> None:
    """A missing folder."""
    with pytest.raises(ConfigInvalid, match=r"nowhere/paper\.db: cannot be used .* \(unable to open"):
        Memory(tmp_path / "nowhere" / "paper.db", read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path, read_only: bool) -> None:
    """A directory in its place, for one: the file itself is sound, and no backup would help."""
    path = tmp_path / "paper.db"
    Memory(path).close()
    log = tmp_path / "paper.db-wal"
    log.mkdir()
    with pytest.raises(ConfigInvalid, match=rf"paper\.db: cannot be used .*; check owner and permissions of {log}$"):
        Memory(path, read_only=read_only)


def test_a_file_that_was_just_made_holds_no_account(tmp_path: Path) -> None:
    """A kill between making the file and its tables leaves it empty: nothing to read, and usable afterwards."""
    path = tmp_path / "paper.db"
    path.touch()
    reader = Memory(path, read_only=True)
    assert reader.load() is None
    reader.close()
    memory = Memory(path)
    assert memory.load() is None
    memory.close()


# ── kills at every pause ────────────────────────────────────────────────────


def _contract(symbol: str) -> Contract:
    return Contract.of(
        Instrument(
            symbol=symbol,
            tick=Decimal(1),
            step=Decimal(1),
            min_quantity=Decimal(1),
            max_quantity=Decimal(10_000),
            min_notional=Decimal(1),
            max_leverage=Decimal(50),
            tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
        )
    )


CONTRACTS = {symbol: _contract(symbol) for symbol in SYMBOLS}


@dataclass(frozen=True)
class Wish:
    """An order as a script asks for it; the price is told as a distance from the last one."""

    symbol: str
    kind: Kind
    sign: int
    steps: int
    distance: int
    reduce_only: bool


@dataclass(frozen=True)
class Turn:
    """One batch of candles, its settlements, and what is ordered or cancelled after it."""

    candles: tuple[Candle, ...]
    rates: tuple[FundingRate, ...]
    wishes: tuple[Wish, ...]
    cancels: tuple[int, ...]


@dataclass(frozen=True)
class Script:
    """A small market and what its trader does: after each batch, and in answer to the n-th trade."""

    turns: tuple[Turn, ...]
    answers: dict[int, tuple[Wish, ...]]
    terms: Terms


WISHES = st.builds(
    Wish,
    symbol=st.sampled_from(SYMBOLS),
    kind=st.sampled_from([Kind.MARKET, *Kind]),
    sign=st.sampled_from([1, -1]),
    steps=st.integers(1, 40),
    distance=st.integers(-12, 12),
    reduce_only=st.sampled_from([False, False, True]),
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Two symbols around 100 with narrow volume and wide swings, so that everything collides."""
    turns = []
    prices = st.integers(80, 120)
    for number in range(draw(st.integers(2, 6))):
        open_ms = number * MINUTE
        symbols = SYMBOLS if number == 0 else draw(st.sampled_from([SYMBOLS, SYMBOLS, ("A",), ("B",)]))
        candles = []
        for symbol in symbols:
            told = draw(st.lists(prices, min_size=2, max_size=4))
            volume = draw(st.sampled_from([0, 10, 60, 1_000]))
            candles.append(Candle(symbol, open_ms, MINUTE, told[0], max(told), min(told), told[-1], volume))
        funded = draw(st.sets(st.sampled_from(SYMBOLS)))
        rate = Decimal(draw(st.integers(-500, 500))).scaleb(-6)
        rates = tuple(FundingRate(symbol, open_ms, rate) for symbol in sorted(funded))
        wishes = tuple(draw(st.lists(WISHES, min_size=number == 0, max_size=4)))
        turns.append(Turn(tuple(candles), rates, wishes, tuple(draw(st.lists(st.integers(0, 6), max_size=1)))))
    answers = draw(st.dictionaries(st.integers(1, 8), st.lists(WISHES, min_size=1, max_size=2).map(tuple), max_size=4))
    share = draw(st.sampled_from([100_000, 500_000]))
    leverage = draw(st.sampled_from([1_000, 10_000, 20_000]))
    return Script(tuple(turns), answers, Terms(volume_share_ppm=share, leverage_milli=leverage))


class Dies(StrEnum):
    """At which moment of every pause the exchange is killed."""

    NEVER = "never"
    ON_COMMIT = "after each commit, before anyone has seen it"
    BEFORE_ANSWER = "before the trader answers"
    AFTER_ANSWER = "after the trader has answered"


class Trader:
    """Carries a script out on a file, on an exchange that dies again and again."""

    def __init__(self, path: Path, script: Script, dies: Dies) -> None:
        self._path = path
        self._script = script
        self._dies = dies
        self._is_armed = False
        self._answered: set[int] = set()
        self._open(first=True)

    def _open(self, *, first: bool = False) -> None:
        memory = self._memory = Memory(self._path, self._hit)
        account = memory.load()
        assert first is (account is None)
        account = account or Account(progress=Progress(wallet_e8=20_000 * E8))
        self._kernel = Kernel(account, CONTRACTS, self._script.terms, lambda change: memory.write(account, change))
        if first:
            memory.write(account, Change())

    def _hit(self, point: str) -> None:
        if self._is_armed and point == "exchange.commit.after":
            raise Died

    def _die(self) -> None:
        """As a kill does: nothing is said to the kernel, whose memory is gone."""
        self._is_armed = False
        self._memory.close()
        self._open()

    def run(self) -> dict[str, list[tuple[object, ...]]]:
        """Play to the end; all rows."""
        for at, turn in enumerate(self._script.turns):
            while not self._play_on(turn):
                pass
            self._order(f"t{at}", turn.wishes)
            for number in turn.cancels:
                self._kernel.cancel(f"t{at - 1}-{number}")
            if self._dies is not Dies.NEVER:
                self._die()
                self._catch_up(at + 1)
        self._memory.write(self._kernel.account, Change())
        self._memory.close()
        return _rows(self._path)

    def _play_on(self, turn: Turn) -> bool:
        """Play a batch to its end, or to the next kill; whether the end was reached."""
        stream = self._kernel.play(turn.candles[0].open_time_ms, turn.candles, turn.rates)
        while True:
            self._is_armed = self._dies is Dies.ON_COMMIT
            try:
                happening = next(stream, None)
            except Died:
                self._die()
                self._answer()
                return False
            self._is_armed = False
            if happening is None:
                return True
            if self._dies is Dies.BEFORE_ANSWER:
                self._die()
            self._answer()
            if self._dies is Dies.AFTER_ANSWER:
                self._die()
            if self._dies is not Dies.NEVER:
                return False

    def _answer(self) -> None:
        count = self._kernel.account.progress.trades
        if count not in self._answered:
            self._answered.add(count)
            self._order(f"a{count}", self._script.answers.get(count, ()))

    def _order(self, name: str, wishes: Sequence[Wish]) -> None:
        for at, wish in enumerate(wishes):
            point = self._kernel.account.points.get(wish.symbol)
            price = 0 if wish.kind is Kind.MARKET else (point.last if point else 100) + wish.distance
            order = ExchangeOrder(
                f"{name}-{at}", 0, wish.symbol, wish.kind, wish.sign, wish.steps, price, wish.reduce_only, 0, 0
            )
            self._kernel.submit(order, post_only=False)

    def _catch_up(self, turns: int) -> None:
        """Bring the exchange to where it was killed: silently, for what had happened was durable."""
        for turn in self._script.turns[:turns]:
            open_ms = turn.candles[0].open_time_ms
            if open_ms >= self._kernel.account.progress.open_ms:
                assert [] == list(self._kernel.play(open_ms, turn.candles, turn.rates))


KILLS = [dies for dies in Dies if dies is not Dies.NEVER]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(script=scripts(), dies=st.sampled_from(KILLS))
def test_a_kill_at_every_pause_leaves_the_rows_of_an_uninterrupted_play(
    tmp_path_factory: pytest.TempPathFactory, script: Script, dies: Dies
) -> None:
    """Orders, trades, incomes, prices and progress, to the last byte."""
    folder = tmp_path_factory.mktemp("kills")
    expected = Trader(folder / "whole.db", script, Dies.NEVER).run()
    assert expected == Trader(folder / "killed.db", script, dies).run()


def _story(*turns: tuple[tuple[int, ...], int, tuple[Wish, ...]]) -> Script:
    """Prices and volume of A (B stands at 100 with volume to spare), and what is ordered after each candle."""
    played = []
    for number, (prices, volume, wishes) in enumerate(turns):
        open_ms = number * MINUTE
        a = Candle("A", open_ms, MINUTE, prices[0], max(prices), min(prices), prices[-1], volume)
        played.append(Turn((a, Candle("B", open_ms, MINUTE, 100, 100, 100, 100, 10_000)), (), wishes, ()))
    return Script(tuple(played), {}, Terms(volume_share_ppm=500_000, leverage_milli=20_000))


BUY_TEN = Wish("A", Kind.MARKET, 1, 10, 0, reduce_only=False)
BUY_B = Wish("B", Kind.MARKET, 1, 10, 0, reduce_only=False)
STORIES = {
    "the volume of a candle is not given twice": _story(((100,), 100, (BUY_TEN,)), ((100,), 8, ()), ((100,), 8, ())),
    "a triggered stop without volume stays triggered": _story(
        ((100,), 100, (BUY_TEN,)),
        ((100,), 100, (Wish("A", Kind.STOP, -1, 10, -2, reduce_only=True), BUY_B)),
        ((100, 97, 100), 0, (BUY_B,)),
        ((100,), 0, ()),
        ((100,), 100, ()),
    ),
    "a liquidation voids the stops behind it": _story(
        ((100,), 100, (BUY_TEN,)),
        ((100,), 100, (Wish("A", Kind.STOP, -1, 10, -10, reduce_only=True),)),
        ((100, 94), 100, ()),
    ),
    "a limit order that closed the position ends with its rest": _story(
        ((100,), 100, (BUY_TEN,)),
        ((100,), 100, (Wish("A", Kind.LIMIT, -1, 25, 3, reduce_only=True),)),
        ((100, 105, 100), 100, ()),
    ),
}


@pytest.mark.parametrize("dies", KILLS)
@pytest.mark.parametrize("story", STORIES)
def test_what_a_restart_could_get_wrong_comes_out_as_without_one(tmp_path: Path, story: str, dies: Dies) -> None:
    """Each story has a moment at which something is known that no row of its own tells."""
    expected = Trader(tmp_path / "whole.db", STORIES[story], Dies.NEVER).run()
    assert len(expected["trades"]) >= 2
    assert expected == Trader(tmp_path / "killed.db", STORIES[story], dies).run()
