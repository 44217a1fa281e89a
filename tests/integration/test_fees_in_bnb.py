"""Fees that are paid in BNB, over real sockets: the ledger stays the wallet to the last unit, and a person is told."""

from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.fault_rig import BEGIN, PRICE, STOP_TICKS, Minute, VenueRig, lived
from fakes.venue_rig import VenueDesk, venue_desk

CRASH = Minute(PRICE - 2 * STOP_TICKS, PRICE - 2 * STOP_TICKS)
_FILLS = "SELECT venue_order_id, fee, fee_asset FROM fills ORDER BY seq"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[VenueDesk]:
    """A venue on which nothing has happened, and a configuration for it."""
    monkeypatch.chdir(tmp_path)
    with venue_desk("binance", tmp_path, capsys) as made:
        yield made


def traded(folder: Path, scene: Callable[[VenueRig], Awaitable[None]]) -> None:
    """An engine that trades on a venue with fees in BNB; in the end the account was compared, and everything agrees."""

    async def story() -> None:
        rig = VenueRig(folder, "binance")
        try:
            rig.exchange.set_fee_burn(wanted=True)
            await rig.begin()
            await rig.enter()
            await rig.protected()
            await scene(rig)
            assert rig.exchange.wallet == rig.pump.state.book.ledger.balance
            assert [("USDT",)] == rig.rows("SELECT DISTINCT asset FROM pnl")
            assert ["fee:BNB"] == [key for key in rig.alerts if key.startswith(("fee", "wallet"))]
            assert [] == [reason for reason in rig.gates() if "wallet" in reason]
            assert [] == rig.audit_failures
            await rig.end()
        finally:
            rig.shut()

    lived(story)


async def left(rig: VenueRig) -> None:
    """Out by the stop, and long enough after it for the account to be compared twice."""
    rig.minutes.append(CRASH)
    await rig.flat()
    await rig.later(600)


def test_a_round_trip_with_fees_in_bnb_leaves_ledger_and_wallet_alike(tmp_path: Path) -> None:
    """Told by the stream and by the list alike; booked as nothing, kept with the fill, told once."""

    async def scene(rig: VenueRig) -> None:
        await left(rig)
        kept = [(order, Decimal(str(fee)), asset) for order, fee, asset in rig.rows(_FILLS)]
        assert len(kept) == 2
        assert all(fee > 0 and asset == "BNB" for _, fee, asset in kept)
        listed = await rig.venue.fills_since(BEGIN)
        assert kept == [(fill.venue_order_id, fill.fee, fill.fee_asset) for fill in listed]
        assert [Decimal(0)] == [Decimal(str(fees)) for (fees,) in rig.rows("SELECT fees FROM positions")]

    traded(tmp_path, scene)


def test_fees_that_go_back_to_the_settle_asset_count_again(tmp_path: Path) -> None:
    """The entry is paid in BNB, the exit in USDT: the position has cost what the wallet has paid."""

    async def scene(rig: VenueRig) -> None:
        rig.exchange.set_fee_burn(wanted=False)
        await left(rig)
        entry, leave = rig.rows(_FILLS)
        assert ("BNB", "USDT") == (entry[2], leave[2])
        assert [leave[1]] == [fees for (fees,) in rig.rows("SELECT fees FROM positions")]
        assert Decimal(str(leave[1])) > 0

    traded(tmp_path, scene)


def test_a_start_and_the_doctor_warn_of_fees_in_bnb(desk: VenueDesk) -> None:
    """With what is left out, and how to switch it off; nothing of it where fees are paid in the settle asset."""
    commands = (["run", "--dry-run", "--config", str(desk.config)], ["doctor", "--config", str(desk.config)])

    def said(*command: str) -> str:
        return " ".join(desk.call(*command).split())

    for command in commands:
        assert "fees are paid in BNB" not in said(*command)
    desk.venue.do(lambda exchange: exchange.set_fee_burn(wanted=True))
    for command in commands:
        told = said(*command)
        assert "fees are paid in BNB, and PnL and limits in USDT leave them out: switch it off" in told
        assert "/fapi/v1/feeBurn" in told
