"""Every adapter against the one contract, over real sockets, on a local server of its venue."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

pytest.register_assert_rewrite("contract.venue_bench", "contract.venue_contract", "contract.venue_matching_contract")

# Registered first, so that a failure in a case shows its values.
from contract.socket_bench import KEYS, BenchClock, SocketBench  # noqa: E402
from contract.venue_bench import INSTRUMENTS, Bench, Traits  # noqa: E402
from contract.venue_contract import AccountContract, OrderContract  # noqa: E402
from contract.venue_matching_contract import MatchingContract  # noqa: E402

from trading_engine.venue_servers.binance import BinanceProtocol  # noqa: E402
from trading_engine.venue_servers.bingx import BingxProtocol  # noqa: E402
from trading_engine.venue_servers.zoomex import ZoomexProtocol  # noqa: E402
from trading_engine.venues.binance.venue import BinanceVenue  # noqa: E402
from trading_engine.venues.bingx.venue import BingxVenue  # noqa: E402
from trading_engine.venues.wire.settings import AccountSettings, Hosts  # noqa: E402
from trading_engine.venues.zoomex.venue import ZoomexVenue  # noqa: E402

_BINANCE = Traits(trades_at_once=True, tells_income_live=False)
_BINGX = Traits(
    trades_at_once=True,
    tells_income_live=False,
    tells_pnl=False,
    tells_max_quantity=False,
    stops_may_open=False,
    tells_order_time=False,
    paces_cancels=True,
    reads_by_the_second=True,
)
_ZOOMEX = Traits(trades_at_once=True, tells_transfers=False, tells_pnl=False, refuses_post_only=False)


def _settings(port: int, public: str, private: str) -> AccountSettings:
    hosts = Hosts(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}{public}", f"ws://127.0.0.1:{port}{private}")
    return AccountSettings("test", tuple(one.symbol for one in INSTRUMENTS), hosts)


def _binance(port: int, clock: BenchClock) -> BinanceVenue:
    return BinanceVenue(KEYS, _settings(port, "/market", "/private"), clock)


def _bingx(port: int, clock: BenchClock) -> BingxVenue:
    return BingxVenue(KEYS, _settings(port, "/swap-market", "/swap-market"), clock)


def _zoomex(port: int, clock: BenchClock) -> ZoomexVenue:
    return ZoomexVenue(KEYS, _settings(port, "", ""), clock)


class _Binance:
    """Puts Binance's server and adapter on the bench."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Bench]:
        """The bench of the cases."""
        bench = SocketBench(tmp_path, BinanceProtocol, _binance, _BINANCE)
        yield bench
        bench.close()


class _Bingx:
    """Puts BingX's server and adapter on the bench."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Bench]:
        """The bench of the cases."""
        bench = SocketBench(tmp_path, partial(BingxProtocol, is_paced=False), _bingx, _BINGX)
        yield bench
        bench.close()


class _Zoomex:
    """Puts Zoomex's server and adapter on the bench."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Bench]:
        """The bench of the cases."""
        bench = SocketBench(tmp_path, partial(ZoomexProtocol, per_second=1_000, per_address=100_000), _zoomex, _ZOOMEX)
        yield bench
        bench.close()


class TestBinanceOrders(_Binance, OrderContract):
    """Binance keeps orders as every venue does."""


class TestBinanceMatching(_Binance, MatchingContract):
    """Binance matches as every venue does."""


class TestBinanceAccount(_Binance, AccountContract):
    """Binance keeps accounts as every venue does."""


class TestBingxOrders(_Bingx, OrderContract):
    """BingX keeps orders as every venue does."""


class TestBingxMatching(_Bingx, MatchingContract):
    """BingX matches as every venue does."""


class TestBingxAccount(_Bingx, AccountContract):
    """BingX keeps accounts as every venue does."""


class TestZoomexOrders(_Zoomex, OrderContract):
    """Zoomex keeps orders as every venue does."""


class TestZoomexMatching(_Zoomex, MatchingContract):
    """Zoomex matches as every venue does."""


class TestZoomexAccount(_Zoomex, AccountContract):
    """Zoomex keeps accounts as every venue does."""
