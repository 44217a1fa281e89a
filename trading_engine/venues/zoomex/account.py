"""The account: wallet, positions, and how it is set.

What belongs here: reading and setting an account. What does not: orders (orders), what rows mean (codec).

There are two generations of accounts, unified and classic, with the wallet under different names. Which one a key
belongs to is found out by asking, and kept.
"""

from collections.abc import Mapping
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.orders import OrderReport, OrderState
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, VenuePosition
from trading_engine.ports import AccountFacts, FeeRates, MarginMode, PositionMode
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.zoomex import codec, facts, shapes
from trading_engine.venues.zoomex.errors import Told
from trading_engine.venues.zoomex.rest import Declined, Rest, Written
from trading_engine.venues.zoomex.shapes import AccountRow, CoinRow, PositionRow

_UNIFIED, _CLASSIC = "UNIFIED", "CONTRACT"
_SETTING_PATIENCE_MS = 10_000
_MODES = {PositionMode.ONE_WAY: 0, PositionMode.HEDGE: 3}


class AccountSide:
    """The account behind one key."""

    def __init__(self, rest: Rest, settings: AccountSettings) -> None:
        self._rest = rest
        self._settings = settings
        self._generation = ""

    # ── wallet ──────────────────────────────────────────────────────────────

    async def balance(self) -> Balance:
        """The wallet in the asset of the account. Raises VenueUnavailable."""
        account, coin, is_unified = await self._wallet()
        if coin is None:
            return Balance(self._settings.asset, money.ZERO, money.ZERO)
        wallet = shapes.needed(coin.wallet_balance, "wallet balance")
        return Balance(self._settings.asset, wallet, codec.available(account, coin, is_unified=is_unified))

    async def _wallet(self) -> tuple[AccountRow, CoinRow | None, bool]:
        """The account's row and its coin, None for a coin the account never held; whether it is unified."""
        refusal: VenueUnavailable | None = None
        empty: tuple[AccountRow, str] | None = None
        for name in (self._generation,) if self._generation else (_UNIFIED, _CLASSIC):
            try:
                account = await self._ask_wallet(name)
            except Declined as error:
                if error.meaning is not Meaning.REFUSED:
                    raise
                refusal = error  # the key is of the other generation, perhaps
                continue
            if account is None:
                continue
            coin = next((item for item in account.coin or () if item.coin == self._settings.asset), None)
            if coin is not None:
                self._generation = name
                return account, coin, name == _UNIFIED
            empty = empty or (account, name)
        if empty is not None:
            return empty[0], None, empty[1] == _UNIFIED
        raise refusal or VenueUnavailable(f"{facts.NAME} shows no wallet for this key")

    async def _ask_wallet(self, name: str) -> AccountRow | None:
        told = await self._rest.read(facts.WALLET, (("accountType", name), ("coin", self._settings.asset)))
        rows, _ = shapes.page(told.result, AccountRow)
        return rows[0] if rows else None

    # ── positions ───────────────────────────────────────────────────────────

    async def positions(self) -> list[VenuePosition]:
        """Every position with a quantity. Raises VenueUnavailable."""
        query = (("category", facts.CATEGORY), ("settleCoin", self._settings.asset))
        rows = await self._rest.rows(facts.POSITIONS, query, facts.POSITIONS_PER_PAGE, PositionRow)
        held = {(row.symbol, str(row.position_idx)): codec.position(row) for row in rows}
        return [position for position in held.values() if position is not None]

    async def _sides(self, symbol: str) -> list[PositionRow]:
        """The rows of one symbol, flat ones too."""
        query = (("category", facts.CATEGORY), ("symbol", symbol))
        rows = await self._rest.rows(facts.POSITIONS, query, facts.POSITIONS_PER_PAGE, PositionRow)
        return [row for row in rows if row.symbol == symbol]

    # ── settings ────────────────────────────────────────────────────────────

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """The same for both sides."""
        text = money.text(leverage)
        body = {"category": facts.CATEGORY, "symbol": symbol, "buyLeverage": text, "sellLeverage": text}
        return self._settled(symbol, await self._set(facts.LEVERAGE, body))

    async def set_position_mode(self, mode: PositionMode) -> Outcome:
        """Symbol by symbol: by coin the venue would pass over symbols with positions or orders in silence."""
        outcome: Outcome = Rejected("symbol", "no symbol is configured")
        for symbol in self._settings.symbols:
            body = {"category": facts.CATEGORY, "symbol": symbol, "mode": _MODES[mode]}
            outcome = self._settled(symbol, await self._set(facts.SWITCH_MODE, body))
            if not isinstance(outcome, Accepted):
                return outcome
        return outcome

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> Outcome:
        """For a classic account; a unified one is only checked, for no call sets it."""
        try:
            account, _, is_unified = await self._wallet()
            if is_unified:
                return self._compare_margin(symbol, account, mode)
            rows = await self._sides(symbol)
        except VenueUnavailable as error:
            return Rejected("not_sent", f"the present setting could not be read: {error}")
        wanted = 0 if mode is MarginMode.CROSS else 1
        if rows and all(shapes.number(row.trade_mode) == wanted for row in rows):
            return self._accepted(symbol, 0)
        if not rows or any(shapes.number(row.leverage) is None for row in rows):
            return Rejected(
                "no_leverage", f"{facts.NAME} does not tell the leverage of {symbol}, which the switch needs"
            )
        long_side, short_side = rows[0], rows[-1]
        for row in rows:
            index = shapes.number(row.position_idx)
            long_side, short_side = (row if index == 1 else long_side), (row if index == 2 else short_side)
        body = {
            "category": facts.CATEGORY,
            "symbol": symbol,
            "tradeMode": wanted,
            "buyLeverage": str(long_side.leverage),
            "sellLeverage": str(short_side.leverage),
        }
        return self._settled(symbol, await self._set(facts.SWITCH_ISOLATED, body))

    async def _set(self, path: str, body: Mapping[str, object]) -> Written:
        """One request a symbol is more than the venue takes in a second: these wait for their turn."""
        return await self._rest.write(path, body, patience_ms=_SETTING_PATIENCE_MS)

    def _compare_margin(self, symbol: str, account: AccountRow, mode: MarginMode) -> Outcome:
        """A unified account with isolated margin has no available balance of the whole account."""
        is_cross = shapes.number(account.total_available_balance) is not None
        if is_cross == (mode is MarginMode.CROSS):
            return self._accepted(symbol, 0)
        present = MarginMode.CROSS if is_cross else MarginMode.ISOLATED
        return Rejected("margin_mode", f"the unified account is set to {present}; change it on the website")

    def _settled(self, symbol: str, written: Written) -> Outcome:
        return self._accepted(symbol, written.time_ms) if isinstance(written, Told) else written

    def _accepted(self, symbol: str, ts_ms: int) -> Accepted:
        ts_ms = ts_ms or self._rest.clock.now_ms()
        return Accepted(OrderReport("", "", symbol, OrderState.ACKED, money.ZERO, ts_ms))

    # ── facts ───────────────────────────────────────────────────────────────

    async def facts(self) -> AccountFacts:
        """What can be found out about the account. Raises VenueUnavailable."""
        notes: list[str] = []
        mode = await self._position_mode(notes)
        can_trade: bool | None = None
        can_withdraw: bool | None = None
        try:
            told = await self._rest.read(facts.KEY_FACTS)
            key = shapes.decode(told.result, shapes.KeyFacts)
        except (Declined, shapes.Unreadable) as error:
            notes.append(f"permissions of the key are not told ({error}); check on the website that it cannot withdraw")
        else:
            if key.permissions is None:
                notes.append("permissions of the key are not told; check on the website that it cannot withdraw")
            else:
                granted = [text.lower() for texts in key.permissions.values() for text in texts or ()]
                can_withdraw = any("withdraw" in text for text in granted)
                trading = [text.lower() for text in key.permissions.get("ContractTrade") or ()]
                can_trade = "order" in trading and not key.read_only
        return AccountFacts(mode, can_trade, can_withdraw, self._is_demo(), tuple(notes))

    async def _position_mode(self, notes: list[str]) -> PositionMode | None:
        """The mode of all configured symbols, None where they differ or nothing is told."""
        found: dict[str, PositionMode] = {}
        for symbol in self._settings.symbols:
            indexes = {int(shapes.number(row.position_idx) or 0) for row in await self._sides(symbol)}
            if indexes:
                found[symbol] = PositionMode.ONE_WAY if indexes == {0} else PositionMode.HEDGE
        if len(set(found.values())) > 1:
            told = ", ".join(f"{symbol} {mode}" for symbol, mode in found.items())
            notes.append(f"the position mode differs between symbols: {told}")
            return None
        return next(iter(found.values()), None)

    def _is_demo(self) -> bool | None:
        known = {facts.MAINNET.rest_url: False, facts.TESTNET.rest_url: True}
        return known.get(self._settings.hosts.rest_url)

    async def fee_rates(self, symbol: str, *, is_innovation: bool) -> FeeRates:
        """What the account pays; the standard rates where the undocumented call is refused. VenueUnavailable."""
        try:
            told = await self._rest.read(facts.FEE_RATE, (("category", facts.CATEGORY), ("symbol", symbol)))
        except Declined as error:
            if error.meaning is not Meaning.REFUSED:
                raise
            return FeeRates(*(facts.INNOVATION_FEES if is_innovation else facts.STANDARD_FEES))
        rows, _ = shapes.page(told.result, shapes.FeeRow)
        row = next((row for row in rows if row.symbol == symbol), None)
        if row is None:
            raise VenueUnavailable(f"{facts.NAME} shows no fee rates of {symbol}")
        return FeeRates(shapes.needed(row.maker_fee_rate, "maker fee"), shapes.needed(row.taker_fee_rate, "taker fee"))
