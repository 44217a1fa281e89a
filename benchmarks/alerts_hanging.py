"""What a receiver of alerts that hangs costs the decision path: nothing, within noise.

    python benchmarks/alerts_hanging.py [--hours 1] [--rounds 3]

The demo's market is decided on candle by candle at the pace of `--hours` of virtual time a round, commits included,
on a real database: once without a receiver and once with one that accepts connections and never answers. Printed are
the times from a closed candle to its commit. The rounds alternate, so that a busy machine is fair to both.
"""

import argparse
import asyncio
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fakes.databases import fresh  # noqa: E402 - the path comes first
from fakes.live_rig import INSTRUMENT, MINUTE, START, LiveRig  # noqa: E402

from trading_engine.alerts import AlertRow, Channel, OutboxWorker, send_test  # noqa: E402
from trading_engine.simulation.loop import VirtualLoop  # noqa: E402
from trading_engine.store.sql_store import SqlStore  # noqa: E402


def hanging_receiver() -> tuple[socket.socket, str]:
    """A listener that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    return listener, f"json://127.0.0.1:{listener.getsockname()[1]}/?rto=3600&cto=3600"


def one_round(minutes: int, url: str | None) -> list[float]:
    """The milliseconds of each decision."""
    took: list[float] = []

    async def talk(folder: Path) -> None:
        rig = LiveRig()
        with SqlStore.open(fresh(folder), venue="scripted", account="test") as store:
            rig.pump._store = store  # noqa: SLF001 - the rig's own is in memory
            channels = [Channel(url)] if url else []
            worker = OutboxWorker(store.outbox(AlertRow, rig.clock.now_ms), channels, now_ms=rig.clock.now_ms)
            worker.start()
            await rig.begin()
            for minute in range(minutes):
                price = 1_000 + minute % 7
                rig.script.next = ()
                begun = time.perf_counter()
                rig.feed.close(price, START + minute * MINUTE)
                rig.pump.save_progress(rig.clock.now_ms())
                took.append((time.perf_counter() - begun) * 1_000)
                await asyncio.sleep(60)
            await rig.end()
            await worker.stop(5)

    loop = VirtualLoop()
    try:
        with tempfile.TemporaryDirectory() as folder:
            loop.run_until_complete(talk(Path(folder)))
    finally:
        loop.close()
    return took


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    listener, url = hanging_receiver()
    send_test([Channel(url)], timeout_s=2)  # loads the library, as an engine does with the message of its start
    quiet: list[float] = []
    hung: list[float] = []
    for _ in range(options.rounds):
        quiet += one_round(round(options.hours * 60), None)
        hung += one_round(round(options.hours * 60), url)
    listener.close()
    print(f"{INSTRUMENT.symbol}: {len(quiet)} decisions each, milliseconds from a closed candle to its commit")
    for name, values in (("no receiver", quiet), ("one that hangs", hung)):
        cuts = statistics.quantiles(values, n=100)
        print(f"  {name:<16} p50 {cuts[49]:6.2f}   p99 {cuts[98]:6.2f}   worst {max(values):6.2f}")


if __name__ == "__main__":
    main()
