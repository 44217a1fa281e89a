"""What the wire layer costs: round trips of a request, and frames of a stream, over the loopback.

    python benchmarks/wire_latency.py [--calls 3000] [--frames 200000]

The server is a process of its own and answers without thinking, so what is left is the client: our transport beside
aiohttp alone, and our socket with the decoding of each frame. Every loop is measured in a fresh process; uvloop only
where it is installed (nothing needs it). Machines are noisy: compare rows of one sitting.
"""

import argparse
import asyncio
import base64
import hashlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from yarl import URL

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from trading_engine.system.clock import SystemClock  # noqa: E402 - run from anywhere
from trading_engine.venues.wire.socket import Patience, Send, Socket  # noqa: E402
from trading_engine.venues.wire.transport import Transport  # noqa: E402

_ANSWER = json.dumps(
    {
        "orderId": 22542179,
        "clientOrderId": "te-0123456789abcdef",
        "symbol": "BTCUSDT",
        "status": "NEW",
        "side": "BUY",
        "type": "LIMIT",
        "price": "61240.0",
        "origQty": "0.008",
        "executedQty": "0",
        "avgPrice": "0.00",
        "updateTime": 1700000000000,
    }
).encode()
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Used: 12\r\nContent-Length: %d\r\n\r\n" % len(_ANSWER)
_FRAME = json.dumps(
    {
        "e": "kline",
        "E": 1700000000123,
        "s": "BTCUSDT",
        "k": {
            "t": 1700000000000,
            "T": 1700000059999,
            "s": "BTCUSDT",
            "i": "1m",
            "o": "61240.0",
            "c": "61251.5",
            "h": "61260.0",
            "l": "61230.1",
            "v": "120.513",
            "n": 1431,
            "x": False,
            "q": "7381243.11",
        },
    },
    separators=(",", ":"),
).encode()
_BATCH = 256
_SAMPLE = "/fapi/v1/order?symbol=BTCUSDT&timestamp=1700000000000&signature=" + "0" * 64


class _Candle(msgspec.Struct, rename={"open_ms": "t", "open": "o", "high": "h", "low": "l", "close": "c"}):
    """What a market stream is read for."""

    open_ms: int
    open: str
    high: str
    low: str
    close: str
    is_closed: bool = msgspec.field(name="x")


class _Kline(msgspec.Struct):
    """One frame."""

    symbol: str = msgspec.field(name="s")
    candle: _Candle = msgspec.field(name="k")


# the server


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"upgrade: websocket" in head.lower():
                await _stream(head, writer)
            else:
                writer.write(_HEAD + _ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _stream(head: bytes, writer: asyncio.StreamWriter) -> None:
    """Frames without end, until the client hangs up."""
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324 - RFC
    writer.write(
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
        % accept
    )
    frames = (b"\x81\x7e" + len(_FRAME).to_bytes(2) + _FRAME) * _BATCH
    while True:
        writer.write(frames)
        await writer.drain()


async def _serve_forever() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# the client


async def _round_trips(call: Callable[[], Awaitable[int]], calls: int) -> list[float]:
    """Microseconds of each call, one after the other, after some to warm up."""
    for _ in range(200):
        await call()
    taken = []
    for _ in range(calls):
        begun = time.perf_counter_ns()
        if await call() != len(_ANSWER):
            raise RuntimeError("an answer is not whole")
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return taken


async def _rest(base: str, calls: int) -> dict[str, list[float]]:
    headers = {"X-API-KEY": "test-key"}
    transport = Transport()

    async def ours(method: str) -> int:
        return len((await transport.request(method, base + _SAMPLE, headers)).body)

    async with aiohttp.ClientSession() as bare:

        async def theirs() -> int:
            async with bare.get(URL(base + _SAMPLE, encoded=True), headers=headers) as answer:
                return len(await answer.read())

        taken = {
            "aiohttp alone, GET": await _round_trips(theirs, calls),
            "transport, GET": await _round_trips(lambda: ours("GET"), calls),
            "transport, POST": await _round_trips(lambda: ours("POST"), calls),
        }
    await transport.close()
    return taken


async def _frames(base: str, frames: int, *, is_decoding: bool) -> float:
    """Frames a second through our socket."""
    transport, done = Transport(), asyncio.Event()
    decode = msgspec.json.Decoder(_Kline).decode
    heard, begun_s = 0, 0.0

    async def address() -> str:
        return base.replace("http", "ws", 1) + "/stream"

    async def on_open(_: Send) -> None:
        nonlocal begun_s
        begun_s = time.perf_counter()

    async def on_message(frame: bytes, _: Send) -> bool:
        nonlocal heard
        heard += 1
        if is_decoding and decode(frame).symbol != "BTCUSDT":
            raise RuntimeError("a frame is not what was sent")
        if heard == frames:
            done.set()
            await asyncio.sleep(60)
        return True

    socket = Socket(
        transport, SystemClock(), address, on_open, on_message, lambda _: None, lambda: None, Patience(life_ms=0)
    )
    task = asyncio.create_task(socket.run())
    await done.wait()
    taken_s = time.perf_counter() - begun_s
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await transport.close()
    return frames / taken_s


def _decoding(frames: int) -> float:
    """Frames a second, decoded and nothing else."""
    decode = msgspec.json.Decoder(_Kline).decode
    begun = time.perf_counter()
    for _ in range(frames):
        decode(_FRAME)
    return frames / (time.perf_counter() - begun)


async def _measure(base: str, calls: int, frames: int) -> dict[str, object]:
    return {
        "rest": await _rest(base, calls),
        "stream": {
            "socket, frames alone": await _frames(base, frames, is_decoding=False),
            "socket and msgspec": await _frames(base, frames, is_decoding=True),
        },
    }


def _client(base: str, calls: int, frames: int, loop: str) -> None:
    """Measured here, printed as JSON for the process that shows it."""
    if loop == "uvloop":
        uvloop = importlib.import_module("uvloop")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_measure(base, calls, frames))
    else:
        result = asyncio.run(_measure(base, calls, frames))
    print(json.dumps(result))


# what is shown


def _show(results: dict[str, dict[str, dict[str, Any]]], frames: int) -> None:
    print(f" {'REST ROUND TRIP':<24}{'LOOP':<10}{'p50 µs':>10}{'p99 µs':>10}{'MAX µs':>10}{'CALLS/s':>10}")
    for loop, result in results.items():
        for name, taken in result["rest"].items():
            cuts = statistics.quantiles(taken, n=100)
            rate = 1e6 / statistics.fmean(taken)
            print(f" {name:<24}{loop:<10}{cuts[49]:>10,.0f}{cuts[98]:>10,.0f}{max(taken):>10,.0f}{rate:>10,.0f}")
    print(f"\n {'STREAM':<24}{'LOOP':<10}{'FRAMES/s':>10}{'µs EACH':>10}")
    for loop, result in results.items():
        for name, rate in result["stream"].items():
            print(f" {name:<24}{loop:<10}{rate:>10,.0f}{1e6 / rate:>10.2f}")
    rate = _decoding(frames)
    print(f" {'msgspec alone':<24}{'none':<10}{rate:>10,.0f}{1e6 / rate:>10.2f}")
    print(f"\n answers of {len(_ANSWER)} bytes, frames of {len(_FRAME)} bytes, one connection each, loopback")


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--part", choices=["server", "asyncio", "uvloop"], help=argparse.SUPPRESS)
    parser.add_argument("--base", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part == "server":
        asyncio.run(_serve_forever())
    elif chosen.part:
        _client(chosen.base, chosen.calls, chosen.frames, chosen.part)
    else:
        _orchestrate(chosen.calls, chosen.frames)
    return 0


def _orchestrate(calls: int, frames: int) -> None:
    command = [sys.executable, __file__, "--calls", str(calls), "--frames", str(frames), "--part"]
    loops = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
    with subprocess.Popen([*command, "server"], stdout=subprocess.PIPE, text=True, env=os.environ.copy()) as server:
        try:
            port = server.stdout.readline().strip() if server.stdout else ""
            results = {}
            for loop in loops:
                called = [*command, loop, "--base", f"http://127.0.0.1:{port}"]
                shown = subprocess.run(called, capture_output=True, text=True, check=True)
                results[loop] = json.loads(shown.stdout)
        finally:
            server.terminate()
    _show(results, frames)


if __name__ == "__main__":
    sys.exit(main())
