"""The JSON of records and checkpoints."""

import json
from decimal import Decimal

import pytest

from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.records import ControlChanged, EquitySampled, StopMoved
from trading_engine.ports import Checkpoint, GateStatus
from trading_engine.store import codec


def test_money_is_plain_text_in_the_payload() -> None:
    """No exponent, no trailing zeros, no float."""
    kind, payload = codec.encode(EquitySampled(5, Decimal("1E-8"), Decimal("1.5E+3")))
    assert "EquitySampled" == kind
    assert {"ts_ms": 5, "balance": "0.00000001", "unrealized": "1500"} == json.loads(payload)


def test_every_digit_survives() -> None:
    """27 digits go in and come out."""
    exact = Decimal("123456789.123456789123456789")
    record = StopMoved("P000001", exact, "trailed")
    assert record == codec.decode(*codec.encode(record))
    assert '"123456789.123456789123456789"' in codec.encode(record)[1]


def test_enums_are_written_by_value() -> None:
    """A reader with jq sees the level's name."""
    record = ControlChanged(Level.NO_ENTRY, "why", "who", 1)
    assert "NO_ENTRY" == json.loads(codec.encode(record)[1])["level"]
    assert record == codec.decode(*codec.encode(record))


def test_an_unknown_kind_is_named() -> None:
    """A journal of a newer version is refused in one line that says so."""
    with pytest.raises(ConfigInvalid, match="record kind 'Teleported' is not known to this version"):
        codec.decode("Teleported", "{}")


def test_an_unreadable_payload_is_named() -> None:
    """A payload that lacks a field tells which kind it claims to be."""
    with pytest.raises(ConfigInvalid, match="a StopMoved record cannot be read"):
        codec.decode("StopMoved", '{"position_id":"P1"}')


def test_a_payload_from_before_a_field_existed_is_readable() -> None:
    """Fields with defaults may be missing."""
    kind, payload = codec.encode(StopMoved("P1", Decimal(1), "r"))
    assert kind in codec.KINDS
    shorter = '{"position_id":"P1","source":"OPEN","target":"CLOSING","trigger":"begin_close","cause":"c"}'
    assert codec.decode("PositionAdvanced", shorter) != codec.decode(kind, payload)


def test_a_checkpoint_comes_back() -> None:
    """Marks, gates and limits included."""
    gate = GateStatus("BTCUSDT", ok=False, reasons=("cooldown",))
    checkpoint = Checkpoint(1, (("BTCUSDT", "61240.1"),), 2, 3, (gate,), (), "-0.5")
    assert checkpoint == codec.decode_checkpoint(codec.encode_checkpoint(checkpoint))
    with pytest.raises(ConfigInvalid, match=r"control\.checkpoint cannot be read"):
        codec.decode_checkpoint("{")


def test_equal_maps_have_equal_text() -> None:
    """The audit compares them as text."""
    assert codec.encode_map({"b": 1, "a": 2}) == codec.encode_map({"a": 2, "b": 1})
    assert {"a": 2, "b": 1} == codec.decode_map(codec.encode_map({"b": 1, "a": 2}))
