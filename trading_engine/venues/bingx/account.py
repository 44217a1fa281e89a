"""The account's own facts: wallet, modes, permissions, fees; and whether it is the account that was meant.

What belongs here: reading and checking them. What does not: changing them (venue).
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.reports import Balance
from trading_engine.ports import AccountFacts, FeeRates, PositionMode
from trading_engine.venues.bingx import codec, facts
from trading_engine.venues.bingx.codec import BalanceRow, Commission, DualSide, LeverageEcho
from trading_engine.venues.bingx.rest import Answer, Rest, decoded
from trading_engine.venues.wire.settings import AccountSettings

_TRADE_PERMISSION = 3
_WITHDRAW_PERMISSION = 5


def check_host(settings: AccountSettings) -> None:
    """ConfigInvalid where host and asset contradict each other by their names already."""
    is_demo = facts.is_demo(settings.hosts)
    if is_demo is None or is_demo is (settings.asset == facts.DEMO_ASSET):
        return
    kind, fitting = ("demo", facts.DEMO_ASSET) if is_demo else ("live", "USDT")
    raise ConfigInvalid(
        f"account {settings.account}: {settings.hosts.rest_url} is bingx's {kind} host, whose wallet holds {fitting},"
        f" and the account's asset is {settings.asset}; correct the one or the other"
    )


def check_assets(settings: AccountSettings, rows: Sequence[BalanceRow]) -> None:
    """ConfigInvalid where the wallet is not of the asset that was configured: keys work on both hosts."""
    told = {row.asset for row in rows if row.asset}
    is_demo = facts.DEMO_ASSET in told
    if settings.asset in told and is_demo is (settings.asset == facts.DEMO_ASSET):
        return
    listed = ", ".join(sorted(told)) or "no asset"
    raise ConfigInvalid(
        f"account {settings.account}: the wallet at {settings.hosts.rest_url} holds {listed}, expected"
        f" {settings.asset}; {facts.DEMO_ASSET} is play money of the demo host, an account never funded holds nothing"
    )


async def read_balances(rest: Rest) -> Sequence[BalanceRow]:
    """The wallet, one row an asset."""
    return await rest.read(facts.BALANCE, {}, list[BalanceRow])


def balance_of(settings: AccountSettings, rows: Sequence[BalanceRow]) -> Balance:
    """The account's asset; VenueUnavailable where the wallet does not list it: that is not zero."""
    for row in rows:
        if row.asset == settings.asset:
            wallet = codec.needed(row.balance, "the balance")
            return Balance(settings.asset, wallet, codec.needed(row.available_margin, "the available margin"))
    raise VenueUnavailable(f"bingx lists no balance in {settings.asset}")


async def read_is_hedge(rest: Rest) -> bool:
    """Whether longs and shorts are held apart."""
    return codec.flag((await rest.read(facts.POSITION_MODE, {}, DualSide)).dual_side_position)


async def read_facts(rest: Rest, settings: AccountSettings) -> AccountFacts:
    """What a start checks."""
    is_hedge = await read_is_hedge(rest)
    assets = {row.asset for row in await read_balances(rest)}
    permissions = await _read_permissions(rest)
    notes = []
    if permissions is None:
        notes.append("bingx does not tell what the key may do")
    if await _has_joint_margin(rest):
        notes.append("multi-assets mode is on: other assets count as margin, and the balance does not show them")
    is_demo = facts.DEMO_ASSET in assets if assets & {facts.DEMO_ASSET, settings.asset} else None
    return AccountFacts(
        position_mode=PositionMode.HEDGE if is_hedge else PositionMode.ONE_WAY,
        can_trade=None if permissions is None else _TRADE_PERMISSION in permissions,
        can_withdraw=None if permissions is None else _WITHDRAW_PERMISSION in permissions,
        is_demo=is_demo,
        notes=tuple(notes),
    )


class _Permissions(msgspec.Struct, frozen=True):
    permissions: list[int]


async def _read_permissions(rest: Rest) -> frozenset[int] | None:
    """The numbers of what the key may do; None where the venue refuses to tell or tells it in an unknown shape."""
    answer = await rest.ask(facts.PERMISSIONS, {})
    if not answer.is_success:
        return None
    for part in (answer.data, answer.body):
        try:
            return frozenset(decoded(part, list[int]))
        except VenueUnavailable:
            pass
        try:
            return frozenset(decoded(part, _Permissions).permissions)
        except VenueUnavailable:
            pass
    return None


async def _has_joint_margin(rest: Rest) -> bool:
    answer = await rest.ask(facts.ASSET_MODE, {})
    if not answer.is_success:
        return False
    try:
        return decoded(answer.data, codec.AssetMode).asset_mode.lower().startswith("multi")
    except VenueUnavailable:
        return False


async def read_fee_rates(rest: Rest) -> FeeRates:
    """What the account pays."""
    rates = (await rest.read(facts.COMMISSION, {}, Commission)).commission
    return FeeRates(
        maker=codec.needed(rates.maker_commission_rate, "the maker's fee"),
        taker=codec.needed(rates.taker_commission_rate, "the taker's fee"),
    )


def leverage_in(answer: Answer) -> Decimal | None:
    """The leverage that the venue says it has set; None where it says nothing."""
    try:
        return codec.number(decoded(answer.data, LeverageEcho).leverage)
    except VenueUnavailable:
        return None
