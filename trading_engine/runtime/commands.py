"""What an operator can ask of a running engine, over the control socket or by a signal.

What belongs here: reading a request, saying why it makes no sense, and the answer. What does not: the socket (control),
what a word does to the book (core.on_command), asking a person twice (cli).

A request is an object with a `command`, an `actor` for the journal, and what the command needs. Whatever is wrong with
it is answered in one line and changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from loguru import logger

from trading_engine.config.model import Config
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book
from trading_engine.domain.control import Level, paused_symbol
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import (
    CancelRequested,
    CloseRequested,
    ConfigReloaded,
    PauseRequested,
    ResumeRequested,
    StopRequested,
    SwitchRequested,
)
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import Order
from trading_engine.ports import Clock
from trading_engine.runtime import reloading, status
from trading_engine.runtime.control import Answer
from trading_engine.runtime.pump import Pump
from trading_engine.system.stop_file import StopFile

ANONYMOUS = "operator"
_LONGEST_ACTOR = 64
_STARTING = "the engine is still starting; try again in a moment"
_SOCKET_WORDS = "cancel, close, flatten, health, pause, reload, resume, strategy"


class Refused(Exception):
    """The request cannot be done; the text says why and what can."""


class Commands:
    """The words, spoken to one pump.

    pump, clock     of the run; None before there is a pump
    config          the configuration at this moment, to compare a new one with
    read_config     the configuration as its file is now; ConfigInvalid where that would not run
    settings_of     what the core is told of a configuration
    is_permitted    why a configuration may not be traded with yet; empty where it may
    on_reloaded     told the configuration that is in force from then on
    """

    def __init__(
        self,
        pump: Pump | None,
        clock: Clock,
        stop_file: StopFile,
        config: Config,
        *,
        read_config: Callable[[], Config],
        settings_of: Callable[[Config], EngineSettings] | None,
        is_permitted: Callable[[Config], str],
        on_reloaded: Callable[[Config], None],
    ) -> None:
        self._given_pump = pump
        self._clock = clock
        self._stop_file = stop_file
        self._config = config
        self._read_config = read_config
        self._settings_of = settings_of
        self._is_permitted = is_permitted
        self._on_reloaded = on_reloaded

    def answer(self, request: Mapping[str, object]) -> Answer:
        """Do what is asked, or say why not."""
        words: Mapping[str, Callable[[Mapping[str, object]], str]] = {
            "cancel": self._cancel,
            "close": self._close,
            "flatten": self._flatten,
            "pause": self._pause,
            "reload": self._reload,
            "resume": self._resume,
            "strategy": self._switch,
        }
        word = request.get("command")
        act = words.get(word) if isinstance(word, str) else None
        if act is None:
            return {"ok": False, "message": f"unknown command {_shown(word)}; known: {_SOCKET_WORDS}"}
        try:
            return {"ok": True, "message": act(request)}
        except Refused as refusal:
            return {"ok": False, "message": str(refusal)}

    @property
    def _pump(self) -> Pump:
        if self._given_pump is None:
            raise Refused(_STARTING)
        return self._given_pump

    @property
    def _book(self) -> Book:
        return self._pump.state.book

    # ── pause and resume ────────────────────────────────────────────────────

    def _pause(self, request: Mapping[str, object]) -> str:
        name = _text(request, "name", is_optional=True)
        if self._is_strategy(name):
            return self._switched(name, _actor(request), is_enabled=False)
        self._require_known(name)
        is_new = not self._book.paused_since(name)
        self._pump.handle(PauseRequested(self._clock.now_ms(), name, is_paused=True, actor=_actor(request)))
        return status.paused(name, is_new=is_new)

    def _resume(self, request: Mapping[str, object]) -> str:
        name = _text(request, "name", is_optional=True)
        if self._is_strategy(name):
            return self._switched(name, _actor(request), is_enabled=True)
        self._require_known(name)
        if name:
            return self._lift(name, _actor(request))
        if self._stop_file.read() is not None:
            raise Refused(f"{self._stop_file.path} is still there; remove it first")
        now_ms, pump = self._clock.now_ms(), self._pump
        judged = status.limits(pump.state, pump.settings, now_ms)
        released = status.released(self._book, judged)
        if released:
            pump.handle(ResumeRequested(now_ms, _actor(request)))
            return f"{status.resumed(released)}; peak and losing streak count anew{self._still_off()}"
        if self._book.paused_since():
            return self._lift("", _actor(request)) + self._still_off()
        return status.NOTHING_TO_RESUME + self._still_off()

    def _lift(self, symbol: str, actor: str) -> str:
        is_new = bool(self._book.paused_since(symbol))
        self._pump.handle(PauseRequested(self._clock.now_ms(), symbol, is_paused=False, actor=actor))
        return status.lifted(symbol, is_new=is_new)

    def _still_off(self) -> str:
        """What a general resume leaves switched off."""
        names = [paused_symbol(key) or key for key in sorted(self._book.disabled) if paused_symbol(key) != ""]
        return f"; still off: {', '.join(names)} (resume NAME)" if names else ""

    def _switch(self, request: Mapping[str, object]) -> str:
        name, is_enabled = _text(request, "name", is_optional=True), request.get("enabled")
        if not isinstance(is_enabled, bool):
            raise Refused("`enabled` is not true or false")
        if not self._is_strategy(name):
            known = ", ".join(self._strategies)
            raise Refused(f"{name!r} is not a strategy of this engine; it has {known}")
        return self._switched(name, _actor(request), is_enabled=is_enabled)

    def _switched(self, name: str, actor: str, *, is_enabled: bool) -> str:
        is_new = is_enabled is (name in self._book.disabled)
        self._pump.handle(SwitchRequested(self._clock.now_ms(), name, is_enabled, actor))
        return status.switched(name, is_enabled=is_enabled, is_new=is_new)

    # ── positions and orders ────────────────────────────────────────────────

    def _close(self, request: Mapping[str, object]) -> str:
        symbol = _text(request, "symbol")
        position = self._book.position_on(symbol)
        if position is None:
            held = ", ".join(sorted(item.symbol for item in self._book.positions.values())) or "none"
            raise Refused(f"there is no position on {symbol}; open are: {held}")
        state = position.state
        self._pump.handle(CloseRequested(self._clock.now_ms(), symbol, _actor(request)))
        if state is PositionState.PENDING:
            return f"the entry on {symbol} is being cancelled; what of it has filled is kept behind its stop"
        again = " already, and does not wait for its target now" if state is PositionState.CLOSING else ""
        return f"{symbol} is being closed at the market{again}; its stop stays until it is flat"

    def _flatten(self, request: Mapping[str, object]) -> str:
        actor = _actor(request)
        before = self._book.control.level
        if before.rank > Level.FLATTEN.rank:
            raise Refused(
                f"the engine is {before}: look, then `resume`, or `flatten --direct` when it has been stopped"
            )
        if before is Level.FLATTEN:
            return "the kill switch is at FLATTEN already"
        self._pump.handle(StopRequested(self._clock.now_ms(), Level.FLATTEN, f"flatten by {actor}", actor))
        count = len(self._book.positions)
        what = f"{count} position{'' if count == 1 else 's'} being closed at the market" if count else "nothing is open"
        return f"kill switch at FLATTEN: {what}, no entries until `resume`"

    def _cancel(self, request: Mapping[str, object]) -> str:
        name = _text(request, "order")
        order = self._order(name)
        if order.purpose is Purpose.STOP:
            raise Refused(f"{name} is a stop: a position is never without one; `close {order.symbol}` closes it")
        if order.purpose is Purpose.EXIT:
            raise Refused(f"{name} is closing {order.symbol}: an exit is not taken back")
        if not order.is_live:
            raise Refused(f"{name} is {order.state} already")
        self._pump.handle(CancelRequested(self._clock.now_ms(), order.client_order_id, _actor(request)))
        return f"the {order.purpose} {order.client_order_id} on {order.symbol} is being cancelled"

    def _order(self, name: str) -> Order:
        """The order of a client or venue id; only those of open positions are known."""
        for order in self._book.orders.values():
            if name in (order.client_order_id, order.venue_order_id):
                return order
        raise Refused(f"{name} is not an order of an open position of this engine (see `orders`)")

    # ── configuration ───────────────────────────────────────────────────────

    def _reload(self, request: Mapping[str, object]) -> str:
        pump, settings_of, actor = self._pump, self._settings_of, _actor(request)
        if settings_of is None:
            raise Refused(_STARTING)
        try:
            new = self._read_config()
            change = reloading.compare(self._config, new)
            if not change.keys:
                return "the configuration is as it was; nothing changes"
            if change.refused:
                raise Refused(f"these need a restart: {', '.join(change.refused)}; nothing was changed")
            if why := self._is_permitted(new):
                raise Refused(why)
            settings = settings_of(new)
            reloading.require_same_windows(pump.settings, settings)
        except ConfigInvalid as error:
            raise Refused(f"nothing was changed: {error}") from None
        pump.settings = settings
        self._on_reloaded(new)
        self._config = new
        pump.handle(ConfigReloaded(self._clock.now_ms(), change.config_hash, change.keys, actor))
        logger.info("configuration {} in force: {}", change.config_hash, change.text)
        return f"in force: {change.text}"

    # ── names ───────────────────────────────────────────────────────────────

    @property
    def _strategies(self) -> list[str]:
        return [item.name for item in self._config.strategies]

    def _is_strategy(self, name: str) -> bool:
        return name in self._strategies

    def _require_known(self, name: str) -> None:
        if name and name not in self._pump.settings.instruments:
            known = ", ".join([*sorted(self._pump.settings.instruments), *self._strategies])
            raise Refused(f"{name} is no symbol and no strategy of this engine; it has {known}")


def _text(request: Mapping[str, object], name: str, *, is_optional: bool = False) -> str:
    value: Any = request.get(name, "" if is_optional else None)
    if not isinstance(value, str) or not (value or is_optional):
        raise Refused(f"`{name}` is not a name: {_shown(value)}")
    return value


def _actor(request: Mapping[str, object]) -> str:
    """Who asks, in one short printable line: it goes into the journal and into alerts."""
    value = request.get("actor")
    text = "".join(letter for letter in value if letter.isprintable()).strip() if isinstance(value, str) else ""
    return text[:_LONGEST_ACTOR] or ANONYMOUS


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_ACTOR else f"{text[:_LONGEST_ACTOR]}…"
