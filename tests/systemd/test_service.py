"""The engine under a real systemd, installed by its own scripts, trading at a venue server on this machine.

Run it as root: see README.md in this folder. Everywhere else it is skipped.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from systemd_tools import (
    ETC,
    FOLDER_VARIABLE,
    KEY,
    PUPPET,
    SECRET,
    STATE,
    TOOL_VARIABLE,
    UNIT,
    Machine,
    Receiver,
    Venue,
    copy_source,
    gather_wheels,
    until,
)

TOOL = os.environ.get(TOOL_VARIABLE, "")
SKIP = "" if TOOL else f"needs a real systemd in a folder: ${TOOL_VARIABLE} names no tool (tests/systemd/README.md)"
SKIP = SKIP or ("" if os.geteuid() == 0 else "needs root, to boot a systemd in a folder")

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.skipif(bool(SKIP), reason=SKIP),
    pytest.mark.xdist_group("systemd"),
    pytest.mark.timeout(900),
]

FOLDER = Path(os.environ.get(FOLDER_VARIABLE, "") or "/var/tmp/trading-engine-systemd/root")
IMPATIENT = "[Service]\nWatchdogSec=6s\nRestartSec=1s\nTimeoutAbortSec=5s\n"
ALERTS = "trading-engine-alert@trading-engine.service.service"
COVERED = "SELECT position_id FROM orders WHERE purpose = 'stop' AND state = 'ACKED'"


@pytest.fixture(scope="module")
def installed() -> Iterator[tuple[Machine, str]]:
    """The machine with a fresh installation, and the source it was made from."""
    with Machine(TOOL, FOLDER).booted() as machine:
        wheels = gather_wheels(FOLDER.parent / f"{FOLDER.name}-wheels")
        machine.systemctl("stop", "trading-engine*", code=None)
        machine.call(
            "bash", "-c", f"rm -rf /opt/trading-engine/[!v]* {ETC} {STATE} /etc/systemd/system/trading-engine*"
        )
        source = copy_source(machine, "trading-engine", wheels)
        machine.call(f"{source}/deploy/install.sh", "--wheels", "/usr/src/wheels", "--instance", "two")
        yield machine, source


@pytest.fixture
def machine(installed: tuple[Machine, str]) -> Iterator[Machine]:
    """The machine with no engine, no state and no trace of the test before."""
    machine, _ = installed
    _clean(machine)
    yield machine
    _clean(machine)


def _clean(machine: Machine) -> None:
    machine.systemctl("stop", "trading-engine.service", "trading-engine@two.service", ALERTS, code=None)
    machine.systemctl("reset-failed", code=None)
    machine.call("bash", "-c", f"find {STATE} -mindepth 1 -delete; rm -rf /var/lib/trading-engine-alert/*")
    machine.call("bash", "-c", f"rm -rf {ETC}/engine.yaml {ETC}/credentials/* /etc/systemd/system/trading-engine*.d")
    machine.call("journalctl", "--rotate")
    machine.call("journalctl", "--vacuum-time=1s", code=None)
    if not machine.has_user_namespaces:  # a chroot: everything but this can be tried there
        for name in ("trading-engine.", "trading-engine@.", "trading-engine-."):
            machine.write(f"/etc/systemd/system/{name}service.d/chroot.conf", "[Service]\nPrivateUsers=no\n")
    prepare_state(machine, STATE)
    prepare_state(machine, f"{STATE}/instances/two")
    machine.systemctl("daemon-reload")


def prepare_state(machine: Machine, state: str) -> None:
    """The strategy, in a state directory as install.sh makes it."""
    machine.call(
        "install", "-d", "-m", "0700", "-o", "trading-engine", "-g", "trading-engine", f"{STATE}/instances", state
    )
    machine.write(f"{state}/strategies/puppet.py", PUPPET)
    machine.call("chown", "-R", "trading-engine:", state)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    """A venue with a new account."""
    with closing(Venue(tmp_path / "venue")) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody who is told."""
    with closing(Receiver()) as made:
        yield made


def configure(machine: Machine, text: str, folder: str = ETC, **credentials: str) -> None:
    """A configuration and its credentials, as an operator leaves them."""
    machine.write(f"{folder}/engine.yaml", text)
    for name, value in {"BINANCE_KEY": KEY, "BINANCE_SECRET": SECRET, **credentials}.items():
        machine.write(f"{folder}/credentials/{name}", f"{value}\n", 0o600)


def impatient(machine: Machine) -> None:
    """A watchdog and a pause that suit a test."""
    machine.write(f"/etc/systemd/system/{UNIT}.d/test.conf", IMPATIENT)
    machine.systemctl("daemon-reload")


def tell(machine: Machine, word: str, state: str = STATE) -> None:
    """A word for the strategy, which it hears with the next candle."""
    path = machine.inside(f"{state}/puppet.txt")
    draft = path.with_suffix(".new")
    draft.write_text(word)
    owner = machine.inside(state).stat()
    os.chown(draft, owner.st_uid, owner.st_gid)
    draft.rename(path)


def with_position(machine: Machine, state: str = STATE, unit: str = UNIT) -> dict[str, Any]:
    """Enter, wait for the stop; the position as it is shown."""
    tell(machine, "enter", state)
    until(lambda: machine.rows(COVERED, state), lambda: machine.log(unit)[-6_000:])
    (held,) = machine.asked("positions", state=state)
    assert held["stop_confirmed"]
    return dict(held)


def main_pid(machine: Machine, unit: str = UNIT) -> int:
    """As seen from inside; 0 while there is none."""
    return int(machine.shown("MainPID", unit))


def test_a_start_is_ready_when_it_has_reconciled_and_shows_its_status_to_its_user(
    machine: Machine, venue: Venue
) -> None:
    """`systemctl start` returns after the boot reconciliation; a stop is exit 0, and stays stopped."""
    configure(machine, venue.configuration())
    machine.systemctl("start", UNIT)
    status = machine.asked("status")
    assert ("running", "live", "binance") == (status["state"], status["mode"], status["venue"])
    assert status["last_reconcile"] is not None
    assert "trading BTCUSDT on binance (live), flat" == machine.shown("StatusText")
    assert "0" == machine.shown("NRestarts")
    machine.systemctl("stop", UNIT)
    assert ("inactive", "success", "0") == tuple(
        machine.shown(name) for name in ("ActiveState", "Result", "ExecMainStatus")
    )
    assert "stopped" == machine.asked("status")["state"]
    assert "trading BTCUSDT" not in machine.shown("StatusText")


def test_secrets_are_in_credentials_only(machine: Machine, venue: Venue, receiver: Receiver) -> None:
    """Neither arguments nor environment, state, journal or D-Bus hold them; nobody else may look, no core is left."""
    configure(machine, venue.configuration(), ALERT_URL=receiver.url)
    machine.systemctl("start", UNIT)
    with_position(machine)
    pid = main_pid(machine)
    for name in ("environ", "cmdline"):
        text = machine.call("cat", f"/proc/{pid}/{name}")
        assert "trading" in text
        assert not any(word in text for word in (KEY, SECRET)), name
    assert not any(word in machine.systemctl("show", UNIT) for word in (KEY, SECRET))
    assert not any(word in machine.log() for word in (KEY, SECRET))
    machine.call("grep", "-rqs", "-e", SECRET, "-e", KEY, STATE, code=1)
    nobody = machine.call("runuser", "-u", "nobody", "--", "ls", STATE, code=2)
    assert "Permission denied" in nobody
    assert "Max core file size        0                    0" in machine.call("cat", f"/proc/{pid}/limits")
    modes = machine.call("stat", "-c", "%a %U", STATE, f"{STATE}/engine.db", f"{STATE}/control.sock")
    assert "700 trading-engine\n600 trading-engine\n600 trading-engine\n" == modes
    assert "NOTIFY_SOCKET" in machine.call("cat", f"/proc/{pid}/environ")  # as it was started, not as children see it


def test_a_hung_loop_is_aborted_with_its_stack_and_started_again(machine: Machine, venue: Venue) -> None:
    """The strategy blocks the loop: no decision, no sign of life. The position and its stop are found again."""
    configure(machine, venue.configuration())
    impatient(machine)
    machine.systemctl("start", UNIT)
    before = with_position(machine)
    tell(machine, "hang")
    until(lambda: machine.shown("NRestarts") == "1", lambda: machine.log()[-6_000:])
    until(lambda: machine.shown("ActiveState") == "active", lambda: machine.log()[-6_000:])
    said = machine.log()
    assert "Watchdog timeout" in said
    assert re.search(r"strategies/puppet\.py.* in compute", said), said[-6_000:]
    after = until(lambda: machine.asked("positions"), lambda: machine.log()[-6_000:])[0]
    same = ("position_id", "quantity", "entry_price", "stop_price", "stop_confirmed")
    assert [before[name] for name in same] == [after[name] for name in same]


def test_a_quiet_market_is_no_hung_loop(machine: Machine, venue: Venue) -> None:
    """Three periods of the watchdog pass between two candles' decisions and nothing happens."""
    configure(machine, venue.configuration())
    impatient(machine)
    machine.systemctl("start", UNIT)
    pid = main_pid(machine)
    time.sleep(20)
    assert (pid, "0") == (main_pid(machine), machine.shown("NRestarts"))


def test_killed_with_a_position_it_comes_back_to_the_same_position_and_stop(machine: Machine, venue: Venue) -> None:
    """One entry, one stop of its size at the venue, and books that agree."""
    configure(machine, venue.configuration())
    impatient(machine)
    machine.systemctl("start", UNIT)
    before = with_position(machine)
    for times in (1, 2):
        machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", UNIT)
        until(lambda times=times: machine.shown("NRestarts") == str(times), lambda: machine.log()[-6_000:])
        until(lambda: machine.shown("ActiveState") == "active", lambda: machine.log()[-6_000:])
    (after,) = machine.asked("positions")
    same = ("position_id", "quantity", "entry_price", "stop_price", "stop_confirmed")
    assert [before[name] for name in same] == [after[name] for name in same]
    stops = machine.rows("SELECT quantity FROM orders WHERE purpose = 'stop' AND state = 'ACKED'")
    assert [Decimal(after["quantity"])] == [Decimal(quantity) for (quantity,) in stops]
    assert [(1,)] == machine.rows("SELECT count(*) FROM orders WHERE purpose = 'entry'")
    machine.systemctl("stop", UNIT)
    assert machine.asked("audit")["ok"]


def test_who_crashes_again_and_again_stays_down_and_somebody_is_told_once(
    machine: Machine, venue: Venue, receiver: Receiver
) -> None:
    """Five starts in ten minutes; one message, with what to do; after a reset it starts again."""
    configure(machine, venue.configuration(), ALERT_URL=receiver.url)
    impatient(machine)
    machine.systemctl("start", UNIT)
    while machine.shown("ActiveState") != "failed":
        if main_pid(machine):
            machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", UNIT, code=None)
        time.sleep(0.5)
        assert int(machine.shown("NRestarts")) <= 5
    told = until(lambda: receiver.messages, lambda: machine.log(ALERTS))
    assert "trading-engine: trading-engine.service failed" == told[0]["title"]
    assert "journalctl -u trading-engine.service" in told[0]["message"]
    assert 1 == len([item for item in told if "failed" in item["title"]])
    machine.systemctl("start", UNIT, code=1)
    machine.systemctl("reset-failed", UNIT)
    machine.systemctl("start", UNIT)


def test_a_stop_waits_for_orders_in_flight(machine: Machine, tmp_path: Path) -> None:
    """The venue takes five seconds for an entry; SIGTERM comes meanwhile; nothing is left unclear."""
    slow = {"site": "POST /fapi/v1/order", "contains": "type=MARKET", "fault": "slow", "delay_ms": 50_000}
    unheard = {"site": "stream.user", "fault": "delay", "delay_ms": 100_000}
    with closing(Venue(tmp_path / "slow", [slow, unheard])) as venue:
        configure(machine, venue.configuration())
        machine.systemctl("start", UNIT)
        tell(machine, "enter")
        intent = "SELECT 1 FROM orders WHERE purpose = 'entry' AND state = 'INTENT'"
        until(lambda: machine.rows(intent), lambda: machine.log()[-6_000:])
        began = time.monotonic()
        machine.systemctl("stop", UNIT)
        assert time.monotonic() - began < 90
        assert ("success", "0") == (machine.shown("Result"), machine.shown("ExecMainStatus"))
        assert [] == machine.rows("SELECT state FROM orders WHERE state IN ('INTENT', 'UNKNOWN')")
        assert [("FILLED",)] == machine.rows("SELECT state FROM orders WHERE purpose = 'entry'")
        assert [("SIGTERM",)] == machine.rows("SELECT how FROM runs")
        machine.systemctl("start", UNIT)
        until(lambda: machine.rows(COVERED), lambda: machine.log()[-6_000:])
        assert [(1,)] == machine.rows("SELECT count(*) FROM orders WHERE purpose = 'entry'")


def test_what_is_not_armed_is_refused_and_not_started_again(machine: Machine, venue: Venue, receiver: Receiver) -> None:
    """Real money: exit 3, one line that names the command, an alert; armed on a terminal it may start."""
    values = json.loads(venue.configuration())
    del values["venues"]
    configure(machine, json.dumps(values), ALERT_URL=receiver.url)
    machine.systemctl("start", UNIT, code=1)
    assert ("3", "0", "failed") == tuple(machine.shown(name) for name in ("ExecMainStatus", "NRestarts", "ActiveState"))
    refused = "nobody has armed it: run `trading-engine arm --config /etc/trading-engine/engine.yaml"
    assert refused in machine.log()
    until(lambda: receiver.messages, lambda: machine.log(ALERTS))
    # A terminal of its own for the sentence.
    script = (
        "import os, pty, sys\n"
        "def read(fd):\n"
        "    data = os.read(fd, 4096)\n"
        "    if b'to go on' in data: os.write(fd, b'I UNDERSTAND THE RISKS\\n')\n"
        "    return data\n"
        f"command = ['trading-engine-ctl', 'arm', '--config', '{ETC}/engine.yaml']\n"
        "sys.exit(os.waitstatus_to_exitcode(pty.spawn(command, read)))\n"
    )
    said = machine.call("python3", "-c", script)
    assert "armed: binance/rehearsal with /etc/trading-engine/engine.yaml" in said
    assert "600 trading-engine\n" == machine.call("stat", "-c", "%a %U", f"{STATE}/arming.json")
    shown = machine.call("trading-engine-ctl", "arm", "--show", "--config", f"{ETC}/engine.yaml")
    assert "may start without a terminal" in shown
    configure(machine, json.dumps(values | {"leverage": 2}))
    shown = machine.call("trading-engine-ctl", "arm", "--show", "--config", f"{ETC}/engine.yaml", code=3)
    assert "leverage 1 → 2" in shown


def test_an_invalid_configuration_is_not_started_again(machine: Machine, venue: Venue) -> None:
    """Exit 78, once, with one line for each mistake in the journal, as errors."""
    configure(machine, venue.configuration(leverage=-1))
    machine.systemctl("start", UNIT, code=1)
    assert ("78", "0") == (machine.shown("ExecMainStatus"), machine.shown("NRestarts"))
    errors = machine.call("journalctl", "--no-pager", "-o", "cat", "-u", UNIT, "-p", "err")
    assert "leverage" in errors


def test_units_are_well_formed_and_closed(installed: tuple[Machine, str]) -> None:
    """systemd has nothing to say against them, and counts an exposure of at most 1.5."""
    machine, _ = installed
    units = ["trading-engine.service", "trading-engine@two.service", "trading-engine-backup.service"]
    units += ["trading-engine-backup.timer", "trading-engine-verify.service", "trading-engine-verify.timer", ALERTS]
    assert "" == machine.call("systemd-analyze", "verify", *units).strip()
    for unit in units:
        if unit.endswith(".service"):
            machine.call("systemd-analyze", "security", "--no-pager", "--threshold=15", unit)


def test_backups_are_made_by_the_timer_and_restored_by_another(machine: Machine, venue: Venue) -> None:
    """Beside a running engine with a position; then a restore that is audited, and one that an operator makes."""
    configure(machine, venue.configuration())
    machine.systemctl("start", UNIT)
    before = with_position(machine)
    machine.systemctl("start", "trading-engine-backup.service")
    machine.systemctl("start", "trading-engine-verify.service")
    said = machine.log("trading-engine-verify.service")
    assert re.search(r"/backups/engine-.*: restored and audited, \d+ records", said), said
    assert "" == machine.call("ls", "/var/cache/trading-engine-verify").strip()
    machine.systemctl("stop", UNIT)
    (copy,) = machine.call("bash", "-c", f"ls {STATE}/backups/engine-*.db").split()
    machine.engine("db", "restore", copy, "--force")
    machine.systemctl("start", UNIT)
    (after,) = machine.asked("positions")
    assert before["position_id"] == after["position_id"]
    assert "LOCKED" == machine.asked("status")["kill_switch"]["level"]
    assert "resumed" in machine.engine("resume")


def test_two_instances_trade_side_by_side(machine: Machine, venue: Venue, tmp_path: Path) -> None:
    """Own configuration, credentials, state, account and position; the end of one is not that of the other."""
    second, state = "trading-engine@two.service", f"{STATE}/instances/two"
    with closing(Venue(tmp_path / "two")) as other:
        configure(machine, venue.configuration())
        configure(machine, other.configuration(account="second"), f"{ETC}/two")
        machine.systemctl("start", UNIT, second)
        with_position(machine, state, second)
        assert [] == machine.asked("positions")
        machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", UNIT)
        machine.systemctl("stop", UNIT)
        assert "active" == machine.shown("ActiveState", second)
        assert ("second", "rehearsal") == (
            machine.asked("status", state=state)["account"],
            machine.asked("status")["account"],
        )
        machine.systemctl("start", "trading-engine-backup.service")
        assert machine.inside(f"{state}/backups").is_dir()
        assert machine.inside(f"{STATE}/backups").is_dir()
        machine.systemctl("stop", second)


def test_an_upgrade_and_its_way_back_keep_an_open_position(
    machine: Machine, installed: tuple[Machine, str], venue: Venue
) -> None:
    """The schema changes; both ways the position stays, behind its stop, and the way back makes no entries."""
    _, source = installed
    newer = _newer_release(machine, source)
    configure(machine, venue.configuration())
    machine.systemctl("start", UNIT)
    before = with_position(machine)
    first = machine.call("readlink", "/opt/trading-engine/current").strip()
    planned = machine.call(f"{newer}/deploy/upgrade.sh", "--wheels", "/usr/src/wheels", "--dry-run")
    assert "would check, back up and migrate /var/lib/trading-engine" in planned
    assert first == machine.call("readlink", "/opt/trading-engine/current").strip()
    said = machine.call(f"{newer}/deploy/upgrade.sh", "--wheels", "/usr/src/wheels", "--yes")
    assert "/var/lib/trading-engine/engine.db is now at schema 9999" in said, said
    assert "releases/0.2.0+" in machine.call("readlink", "/opt/trading-engine/current")
    (after,) = machine.asked("positions")
    same = ("position_id", "quantity", "entry_price", "stop_price", "stop_confirmed")
    assert [before[name] for name in same] == [after[name] for name in same]
    assert "RUN" == machine.asked("status")["kill_switch"]["level"]
    said = machine.call("/opt/trading-engine/current/deploy/rollback.sh", "--yes")
    assert "restored: compare" in said
    assert first == machine.call("readlink", "/opt/trading-engine/current").strip()
    assert "active" == machine.shown("ActiveState")
    (after,) = machine.asked("positions")
    assert [before[name] for name in same] == [after[name] for name in same]
    assert "LOCKED" == machine.asked("status")["kill_switch"]["level"]
    machine.engine("resume")
    machine.systemctl("stop", UNIT)
    assert machine.asked("audit")["ok"]
    again = machine.call(f"{source}/deploy/upgrade.sh", "--wheels", "/usr/src/wheels", "--yes")
    assert "is what runs already" in again


def _newer_release(machine: Machine, source: str) -> str:
    """The same source with one more revision of the schema and another number; the folder inside."""
    target = f"{source}-next"
    machine.call("rm", "-rf", target)
    machine.call("cp", "-a", source, target)
    folder = machine.inside(target)
    version = folder / "trading_engine/store/schema_version.py"
    text = version.read_text()
    newest = re.findall(r'"(\d{4})"', text.split("\n\n\n")[0])[-1]
    version.write_text(text.replace(f'"{newest}")', f'"{newest}", "9999")'))
    (folder / "migrations/versions/9999_note.py").write_text(
        '"""A table that the release before does not know."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
        f'revision = "9999"\ndown_revision = "{newest}"\nbranch_labels = None\ndepends_on = None\n\n\n'
        'def upgrade() -> None:\n    """Make it."""\n    op.create_table("note", sa.Column("id", sa.Integer()))\n'
    )
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.2.0"', 1))
    return target


def test_the_scripts_find_nothing_wrong_with_a_second_run(installed: tuple[Machine, str]) -> None:
    """Installing again changes nothing that is there."""
    machine, source = installed
    before = machine.call("bash", "-c", "ls -lR /opt/trading-engine | sha256sum; ls -l /etc/systemd/system")
    done = subprocess.run(
        machine.command(f"{source}/deploy/install.sh", "--wheels", "/usr/src/wheels"), capture_output=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    after = machine.call("bash", "-c", "ls -lR /opt/trading-engine | sha256sum; ls -l /etc/systemd/system")
    assert before.splitlines()[0] == after.splitlines()[0]


def test_words_reach_the_engine_and_outlive_it(machine: Machine, venue: Venue) -> None:
    """A pause survives a crash; a reload changes limits, by systemd too; a close leaves it flat."""
    configure(machine, venue.configuration())
    impatient(machine)
    machine.systemctl("start", UNIT)
    with_position(machine)
    assert "no entries from now on" in machine.engine("pause", "--actor", "alice")
    machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", UNIT)
    until(lambda: machine.shown("NRestarts") == "1", machine.log)
    until(lambda: machine.shown("ActiveState") == "active", machine.log)
    assert [None] == [item["symbol"] for item in machine.asked("status")["paused"]]
    configure(machine, venue.configuration(risk={"cooldown_minutes": 0, "max_positions": 1}))
    machine.systemctl("reload", UNIT)
    until(lambda: machine.rows("SELECT 1 FROM system_events WHERE kind = 'ConfigChanged'"), machine.log)
    ((text,),) = machine.rows("SELECT text FROM system_events WHERE kind = 'ConfigChanged'")
    assert "by SIGHUP: risk.max_positions" in text
    configure(machine, venue.configuration(leverage=3))
    assert "these need a restart: leverage; nothing was changed" in machine.engine("reload", code=3)
    assert "its stop stays until it is flat" in machine.engine("close", "BTCUSDT", "--yes")
    until(lambda: not machine.asked("positions"), machine.log)
    assert "entries again" in machine.engine("resume", "--actor", "alice")
    events = machine.rows("SELECT text FROM system_events WHERE kind = 'EntriesPaused' ORDER BY seq")
    assert [("entries paused by alice",), ("entries allowed again by alice",)] == events
    machine.systemctl("stop", UNIT)
    (trade,) = machine.asked("trades")
    assert "operator" == trade["close_reason"]
    assert machine.asked("audit")["ok"]


def test_a_venue_that_is_away_is_waited_for(machine: Machine, tmp_path: Path) -> None:
    """A start goes on asking beyond systemd's own patience, says so, can be stopped, and is ready when it has come."""
    first = Venue(tmp_path / "venue")
    configure(machine, first.configuration())
    first.close()
    machine.write(f"/etc/systemd/system/{UNIT}.d/test.conf", "[Service]\nTimeoutStartSec=5s\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "--no-block", UNIT)
    time.sleep(20)
    assert ("activating", "0") == (machine.shown("ActiveState"), machine.shown("NRestarts"))
    assert "starting: reaching binance" == machine.shown("StatusText")
    machine.systemctl("stop", UNIT)
    assert ("inactive", "success") == (machine.shown("ActiveState"), machine.shown("Result"))
    machine.systemctl("start", "--no-block", UNIT)
    with closing(Venue(tmp_path / "venue", port=first.port)):
        until(lambda: machine.shown("ActiveState") == "active", machine.log)
        assert "running" == machine.asked("status")["state"]
