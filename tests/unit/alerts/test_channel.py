"""A channel is named without its secrets."""

import pytest

from trading_engine.alerts.channel import Channel
from trading_engine.domain.severity import Severity

URL = "tgram://123456789:AbCd-efGH/-100200300/?thread=77889"


def test_the_url_is_never_shown() -> None:
    """Neither in repr nor in the label."""
    channel = Channel(URL)
    assert "tgram://***" == channel.label
    assert "***" == Channel("nonsense").label
    assert "123456789" not in repr(channel)


@pytest.mark.parametrize(
    "text", [URL, "POST /bot123456789:AbCd-efGH/sendMessage", "chat -100200300 unknown", "thread 77889"]
)
def test_no_part_of_the_url_remains_in_an_error(text: str) -> None:
    """Services put parts of the address into their complaints."""
    hidden = Channel(URL).hide(text)
    assert "***" in hidden
    for part in ("123456789", "AbCd-efGH", "100200300", "77889"):
        assert part not in hidden


def test_an_error_is_cut_to_a_line() -> None:
    """A page of HTML is no reason."""
    assert 200 == len(Channel(URL).hide("x" * 5_000))


@pytest.mark.parametrize(
    ("least", "wanted"),
    [
        (Severity.INFO, ["info", "warning", "critical"]),
        (Severity.WARNING, ["warning", "critical"]),
        (Severity.CRITICAL, ["critical"]),
    ],
)
def test_a_channel_wants_its_least_severity_and_above(least: Severity, wanted: list[str]) -> None:
    """Order is by weight, not by spelling."""
    channel = Channel(URL, least)
    assert wanted == [severity.value for severity in Severity if channel.wants(severity)]
