"""Proof that rows add up, and that tampering is found."""

from decimal import Decimal
from pathlib import Path

import pytest
from fakes.databases import fresh, meddle, told

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.lifecycle import PositionState
from trading_engine.store.audit import Check, audit

REBUILD = "journal rebuild equals projections"
STOPS = "no open position without a confirmed stop"
WINDOWS = "no unresolved order older than its window"
FROM_PLACE = {STOPS, WINDOWS}  # these two judge the situation, which a random story may leave in any state


def _failed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if not check.ok} - FROM_PLACE


def test_an_empty_database_is_in_order(tmp_path: Path) -> None:
    """Nothing to complain about, every check answered."""
    checks = audit(fresh(tmp_path))
    assert [True] * 9 == [check.ok for check in checks]


def test_a_story_is_in_order(tmp_path: Path) -> None:
    """What the store wrote is what the journal says."""
    path, _ = told(tmp_path, commits=120)
    assert set() == _failed(audit(path))


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE positions SET fees = '0.1' WHERE position_id = 'P000001'", REBUILD),
        ("UPDATE positions SET tag = 'other' WHERE position_id = 'P000002'", REBUILD),
        ("UPDATE orders SET venue_order_id = 'v2' WHERE rowid = 1", REBUILD),
        ("UPDATE fills SET price = '1'", REBUILD),
        ("UPDATE pnl SET day = '2020-01-01' WHERE id = 1", REBUILD),
        ("UPDATE pnl SET booking = 999 WHERE id = 1", "ledger adds up"),
        ("DELETE FROM pnl WHERE id = 1", "ledger adds up"),
        ("DELETE FROM pnl WHERE source = 'fill'", "ledger adds up"),
        ("DELETE FROM pnl WHERE source = 'fill'", "closed positions equal their pnl rows"),
        ("UPDATE signals SET fate = 'tied'", REBUILD),
        ("UPDATE equity SET equity = '1'", REBUILD),
        ("UPDATE alert_outbox SET text = 'x'", REBUILD),
        ("UPDATE control SET level = 'RUN', reason = 'never mind'", REBUILD),
        ("UPDATE control SET next_position = 1", REBUILD),
        ("UPDATE positions SET entry_quantity = '0.0001' WHERE fills > 0", "fills equal positions"),
        ("UPDATE orders SET filled = '0.0001' WHERE filled <> '0'", "fills equal positions"),
        ("DELETE FROM daily_metrics", REBUILD),
        ("INSERT INTO system_events VALUES (99999, 1, 'x', '', '')", REBUILD),
    ],
)
def test_tampering_is_found(tmp_path: Path, statement: str, found: str) -> None:
    """Every table is compared with the journal, and every sum with its parts."""
    path, _ = told(tmp_path, commits=120)
    meddle(path, statement)
    assert found in _failed(audit(path))


def test_marking_an_alert_as_sent_is_no_tampering(tmp_path: Path) -> None:
    """Delivery changes rows that the journal knows nothing of."""
    path, _ = told(tmp_path)
    meddle(path, "UPDATE alert_outbox SET attempts = 3, sent_at = 5, last_error = 'e'")
    assert set() == _failed(audit(path))


def test_a_forged_journal_is_found(tmp_path: Path) -> None:
    """A record that cannot be read or applied is an answer, not a traceback."""
    path, _ = told(tmp_path)
    forged = (
        "INSERT INTO journal (ts, run_id, kind, version, correlation, payload)"
        " VALUES (1, 'r', '{}', 1, '', '{{\"position_id\":\"P999999\"}}')"
    )
    meddle(path, forged.format("PositionAged"))
    assert "cannot be applied" in next(check.detail for check in audit(path) if check.name == REBUILD)
    meddle(path, forged.format("Teleported"))
    assert REBUILD in _failed(audit(path))


def test_a_gap_in_the_journal_is_found(tmp_path: Path) -> None:
    """Numbers follow on."""
    path, _ = told(tmp_path)
    meddle(path, "DROP TRIGGER journal_no_delete", "DELETE FROM journal WHERE seq = 3")
    assert "journal has no gap" in _failed(audit(path))


def test_an_open_position_needs_a_confirmed_stop_for_all_of_it(tmp_path: Path) -> None:
    """An acknowledged reduce-only stop, not an intended one."""
    path, story = told(tmp_path, seed=1, commits=61)
    held = [item for item in story.book.positions.values() if item.state is PositionState.OPEN and item.quantity]
    assert held
    meddle(path, "UPDATE orders SET state = 'ACKED', filled = '0' WHERE purpose = 'stop'")
    assert next(check for check in audit(path) if check.name == STOPS).ok
    meddle(path, "UPDATE orders SET state = 'INTENT' WHERE purpose = 'stop'")
    check = next(check for check in audit(path) if check.name == STOPS)
    assert not check.ok
    assert held[0].position_id in check.detail


def test_an_unresolved_order_must_not_outlive_its_window(tmp_path: Path) -> None:
    """Measured at the time of the last candle."""
    path, story = told(tmp_path)
    resolve = "UPDATE orders SET state = 'CANCELED' WHERE state IN ('INTENT', 'UNKNOWN')"
    meddle(path, resolve)
    assert next(check for check in audit(path) if check.name == WINDOWS).ok
    late = "UPDATE orders SET state = 'UNKNOWN', not_after_ms = {} WHERE rowid = 1"
    meddle(path, late.format(story.now_ms))
    assert next(check for check in audit(path) if check.name == WINDOWS).ok
    meddle(path, late.format(story.now_ms - 1))
    assert not next(check for check in audit(path) if check.name == WINDOWS).ok


def test_the_wallet_is_compared_where_it_is_known(tmp_path: Path) -> None:
    """To the last digit."""
    path, story = told(tmp_path)
    balance = story.book.ledger.balance
    assert Check("ledger equals wallet", ok=True, detail=f"{balance.normalize():f}") == audit(path, balance)[-1]
    off = audit(path, balance + Decimal("0.00000001"))[-1]
    assert ("ledger equals wallet", False) == (off.name, off.ok)


def test_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    """Instead of a list of failed checks."""
    with pytest.raises(ConfigInvalid, match="nothing has run on this state yet"):
        audit(tmp_path / "engine.db")
