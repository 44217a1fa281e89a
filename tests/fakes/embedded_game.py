"""A matching kernel on two symbols, played candle by candle: the world of the kernel's tests.

What belongs here: building instruments, orders and candles in few words, and reading what happened. What does
not: any expectation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venues.embedded.account import Account, ExchangeOrder, ExchangePosition, Kind, Status
from trading_engine.venues.embedded.matching import Change, Happening, Kernel, Refusal, TradeRow
from trading_engine.venues.embedded.terms import Contract, Terms

E8 = 100_000_000
MINUTE = 60_000
FREE = Terms(taker_fee_e8=0, maker_fee_e8=0, slippage_ppm=0, volume_share_ppm=1_000_000, leverage_milli=10_000)
BUY, SELL = 1, -1


def instrument(symbol: str, tiers: tuple[MarginTier, ...] = ()) -> Instrument:
    """One tick of one step is worth 1."""
    return Instrument(
        symbol=symbol,
        tick=Decimal(1),
        step=Decimal(1),
        min_quantity=Decimal(2),
        max_quantity=Decimal(100_000),
        min_notional=Decimal(5_000),
        max_leverage=Decimal(50),
        tiers=tiers or (MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
    )


Answer = Callable[["Game", Happening], None]


@dataclass
class Game:
    """A kernel on two symbols that stand at 1,000, and what happened on it."""

    terms: Terms = FREE
    wallet: int = 100_000
    changes: list[Change] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)
    next_ms: int = 0

    def __post_init__(self) -> None:
        contracts = {symbol: Contract.of(instrument(symbol)) for symbol in ("A", "B")}
        self.kernel = Kernel(Account(), contracts, self.terms, self.changes.append)
        self.kernel.account.progress.wallet_e8 = self.wallet * E8
        self.candle(A=(1_000, 1_000, 1_000, 1_000), B=(1_000, 1_000, 1_000, 1_000))

    def order(  # what a test says about an order, in words
        self, name: str, kind: Kind, sign: int, steps: int, price: int = 0, **told: object
    ) -> ExchangeOrder:
        """An accepted order."""
        refusal, order = self.ask(name, kind, sign, steps, price, **told)
        assert refusal is None
        return order

    def ask(
        self, name: str, kind: Kind, sign: int, steps: int, price: int = 0, **told: object
    ) -> tuple[Refusal | None, ExchangeOrder]:
        """An order, and why it was refused."""
        order = ExchangeOrder(
            client_order_id=name,
            number=0,
            symbol=str(told.get("symbol", "A")),
            kind=kind,
            sign=sign,
            steps=steps,
            price=price,
            reduce_only=bool(told.get("reduce_only", kind in {Kind.STOP, Kind.TARGET})),
            created_ms=0,
            updated_ms=0,
        )
        return self.kernel.submit(order, post_only=bool(told.get("post_only", False))), order

    def hold(self, sign: int, steps: int, price: int = 1_000, symbol: str = "A") -> None:
        """Open a position at a price."""
        self.order(f"hold-{symbol}-{self.next_ms}", Kind.MARKET, sign, steps, symbol=symbol)
        self._play([Candle(symbol, self.next_ms, MINUTE, price, price, price, price, 1_000_000)], (), None)
        self.happened.clear()

    def candle(
        self,
        volume: int = 1_000_000,
        rates: tuple[FundingRate, ...] = (),
        answer: Answer | None = None,
        **shapes: tuple[int, int, int, int],
    ) -> list[Happening]:
        """Play a candle (open, high, low, close) of each symbol named, answering every happening."""
        candles = [Candle(symbol, self.next_ms, MINUTE, *shape, volume) for symbol, shape in shapes.items()]
        return self._play(candles, rates, answer)

    def _play(self, candles: list[Candle], rates: tuple[FundingRate, ...], answer: Answer | None) -> list[Happening]:
        now: list[Happening] = []
        for happening in self.kernel.play(self.next_ms, candles, rates):
            now.append(happening)
            if answer is not None:
                answer(self, happening)
        self.next_ms += MINUTE
        self.happened += now
        return now

    @property
    def position(self) -> ExchangePosition:
        """The position on A."""
        return self.kernel.account.positions.get("A", ExchangePosition("A"))

    @property
    def signed(self) -> int:
        """Steps held of A, negative when short."""
        return self.position.sign * self.position.steps


def trades(happened: list[Happening]) -> list[tuple[str, int, int]]:
    """Order, signed steps and price of every execution."""
    return [(one.client_order_id, one.sign * one.steps, one.price) for one in happened if isinstance(one, TradeRow)]


def ends(happened: list[Happening]) -> list[tuple[str, Status, str]]:
    """Order, state and reason of every order that left the book without a trade."""
    return [(one.client_order_id, one.status, one.reason) for one in happened if isinstance(one, ExchangeOrder)]
