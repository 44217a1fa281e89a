"""Errors: each carries what its caller needs."""

from trading_engine.domain.errors import (
    ConfigInvalid,
    RateLimited,
    TradingEngineError,
    VenueRejected,
    VenueUnavailable,
)


def test_errors_carry_what_the_caller_needs() -> None:
    """Exit code, code and reason, patience."""
    assert 78 == ConfigInvalid("no").exit_code
    assert 2 == ConfigInvalid("no", exit_code=2).exit_code
    rejected = VenueRejected("-2019", "margin is insufficient")
    assert ("-2019", "margin is insufficient") == (rejected.code, rejected.reason)
    assert "-2019: margin is insufficient" == str(rejected)
    limited = RateLimited("slow down", 1_500)
    assert 1_500 == limited.retry_after_ms
    assert isinstance(limited, VenueUnavailable)
    assert isinstance(limited, TradingEngineError)
