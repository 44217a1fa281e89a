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

# For what changes the installation.
require_root() {
    [[ -n "$dry_run" || -n "$prefix" || $EUID -eq 0 ]] || die "must be run as root (or with --dry-run)"
    umask 022 # what is installed is read by the service's user; states, keys and copies have modes of their own
}

# One installation, upgrade or way back at a time.
alone() {
    [[ -z "$dry_run" && -d "$opt" ]] || return 0
    exec {lock}>"$opt/.lock"
    flock --nonblock "$lock" || die "another installation, upgrade or rollback runs; nothing was done"
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

# Whether the database of a state is one of a PostgreSQL server, which is backed up by its own means.
is_on_server() { [[ "$(head -c 10 "$1/engine.db" 2>/dev/null)" == postgresql ]]; }

# Whether a unit runs, or tries to: one that waits for its venue, or is about to be started again, counts.
is_up() {
    [[ -z "$prefix" ]] || return 1
    case "$(systemctl is-active "$1" 2>/dev/null)" in active | reloading | activating) return 0 ;; *) return 1 ;; esac
}

# start_all STATE ...: their units, all at once, so that one that does not start keeps no other one down.
start_all() {
    local state names=()
    for state in "$@"; do names+=("$(unit_of "$state")"); done
    [[ ${#names[@]} -gt 0 ]] || return 0
    say "starting ${names[*]} …"
    systemctl reset-failed "${names[@]}" 2>/dev/null || true
    systemctl start "${names[@]}"
}

stop_all() {
    local state names=()
    for state in "$@"; do names+=("$(unit_of "$state")"); done
    [[ ${#names[@]} -gt 0 ]] || return 0
    say "stopping ${names[*]} …"
    systemctl stop "${names[@]}"
}

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

# Keeps the releases that current and previous lead to, and the newest; removes other ones but three, and the
# dependencies that no release uses any more.
prune_releases() {
    local keep release count=0
    keep="$(readlink -f "$opt/current") $(readlink -f "$opt/previous" 2>/dev/null || true)"
    while read -r release; do
        [[ " $keep " == *" $release "* ]] && continue
        count=$((count + 1))
        [[ $count -le 3 ]] || run rm -rf "$release"
    done < <(find "$opt/releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2)
    local venv used
    used="$(readlink -f "$opt"/releases/*/.venv || true)"
    while read -r venv; do
        grep -qxF "$venv" <<<"$used" || run rm -rf "$venv"
    done < <(find "$(readlink -f "$opt")/venvs" -mindepth 1 -maxdepth 1 -type d 2>/dev/null)
}

# ── units ───────────────────────────────────────────────────────────────────

install_units() {
    local release="$1" file folder name
    run install -d -m 0755 "$units" "$prefix/usr/local/sbin"
    for file in "$release"/trading-engine.service "$release"/deploy/*.service "$release"/deploy/*.timer; do
        run install -m 0644 "$file" "$units/$(basename "$file")"
    done
    # Of a failed instance its own receivers are told as well.
    for folder in "$etc"/*/credentials; do
        name="$(basename "$(dirname "$folder")")"
        [[ -d "$folder" ]] || continue
        run install -D -m 0644 /dev/stdin "$units/trading-engine-alert@trading-engine@$name.service.service.d/receivers.conf" \
            <<<"[Service]"$'\n'"LoadCredential=instance:/etc/trading-engine/$name/credentials/"
    done
    run ln -sfn /opt/trading-engine/current/deploy/trading-engine-ctl "$prefix/usr/local/sbin/trading-engine-ctl"
    on_system systemctl daemon-reload
}
