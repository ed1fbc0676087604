# What ./run and ./test share: find Python, make .venv, install what pyproject.toml declares. Sourced by bash.
#
# It must never reach for the Internet when nothing changed, never leave a service started, and never ask a
# question: where something is missing and it may not install it, it says the one command that does.

# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
constraints=$root/tests/constraints.txt
unset PYTHONHOME PYTHONPATH # they would lead .venv astray
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps mosquitto and ip, and a user's PATH does not look
if ! { : <&0; } 2>/dev/null; then exec </dev/null; fi # started without a standard input

say() { printf '%s\n' "$*"; }
stop() {
  printf '%s\n' "$@" >&2
  exit 1
}

# as_root COMMAND…: run it as root, if that needs no password. Ask first with may_be_root.
may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# apt_install PACKAGE…: install Debian packages, services left stopped. Only where may_be_root.
apt_install() {
  local policy=/usr/sbin/policy-rc.d ours='' status=0 services
  # Debian starts a service when it is installed, unless this file says no; ours goes away again below.
  if [ ! -e "$policy" ]; then
    ours=1
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  say "setup: installing Debian packages: $*"
  {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y \
        --no-install-recommends "$@"
  } </dev/null >"${TMPDIR:-/tmp}/tidegauge-apt.$$" 2>&1 || status=$?
  [ -z "$ours" ] || as_root rm -f "$policy"
  [ "$status" = 0 ] || tail -n 15 "${TMPDIR:-/tmp}/tidegauge-apt.$$" >&2
  rm -f "${TMPDIR:-/tmp}/tidegauge-apt.$$"
  # The tests start brokers of their own: Debian's need not start with the machine either.
  for services in "$@"; do
    if [ "$status" = 0 ] && [ "$services" = mosquitto ] && [ -d /run/systemd/system ]; then
      as_root systemctl disable --quiet mosquitto || true
    fi
  done
  return "$status"
}

# missing_packages: the packages of .ci/debian-packages that are not here.
missing_packages() {
  local package shown_by
  while read -r package shown_by; do
    case $package in '' | '#'*) continue ;; esac
    [ -e "$shown_by" ] || command -v "$shown_by" >/dev/null || say "$package"
  done <"$root/.ci/debian-packages"
}

# install_packages: what the tests need of Debian. A failure in CI; elsewhere the tests that need it skip.
install_packages() {
  local missing command
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0
  command="sudo apt-get install --no-install-recommends ${missing[*]}"
  if command -v apt-get >/dev/null && may_be_root && apt_install "${missing[@]}"; then return 0; fi
  say "setup: missing: ${missing[*]}. Tests that need them are skipped. To run them: $command"
  [ -z "${CI:-}" ]
}

# install_npm: the clients of others that our servers are tried against. A failure in CI; elsewhere the tests that need it skip.
install_npm() {
  local folder=$root/tests/npm
  if [ -e "$folder/node_modules/.stamp" ] && cmp -s "$folder/package-lock.json" "$folder/node_modules/.stamp"; then return 0; fi
  say "setup: fetching packages of npm into tests/npm (only when its package-lock.json changed)"
  if command -v npm >/dev/null && npm ci --prefix "$folder" --no-audit --no-fund --silent </dev/null; then
    cp "$folder/package-lock.json" "$folder/node_modules/.stamp"
    return 0
  fi
  say "setup: missing: packages of npm. Tests that need them are skipped. To run them: npm ci --prefix tests/npm"
  [ -z "${CI:-}" ]
}

# find_python: print the first Python that is new enough.
find_python() {
  local candidate
  for candidate in "${TIDEGAUGE_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  stop "Tidegauge needs Python 3.11 or newer, and found none." \
    "On Debian 12, Raspberry Pi OS 12 or later: sudo apt-get install python3 python3-venv" \
    "Elsewhere: name one, TIDEGAUGE_PYTHON=/path/to/python3 ./${0##*/}"
}

# make_venv PYTHON: an empty .venv.
make_venv() {
  local python=$1 package=python3-venv
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    case ${python##*/} in python3.*) package=${python##*/}-venv ;; esac
    if ! { command -v apt-get >/dev/null && may_be_root && apt_install "$package"; }; then
      stop "$python cannot make virtual environments. Install what it lacks: sudo apt-get install $package"
    fi
  fi
  say "setup: making .venv with $("$python" --version)"
  "$python" -m venv --clear "$venv" || stop "could not make $venv: see above"
}

# stamp LEVEL: what must be unchanged for .venv to be kept: the declarations, the pins, the Python, the place.
stamp() {
  {
    say "$1" "$venv"
    "$venv/bin/python" --version 2>&1
    sed '/^\[tool\.ruff/,$d' "$root/pyproject.toml" # below stand the checkers' own settings
    cat "$constraints"
  } | sha256sum
}

up_to_date() { [ -x "$venv/bin/python" ] && [ "$(stamp "$1")" = "$(cat "$venv/.stamp-$1" 2>/dev/null)" ]; }

# fetching: of pip's talk, a line for each package it fetched: name, version, size where it is told.
fetching() {
  sed -un -E \
    -e 's/^ *(Downloading|Using cached|Processing) ([^ ]*\/)?([^- ]+)-([^- ]+)(-[^ ]+\.whl|\.tar\.gz)( \([0-9].*\))?( .*)?$/setup:   \3 \4\6/p'
}

# set_up LEVEL: bring .venv to `run` (what ./run needs) or `dev` (and what ./test needs).
set_up() {
  local level=$1 extras=appliance,collector,provisioning,embedded python
  [ "$level" = run ] || extras=$extras,dev
  exec 9<"$root" # one set-up at a time, in this tree
  flock 9
  if ! up_to_date "$level" && ! { [ "$level" = run ] && up_to_date dev; }; then
    # a .venv whose Python is gone, or that was made elsewhere and moved here, is made anew
    if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
      [ "$(cat "$venv/.made-at" 2>/dev/null)" != "$venv" ]; then
      python=$(find_python)
      make_venv "$python" 9<&-
      say "$venv" >"$venv/.made-at"
    fi
    say "setup: fetching packages into .venv (only when pyproject.toml or tests/constraints.txt changed)"
    if ! (cd "$root" && PYTHONUNBUFFERED=1 "$venv/bin/python" -m pip install --progress-bar off --no-input \
      --disable-pip-version-check -e ".[$extras]" -c "$constraints" </dev/null 9<&- 2>&1) |
      tee "$venv/setup.log" | fetching; then
      tail -n 20 "$venv/setup.log" >&2
      stop "" "setup: fetching failed (all of it: .venv/setup.log). Is the network there? Then run ./${0##*/} again."
    fi
    stamp "$level" >"$venv/.stamp-$level"
    say "setup: done"
  fi
  exec 9<&-
}
