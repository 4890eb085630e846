#!/bin/bash
# Drives a real Chromium against the dashboard of `PROGRAM demo`, as an operator would use it.
#
#     e2e/scripts/browser.sh PROGRAM [SCREENSHOTS]
#
# PROGRAM is the silverback binary, SCREENSHOTS a directory for pictures of the page. CHROMIUM names another browser.
# Installs Chromium and Node.js on Debian as root; elsewhere it says what is missing. Called by the Makefile.
set -euo pipefail

if [ $# -lt 1 ] || [ ! -x "$1" ]; then
  echo "usage: ${0##*/} PROGRAM [SCREENSHOTS]: PROGRAM must be the silverback binary (cargo build)" >&2
  exit 2
fi
SILVERBACK=$(realpath "$1")
SCREENSHOTS=${2:+$(realpath -m "$2")}

# need COMMAND PACKAGE: installs the Debian package that brings the command, or says that it is missing.
need() {
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing prerequisite: $1 (Debian: apt-get install $2; elsewhere the package of that name)" >&2
    exit 1
  fi
  echo "installing $2" >&2
  local log
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    echo "missing prerequisite: $1; apt-get could not install $2 (full log: $log)" >&2
    exit 1
  fi
  rm -f "$log"
}

need node nodejs
if ! node -e 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)'; then
  echo "missing prerequisite: Node.js 18 or later; this is $(node --version)" >&2
  exit 1
fi
need npm npm
if [ -z "${CHROMIUM:-}" ]; then
  for name in chromium chromium-browser google-chrome; do
    CHROMIUM=$(command -v "$name") && break
  done
  if [ -z "${CHROMIUM:-}" ]; then
    need chromium chromium
    CHROMIUM=$(command -v chromium)
  fi
elif [ ! -x "$CHROMIUM" ]; then
  echo "missing prerequisite: CHROMIUM=$CHROMIUM is no program" >&2
  exit 1
fi

cd "$(dirname "$0")/../browser"
# npm leaves this file behind when it is done: what was installed for this lock file is not installed again.
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error
fi
export SILVERBACK SCREENSHOTS CHROMIUM
exec npm test --silent
