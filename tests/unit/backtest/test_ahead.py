"""Work that is begun before its result is needed."""

import threading

import pytest

from trading_engine.backtest.ahead import Ahead


def test_the_work_goes_on_while_its_result_is_not_asked_for() -> None:
    """It is done in a thread of its own, and waited for."""
    may_end = threading.Event()

    def work() -> str:
        assert may_end.wait(30)
        return threading.current_thread().name

    ahead = Ahead(work)
    may_end.set()
    assert threading.current_thread().name != ahead.result()


def test_what_goes_wrong_is_told_to_whoever_asks() -> None:
    """And only to him: the thread itself says nothing."""

    def work() -> str:
        raise ValueError("no such thing")

    ahead = Ahead(work)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such thing"):
            ahead.result()
