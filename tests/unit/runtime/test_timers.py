"""Timers fire in order of time, one a kind and key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_engine.domain.events import TimerFired, TimerKind
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.timers import Timers


def _all_due(timers: Timers, now_ms: int) -> list[TimerFired]:
    fired = []
    while (timer := timers.pop_due(now_ms)) is not None:
        fired.append(timer)
    return fired


def test_no_timers_are_never_due() -> None:
    """Neither worth a call nor anything to pop."""
    timers = Timers()
    assert not timers.is_due(10**15)
    assert timers.pop_due(10**15) is None


def test_a_timer_fires_at_its_time_and_not_before() -> None:
    """Once, stamped with its own time however late it is asked for."""
    timers = Timers()
    timers.set(100, TimerKind.LOOKUP, "a")
    assert not timers.is_due(99)
    assert timers.pop_due(99) is None
    assert timers.is_due(100)
    assert TimerFired(100, TimerKind.LOOKUP, "a") == timers.pop_due(500)
    assert timers.pop_due(500) is None


def test_timers_fire_in_order_of_time() -> None:
    """Whatever order they were set in; at one instant by kind and key, so that a replay repeats itself."""
    timers = Timers()
    timers.set(300, TimerKind.RECONCILE, "")
    timers.set(100, TimerKind.RETRY_EXIT, "P2")
    timers.set(100, TimerKind.RETRY_EXIT, "P1")
    timers.set(200, TimerKind.LOOKUP, "a")
    assert ["P1", "P2", "a", ""] == [timer.key for timer in _all_due(timers, 300)]


def test_a_later_timer_replaces_one_of_the_same_kind_and_key() -> None:
    """Put off or brought forward: only the last word counts."""
    timers = Timers()
    timers.set(100, TimerKind.LOOKUP, "a")
    timers.set(300, TimerKind.LOOKUP, "a")
    assert [] == _all_due(timers, 299)
    timers.set(200, TimerKind.LOOKUP, "a")
    assert [TimerFired(200, TimerKind.LOOKUP, "a")] == _all_due(timers, 300)


@pytest.mark.parametrize("kind", [TimerKind.RECONCILE, TimerKind.FILLS])
def test_a_look_at_the_account_is_never_put_off(kind: TimerKind) -> None:
    """Whoever wants it soonest decides; a busy venue cannot delay it for ever."""
    timers = Timers()
    for at_ms in (300, 200, 400):
        timers.set(at_ms, kind, "")
    assert [TimerFired(200, kind, "")] == _all_due(timers, 500)


def test_setting_a_timer_twice_fires_it_once() -> None:
    """Also for the same instant."""
    timers = Timers()
    for _ in range(2):
        timers.set(100, TimerKind.LOOKUP, "a")
    assert 1 == len(_all_due(timers, 100))


def test_kinds_and_keys_do_not_replace_each_other() -> None:
    """A timer is named by both."""
    timers = Timers()
    timers.set(100, TimerKind.LOOKUP, "a")
    timers.set(200, TimerKind.LOOKUP, "b")
    timers.set(300, TimerKind.ENTRY_DEADLINE, "a")
    assert [100, 200, 300] == [timer.ts_ms for timer in _all_due(timers, 300)]


def test_a_timer_that_fired_can_be_set_again() -> None:
    """As the reconciliation does."""
    timers = Timers()
    for at_ms in (100, 200):
        timers.set(at_ms, TimerKind.RECONCILE, "")
        assert [at_ms] == [timer.ts_ms for timer in _all_due(timers, at_ms)]


def test_the_next_timer_is_the_earliest_that_still_counts() -> None:
    """None without one; a timer that was put off is not waited for at its old time."""
    timers = Timers()
    assert timers.next_ms is None
    timers.set(300, TimerKind.LOOKUP, "a")
    timers.set(100, TimerKind.LOOKUP, "b")
    assert 100 == timers.next_ms
    timers.set(400, TimerKind.LOOKUP, "b")
    assert 300 == timers.next_ms
    _all_due(timers, 300)
    assert 400 == timers.next_ms
    _all_due(timers, 400)
    assert timers.next_ms is None


def test_whoever_sleeps_until_the_next_timer_is_told_of_each_that_is_set() -> None:
    """Also of one that replaces another; the timer is there already when it is told."""
    timers = Timers()
    told: list[tuple[int, int | None]] = []
    timers.on_set = lambda at_ms: told.append((at_ms, timers.next_ms))
    timers.set(300, TimerKind.LOOKUP, "a")
    timers.set(100, TimerKind.LOOKUP, "a")
    timers.set(200, TimerKind.RECONCILE, "")
    assert [(300, 300), (100, 100), (200, 100)] == told
    timers.on_set = None
    timers.set(50, TimerKind.RECONCILE, "")
    assert 3 == len(told)


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from([TimerKind.LOOKUP, TimerKind.RETRY_EXIT]), st.sampled_from("ab"))
    )
)
def test_what_fires_is_the_last_setting_of_each_timer(settings: list[tuple[int, TimerKind, str]]) -> None:
    """Sorted, complete, and `is_due` never misses one."""
    timers = Timers()
    last: dict[tuple[TimerKind, str], int] = {}
    for at_ms, kind, key in settings:
        timers.set(at_ms, kind, key)
        last[kind, key] = at_ms
    fired = []
    for now_ms in range(21):
        was_due = timers.is_due(now_ms)
        now = _all_due(timers, now_ms)
        assert was_due or not now
        fired += now
    assert sorted((at_ms, *name) for name, at_ms in last.items()) == [(one.ts_ms, one.kind, one.key) for one in fired]


def test_the_virtual_clock_stands_still_and_never_runs_backwards() -> None:
    """It moves when it is told, forward only."""
    clock = VirtualClock(50)
    assert 50 == clock.now_ms()
    clock.advance_to(70)
    clock.advance_to(60)
    assert 70 == clock.now_ms()
