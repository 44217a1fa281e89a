"""Bounded fields and the lines that tell what is wrong with a value."""

from dataclasses import dataclass

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.strategy.settings import bounded, build, check_fields, raise_all


@dataclass(frozen=True)
class _Sample:
    period: int = bounded(14, 2, 100)
    ratio: float = bounded(1.5, 0.1, 10.0)
    loud: bool = False

    def __post_init__(self) -> None:
        """Check the fields as a strategy does."""
        check_fields(self, "sample")


def test_defaults_and_bounds_themselves_are_accepted() -> None:
    """A bound belongs to what is allowed."""
    assert _Sample(14, 1.5, False) == build(_Sample, "sample", {})
    assert 100 == build(_Sample, "sample", {"period": 100}).period
    assert build(_Sample, "sample", {"loud": True}).loud


def test_a_whole_number_may_stand_for_one_with_decimals() -> None:
    """`ratio: 2` in a file means 2.0."""
    ratio = build(_Sample, "sample", {"ratio": 2}).ratio
    assert 2.0 == ratio
    assert isinstance(ratio, float)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("period", 1, "sample.period = 1 is not a whole number from 2 to 100 (default 14)"),
        ("period", 101, "sample.period = 101 is not a whole number from 2 to 100 (default 14)"),
        ("period", 14.0, "sample.period = 14.0 is not a whole number from 2 to 100 (default 14)"),
        ("period", "14", "sample.period = '14' is not a whole number from 2 to 100 (default 14)"),
        ("period", True, "sample.period = True is not a whole number from 2 to 100 (default 14)"),
        ("ratio", float("nan"), "sample.ratio = nan is not a number from 0.1 to 10 (default 1.5)"),
        ("ratio", None, "sample.ratio = None is not a number from 0.1 to 10 (default 1.5)"),
        ("loud", 1, "sample.loud = 1 is not true or false (default False)"),
        ("ratoi", 1.0, "sample.ratoi is not a setting of this strategy (did you mean ratio?)"),
        ("zzz", 1.0, "sample.zzz is not a setting of this strategy (it has period, ratio, loud)"),
    ],
)
def test_a_wrong_setting_is_one_line(key: str, value: object, line: str) -> None:
    """The line names the key, the value and what was expected."""
    with pytest.raises(ConfigInvalid) as caught:
        build(_Sample, "sample", {key: value})
    assert line == str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    """Unknown keys first, then each wrong value on its own line."""
    with pytest.raises(ConfigInvalid) as caught:
        build(_Sample, "sample", {"period": 0, "ratio": "x", "nope": 1})
    assert ["sample.nope", "sample.period", "sample.ratio"] == [
        line.split(" ")[0] for line in str(caught.value).splitlines()
    ]


def test_no_mistake_raises_nothing() -> None:
    """An empty list of mistakes is success."""
    raise_all([])
