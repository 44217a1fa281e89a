"""What can be done while the engine is down: see the paper wallet, plan a reconciliation, release a lock.

What belongs here: the few operations of the command line that need several adapters at once. What does
not: anything that trades.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from trading_engine.core import drop as dropping
from trading_engine.core import foreign
from trading_engine.core.draft import Draft
from trading_engine.core.effects import CancelOrder, Effect, LookUpOrder, PlaceOrder
from trading_engine.core.on_command import on_pause, on_resume, on_switch
from trading_engine.core.reconcile import on_snapshot
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState, Market
from trading_engine.core.step import step
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import DropRequested, PauseRequested, ResumeRequested, SwitchRequested
from trading_engine.domain.records import (
    AdjustmentBooked,
    DifferenceFound,
    FillApplied,
    IncomeBooked,
    OrderUpdated,
    PositionAdvanced,
    PositionDropped,
    Record,
    SymbolFrozen,
)
from trading_engine.domain.reports import VenueSnapshot
from trading_engine.ports import Checkpoint, Commit, Loaded
from trading_engine.runtime import bootstrap, contracts, startup, status
from trading_engine.runtime.executor import take_snapshot
from trading_engine.store.engine import missing
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.clock import SystemClock
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.venue import EmbeddedVenue

_LOOKS = 20  # for a moment between two commits of an engine that runs as fast as it can


@dataclass(frozen=True, slots=True)
class Word:
    """What an operator decides beyond a plan, and why.

    books_gap   what the wallet holds more or less than the ledger is in order
    drops       symbol whose position the venue does not hold any more, empty for none
    """

    actor: str
    reason: str
    books_gap: bool = False
    drops: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of `reconcile --plan`."""

    kind: str
    symbol: str
    local: str
    venue: str
    action: str


def paper_wallet(state_dir: Path) -> Decimal | None:
    """What the embedded exchange says the wallet holds, None where there is no paper account.

    ConfigInvalid where the exchange's memory is damaged, or empty although the ledger knows of it.
    """
    state = StateDir(state_dir)
    paper = startup.read_paper(state.paper_database)
    if paper is None:
        return None
    if paper.account is None:
        with Reader.open(state.database) as reader:
            bookings = reader.ledger().bookings
        if not bookings:
            return None
        startup.require_account(state, bookings, paper)
    return None if paper.account is None else money.from_e8(paper.account.progress.wallet_e8)


def resume(state_dir: Path, actor: str) -> str:
    """Release a raised kill switch, or end a pause, while the engine is down; refused (exit 3) while it runs."""
    state = StateDir(state_dir)
    if not state.database.exists():
        raise missing(state.database, exit_code=4)
    with InstanceLock(state.lock):
        store = SqlStore.open(state.database)
        try:
            loaded = store.load()
            seen = loaded.checkpoint
            # The limits as the last commit judged them, which is what `risk` shows.
            released = status.released(loaded.book, seen.limits if seen else ())
            if not released and not loaded.book.paused_since():
                return status.NOTHING_TO_RESUME
            # A fill inside a candle is later than the last close; the streak counts anew after both.
            now_ms = max(seen.cursor_ms, loaded.book.ledger.last_booked_ms) if seen else SystemClock().now_ms()
            draft = Draft(EngineState(loaded.book), _no_settings(), now_ms)
            if released:
                on_resume(draft, ResumeRequested(now_ms, actor))
            else:  # a pause alone, whose end counts nothing anew
                on_pause(draft, PauseRequested(now_ms, "", is_paused=False, actor=actor))
            # What was judged before does not hold any more; the next start judges anew.
            progress = replace(seen, gates=(), limits=()) if seen else Checkpoint(0, (), 0, 0, (), (), "0")
            store.commit(Commit(now_ms, "offline", tuple(draft.records), draft.book, progress))
        finally:
            store.close()
    said = status.resumed(released) if released else status.lifted("", is_new=True)
    return f"{said}; the next start trades again"


def switch(state_dir: Path, strategy: str, *, is_enabled: bool, actor: str) -> str:
    """Let a strategy make entries from the next start on, or keep it from them; refused (exit 3) while it runs."""

    def act(draft: Draft) -> None:
        on_switch(draft, SwitchRequested(draft.ts_ms, strategy, is_enabled, actor))

    is_new = _while_down(state_dir, act)
    return status.switched(strategy, is_enabled=is_enabled, is_new=is_new)


def pause(state_dir: Path, symbol: str, *, is_paused: bool, actor: str) -> str:
    """Forbid entries on a symbol (empty: on any) from the next start on, or allow them; refused (exit 3) while it runs.

    Entries that rest at a venue are cancelled when the engine has started.
    """

    def act(draft: Draft) -> None:
        on_pause(draft, PauseRequested(draft.ts_ms, symbol, is_paused, actor))

    is_new = _while_down(state_dir, act)
    return status.paused(symbol, is_new=is_new) if is_paused else status.lifted(symbol, is_new=is_new)


def _while_down(state_dir: Path, act: Callable[[Draft], None]) -> bool:
    """Commit what follows from an operator's word; whether anything did."""
    state = StateDir(state_dir)
    if not state.database.exists():
        raise missing(state.database, exit_code=4)
    with InstanceLock(state.lock):
        store = SqlStore.open(state.database)
        try:
            loaded = store.load()
            seen = loaded.checkpoint
            now_ms = max(seen.cursor_ms, loaded.last_ts_ms) if seen else SystemClock().now_ms()
            draft = Draft(EngineState(loaded.book), _no_settings(), now_ms)
            act(draft)
            if not draft.records:
                return False
            progress = seen or Checkpoint(0, (), 0, 0, (), (), "0")
            store.commit(Commit(now_ms, "offline", tuple(draft.records), draft.book, progress))
        finally:
            store.close()
    return True


def require_both(state: StateDir) -> None:
    """ConfigInvalid unless engine and paper exchange have a database."""
    if not state.database.exists():
        raise missing(state.database)
    if not state.paper_database.exists():
        raise ConfigInvalid(
            f"{state.paper_database}: no paper account is there; restore a backup with `trading-engine db restore`"
            " where one has traded on this state"
        )


def _no_settings() -> EngineSettings:
    """Resuming depends on no setting."""
    return EngineSettings("", "", "", {})


def plan(state_dir: Path, config_path: Path, environ: Mapping[str, str] | None = None) -> list[Difference]:
    """What reconciliation would find and do, without acting: against the paper exchange's memory, or at the venue.

    Works beside a running engine. ConfigInvalid where the configuration is not that of this state.
    """
    state = StateDir(state_dir)
    options = bootstrap.RunOptions(config_path, state_dir)
    known = os.environ if environ is None else environ
    live = bootstrap.configuration(options, known)
    if live.mode != "paper":
        from trading_engine.runtime import at_venue  # noqa: PLC0415 - paper trading does without a network

        return at_venue.plan(state, live, config_path)
    return plan_on_paper(state, options, known)


def plan_on_paper(
    state: StateDir, options: bootstrap.RunOptions, environ: Mapping[str, str], word: Word | None = None
) -> list[Difference]:
    """What reconciliation with the paper exchange's memory would do, and what an operator's word adds to it.

    ConfigInvalid also, exit 3, where a position cannot be dropped.
    """
    config, settings, terms = bootstrap.settings_only(options, environ)
    require_both(state)
    with (
        SqlStore.open(state.database, venue=settings.venue, account=settings.account, read_only=True) as store,
        _one_moment(store, state.paper_database) as (loaded, memory),
    ):
        paper = startup.paper_of(memory, loaded.book)
        startup.require_account(state, loaded.book.ledger.bookings, paper)
        stranger = startup.left_behind(loaded.book, paper, settings.instruments, startup.remedy_of(options, config))
        if stranger:
            raise ConfigInvalid(stranger)
        instruments = startup.listed(config, settings.instruments, paper, contracts.kept(state))
        venue = EmbeddedVenue(memory, instruments, terms, config.paper.balance, 0, config.account)
        now_ms = venue.progress.now_ms
        looks = asyncio.run(look_twice(venue, loaded.book, now_ms))
        view = Market() if loaded.checkpoint is None else status.view_of(loaded.checkpoint)
        before = EngineState(loaded.book, view)
        dropped: list[Difference] = []
        if word is not None and word.drops:
            before, dropped = drop(before, DropRequested(now_ms, word.drops, looks, word.actor, word.reason), settings)
        draft = Draft(before, settings, now_ms)
        on_snapshot(draft, looks[-1])
        return with_word([*dropped, *differences(draft, before.book, looks)], word)


async def look_twice(venue: EmbeddedVenue, book: Book, now_ms: int) -> tuple[VenueSnapshot, ...]:
    """Two whole looks at the paper exchange: it stands still meanwhile, so the one proves what the other does."""
    return tuple([await take_snapshot(venue, book, now_ms) for _ in range(dropping.LOOKS)])


def drop(state: EngineState, event: DropRequested, settings: EngineSettings) -> tuple[EngineState, list[Difference]]:
    """The state without the position that an operator drops, and a plan's lines of it.

    ConfigInvalid, exit 3, where it cannot be dropped.
    """
    refused = dropping.refusals(Draft(state, settings, event.ts_ms), event.symbol, event.looks)
    if refused:
        raise ConfigInvalid("; ".join(refused), exit_code=3)
    result = step(state, event, settings)
    found = [_of_record(record, result.book, state.book) for record in result.records]
    return result.state, [item for item in found if item is not None]


def with_word(planned: Iterable[Difference], word: Word | None) -> list[Difference]:
    """The differences with what an operator's word makes of the wallet's."""
    if word is None or not word.books_gap:
        return list(planned)
    return [_booked(item) if item.kind == "wallet" else item for item in planned]


def _booked(item: Difference) -> Difference:
    gap = money.subtract(Decimal(item.venue), Decimal(item.local))
    return replace(item, action=f"book {money.text(gap)} as an adjustment")


def differences(draft: Draft, before: Book, looks: Sequence[VenueSnapshot]) -> list[Difference]:
    """What the last look has shown: what the draft has recorded and asked for, and what still differs then."""
    still = [*_positions(draft, looks[-1]), *_phantoms(draft, looks)]
    return [*_differences(draft, before), *still, *_strangers_orders(draft)]


@contextmanager
def _one_moment(store: SqlStore, path: Path) -> Iterator[tuple[Loaded, Memory]]:
    """Ledger and exchange as of one moment: a running engine commits between two looks."""
    for attempt in range(_LOOKS):
        loaded = store.load()
        memory = Memory(path, read_only=True)
        try:
            if attempt == _LOOKS - 1 or store.load().last_seq == loaded.last_seq:
                yield loaded, memory
                return
        finally:
            memory.close()


def _positions(draft: Draft, snapshot: VenueSnapshot) -> list[Difference]:
    """Quantities that still differ when all that is proven is booked, where the plan's records do not name them."""
    told = {item.symbol for item in draft.records if isinstance(item, DifferenceFound) and item.kind == "position"}
    found = []
    for symbol in sorted(set(draft.settings.instruments) - told):
        ours = draft.book.position_on(symbol)
        here = ours.quantity * ours.side.sign if ours else money.ZERO
        there = sum(
            (item.quantity * item.side.sign for item in snapshot.positions if item.symbol == symbol), money.ZERO
        )
        if here != there:
            action = "stays frozen" if symbol in draft.book.frozen else "looked at again"
            if here + foreign.expected(draft, symbol) == there:
                action = "ignored: counted as exposure"
            found.append(Difference("position", symbol, money.text(here), money.text(there), action))
    return found


def _phantoms(draft: Draft, looks: Sequence[VenueSnapshot]) -> list[Difference]:
    """Positions that the book holds and the venue does not, twice, with no fill that tells why."""
    found = []
    for symbol in sorted(draft.settings.instruments):
        position = draft.book.position_on(symbol)
        if position is None or len(looks) < dropping.LOOKS or dropping.objections(draft, symbol, looks):
            continue
        ours = f"{position.side} {money.text(position.quantity)}"
        action = f"dropped by `--apply --drop {symbol}`; {_ITS_MONEY}"
        found.append(Difference(_PHANTOM, symbol, ours, _FLAT_TWICE, action))
    return found


_PHANTOM = "phantom"
_FLAT_TWICE = "nothing, in two looks"
_ITS_MONEY = "what the wallet lost or won by it stays a difference, which `--book-gap` books"


def _strangers_orders(draft: Draft) -> list[Difference]:
    """Orders that are not ours, where the plan's records do not name them."""
    kinds = ("foreign_order", "emergency_order")
    told = {item.symbol for item in draft.records if isinstance(item, DifferenceFound) and item.kind in kinds}
    return [
        Difference("foreign_order", item.symbol, "", f"order {key.partition(':')[2]}", "left alone")
        for key, item in sorted(draft.market.foreign_orders.items())
        if item.symbol not in told
    ]


def _differences(draft: Draft, before: Book) -> list[Difference]:
    shown = [_of_record(record, draft.book, before) for record in draft.records]
    shown += [_of_effect(effect) for effect in draft.effects]
    return [difference for difference in shown if difference is not None]


def _of_record(record: Record, after: Book, before: Book) -> Difference | None:  # noqa: PLR0911 - one a kind
    match record:
        case DifferenceFound():
            return Difference(record.kind, record.symbol, record.local, record.venue, record.action)
        case FillApplied(fill=fill):
            what = f"{fill.side} {money.text(fill.quantity)} at {money.text(fill.price)}"
            return Difference("missing_fill", fill.symbol, "", what, "book it")
        case IncomeBooked(income=income):
            what = f"{income.kind} {money.text(income.amount)}"
            return Difference("missing_income", income.symbol, "", what, "book it")
        case AdjustmentBooked():
            what = f"{money.text(record.amount)} {record.asset}: {record.reason}"
            return Difference("foreign_money", record.symbol, "", what, "book it as an adjustment")
        case OrderUpdated():
            known = before.orders.get(record.client_order_id)
            was = str(known.state) if known else ""
            symbol = after.orders[record.client_order_id].symbol
            return Difference("order_state", symbol, was, str(record.state), "take it over")
        case PositionAdvanced():
            symbol = after.positions[record.position_id].symbol
            return Difference("position_state", symbol, str(record.source), "", f"move to {record.target}")
        case PositionDropped():
            held = before.positions[record.position_id]
            ours = f"{held.side} {money.text(record.quantity)}"
            return Difference(_PHANTOM, held.symbol, ours, _FLAT_TWICE, f"drop it; {_ITS_MONEY}")
        case SymbolFrozen():
            return Difference("frozen", record.symbol, "", record.reason, "no entries until resumed")
        case _:
            return None


def _of_effect(effect: Effect) -> Difference | None:
    match effect:
        case PlaceOrder(request=request):
            what = f"send {request.type} {request.side} {money.text(request.quantity)}"
            return Difference("order_missing", request.symbol, request.client_order_id, "", what)
        case CancelOrder():
            return Difference("order_left", effect.symbol, "", effect.client_order_id, "cancel it")
        case LookUpOrder():
            return Difference("order_unclear", effect.symbol, effect.client_order_id, "", "look it up")
        case _:
            return None
