"""Each committed record that matters leaves one line, with its kind as a field."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from builders import make_fill, make_signal
from loguru import logger

from trading_engine.domain.lifecycle import PositionState, Trigger
from trading_engine.domain.records import (
    AlertRaised,
    DayClosed,
    EquitySampled,
    Fate,
    FillApplied,
    LimitTripped,
    PositionAdvanced,
    PositionAged,
    Record,
    SignalSeen,
)
from trading_engine.domain.severity import Severity
from trading_engine.runtime.log_events import log_call, log_record

ONE, ZERO = Decimal(1), Decimal(0)


@pytest.fixture
def lines() -> Iterator[list[tuple[str, str, str]]]:
    """Kind, level and words of every line."""
    found: list[tuple[str, str, str]] = []
    number = logger.add(
        lambda line: found.append((line.record["extra"]["event"], line.record["level"].name, line.record["message"])),
        level="DEBUG",
        format="{message}",
    )
    yield found
    logger.remove(number)


MOVE = PositionAdvanced("P1", PositionState.OPEN, PositionState.CLOSING, Trigger.BEGIN_CLOSE, "stop")


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (AlertRaised(Severity.INFO, "k", "hi"), ("alert", "INFO", "hi")),
        (AlertRaised(Severity.CRITICAL, "k", "oh {no}"), ("alert", "ERROR", "oh {no}")),
        (
            FillApplied(make_fill(), "P1", ONE, ONE, "2025-01-01"),
            ("trade", "INFO", "BTCUSDT buy 10 at 100, fee 0, gross 1"),
        ),
        (
            FillApplied(make_fill(fee_asset="BNB", fee=ONE), "P1", ONE, ONE, "2025-01-01", asset="USDT"),
            ("trade", "INFO", "BTCUSDT buy 10 at 100, fee 1 BNB, which is not booked, gross 1"),
        ),
        (MOVE, ("trade", "DEBUG", "P1 OPEN -> CLOSING: stop")),
        (SignalSeen(make_signal(), Fate.GATED, "shut"), ("signal", "DEBUG", "BTCUSDT trend long: gated (shut)")),
        (LimitTripped("cooldown", "ETH", "1", "2", 0), ("risk", "DEBUG", "cooldown on ETH: 1 of 2")),
        (LimitTripped("drawdown", "", "11", "10", 0), ("risk", "DEBUG", "drawdown: 11 of 10")),
        (EquitySampled(5, ONE, ZERO), ("performance", "DEBUG", "balance 1, open 0")),
        (
            DayClosed("2025-01-01", ONE, ONE, ZERO, ZERO, 3, 2),
            ("performance", "INFO", "2025-01-01: realized 1, 3 trades, 2 won"),
        ),
    ],
)
def test_a_record_leaves_a_line(record: Record, line: tuple[str, str, str], lines: list[tuple[str, str, str]]) -> None:
    """With its kind, its level and its words."""
    log_record(5, record)
    assert [line] == lines


def test_other_records_leave_none_and_calls_do(lines: list[tuple[str, str, str]]) -> None:
    """The journal has everything."""
    log_record(5, PositionAged("P1"))
    log_call("submit", 12)
    assert [("api", "DEBUG", "submit answered after 12 ms")] == lines
