"""`doctor` on a healthy set-up and on broken ones: it finds the one thing that is wrong, and says what to do."""

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.databases import fresh, meddle, told

from trading_engine.cli.main import main
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.runtime.bootstrap import Finding, RunOptions
from trading_engine.runtime.doctor import Ailment, Machine, examine
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir

NOW_MS = 1_800_000_000_000
GB = 1_000_000_000
LIVE = """
mode: testnet
venue: binance
symbols: [BTCUSDT]
strategies: [{name: trend_vwap}]
credentials: {key: "${TEST_KEY}", secret: "${TEST_SECRET}"}
alerts: {channels: [{url: "json://127.0.0.1/"}]}
"""
KEYS = {"TEST_KEY": "k" * 20, "TEST_SECRET": "s" * 20}


def _answers(command: Sequence[str]) -> str:
    if command[0] == "timedatectl":
        return "yes"
    return "LoadState=loaded\nActiveState=active\nResult=success\nNRestarts=0"


HEALTHY = Machine(
    python=(3, 12),
    sqlite=(3, 53, 0),
    disk=lambda _: (100 * GB, 1_000_000),
    run=_answers,
    is_systemd=lambda: True,
    now_ms=lambda: NOW_MS,
    version=lambda _: "1.0",
    commit_us=lambda _: 500.0,
)


class Patient:
    """A state, a configuration and a machine; healthy until something is broken."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        self.root = folder / "state"
        self.root.mkdir(mode=0o700)
        told(self.root, commits=20)
        meddle(self.root / "engine.db", "UPDATE runs SET ended = 5, how = 'SIGTERM'")
        meddle(self.root / "engine.db", "UPDATE control SET level = 'RUN', reason = ''")
        meddle(self.root / "engine.db", "UPDATE alert_outbox SET sent_at = 5")
        self.config = folder / "live.yaml"
        self.config.write_text(LIVE)
        self.environ: dict[str, str] = dict(KEYS)
        self.machine = HEALTHY
        self.answers: list[Finding] | Exception = [Finding("ok", "binance", "reached")]

    def ask(self, options: RunOptions) -> list[Finding]:
        """The venue's answers."""
        del options
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    def findings(self) -> list[Ailment]:
        """What is found that is not well."""
        found = examine(StateDir(self.root), self.config, self.environ, self.machine, self.ask)
        return [item for item in found if item.level != "ok"]


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """Healthy, and flat."""
    made = Patient(tmp_path, monkeypatch)
    (made.root / "engine.db").unlink()
    for name in ("engine.db-wal", "engine.db-shm"):
        (made.root / name).unlink(missing_ok=True)
    fresh(made.root)
    (made.root / "engine.db").chmod(0o600)
    return made


def test_a_healthy_machine_has_nothing(patient: Patient) -> None:
    """Neither a warning nor an error."""
    assert [] == patient.findings()


def _open_folder(patient: Patient) -> None:
    patient.root.chmod(0o755)


def _wrong_clock(patient: Patient) -> None:
    meddle(
        patient.root / "engine.db",
        f"INSERT INTO journal VALUES (1, {NOW_MS + 3_600_000}, 'r', 'AlertRaised', 1, '', NULL, '{{}}')",
    )


def _nobody_keeps_the_clock(patient: Patient) -> None:
    patient.machine = replace(HEALTHY, run=lambda command: "no" if command[0] == "timedatectl" else _answers(command))


def _full_disk(patient: Patient) -> None:
    patient.machine = replace(HEALTHY, disk=lambda _: (50_000_000, 1_000_000))


def _dishonest_disk(patient: Patient) -> None:
    patient.machine = replace(HEALTHY, commit_us=lambda _: 12.0)


def _missing_key(patient: Patient) -> None:
    del patient.environ["TEST_SECRET"]


def _open_dotenv(patient: Patient) -> None:
    Path(".env").write_text("A=b\n")
    Path(".env").chmod(0o644)


def _newer_schema(patient: Patient) -> None:
    meddle(patient.root / "engine.db", "UPDATE alembic_version SET version_num = '9999'")


def _older_schema(patient: Patient) -> None:
    meddle(patient.root / "engine.db", "UPDATE alembic_version SET version_num = '0003'")


def _corrupt(patient: Patient) -> None:
    with sqlite3.connect(patient.root / "engine.db") as connection:
        page, size = connection.execute("SELECT rootpage, 4096 FROM sqlite_master WHERE name = 'journal'").fetchone()
    connection.close()
    with (patient.root / "engine.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def _no_database(patient: Patient) -> None:
    (patient.root / "engine.db").write_bytes(b"not a database at all, but long enough for a header" * 10)


def _unreachable(patient: Patient) -> None:
    patient.answers = [Finding("error", "binance", f"cannot be asked: {VenueUnavailable('no route to host')}")]


def _stopped(patient: Patient) -> None:
    Path("STOP").write_text("")


def _halted(patient: Patient) -> None:
    meddle(patient.root / "engine.db", "UPDATE control SET level = 'NO_ENTRY', reason = 'drawdown 11 %'")


def _no_folder(patient: Patient) -> None:
    patient.root = patient.root / "engine.db"


def _crashed(patient: Patient) -> None:
    meddle(patient.root / "engine.db", "INSERT INTO runs VALUES (1, 'r', '1', 'live', 'h', 5, NULL, NULL)")


def _failed_unit(patient: Patient) -> None:
    shown = "LoadState=loaded\nActiveState=failed\nResult=start-limit-hit\nNRestarts=5"
    patient.machine = replace(HEALTHY, run=lambda c: shown if c[0] == "systemctl" else _answers(c))


def _old_python(patient: Patient) -> None:
    patient.machine = replace(HEALTHY, python=(3, 10))


def _lost_package(patient: Patient) -> None:
    patient.machine = replace(HEALTHY, version=lambda name: None if name == "TA-Lib" else "1.0")


def _nobody_told(patient: Patient) -> None:
    patient.config.write_text(LIVE.replace('alerts: {channels: [{url: "json://127.0.0.1/"}]}', ""))


BROKEN: dict[str, tuple[Callable[[Patient], None], str, str, str, str]] = {
    "open folder": (_open_folder, "warning", "permissions", "others can read", "chmod -R go="),
    "wrong clock": (_wrong_clock, "error", "clock", "in the future", "timedatectl"),
    "clock that nobody keeps": (_nobody_keeps_the_clock, "warning", "clock", "NTP", "set-ntp"),
    "full disk": (_full_disk, "error", "disk", "50 MB free", "free space"),
    "disk that lies": (_dishonest_disk, "warning", "flushes", "not real", "power cut"),
    "missing key": (_missing_key, "error", "configuration", "TEST_SECRET", "validate"),
    "open .env": (_open_dotenv, "error", "secrets", "can be read by others", "chmod 600"),
    "newer schema": (_newer_schema, "error", "database", "newer schema (9999", "run the version that wrote it"),
    "older schema": (_older_schema, "error", "database", "older", "db migrate"),
    "corrupt database": (_corrupt, "error", "database", "", "restore a backup"),
    "no database at all": (_no_database, "error", "database", "not a SQLite database", "restore a backup"),
    "unreachable venue": (_unreachable, "error", "binance", "no route to host", "network"),
    "STOP present": (_stopped, "warning", "stop file", "STOP is there", "rm STOP"),
    "kill switch": (_halted, "warning", "kill switch", "drawdown 11 %", "resume"),
    "state is a file": (_no_folder, "error", "state", "is a file", "--state"),
    "crashed run": (_crashed, "warning", "last run", "without a word", "audit"),
    "failed unit": (_failed_unit, "error", "systemd", "start-limit-hit", "journalctl"),
    "old Python": (_old_python, "error", "python", "3.10", "PYTHON="),
    "lost package": (_lost_package, "error", "packages", "TA-Lib", "./run.sh"),
    "no alerts": (_nobody_told, "warning", "alerts", "nobody is told", "alerts.channels"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_it_finds_what_is_broken_and_says_what_to_do(what: str, patient: Patient) -> None:
    """One finding that names it, with a remedy."""
    broken, level, subject, words, remedy = BROKEN[what]
    broken(patient)
    found = [item for item in patient.findings() if item.subject == subject]
    assert level == found[0].level
    assert words in found[0].text
    assert remedy in found[0].remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_state_that_cannot_be_written_is_told(patient: Patient) -> None:
    """By its owner or not at all."""
    patient.root.chmod(0o500)
    try:
        assert "cannot be written" in patient.findings()[0].text
    finally:
        patient.root.chmod(0o700)


def test_a_lock_that_a_dead_process_left_is_told_and_harmless(patient: Patient) -> None:
    """The kernel has dropped it; a held one names its process."""
    (patient.root / "engine.lock").write_text("4711\n")
    found = examine(StateDir(patient.root), None, {}, HEALTHY)
    (lock,) = [item for item in found if item.subject == "lock"]
    assert ("ok", True) == (lock.level, "left by process 4711, which is gone" in lock.text)
    with InstanceLock(patient.root / "engine.lock"):
        found = examine(StateDir(patient.root), None, {}, HEALTHY)
    assert [f"process {os.getpid()} runs on this state"] == [item.text for item in found if item.subject == "lock"]


def test_a_machine_without_systemd_or_timedatectl_is_fine(patient: Patient) -> None:
    """What cannot be known is no fault."""
    patient.machine = replace(HEALTHY, run=lambda _: None, is_systemd=lambda: False)
    assert [] == patient.findings()


def test_this_machine_can_be_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real questions; without a state there is nothing to find in one, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    code = main(["doctor", "--state", str(tmp_path / "none"), "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert (not code) == shown["ok"]
    assert {"python", "packages", "sqlite", "disk", "flushes", "state", "systemd"} <= {
        item["subject"] for item in shown["findings"]
    }
    assert [] == list(tmp_path.iterdir())
    main(["doctor", "--state", str(tmp_path / "none")])
    text = capsys.readouterr().out
    assert "python: 3." in text
    assert "error" in text.splitlines()[-1]
