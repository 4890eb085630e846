#!/bin/bash
# Security advisories. An advisory fails; a database that cannot be reached is said, and is no failure of the code.
# Called by the Makefile.
set -uo pipefail
cd "$(dirname "$0")/../.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$(e2e/scripts/cargo-deny.sh)" --workspace --all-features --locked check advisories 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ "$status" != 0 ] && grep -qE 'failed to (fetch|clone|load) advisory database|error fetching|advisory database' "$log" && ! grep -q 'RUSTSEC-' "$log"; then
  echo "NOT CHECKED: the advisory database can't be reached from here"
  exit 0
fi
exit "$status"
