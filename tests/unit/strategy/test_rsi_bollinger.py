"""S4 on a constructed excursion and return, its mirror image, and near misses.

60 candles alternate between 99.9 and 100.1; the last but one closes at 97, the last at 98.6.
"""

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import FloatArray, Series, Signals
from trading_engine.strategy.builtin.rsi_bollinger import RsiBollinger

QUARTER = 15 * MINUTE_MS
RULES = RsiBollinger()


def _closes(before: float = 97.0, last: float = 98.6) -> FloatArray:
    return np.array([99.9, 100.1] * 30 + [before, last])


def _series(closes: FloatArray) -> Series:
    """Candles that open where the one before closed, with wicks of 0.1."""
    opens = np.concatenate((closes[:1], closes[:-1]))
    highs, lows = np.maximum(opens, closes) + 0.1, np.minimum(opens, closes) - 0.1
    ts = np.arange(len(closes), dtype=np.int64) * QUARTER
    return Series(ts, opens, highs, lows, closes, np.ones(len(closes)), QUARTER)


def _compute(closes: FloatArray, rules: RsiBollinger = RULES) -> Signals:
    return rules.compute({QUARTER: _series(closes)})


def test_the_return_from_below_is_a_long_to_the_middle_band() -> None:
    """One signal on the last candle; the target is the mean of 20 closes, the stop 2 ATR."""
    closes = _closes()
    signals = _compute(closes)
    assert [61] == np.flatnonzero(signals.side).tolist()
    assert 1 == signals.side[-1]
    assert closes[-20:].mean() - 98.6 == pytest.approx(signals.target_distance[-1])
    assert 2 * signals.explain["atr"][-1] == pytest.approx(signals.stop_distance[-1])


def test_the_mirror_image_is_a_short() -> None:
    """Prices reflected at 100 give the same distances and confidence; with `shorts` off nothing."""
    long, short = _compute(_closes()), _compute(200 - _closes())
    assert -1 == short.side[-1]
    for name in ("confidence", "stop_distance", "target_distance"):
        assert getattr(long, name)[-1] == pytest.approx(getattr(short, name)[-1])
    assert not _compute(200 - _closes(), RsiBollinger(shorts=False)).side.any()


def test_confidence_is_the_mean_of_the_margins() -> None:
    """How far RSI and the close were outside, and how far back the price has come."""
    closes = _closes()
    signals = _compute(closes)
    before, now = closes[-21:-1], closes[-20:]
    lower_before, lower = before.mean() - 2 * before.std(), now.mean() - 2 * now.std()
    margins = [
        (30 - signals.explain["rsi_before"][-1]) / 30,
        (lower_before - 97.0) / signals.explain["atr_before"][-1],
        (98.6 - lower) / (now.mean() - lower),
    ]
    assert all(0 < margin for margin in margins)
    assert np.mean(np.minimum(margins, 1)) == pytest.approx(signals.confidence[-1])


@pytest.mark.parametrize(
    ("closes", "rules"),
    [
        pytest.param(_closes(last=97.5), RULES, id="still outside"),
        pytest.param(_closes(last=100.0), RULES, id="already past the middle"),
        pytest.param(_closes(before=99.8, last=99.9), RULES, id="never outside"),
        pytest.param(_closes(), RsiBollinger(rsi_low=15), id="RSI not below its bound"),
        pytest.param(np.full(62, 100.0), RULES, id="a dead market"),
    ],
)
def test_a_near_miss_is_no_signal(closes: FloatArray, rules: RsiBollinger) -> None:
    """Each lacks one condition."""
    assert not _compute(closes, rules).side.any()


def test_the_cheap_look_is_silent_after_a_close_inside() -> None:
    """Not after one outside, and not where it cannot tell for rounding."""
    assert not RULES.is_silent({QUARTER: _series(_closes())})
    assert RULES.is_silent({QUARTER: _series(_closes(before=99.95))})
    assert not RULES.is_silent({QUARTER: _series(np.full(62, 100.0))})
    assert RULES.is_silent({QUARTER: _series(_closes()).tail(20)})
