"""upgrade.sh and rollback.sh, with stand-ins for systemd and for the releases: no engine that ran is left down."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trading_engine.config.load import load_config
from trading_engine.runtime import arming
from trading_engine.system.state_dir import StateDir

ROOT = Path(__file__).resolve().parents[3]

# What the scripts call. A unit's state is a file; an engine is a file that names its schema.
SYSTEMCTL = """#!/bin/bash
verb="$1"; shift
echo "$verb $*" >>"$WORLD/asked"
names=(); for word in "$@"; do [[ "$word" == -* ]] || names+=("$word"); done
code=0
for unit in "${names[@]}"; do
    file="$WORLD/units/$unit"; mkdir -p "$WORLD/units"; now="$(cat "$file" 2>/dev/null || echo inactive)"
    case "$verb" in
        is-active) echo "$now"; [[ "$now" == active ]] || exit 3 ;;
        is-failed) [[ "$now" == failed ]] || exit 1 ;;
        stop) echo inactive >"$file" ;;
        start)
            if [[ -e "$WORLD/ill/$(basename "$(readlink -f "$OPT/current")")/$unit" ]]; then
                echo failed >"$file"; code=1
            else
                echo active >"$file"
            fi ;;
    esac
done
exit $code
"""
ENGINE = """#!/bin/bash
# Knows the schemas that its release names; a state in which `stuck` lies cannot be migrated, nor be backed up.
knows="$(cat "$(dirname "$0")/../schema")"
while [[ $# -gt 0 ]]; do
    case "$1" in --state) state="$2"; shift ;; --force | --yes) ;; *) words+=("$1") ;; esac; shift
done
case "${words[0]} ${words[1]:-}" in
    "db check") [[ "$(cat "$state/engine.db")" == "$knows" ]] || { echo "error: not of schema $knows"; exit 78; } ;;
    "db backup")
        [[ ! -e "$state/full" ]] || exit 78
        mkdir -p "$state/backups"; n="$(ls "$state/backups" | wc -l)"
        cp "$state/engine.db" "$state/backups/engine-$n.db" ;;
    "db migrate")
        [[ ! -e "$state/stuck" ]] || exit 78
        echo "$knows" >"$state/engine.db" ;;
    "db restore")
        mkdir -p "$state"
        [[ ! -e "$state/../stuck" ]] || exit 78
        cp "${words[2]}" "$state/engine.db"
        [[ ! -e "$state/../paper.db" ]] || echo before >"$state/paper.db" ;;
    "arm "*) [[ ! -e "$WORLD/disarmed" ]] || exit 3 ;;
esac
"""
# Renames, but for those that `$WORLD/stiff` is a pattern of.
MV = """#!/bin/bash
[[ ! -e "$WORLD/stiff" || "$*" != $(cat "$WORLD/stiff") ]] || { echo "mv: cannot move" >&2; exit 1; }
exec /bin/mv "$@"
"""
# A release of which `arm` is the real one: the configuration and the record of a state are what they say.
ARMED_FOR_REAL = """#!/bin/bash
if [[ "$1" == arm ]]; then exec "$PYTHON" -m trading_engine "$@"; else exec "$(dirname "$0")/stand-in" "$@"; fi
"""
LIVE = """
mode: live
venue: binance
account: main
symbols: [BTCUSDT]
strategies: [{name: trend_vwap}]
credentials: {key: "${BINANCE_KEY}", secret: "${BINANCE_SECRET}"}
kill_switch: {file: /var/lib/trading-engine/STOP}
"""
# Everything that would touch the machine is replaced in the copy of the library.
OVERRIDES = """
set_root "$WORLD"; prefix=''
as_account() { "$@"; }
in_service() { local state="$1" release="$2"; shift 2; STATE_DIRECTORY="$state" "$release/bin/trading-engine" "$@"; }
require_root() { umask 022; }
build_release() { echo "$opt/releases/new"; }
install_units() { :; }
"""


class World:
    """A machine with the releases `old` (schema 1) and `new`, and the states of two instances."""

    def __init__(self, folder: Path, *, new_schema: str = "2") -> None:
        self.folder = folder
        self.opt = folder / "opt/trading-engine"
        for name, schema in (("old", "1"), ("new", new_schema)):
            release = self.opt / "releases" / name
            (release / "bin").mkdir(parents=True)
            (release / "schema").write_text(f"{schema}\n")
            program(release / "bin/trading-engine", ENGINE)
            (release / ".venv").mkdir()
        (self.opt / "current").symlink_to("releases/old")
        program(folder / "bin/mv", MV)
        for name in ("systemctl", "systemd-analyze", "journalctl"):
            program(folder / "bin" / name, SYSTEMCTL if name == "systemctl" else "#!/bin/sh\necho why\n")
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        with (folder / "deploy/lib.sh").open("a") as library:
            library.write(OVERRIDES)
        for name in ("one", "two"):
            self.state(name).mkdir(parents=True)
            (self.state(name) / "engine.db").write_text("1\n")
            self.set_unit(name, "active")

    def state(self, name: str) -> Path:
        """Its folder."""
        return self.folder / "var/lib/trading-engine/instances" / name

    def set_unit(self, name: str, state: str) -> None:
        """As systemd sees it."""
        file = self.folder / f"units/trading-engine@{name}.service"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{state}\n")

    def files(self) -> dict[str, bytes]:
        """Everything in the states but copies."""
        paths = [path for name in NAMES for path in self.state(name).rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in paths if path.parent.name != "backups"}

    def ill(self, release: str, name: str) -> None:
        """An engine that does not start with a release."""
        file = self.folder / f"ill/{release}/trading-engine@{name}.service"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def seen(self) -> tuple[str, dict[str, str], dict[str, str]]:
        """The release in use, how the units stand, and the schema of each database."""
        units = {name: (self.folder / f"units/trading-engine@{name}.service").read_text().strip() for name in NAMES}
        schemas = {name: (self.state(name) / "engine.db").read_text().strip() for name in NAMES}
        return (self.opt / "current").resolve().name, units, schemas

    def arms_for_real(self) -> None:
        """Real money on both instances, and a new release that judges arming records as it will be installed."""
        for name in NAMES:
            path = self.config(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(LIVE)
        release = self.opt / "releases/new/bin"
        (release / "trading-engine").rename(release / "stand-in")
        program(release / "trading-engine", ARMED_FOR_REAL)

    def config(self, name: str) -> Path:
        """Of an instance."""
        return self.folder / f"etc/trading-engine/{name}/engine.yaml"

    def armed(self, name: str, *, without: str = "") -> None:
        """Arm an instance as this version does, or as one did that had no section `without` yet."""
        known = {"BINANCE_KEY": "test-key", "BINANCE_SECRET": "test-secret"}
        arming.arm(StateDir(self.state(name)), load_config(self.config(name), {}, known, None), "alice", 0)
        if without:
            record = self.state(name) / "arming.json"
            values = json.loads(record.read_text())
            del values["config"][without]
            record.write_text(json.dumps(values | {"config_hash": "of the version before"}))

    def asked(self, verb: str) -> list[str]:
        """What systemd was asked of one kind."""
        return [line for line in (self.folder / "asked").read_text().splitlines() if line.startswith(verb)]

    def call(self, script: str) -> tuple[int, str]:
        """A script without questions: exit code and all that it says."""
        environ = {"WORLD": str(self.folder), "OPT": str(self.opt), "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        environ |= {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
        environ |= {"BINANCE_KEY": "test-key", "BINANCE_SECRET": "test-secret"}
        words = ["bash", str(self.folder / "deploy" / script), "--yes"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environ)
        return done.returncode, done.stdout + done.stderr


NAMES = ("one", "two")
BOTH_UP = {"one": "active", "two": "active"}
STIFF = ["*/two/.rollback/engine.db *", "*/two/.rollback/paper.db *", "*/two/engine.db-wal *", "* */current"]


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two engines on the old release."""
    return World(tmp_path)


def test_an_upgrade_and_the_way_back_with_two_engines(world: World) -> None:
    """Both are migrated and run; going back restores both copies."""
    code, said = world.call("upgrade.sh")
    assert (0, ("new", BOTH_UP, {"one": "2", "two": "2"})) == (code, world.seen()), said
    code, said = world.call("rollback.sh")
    assert (0, ("old", BOTH_UP, {"one": "1", "two": "1"})) == (code, world.seen()), said


@pytest.mark.parametrize("obstacle", ["stuck", "full"])
def test_the_old_release_goes_on_with_the_databases_of_before(world: World, obstacle: str) -> None:
    """Where the second of two states cannot be migrated, or be backed up, the first one is as it was, too."""
    (world.state("two") / obstacle).touch()
    code, said = world.call("upgrade.sh")
    assert (1, ("old", BOTH_UP, {"one": "1", "two": "1"})) == (code, world.seen()), said
    assert "the old release goes on: old" in said


def test_an_upgrade_is_refused_before_anything_stops_where_one_engine_is_not_armed(world: World) -> None:
    """A version with new settings changes the configuration's hash: the refusal names them and the command; armed, it
    goes on.
    """
    world.arms_for_real()
    world.armed("one")
    world.armed("two", without="execution")
    before = {path: path.read_bytes() for path in world.folder.rglob("*.db")}
    code, said = world.call("upgrade.sh")
    assert (1, ("old", BOTH_UP, {"one": "1", "two": "1"})) == (code, world.seen()), said
    assert f"{world.config('two')} is not the configuration that alice armed at" in said
    assert "(none) → " in said
    command = f"trading-engine-ctl --release {world.opt}/releases/new arm --config {world.config('two')}"
    assert f"arm it for the new release first: {command}; nothing was stopped" in said
    assert [] == world.asked("stop")
    assert before == {path: path.read_bytes() for path in world.folder.rglob("*.db")}
    assert not (world.opt / "last-upgrade").exists()
    world.armed("two")
    code, said = world.call("upgrade.sh")
    assert (0, ("new", BOTH_UP, {"one": "2", "two": "2"})) == (code, world.seen()), said
    assert 1 == len(world.asked("stop"))


def test_an_upgrade_asks_no_engine_that_is_down_whether_it_is_armed(world: World) -> None:
    """It is migrated all the same; its next start asks."""
    world.arms_for_real()
    world.armed("one")
    world.set_unit("two", "inactive")
    code, said = world.call("upgrade.sh")
    assert (0, ("new", {"one": "active", "two": "inactive"}, {"one": "2", "two": "2"})) == (code, world.seen()), said


def test_an_engine_that_waits_for_its_venue_is_upgraded_as_one_that_runs(world: World) -> None:
    """It holds its database, and would keep it from being migrated."""
    world.set_unit("one", "activating")
    code, said = world.call("upgrade.sh")
    assert (0, ("new", BOTH_UP)) == (code, world.seen()[:2]), said


def test_one_engine_that_does_not_start_keeps_no_other_one_down(world: World) -> None:
    """After an upgrade; and the way back starts the one that has failed as well."""
    world.ill("new", "one")
    code, said = world.call("upgrade.sh")
    assert (1, {"one": "failed", "two": "active"}) == (code, world.seen()[1]), said
    assert "deploy/rollback.sh goes back" in said
    code, said = world.call("rollback.sh")
    assert (0, ("old", BOTH_UP)) == (code, world.seen()[:2]), said


def test_an_engine_that_was_stopped_by_hand_stays_down(world: World) -> None:
    """Over an upgrade and the way back."""
    world.set_unit("two", "inactive")
    for script in ("upgrade.sh", "rollback.sh"):
        code, said = world.call(script)
        assert (0, {"one": "active", "two": "inactive"}) == (code, world.seen()[1]), said


def test_a_damaged_database_is_not_taken_for_one_of_a_newer_schema(world: World) -> None:
    """Going back would replace what could be saved by what was before the upgrade."""
    world.call("upgrade.sh")
    (world.state("one") / "engine.db").write_text("damaged\n")
    code, said = world.call("rollback.sh")
    assert (1, ("new", BOTH_UP, {"one": "damaged", "two": "2"})) == (code, world.seen()), said
    assert "its database is not well, which going back does not mend" in said


def test_a_way_back_that_fails_starts_the_engines_again(world: World) -> None:
    """With the release that is there."""
    world.call("upgrade.sh")
    (world.state("two") / "stuck").touch()
    code, said = world.call("rollback.sh")
    assert (1, ("new", BOTH_UP, {"one": "2", "two": "2"})) == (code, world.seen()), said
    assert "its backup cannot be restored; nothing was changed" in said


@pytest.mark.parametrize("stiff", STIFF)
def test_all_states_are_restored_or_none(world: World, stiff: str) -> None:
    """Where a file of the second one cannot be put in its place, or the release not be switched, the first one is as
    it was as well; once the cause is gone the way back is whole.
    """
    world.call("upgrade.sh")
    for name in NAMES:
        (world.state(name) / "paper.db").write_text(f"now {name}\n")
        (world.state(name) / "engine.db-wal").write_text(f"log {name}\n")
    (world.folder / "stiff").write_text(stiff)
    before = world.files()
    code, said = world.call("rollback.sh")
    assert (1, ("new", BOTH_UP), before) == (code, world.seen()[:2], world.files()), said
    assert "new goes on; run this again once the cause is gone" in said
    (world.folder / "stiff").unlink()
    code, said = world.call("rollback.sh")
    assert (0, ("old", BOTH_UP, {"one": "1", "two": "1"})) == (code, world.seen()), said
    after = world.files()
    assert sorted(before.values()) == sorted(text for path, text in after.items() if ".replaced-" in path)
    assert [b"1\n", b"before\n"] * 2 == [after[path] for path in sorted(after) if ".replaced-" not in path]


def test_a_state_on_a_server_is_not_restored_from_here(world: World) -> None:
    """Of a newer schema it stops the way back before anything is done: its dump is the server's."""
    world.call("upgrade.sh")
    (world.state("two") / "engine.db").write_text("postgresql://engine@db/engine\n")
    (world.opt / "releases/new/schema").write_text("postgresql://engine@db/engine\n")
    (world.state("one") / "engine.db").write_text("1\n")
    code, said = world.call("rollback.sh")
    assert (1, ("new", BOTH_UP)) == (code, world.seen()[:2]), said
    assert "bring the dump of before the upgrade back there first" in said


def test_the_way_back_asks_whether_the_old_release_may_start(world: World) -> None:
    """Before it stops anything: a configuration that was armed for the new one is refused by the old one."""
    world.call("upgrade.sh")
    (world.folder / "disarmed").touch()
    code, said = world.call("rollback.sh")
    assert (1, ("new", BOTH_UP)) == (code, world.seen()[:2]), said
    assert "arm it for the old release first" in said
    assert "nothing was stopped" in said


def test_a_database_on_a_server_is_migrated_without_a_copy(world: World) -> None:
    """It is backed up where it is."""
    (world.state("one") / "engine.db").write_text("postgresql://engine@db/engine\n")
    (world.state("one") / "full").touch()  # a copy would be refused
    code, said = world.call("upgrade.sh")
    assert (0, "new") == (code, world.seen()[0]), said
    assert "backed up there (pg_dump)" in said


def test_a_database_on_a_server_is_migrated_last(world: World) -> None:
    """What was changed there cannot be put back from here: where another state fails, it was not begun."""
    (world.state("one") / "engine.db").write_text("postgresql://engine@db/engine\n")
    (world.state("two") / "stuck").touch()
    code, said = world.call("upgrade.sh")
    schemas = {"one": "postgresql://engine@db/engine", "two": "1"}
    assert (1, ("old", BOTH_UP, schemas)) == (code, world.seen()), said


def test_two_at_once_are_refused(world: World) -> None:
    """The second one says so, and does nothing."""
    lock = world.opt / ".lock"
    with subprocess.Popen(["flock", str(lock), "sleep", "30"]) as holder:
        while subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode == 0:
            pass
        code, said = world.call("upgrade.sh")
        holder.terminate()
    assert (1, ("old", BOTH_UP)) == (code, world.seen()[:2]), said
    assert "another installation, upgrade or rollback runs" in said
