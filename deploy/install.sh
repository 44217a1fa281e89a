#!/usr/bin/env bash
# Installs the engine as a service: user, directories, a release, units. Run it again whenever you like.
#
#   deploy/install.sh [--instance NAME]... [--python PYTHON] [--wheels DIR] [--root DIR] [--dry-run]
#
#   --instance NAME   also prepare trading-engine@NAME (may be repeated)
#   --python PYTHON   interpreter of the release, 3.11 to 3.13 (python3)
#   --wheels DIR      install from the wheels in DIR instead of from the package index; hashes are checked either way
#   --root DIR        put everything below DIR, for an image; nothing of the running system is touched
#   --dry-run         show what would be done
#
# Starts nothing, and changes no configuration that is there.
set -euo pipefail
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
# shellcheck source=deploy/lib.sh
. "$here/lib.sh"

source_dir="$(dirname "$here")"
python=python3 wheels='' instances=()
while [[ $# -gt 0 ]]; do
    case "$1" in
        --instance) instances+=("${2:?--instance needs a name}"); shift ;;
        --python) python="${2:?--python needs an interpreter}"; shift ;;
        --wheels) wheels="${2:?--wheels needs a folder}"; shift ;;
        --root) set_root "${2:?--root needs a folder}"; shift ;;
        --dry-run) dry_run=1 ;;
        *) usage ;;
    esac
    shift
done

require_root
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null ||
    die "$python is not Python 3.11, 3.12 or 3.13; give another with --python"
for name in "${instances[@]}"; do
    [[ "$name" =~ ^[a-z][a-z0-9_]*$ && "$name" != credentials ]] ||
        die "--instance $name: a name is small letters, digits and _ (as btc_main)"
done

# The user first: directories are given to it.
run install -D -m 0644 "$source_dir/deploy/trading-engine.sysusers.conf" "$prefix/usr/lib/sysusers.d/trading-engine.conf"
on_system systemd-sysusers trading-engine.conf

run install -d -m 0755 "$opt" "$opt/releases" "$etc"
alone
run install -d -m 0700 "$etc/credentials"
run install -d -m 0700 "$var"
for name in "${instances[@]}"; do
    run install -d -m 0755 "$etc/$name"
    run install -d -m 0700 "$etc/$name/credentials" "$var/instances" "$var/instances/$name"
done
[[ -n "$prefix" ]] || run chown -R "$account:$account" "$var"

release="$(build_release "$source_dir" "$python" "$wheels")"
if [[ -z "$(current_release)" ]]; then
    point "$opt/current" "$release"
elif [[ "$(current_release)" != "$(readlink -f "$release")" ]]; then
    say "current stays $(basename "$(current_release)"); deploy/upgrade.sh goes on to $(basename "$release")"
    release="$(current_release)"
fi
if [[ -n "$dry_run" ]]; then install_units "$source_dir"; else install_units "$release"; fi
on_system systemctl enable --now trading-engine-backup.timer trading-engine-verify.timer

cat <<END
installed: $(basename "$release")
next:
  1. configuration  $etc/engine.yaml (begin with a copy of $opt/current/configs/binance.yaml)
  2. keys           one file each in $etc/credentials/, as BINANCE_KEY, BINANCE_SECRET, ALERT_URL (chmod 600)
  3. check          trading-engine-ctl validate --config $etc/engine.yaml
  4. real money     trading-engine-ctl arm --config $etc/engine.yaml (mode: live only)
  5. start          systemctl enable --now trading-engine
END
