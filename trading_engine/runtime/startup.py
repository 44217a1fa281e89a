"""Whether a run may begin on a state, and what a person should know before it does.

What belongs here: refusals that leave everything as it is, and the warnings of a start. What does not: the
start itself (app), checks of configuration and data alone (bootstrap).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trading_engine.config.model import Config
from trading_engine.core.state import Book
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.time import MINUTE_MS, interval_name, iso
from trading_engine.marketdata.replay import CandleSource
from trading_engine.ports import Loaded
from trading_engine.runtime.bootstrap import Plan, RunOptions, instrument_of
from trading_engine.runtime.configured import idle_slippage
from trading_engine.runtime.executor import FILL_OVERLAP_MS
from trading_engine.system.clock import SteadyClock
from trading_engine.system.state_dir import StateDir
from trading_engine.system.stop_file import StopFile
from trading_engine.venues.embedded.account import Account
from trading_engine.venues.embedded.memory import Memory

MOST_AHEAD_MS = 10 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Paper:
    """What the paper exchange remembers.

    account    None where the file holds none
    bookings   executions and incomes so far
    recent     symbols of the executions that a reconciliation looks at again
    """

    account: Account | None
    bookings: int
    recent: frozenset[str]


def read_paper(path: Path, book: Book | None = None) -> Paper | None:
    """The paper exchange's memory without changing it, None where there is no file; `book` dates `recent`.

    Raises ConfigInvalid where the file is damaged or none of ours.
    """
    if not path.exists():
        return None
    memory = Memory(path, read_only=True)
    try:
        return paper_of(memory, book)
    finally:
        memory.close()


def paper_of(memory: Memory, book: Book | None = None) -> Paper:
    """What an open memory holds."""
    account = memory.load()
    since_ms = 0 if book is None else max(book.ledger.last_booked_ms - FILL_OVERLAP_MS, 0)
    trades = memory.trades_since(since_ms) if book is not None and account is not None else ()
    return Paper(account, memory.bookings(), frozenset(row.symbol for row in trades))


def lost_engine(state: StateDir) -> str:
    """Why a state without the engine's database must not get a new one; empty where it may."""
    paper = read_paper(state.paper_database)
    if paper is None or paper.account is None or not paper.account.progress.trades:
        return ""
    return (
        f"{state.paper_database} holds {paper.account.progress.trades} trades, {state.database} knows none of them;"
        " put the engine's database back (`trading-engine db restore`), or start on a new --state"
    )


def torn_apart(state: StateDir, loaded: Loaded, paper: Paper | None) -> str:
    """Why the two databases cannot belong together; trading on would trade on a lie.

    The exchange may know more than the ledger, which reconciliation books, but never less.
    """
    path, engine = state.paper_database, state.database
    bookings = loaded.book.ledger.bookings - loaded.book.ledger.made_here
    known = 0 if paper is None else paper.bookings
    if bookings > known:
        what = "is missing" if paper is None else f"knows {known}" if known else "holds no account"
        return (
            f"{path} {what}, {engine.name} knows {bookings} bookings of that account; put it back"
            " (`trading-engine db restore` brings both), or start on a new --state"
        )
    return lost_engine(state) if not loaded.last_seq else ""


def left_behind(book: Book, paper: Paper | None, traded: Iterable[str], remedy: Callable[[str], str]) -> str:
    """Why a run on these symbols would leave something unwatched; `remedy` says what to do about a symbol."""
    held = still_open(book, paper)
    for symbol in sorted(set(held) - set(traded)):
        what = f"a {held[symbol]}" if held[symbol] == "pending entry" else f"an open {held[symbol]}"
        return f"{symbol} has {what}; {remedy(symbol)}, or start on a new --state"
    return ""


def still_open(book: Book, paper: Paper | None) -> dict[str, str]:
    """By symbol, what is open at the exchange or believed to be."""
    held = {order.symbol: "order" for order in book.orders.values() if order.is_live}
    account = None if paper is None else paper.account
    if account is not None:
        held |= {order.symbol: "order" for order in account.orders.values()}
        held |= {item.symbol: "position" for item in account.positions.values() if item.sign}
    for position in book.positions.values():
        held[position.symbol] = "pending entry" if position.state is PositionState.PENDING else "position"
    return held


def unprotected(held: Mapping[str, str]) -> str:
    """Why a run that sends nothing must not begin beside what is `held` by symbol; empty where nothing is."""
    for symbol in sorted(held):
        return (
            f"{symbol} has {'an' if held[symbol][0] in 'aeio' else 'a'} {held[symbol]}, which a run that sends nothing"
            " cannot protect; let `run` without --signals-only go on with it, close it (`trading-engine flatten"
            " --direct`), or name another state (--state DIR)"
        )
    return ""


def remedy_of(options: RunOptions, config: Config) -> Callable[[str], str]:
    """How a symbol that a run lacks is brought in."""

    def remedy(symbol: str) -> str:
        if symbol not in config.symbols:
            where = "give --symbol too" if "symbols" in options.overrides else f"put it into {options.config_path}"
            return f"{where} (symbols)" + (f" with --replay {symbol}=FILE" if options.replay else "")
        return f"give --replay {symbol}=FILE as well"

    return remedy


def listed(
    config: Config, traded: Mapping[str, Instrument], paper: Paper | None, told: Mapping[str, Instrument] | None = None
) -> list[Instrument]:
    """The instruments the exchange must know: those that are traded, and those it will be asked about.

    `told` are facts that a venue has told of symbols that may not be traded any more.
    """
    gone = set() if paper is None else paper.recent - set(traded)
    known = told or {}
    return [*traded.values(), *(instrument_of(config, symbol, known.get(symbol)) for symbol in sorted(gone))]


def switched_off(book: Book, stop_file: StopFile) -> str:
    """Why a flat engine must not start; with a position it starts and manages the exits."""
    if book.positions:
        return ""
    if stop_file.read() is not None:
        return f"{stop_file.path} is present; remove it, then run `trading-engine resume`"
    control = book.control
    if control.level is not Level.RUN:
        return f"kill switch at {control.level} ({control.reason}); run `trading-engine resume` to release it"
    return ""


def warnings(options: RunOptions, plan: Plan, loaded: Loaded) -> list[str]:
    """What is odd about this start but no reason to refuse it, one line each."""
    found = []
    uncharged = sorted(set(options.replay) - set(options.funding))
    if uncharged:
        found.append(f"no funding is charged on {', '.join(uncharged)}: no --funding {uncharged[0]}=FILE is given")
    cursor_ms = loaded.checkpoint.cursor_ms if loaded.checkpoint else 0
    if cursor_ms:
        found += _of_the_data(plan.source, cursor_ms)
    return [*found, *idle_slippage(plan.config), *of_the_balance(plan.config, loaded)]


def of_the_balance(config: Config, loaded: Loaded) -> list[str]:
    """That the configured balance is not the one this account began with."""
    start, wanted = loaded.book.ledger.start_balance, config.paper.balance
    if not loaded.book.ledger.bookings or start == wanted:
        return []
    return [
        f"paper.balance = {money.text(wanted)} has no effect: this account exists and began with"
        f" {money.text(start)} (a new --state begins anew)"
    ]


def other_money(modes: Collection[str], mode: str) -> str:
    """Why a state of play money is none for real money, nor the reverse; empty where it has run in this mode alone.

    Venues give both accounts the same name, so the rows do not tell: sizes and limits would follow the wrong wallet.
    """
    others = sorted(set(modes) & {"testnet", "live"} - {mode})
    if not others:
        return ""
    return (
        f"this state has run in mode {others[0]} and its ledger is of that account; for mode {mode} name a state"
        " directory of its own (--state DIR)"
    )


def written_in_the_future(loaded: Loaded, server_ms: int | None = None) -> str:
    """Why a clock must be put right first, empty where it is.

    server_ms   the time of a venue server on this machine, which counts instead of the machine's: it may run faster
    """
    ahead_ms = loaded.last_ts_ms - (SteadyClock().now_ms() if server_ms is None else server_ms)
    if ahead_ms <= MOST_AHEAD_MS:
        return ""
    if server_ms is not None:
        return (
            f"the last record was written {ahead_ms // MINUTE_MS} minutes after the time of the venue server on this"
            " machine, which has begun anew: name a new state (--state DIR)"
        )
    return (
        f"the last record was written {ahead_ms // MINUTE_MS} minutes in the future: the machine's clock is behind, or"
        " was ahead; set it right (timedatectl), or restore a backup"
    )


def _of_the_data(source: CandleSource, cursor_ms: int) -> list[str]:
    """Whether the data goes on where this state stopped."""
    following = next(iter(source.batches(cursor_ms)), None)
    if following is None:
        end = iso(source.last_ts + source.interval_ms)
        return [f"nothing new: the data ends at {end} and this state has seen candles up to {iso(cursor_ms)}"]
    gap_ms = following.open_time_ms - cursor_ms
    if gap_ms < source.interval_ms:
        return []
    return [
        f"{gap_ms // source.interval_ms:,} candles of {interval_name(source.interval_ms)} are missing between"
        f" {iso(cursor_ms)}, where this state stopped, and {iso(following.open_time_ms)}, where the data goes on:"
        " what would have filled in between has not"
    ]


def require_account(state: StateDir, bookings: int, paper: Paper) -> Account:
    """The account in the paper exchange's memory; ConfigInvalid where it lost what the ledger knows."""
    if paper.account is None:
        raise ConfigInvalid(
            f"{state.paper_database}: holds no account, {state.database.name} knows {bookings} bookings of one; "
            "restore a backup with `trading-engine db restore`"
        )
    return paper.account
