"""What a running engine answers to an operator, and what it does about it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import BTC, ETH, Playbook, make_instrument, without_limits
from hypothesis import given
from hypothesis import strategies as st

from trading_engine.config.model import Config
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import EngineState
from trading_engine.domain.control import Control, Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import Event, PauseRequested
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.records import AlertRaised, ConfigChanged, ControlChanged
from trading_engine.runtime import bootstrap
from trading_engine.runtime.commands import Commands
from trading_engine.system.stop_file import StopFile


def config(**changes: Any) -> Config:
    """Two symbols, one strategy."""
    values = {"mode": "paper", "symbols": [BTC, ETH], "strategies": [{"name": "momentum"}]}
    return Config.model_validate(values | changes)


def settings_of(changed: Config) -> EngineSettings:
    """As a run makes them."""
    return bootstrap.engine_settings(changed, {symbol: make_instrument(symbol) for symbol in (BTC, ETH)})


class Stage:
    """A play that commands are spoken to."""

    def __init__(self, folder: Path) -> None:
        self.play = Playbook()
        self.stop_file = StopFile(folder / "STOP")
        self.config: Config = config()
        self.file: Callable[[], Config] = config
        self.may = ""

    @property
    def state(self) -> EngineState:
        """The pump's, as commands see it."""
        return self.play.state

    @property
    def settings(self) -> EngineSettings:
        """As above."""
        return self.play.settings

    @settings.setter
    def settings(self, settings: EngineSettings) -> None:
        self.play.settings = settings

    def handle(self, event: Event) -> None:
        """As above."""
        self.play.on(event)

    def now_ms(self) -> int:
        """A clock's present."""
        return self.play.now

    def say(self, command: object, *, is_started: bool = True, **fields: object) -> tuple[bool, str]:
        """A request; whether it was done, and the answer."""
        commands = Commands(
            self if is_started else None,  # type: ignore[arg-type]
            self,
            self.stop_file,
            self.config,
            read_config=self.file,
            settings_of=settings_of if is_started else None,
            is_permitted=lambda _: self.may,
            on_reloaded=lambda changed: setattr(self, "config", changed),
        )
        answer = commands.answer({"command": command, "actor": "alice", **fields})
        return bool(answer["ok"]), str(answer["message"])


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A play with a STOP file that is not there."""
    return Stage(tmp_path)


# ── pause and resume ────────────────────────────────────────────────────────


def test_everything_is_paused_and_resumed_without_counting_anew(stage: Stage) -> None:
    """The answers say since when, and for how long."""
    said = "no entries from now on, over restarts, until `resume`; positions are managed as ever"
    assert (True, said) == stage.say("pause")
    assert (True, said.replace("from now on", "already")) == stage.say("pause")
    assert (True, "entries again; no limit was counted anew") == stage.say("resume")
    assert "nothing to resume" in stage.say("resume")[1]


def test_a_symbol_and_a_strategy_are_paused_by_name(stage: Stage) -> None:
    """A general resume leaves them, and says so."""
    assert "no entries on BTCUSDT from now on" in stage.say("pause", name=BTC)[1]
    assert "momentum makes no entries from now on" in stage.say("pause", name="momentum")[1]
    stage.say("pause")
    assert stage.say("resume")[1].endswith("; still off: momentum, BTCUSDT (resume NAME)")
    assert "entries on BTCUSDT again" in stage.say("resume", name=BTC)[1]
    assert "entries on BTCUSDT are not paused" in stage.say("resume", name=BTC)[1]
    assert "momentum may make entries again" in stage.say("resume", name="momentum")[1]
    assert {} == stage.play.book.disabled


def test_a_resume_releases_the_kill_switch_and_the_pause(stage: Stage) -> None:
    """Not while the STOP file is there."""
    stage.play.stop_file()
    stage.play.on(PauseRequested(stage.play.now, "", is_paused=True, actor="bob"))
    stage.stop_file.path.touch()
    assert (False, f"{stage.stop_file.path} is still there; remove it first") == stage.say("resume")
    stage.stop_file.path.unlink()
    assert "resumed (kill switch was at NO_ENTRY); peak and losing streak count anew" in stage.say("resume")[1]
    assert (Level.RUN, {}) == (stage.play.book.control.level, stage.play.book.disabled)


@pytest.mark.parametrize("word", ["pause", "resume"])
def test_a_name_that_is_neither_is_refused(stage: Stage, word: str) -> None:
    """With those that there are."""
    said = "DOGEUSDT is no symbol and no strategy of this engine; it has BTCUSDT, ETHUSDT, momentum"
    assert (False, said) == stage.say(word, name="DOGEUSDT")
    assert (False, "`name` is not a name: 7") == stage.say(word, name=7)


# ── positions and orders ────────────────────────────────────────────────────


def test_a_position_is_closed_with_its_stop_in_place(stage: Stage) -> None:
    """And said again it goes on."""
    assert (False, "there is no position on BTCUSDT; open are: none") == stage.say("close", symbol=BTC)
    stage.play.opened()
    assert "BTCUSDT is being closed at the market; its stop stays until it is flat" == stage.say("close", symbol=BTC)[1]
    assert PositionState.CLOSING is stage.play.position.state
    assert "being closed at the market already" in stage.say("close", symbol=BTC)[1]
    assert (False, "there is no position on ETHUSDT; open are: BTCUSDT") == stage.say("close", symbol=ETH)
    assert (False, "`symbol` is not a name: None") == stage.say("close")


def test_an_entry_that_waits_is_cancelled_by_a_close(stage: Stage) -> None:
    """What of it has filled is a position then."""
    stage.play.enter()
    assert "the entry on BTCUSDT is being cancelled" in stage.say("close", symbol=BTC)[1]


def test_everything_is_flattened_and_stays_so(stage: Stage) -> None:
    """At FLATTEN until a resume; the journal has the name."""
    stage.play.opened()
    said = "kill switch at FLATTEN: 1 position being closed at the market, no entries until `resume`"
    assert (True, said) == stage.say("flatten")
    (change,) = stage.play.recorded(ControlChanged)
    assert ("flatten by alice", "alice") == (change.reason, change.actor)
    assert (True, "the kill switch is at FLATTEN already") == stage.say("flatten")


def test_a_locked_engine_is_not_flattened_by_a_word(stage: Stage) -> None:
    """It may be wrong about what it holds."""
    book = replace(stage.play.book, control=Control(Level.LOCKED, "restored"))
    stage.play.state = EngineState(book, stage.play.state.market)
    is_done, said = stage.say("flatten")
    assert (False, True) == (is_done, "the engine is LOCKED: look, then `resume`" in said)


def test_orders_are_cancelled_by_either_id_but_never_a_stop(stage: Stage) -> None:
    """Nor an exit, nor what is over, nor what is not ours."""
    play = stage.play
    entry = play.enter()
    play.ack(entry)
    name = entry.request.client_order_id
    venue_id = play.order(entry).venue_order_id
    assert (True, f"the entry {name} on BTCUSDT is being cancelled") == stage.say("cancel", order=venue_id or name)
    play.fill(entry)
    assert (False, f"{name} is FILLED already") == stage.say("cancel", order=name)
    play.ack(play.place(Purpose.STOP))
    stop = play.place(Purpose.STOP).request.client_order_id
    said = f"{stop} is a stop: a position is never without one; `close BTCUSDT` closes it"
    assert (False, said) == stage.say("cancel", order=stop)
    stage.say("close", symbol=BTC)
    leave = play.place(Purpose.EXIT).request.client_order_id
    assert (False, f"{leave} is closing BTCUSDT: an exit is not taken back") == stage.say("cancel", order=leave)
    is_done, said = stage.say("cancel", order="x")
    assert (False, True) == (is_done, "x is not an order of an open position" in said)


# ── configuration ───────────────────────────────────────────────────────────


def test_a_changed_limit_is_in_force_at_once_and_in_the_journal(stage: Stage) -> None:
    """The next decision is made with it; what was asked for twice is told."""
    assert (True, "the configuration is as it was; nothing changes") == stage.say("reload")
    stage.file = lambda: config(risk={"max_positions": 1}, sizing={"risk_pct": "0.1"})
    assert (True, "in force: sizing.risk_pct 0.5 → 0.1, risk.max_positions 3 → 1") == stage.say("reload")
    assert (1, 1_000) == (stage.settings.limits.max_positions, stage.settings.sizing.risk_ppm)
    (change,) = stage.play.recorded(ConfigChanged)
    assert (("sizing.risk_pct", "risk.max_positions"), "alice") == (change.keys, change.actor)
    assert (True, "the configuration is as it was; nothing changes") == stage.say("reload")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"leverage": 2}, "leverage"),
        ({"symbols": [BTC]}, "symbols[1]"),
        ({"risk": {"max_positions": 1}, "account": "other"}, "account"),
        ({"execution": {"recv_window_ms": 4_000}}, "execution.recv_window_ms"),
        ({"alerts": {"throttle_s": 5}}, "alerts.throttle_s"),
    ],
)
def test_what_cannot_change_while_it_runs_is_named_and_nothing_changes(
    stage: Stage, changes: dict[str, Any], named: str
) -> None:
    """Not even what could."""
    stage.file = lambda: config(**changes)
    before = stage.settings
    assert (False, f"these need a restart: {named}; nothing was changed") == stage.say("reload")
    assert before is stage.settings


def test_windows_that_strategies_hold_are_not_changed_under_them(stage: Stage) -> None:
    """A stop that follows at another average range needs another history."""
    stage.settings = settings_of(stage.config)
    stage.file = lambda: config(exits={"trail_atr": 2, "atr_period": 33})
    is_done, said = stage.say("reload")
    assert (False, True) == (is_done, "need a restart" in said)


def test_a_configuration_that_would_not_run_changes_nothing(stage: Stage) -> None:
    """Its mistakes are the answer."""

    def broken() -> Config:
        raise ConfigInvalid("live.yaml: leverage = -1 is no leverage")

    stage.file = broken
    assert (False, "nothing was changed: live.yaml: leverage = -1 is no leverage") == stage.say("reload")


def test_a_configuration_that_is_not_armed_changes_nothing(stage: Stage) -> None:
    """Real money takes the word of somebody at a terminal."""
    stage.may = "live.yaml is not the configuration that alice armed"
    stage.file = lambda: config(risk={"max_positions": 1})
    assert (False, stage.may) == stage.say("reload")
    assert 3 == stage.settings.limits.max_positions


# ── whatever comes ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("word", ["pause", "resume", "close", "flatten", "cancel", "reload", "strategy"])
def test_before_there_is_an_engine_every_word_is_refused(stage: Stage, word: str) -> None:
    """The socket may be there a moment earlier."""
    fields = {"symbol": BTC, "order": "x", "enabled": True, "name": "momentum"}
    said = "the engine is still starting; try again in a moment"
    assert (False, said) == stage.say(word, is_started=False, **fields)


def test_a_name_in_the_journal_is_one_short_line(stage: Stage) -> None:
    """Whatever a client calls itself."""
    stage.say("pause", actor="eve\n<b>\x1b[31m" + "x" * 1_000)
    (alert,) = [item.text for item in stage.play.last.records if isinstance(item, AlertRaised)]
    assert ("no entries, says eve<b>[31m" + "x" * 100)[:80] == alert[:80]
    assert len(alert) < 100
    stage.say("pause", name=BTC, actor=["no", "name"])
    assert ["no entries on BTCUSDT, says operator"] == stage.play.alerts()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["command", "actor", "name", "symbol", "order", "enabled", "x"])
LIKELY = st.sampled_from(["pause", "resume", "close", "cancel", "flatten", "reload", "strategy", BTC, "momentum", ""])


@given(st.dictionaries(KEYS, JUNK | LIKELY | st.just(True), max_size=6))
def test_no_request_breaks_the_engine(tmp_path_factory: pytest.TempPathFactory, request_: dict[str, Any]) -> None:
    """Every object of JSON has an answer of one printable kind, and the engine still decides afterwards."""
    stage = Stage(tmp_path_factory.getbasetemp())
    stage.play.settings = replace(stage.play.settings, limits=without_limits())
    stage.play.opened()
    command = request_.pop("command", "pause")
    is_done, said = stage.say(command, **request_)
    assert isinstance(is_done, bool)
    assert 0 < len(said) < 2_000
    stage.play.close_at(100)
