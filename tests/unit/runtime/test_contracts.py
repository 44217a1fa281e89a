"""What a venue said of its contracts lies beside the account that counts in their units."""

from pathlib import Path

import pytest
from builders import BTC, ETH, dec, make_instrument

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime import contracts
from trading_engine.system.state_dir import StateDir


def test_what_is_kept_is_what_was_told(tmp_path: Path) -> None:
    """To the last digit, tiers included; symbols that are not traded any more stay."""
    state = StateDir(tmp_path)
    assert {} == contracts.kept(state)
    btc, eth = make_instrument(BTC, tick=dec("0.10")), make_instrument(ETH)
    contracts.keep(state, {ETH: eth})
    contracts.keep(state, {BTC: btc})
    assert {BTC: btc, ETH: eth} == contracts.kept(state)
    assert ["contracts.json"] == [path.name for path in tmp_path.iterdir()]


def test_units_that_changed_stop_a_start_only_where_something_is_open(tmp_path: Path) -> None:
    """The remedy is in the message: the old unit holds until it is closed."""
    del tmp_path
    before, now = {BTC: make_instrument(BTC)}, {BTC: make_instrument(BTC, tick=dec("0.01"))}
    assert "" == contracts.changed(before, now, [])
    assert "" == contracts.changed(before, before, [BTC])
    assert "" == contracts.changed({}, now, [BTC])
    refusal = contracts.changed(before, now, [BTC])
    assert "BTCUSDT is open and its tick was 0.1, the venue says 0.01 now" in refusal
    assert "paper.instruments.BTCUSDT.tick: 0.1" in refusal


def test_other_facts_may_change_while_something_is_open() -> None:
    """Minimums and leverage move nothing that is counted already."""
    now = {BTC: make_instrument(BTC, min_notional=dec(100), max_leverage=dec(20))}
    assert "" == contracts.changed({BTC: make_instrument(BTC)}, now, [BTC])


def test_a_damaged_file_is_told_with_its_path(tmp_path: Path) -> None:
    """Not taken for none: an open position would be counted in other units."""
    state = StateDir(tmp_path)
    state.contracts.write_text("[{", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"contracts\.json: unreadable"):
        contracts.kept(state)
