"""Order and position names: derived from columns, read back, never guessed."""

import pytest

from trading_engine.domain.ids import (
    OrderKey,
    Purpose,
    base36,
    derive_client_order_id,
    emergency_order_id,
    is_emergency_order_id,
    parse_client_order_id,
    position_id,
    position_number,
)


@pytest.mark.parametrize(
    ("purpose", "letter"),
    [(Purpose.ENTRY, "e"), (Purpose.STOP, "s"), (Purpose.TARGET, "t"), (Purpose.PARTIAL, "p"), (Purpose.EXIT, "x")],
)
def test_an_id_spells_its_columns(purpose: Purpose, letter: str) -> None:
    """Prefix, epoch, position, purpose, leg, generation: 18 lower-case letters and digits."""
    key = OrderKey("ab12", 46_656, purpose, 35, 37)
    assert f"teab12001000{letter}z0011" == derive_client_order_id(key)
    assert key == parse_client_order_id(f"teab12001000{letter}z0011")


def test_a_venue_may_change_the_case_of_an_id() -> None:
    """Upper case reads as the same columns."""
    assert OrderKey("ab12", 1, Purpose.STOP, 0, 1) == parse_client_order_id("TEAB12000001S00001")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web_abc",
        "teab12000001s0001",  # too short
        "xxab12000001s00001",  # another prefix
        "teab12000001q00001",  # no such purpose
        "teab12000001s0000-",  # no base 36
    ],
)
def test_an_id_that_is_not_ours_has_no_columns(text: str) -> None:
    """None, never a guess."""
    assert parse_client_order_id(text) is None


@pytest.mark.parametrize("epoch", ["abc", "abcde", "AB12", "ab-1"])
def test_an_epoch_is_four_digits_of_base_36(epoch: str) -> None:
    """Anything else would make ids that do not read back."""
    with pytest.raises(ValueError, match="is not 4 base-36 digits"):
        derive_client_order_id(OrderKey(epoch, 1, Purpose.ENTRY, 0, 1))


@pytest.mark.parametrize("number", [-1, 36])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    """Instead of an id of another length."""
    with pytest.raises(ValueError, match=f"{number} does not fit into 1 base-36 digits"):
        base36(number, 1)


def test_small_numbers_are_padded() -> None:
    """Fixed width."""
    assert "000z" == base36(35, 4)
    assert "0000" == base36(0, 4)


def test_a_position_has_a_public_name() -> None:
    """P and six digits, more where needed."""
    assert "P000042" == position_id(42)
    assert 42 == position_number("P000042")
    assert 1_234_567 == position_number(position_id(1_234_567))


def test_an_emergency_order_is_recognised_and_is_none_of_a_position_s() -> None:
    """In any case of letters; ids of one emergency differ, and so do those of two."""
    name = emergency_order_id(1_746_316_800_000, 1)
    assert "tx" == name[:2]
    assert is_emergency_order_id(name)
    assert is_emergency_order_id(name.upper())
    assert parse_client_order_id(name) is None
    assert 3 == len({name, emergency_order_id(1_746_316_800_000, 2), emergency_order_id(1_746_316_800_001, 1)})


@pytest.mark.parametrize(
    "text", ["", "tx", "tx0m5d4ruo00", "tx0m5d4ruo0011", "te0m5d4ruo001", "tx0m5d4ruo0-1", "web_1"]
)
def test_other_ids_are_no_emergency(text: str) -> None:
    """Another length, prefix or letter."""
    assert not is_emergency_order_id(text)
