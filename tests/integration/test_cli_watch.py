"""`health` and `monitor` over a database that was filled by committing what the core decided, and a live engine."""

import http.client
import json
import re
import signal
from contextlib import closing
from pathlib import Path

import pytest
from e2e_tools import ask, call, eventually, running, send, write_config, write_market

from trading_engine.cli.main import main
from trading_engine.store.measuring import Measured
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.single_instance import InstanceLock

pytestmark = pytest.mark.xdist_group("watch")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that a short run has left, with a log and measurements of ours; no engine runs."""
    folder = tmp_path_factory.mktemp("watch")
    market = write_market(folder / "market.csv", "wl")
    options = ["--replay", f"SOLUSDT={market}", "--state", folder / "state"]
    assert 0 == call("run", "--config", write_config(folder), *options).code
    lines = [{"ts": f"2025-01-01T00:00:{at:02}.000Z", "level": "INFO", "message": f"line {at}"} for at in range(40)]
    lines[-1] |= {"level": "ERROR", "message": "the last\nline " + "x" * 300}
    text = 'cut off"}\n' + "\n".join(json.dumps(line) for line in lines) + "\nnot json\n"
    (folder / "state" / "logs" / "engine.jsonl").write_text(text)
    with SqlStore.open(folder / "state" / "engine.db") as store:
        store.measure(5, "run-1", [Measured("call.submit", 3, 20.5, 40.0, 41.0), Measured("memory", 1, 100, 100, 100)])
    return folder / "state"


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_monitor_fits_every_window(
    state: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is wider than the window; positions, limits, signals, alerts and the log are there."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert 0 == main(["monitor", "--once", "--state", str(state)])
    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.splitlines()) <= width
    for name in ("positions", "limits", "last trades", "last signals", "last alerts", "log"):
        assert f"── {name} ─" in shown
    assert "ERROR   the last line xxx" in shown
    assert ("line 38" in shown, "line 1 " in shown) == (True, False)


def test_the_monitor_reads_and_writes_nothing(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The database is byte for byte the same, and a pause below half a second is refused."""
    before = (state / "engine.db").read_bytes()
    assert 0 == main(["monitor", "--once", "--state", str(state)])
    assert before == (state / "engine.db").read_bytes()
    for every in ("0.1", "nan", "inf"):
        assert 2 == main(["monitor", "--every", every, "--state", str(state)])
        assert f"--every {every} is not from 0.5 s" in capsys.readouterr().err


def test_health_without_an_engine_says_how_the_last_run_ended(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what it measured last; not well, so exit 1."""
    assert 1 == main(["health", "--state", str(state), "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert ("stopped", False, "end of data") == (shown["state"], shown["alive"], shown["last_run"]["how"])
    assert {"count": 3, "mean": 20.5, "p99": 40.0, "most": 41.0, "at": "1970-01-01T00:00:00.005Z"} == (
        shown["measured"]["call.submit"]
    )
    assert 1 == main(["health", "--state", str(state)])
    text = capsys.readouterr().out
    assert "last run:" in text
    assert "no engine runs ·" in text
    assert "all is well" not in text
    assert re.search(r"call\.submit +3 +20\.50 ms +40\.00 ms +41\.00 ms", text)


def test_health_of_an_engine_that_has_not_come_up_says_that_it_starts(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody holds the lock and does not answer yet; not well, so exit 1."""
    with InstanceLock(state / "engine.lock"):
        assert 1 == main(["health", "--state", str(state), "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert ("starting", "the engine is starting") == (shown["state"], shown["checks"][0]["detail"])


def test_health_of_a_running_engine_shows_its_parts_and_its_metrics_answer(tmp_path: Path) -> None:
    """Checks, parts with their budget; /metrics, /healthz and /readyz on the loopback address alone."""
    market = write_market(tmp_path / "market.csv", "w" * 40)
    config = write_config(tmp_path, metrics={"enabled": True, "port": 0})
    options = ["--replay", f"SOLUSDT={market}", "--state", tmp_path / "state", "--speed", "60"]
    with running(["run", "--config", config, *options]) as process:
        eventually(lambda: call("health", "--state", tmp_path / "state").code == 0, process)
        shown = ask("health", tmp_path / "state")
        assert (True, "ok", process.pid) == (shown["alive"], shown["state"], shown["pid"])
        assert {"metrics": "running", "measurements": "running"} == {
            item["name"]: item["state"] for item in shown["components"]
        }
        assert {5} == {item["budget"] for item in shown["components"]}
        status, metrics = _get(shown["metrics_port"], "/metrics")
        assert 200 == status
        for line in ("trading_engine_balance 10000.0", "trading_engine_kill_switch 0.0", "process_open_fds "):
            assert f"\n{line}" in metrics
        assert 'trading_engine_may_enter{symbol="SOLUSDT"}' in metrics
        assert 'trading_engine_component_up{component="metrics"} 1.0' in metrics
        assert [200, 200, 404] == [_get(shown["metrics_port"], path)[0] for path in ("/healthz", "/readyz", "/other")]
        (tmp_path / "STOP").write_text("")
        eventually(lambda: _get(shown["metrics_port"], "/readyz")[0] == 503, process)
        status, told_ready = _get(shown["metrics_port"], "/readyz")
        assert {"name": "kill switch", "ok": False, "detail": f"NO_ENTRY: {tmp_path / 'STOP'} is there"} in (
            json.loads(told_ready)["checks"]
        )
        assert 200 == _get(shown["metrics_port"], "/healthz")[0]
        send(process, signal.SIGTERM)
    with Reader.open(tmp_path / "state" / "engine.db") as reader:
        assert {"commit", "memory", "cpu", "call.snapshot"} <= {item.measured.name for item in reader.measured()}


def _get(port: int, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
