"""Repeats become one message, many messages become one digest."""

from trading_engine.alerts.compose import digest, fold, single
from trading_engine.alerts.port import AlertRow
from trading_engine.alerts.remedies import remedy_of
from trading_engine.domain.severity import Severity


def row(number: int, key: str = "", severity: Severity = Severity.INFO, text: str = "") -> AlertRow:
    """A row whose time is its number in seconds."""
    return AlertRow(number, number * 1_000, severity, key, text or f"text {number}", 0)


def test_rows_of_one_key_become_one_letter_with_the_newest_text() -> None:
    """In the order in which the keys appear; the gravest severity counts."""
    letters = fold([row(1, "a", Severity.CRITICAL), row(2, "b"), row(3, "a")])
    assert [("text 3", (1, 3), 1, Severity.CRITICAL), ("text 2", (2,), 0, Severity.INFO)] == [
        (letter.newest.text, letter.ids, letter.repeats, letter.severity) for letter in letters
    ]


def test_rows_without_a_key_are_never_folded() -> None:
    """Nothing says that they are about the same."""
    assert [(1,), (2,)] == [letter.ids for letter in fold([row(1), row(2)])]


def test_a_single_message_has_severity_text_repeats_and_time() -> None:
    """Everything that is needed on a locked phone, what to do included."""
    (letter,) = fold([row(1, "disk:low", Severity.WARNING), row(2, "disk:low", Severity.WARNING)])
    message = single("engine-1", letter)
    assert "engine-1: warning" == message.title
    lines = ["text 2 (\u00d71 more)", f"→ {remedy_of('disk:low')}", "1970-01-01T00:00:02.000Z"]
    assert lines == message.body.split("\n")
    assert Severity.WARNING is message.severity


def test_a_digest_counts_all_and_tells_the_gravest() -> None:
    """Fifteen lines in order of time; what does not fit is counted; long texts are cut."""
    rows = [row(number) for number in range(1, 31)]
    rows[2] = row(3, severity=Severity.CRITICAL, text="the one that matters")
    rows[29] = row(30, severity=Severity.WARNING, text="long " * 100)
    message = digest("engine-1", fold(rows))
    *lines, advice = message.body.split("\n")
    assert advice.startswith("→ about the gravest: ")
    assert "engine-1: 30 alerts (1 critical, 1 warning, 28 info)" == message.title
    assert Severity.CRITICAL is message.severity
    assert "1970-01-01T00:00:03.000Z critical: the one that matters" == lines[0]
    assert "… and 15 more of less weight" == lines[-1]
    assert 16 == len(lines)
    assert sorted(lines[:-1]) == lines[:-1]
    assert len(message.body) < 4_096
    assert lines[-2].endswith("…")
