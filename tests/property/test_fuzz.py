"""What comes from outside is never more than a mistake: files of configuration, and bytes on the control socket."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trading_engine.config import config_hash, load_config
from trading_engine.config.model import Config
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.runtime.control import Answer, ControlServer
from trading_engine.system.state_dir import StateDir

ROOT = Path(__file__).resolve().parents[2]
SECRET = "fuzzed-secret-value"
SHIPPED = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "configs").glob("*.yaml"))]
KEYS = st.sampled_from(sorted(Config.model_fields)) | st.sampled_from(["key", "secret", "file", "url", "name", "0"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["live", "binance", "BTCUSDT", "${X}", "${", "$${", "${X:-1}", "-0", "1e999", "nan", "∞", "0x10"])
    | st.text(max_size=20)
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=8), inner, max_size=4)
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that is written again and again."""
    return tmp_path_factory.mktemp("fuzz") / "engine.yaml"


def read(path: Path) -> Config | None:
    """The configuration, or None where it was refused as people are told of mistakes."""
    names = {"X": "1", "BINANCE_KEY": "fuzzed-key-value", "BINANCE_SECRET": SECRET}
    try:
        return load_config(path, {}, names, None)
    except ConfigInvalid as refused:
        text = str(refused)
        assert text.strip()
        assert SECRET not in text
        assert all(line.startswith(str(path)) for line in text.splitlines())
        return None


@settings(max_examples=40)
@given(st.binary(max_size=200))
@example(b"a: &a [*a]")
@example(b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]")
@example(b"[" * 2_000)
@example(b"!!python/object/apply:os.system ['true']")
@example(b"\xff\xfe\x00")
@example(b"mode: paper\nmode: live")
def test_no_bytes_are_more_than_a_refused_configuration(file: Path, content: bytes) -> None:
    """Each line names the file; nothing else is raised."""
    file.write_bytes(content)
    read(file)


@settings(max_examples=40)
@given(TREES)
@example({"\r": None, "mode": "\n"})
def test_no_tree_of_values_is_more_than_a_refused_configuration(file: Path, tree: Any) -> None:
    """Whatever stands where."""
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    read(file)


@settings(max_examples=40)
@given(st.sampled_from(SHIPPED), st.lists(st.tuples(st.lists(KEYS, min_size=1, max_size=3), TREES), max_size=3))
def test_a_shipped_configuration_with_anything_changed_runs_or_is_refused(
    file: Path, shipped: Mapping[str, Any], changes: list[tuple[list[str], Any]]
) -> None:
    """And what runs has a hash that stays the same when it is read again."""
    values: Any = json.loads(json.dumps(shipped, default=str))
    for keys, tree in changes:
        place = values
        for key in keys[:-1]:
            place = place.setdefault(key, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):
            place[keys[-1]] = tree
    file.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    found = read(file)
    if found is not None:
        again = read(file)
        assert again is not None
        assert config_hash(found) == config_hash(again)


# ── the control socket ──────────────────────────────────────────────────────


class Served:
    """A control server on a loop in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = StateDir(folder)
        self.heard: list[Mapping[str, object]] = []
        self._loop = asyncio.new_event_loop()
        self._server = ControlServer(self.state.control_socket, self._answer)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    async def _answer(self, request: Mapping[str, object]) -> Answer:
        self.heard.append(request)
        return {"ok": True, "message": "heard"}

    def close(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def send(self, content: bytes) -> bytes:
        """What comes back for these bytes, and the end of what is sent."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(str(self.state.control_socket))
            try:
                client.sendall(content)
                client.shutdown(socket.SHUT_WR)
            except BrokenPipeError:  # it has heard enough
                pass
            return client.makefile("rb").readline()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that every example talks to: what one leaves behind, the next would find."""
    made = Served(tmp_path_factory.mktemp("s"))
    yield made
    made.close()


@given(st.binary(max_size=300) | TREES.map(lambda tree: json.dumps(tree).encode() + b"\n"))
@example(b"[" * 60_000 + b"\n")
@example(b"x" * 70_000)
@example(b'{"command": "resume"')
@example(b'{"command": "resume"}\n{"command": "flatten"}\n')
@example(b'{"a": 1' + b"0" * 5_000 + b"}\n")
@example(b"\n")
@example(b"")
def test_no_bytes_on_the_socket_are_more_than_a_refused_request(served: Served, content: bytes) -> None:
    """One answer of one line, the handler hears objects only, and the server still serves."""
    before = len(served.heard)
    answer = json.loads(served.send(content))
    assert isinstance(answer["ok"], bool)
    assert answer["ok"] is (len(served.heard) > before)
    assert all(isinstance(item, dict) for item in served.heard[before:])
    assert len(served.heard) - before <= 1
    assert {"ok": True, "message": "heard"} == json.loads(served.send(b'{"command": "x"}\n'))
