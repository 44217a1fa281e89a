"""A code proves what its venue's table says it proves, and nothing else."""

import pytest

from trading_engine.domain.errors import RateLimited, VenueRejected, VenueUnavailable
from trading_engine.domain.reports import Outcome, Rejected, Unknown
from trading_engine.venues.wire.outcome import CodeTable, Meaning

TABLE = CodeTable("testvenue", {meaning.value.upper(): meaning for meaning in Meaning})

VERDICTS: dict[Meaning, Outcome] = {
    Meaning.REFUSED: Rejected("REFUSED", "REFUSED: why"),
    Meaning.BUSY: Rejected("busy", "BUSY: why"),
    Meaning.CLOCK: Rejected("clock", "CLOCK: why"),
    Meaning.KEY: Rejected("key", "KEY: why"),
    Meaning.ALREADY: Rejected("already", "ALREADY: why"),
    Meaning.DUPLICATE: Unknown("testvenue answered DUPLICATE: why"),
    Meaning.NOT_OPEN: Rejected("not_open", "NOT_OPEN: why"),
    Meaning.NOT_FOUND: Rejected("not_found", "NOT_FOUND: why"),
    Meaning.UNKNOWN: Unknown("testvenue answered UNKNOWN: why"),
}


@pytest.mark.parametrize("meaning", Meaning)
def test_every_meaning_has_its_verdict(meaning: Meaning) -> None:
    """What was refused with proof is Rejected; a taken id may be our own earlier attempt: Unknown."""
    assert meaning is TABLE.meaning(meaning.value.upper())
    assert VERDICTS[meaning] == TABLE.outcome(meaning.value.upper(), "why")


@pytest.mark.parametrize("code", ["", "-1", "0", "refused", "REFUSED "])
def test_a_code_that_is_not_listed_proves_nothing(code: str) -> None:
    """It is unknown, to the letter."""
    assert Meaning.UNKNOWN is TABLE.meaning(code)
    assert isinstance(TABLE.outcome(code, "why"), Unknown)


def test_a_code_without_words_stands_alone() -> None:
    """No colon with nothing behind it."""
    assert Rejected("REFUSED", "REFUSED") == TABLE.outcome("REFUSED", "")
    assert Unknown("testvenue answered -1") == TABLE.outcome("-1", "")
    assert "testvenue answered -1" == str(TABLE.failure("-1", ""))


@pytest.mark.parametrize("meaning", Meaning)
def test_a_read_that_failed_has_learned_nothing(meaning: Meaning) -> None:
    """Unavailable, but for a key that an operator must see to."""
    error = TABLE.failure(meaning.value.upper(), "why")
    expected = {Meaning.BUSY: RateLimited, Meaning.KEY: VenueRejected}.get(meaning, VenueUnavailable)
    assert expected is type(error)
    assert "why" in str(error)


def test_a_busy_venue_names_its_wait() -> None:
    """As long as it says, a second where it says nothing."""
    for error, wait_ms in ((TABLE.failure("BUSY", "why"), 1_000), (TABLE.failure("BUSY", "why", 7_000), 7_000)):
        assert isinstance(error, RateLimited)
        assert wait_ms == error.retry_after_ms
