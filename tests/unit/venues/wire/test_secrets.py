"""A key pair is not printed by accident."""

import dataclasses
import traceback

import pytest

from trading_engine.venues.wire.secrets import Credentials

PAIR = Credentials("test-key", "test-secret")


@pytest.mark.parametrize("told", [repr(PAIR), str(PAIR), f"{PAIR}", f"{PAIR!r}", "%s" % (PAIR,), f"{[PAIR]}"])  # noqa: UP031
def test_no_text_of_a_key_pair_shows_it(told: str) -> None:
    """Alone, formatted and inside of other things."""
    assert "test-" not in told


def test_an_error_about_a_key_pair_does_not_show_it() -> None:
    """Values cannot be changed, and the refusal names the field alone."""
    with pytest.raises(dataclasses.FrozenInstanceError) as caught:
        PAIR.key = "other-key"  # type: ignore[misc]
    assert "test-" not in "".join(traceback.format_exception_only(caught.value))


def test_a_key_pair_holds_what_it_was_given() -> None:
    """For signing."""
    assert ("test-key", "test-secret") == (PAIR.key, PAIR.secret)
