"""What the adapters say of their venues, and what they never ask of them."""

import re
from pathlib import Path

import pytest

from trading_engine.domain.order_type import OrderType
from trading_engine.ports import Capabilities
from trading_engine.venues import binance, bingx, zoomex
from trading_engine.venues.binance import facts as binance_facts
from trading_engine.venues.bingx import facts as bingx_facts
from trading_engine.venues.embedded.venue import CAPABILITIES as EMBEDDED
from trading_engine.venues.zoomex import facts as zoomex_facts

REMOTE = [
    pytest.param(binance_facts.CAPABILITIES, id="binance"),
    pytest.param(bingx_facts.CAPABILITIES, id="bingx"),
    pytest.param(zoomex_facts.CAPABILITIES, id="zoomex"),
]
PACKAGES = [
    pytest.param(package, id=package.__name__.rsplit(".", maxsplit=1)[-1]) for package in (binance, bingx, zoomex)
]
# What the venues call the switch that cancels orders when nobody winds it up any more, and stops as parts of an entry.
SWITCHES = ("countdownCancelAll", "cancelAllAfter", "disconnected-cancel-all", "disconnect-cancel")
ATTACHED = ("stopLoss", "takeProfit", "slTriggerBy", "tpTriggerBy", "tpslMode", "closePosition")


def _names_in(package: object, words: tuple[str, ...]) -> list[str]:
    """Where a package names one of the words in quotes, as something that is sent or asked for."""
    folder = Path(package.__path__[0])  # type: ignore[attr-defined]
    named = re.compile("|".join(rf"""["'/]{re.escape(word)}["']""" for word in words))
    return [
        f"{path.name}: {found[0]}" for path in sorted(folder.glob("*.py")) for found in named.finditer(path.read_text())
    ]


@pytest.mark.parametrize("capabilities", REMOTE)
def test_absence_over_a_wire_is_proven_by_time(capabilities: Capabilities) -> None:
    """No venue over a wire proves an absence at once, and each says how long an order may be invisible."""
    assert not capabilities.absence_is_proof
    assert 1_000 <= capabilities.visibility_delay_ms <= 60_000


def test_absence_in_process_is_proof() -> None:
    """Nothing can be on its way."""
    assert (True, 0) == (EMBEDDED.absence_is_proof, EMBEDDED.visibility_delay_ms)


@pytest.mark.parametrize("capabilities", [*REMOTE, pytest.param(EMBEDDED, id="embedded")])
def test_every_venue_takes_every_type_of_order(capabilities: Capabilities) -> None:
    """The types are those that all of them can express."""
    assert frozenset(OrderType) == capabilities.order_types


@pytest.mark.parametrize("package", PACKAGES)
def test_no_adapter_arms_a_switch_that_may_cancel_stops(package: object) -> None:
    """None of the calls is known to an adapter under any of its names."""
    assert [] == _names_in(package, SWITCHES)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_adapter_attaches_a_stop_to_an_entry(package: object) -> None:
    """No parameter of an attached stop or target, or of one for a whole position, is ever sent."""
    assert [] == _names_in(package, ATTACHED)


def test_the_look_for_names_finds_what_is_there() -> None:
    """A parameter that every order has is found in every adapter: an empty list above is no accident."""
    words = {binance: ("newClientOrderId",), bingx: ("clientOrderId",), zoomex: ("orderLinkId",)}
    assert all(_names_in(package, names) for package, names in words.items())
