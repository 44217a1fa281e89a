# Shared by the scripts beside this file: where things lie, and the steps that several of them take. Not run by itself.
# shellcheck shell=bash

account=trading-engine
dry_run=''

# Another root for every path, for images and tests; nothing of the running system is touched then.
set_root() {
    prefix="${1%/}"
    opt="$prefix/opt/trading-engine"
    etc="$prefix/etc/trading-engine"
    var="$prefix/var/lib/trading-engine"
    units="$prefix/etc/systemd/system"
}
set_root ''

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }
usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }

# Runs a command that changes something, or only shows it.
run() {
    if [[ -n "$dry_run" ]]; then
        printf 'would run: %s\n' "$*"
    else
        "$@"
    fi
}

# On the running system only.
on_system() { [[ -n "$prefix" ]] || run "$@"; }

require_root() {
    [[ -n "$dry_run" || -n "$prefix" || $EUID -eq 0 ]] || die "must be run as root (or with --dry-run)"
}

as_account() {
    if [[ -n "$prefix" ]]; then "$@"; else (cd / && runuser -u "$account" -- "$@"); fi
}

# ── what is there ───────────────────────────────────────────────────────────

# The states that hold a database, one a line.
all_states() {
    local database
    for database in "$var/engine.db" "$var"/instances/*/engine.db; do
        [[ -e "$database" ]] && dirname "$database"
    done
    return 0
}

# The unit that runs on a state, and the configuration it runs with.
unit_of() {
    if [[ "$1" == "$var" ]]; then echo trading-engine.service; else echo "trading-engine@$(basename "$1").service"; fi
}
config_of() {
    if [[ "$1" == "$var" ]]; then echo "$etc/engine.yaml"; else echo "$etc/$(basename "$1")/engine.yaml"; fi
}
credentials_of() { echo "$(dirname "$(config_of "$1")")/credentials"; }

newest_backup() { find "$1/backups" -maxdepth 1 -name 'engine-*.db' 2>/dev/null | sort | tail -n 1; }

is_up() { [[ -z "$prefix" ]] && systemctl is-active --quiet "$1"; }

current_release() { [[ -e "$opt/current" ]] && readlink -f "$opt/current"; }

# ── a command as the service would run it: its user, its credentials, its state ─

# in_service [--on-terminal] STATE RELEASE ARGUMENTS...
in_service() {
    local pipes=--pipe
    if [[ "$1" == --on-terminal ]]; then pipes=--pty; shift; fi
    local state="$1" release="$2"; shift 2
    systemd-run --quiet --collect --wait "$pipes" --service-type=exec \
        --uid="$account" --gid="$account" --working-directory="$state" \
        --setenv=STATE_DIRECTORY="$state" --setenv=LOGNAME="${SUDO_USER:-$(id -un)}" --setenv=TERM="${TERM:-dumb}" \
        --property=LoadCredential="venue:$(credentials_of "$state")/" \
        --property=UMask=0077 --property=NoNewPrivileges=yes --property=ProtectSystem=strict \
        --property=ReadWritePaths="$state" --property=ProtectHome=yes --property=LimitCORE=0 \
        "$release/bin/trading-engine" "$@"
}

# ── releases ────────────────────────────────────────────────────────────────

_content=(trading_engine migrations deploy configs docs README.md pyproject.toml requirements.lock trading-engine.service)

# VERSION+DIGEST of what a release is made of: equal sources are one release.
release_id() {
    local source="$1" version digest
    version="$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/pyproject.toml" | head -n 1)"
    digest="$(cd "$source" && find "${_content[@]}" -name __pycache__ -prune -o -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)"
    echo "$version+$digest"
}

# build_release SOURCE PYTHON [WHEELS]: makes /opt/trading-engine/releases/ID where it is missing; prints its path.
build_release() {
    local source="$1" python="$2" wheels="${3:-}" id release draft
    id="$(release_id "$source")"
    release="$opt/releases/$id"
    if [[ -e "$release/.complete" ]]; then
        say "release $id is there"
    elif [[ -n "$dry_run" ]]; then
        say "would build release $id from $source"
    else
        say "building release $id …"
        draft="$opt/releases/.new-$id"
        rm -rf "$draft" "$release"
        mkdir -p "$draft/bin"
        (cd "$source" && find "${_content[@]}" -name __pycache__ -prune -o -type f -print0 |
            xargs -0 cp --parents -t "$draft")
        install -m 0755 "$source/deploy/launcher" "$draft/bin/trading-engine"
        chmod -R u=rwX,go=rX "$draft"
        ln -s "$(build_venv "$source" "$python" "$wheels")" "$draft/.venv"
        mv "$draft" "$release"
        "$release/.venv/bin/python" -m compileall -q "$release/trading_engine"
        "$release/bin/trading-engine" --version >/dev/null
        touch "$release/.complete"
    fi
    echo "$release"
}

# The installed lock, shared by the releases that have the same one; prints its path as seen from a release.
build_venv() {
    local source="$1" python="$2" wheels="$3" name venv options=()
    name="$( (cat "$source/requirements.lock"; "$python" -VV) | sha256sum | cut -c1-16)"
    venv="$opt/venvs/$name"
    if [[ ! -e "$venv/.complete" ]]; then
        say "installing the locked dependencies (hashes checked) …"
        rm -rf "$venv"
        mkdir -p "$opt/venvs"
        "$python" -m venv "$venv" >&2
        [[ -z "$wheels" ]] || options=(--no-index --find-links "$wheels")
        "$venv/bin/python" -m pip --disable-pip-version-check --quiet install --compile --require-hashes \
            "${options[@]}" --requirement "$source/requirements.lock" >&2
        chmod -R go=rX "$venv"
        touch "$venv/.complete"
    fi
    echo "../../venvs/$name"
}

# Points a link to a release, at once and for good.
point() {
    local link="$1" release="$2"
    run ln -sfn "releases/$(basename "$release")" "$link.new"
    run mv -T "$link.new" "$link"
}

# Keeps the releases that current and previous lead to, and the newest; removes other ones but three.
prune_releases() {
    local keep release count=0
    keep="$(readlink -f "$opt/current") $(readlink -f "$opt/previous" 2>/dev/null || true)"
    while read -r release; do
        [[ " $keep " == *" $release "* ]] && continue
        count=$((count + 1))
        [[ $count -le 3 ]] || run rm -rf "$release"
    done < <(find "$opt/releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2)
}

# ── units ───────────────────────────────────────────────────────────────────

install_units() {
    local release="$1" file
    run install -d -m 0755 "$units" "$prefix/usr/local/sbin"
    for file in "$release"/trading-engine.service "$release"/deploy/*.service "$release"/deploy/*.timer; do
        run install -m 0644 "$file" "$units/$(basename "$file")"
    done
    run ln -sfn /opt/trading-engine/current/deploy/trading-engine-ctl "$prefix/usr/local/sbin/trading-engine-ctl"
    on_system systemctl daemon-reload
}
