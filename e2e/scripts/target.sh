#!/bin/bash
# Clones share a target directory, for the sake of the dependencies in it. Cargo tells the workspace's own crates of
# two clones apart by file times alone, and would take one's for the other's: so what another clone has built of them
# is forgotten here. Called by the Makefile, whenever something is made.
set -euo pipefail
owner=$CARGO_TARGET_DIR/.clone
if [ -d "$CARGO_TARGET_DIR" ] && [ "$(cat "$owner" 2>/dev/null)" != "$PWD" ]; then
  rm -rf "$CARGO_TARGET_DIR"/*/.fingerprint/{silverback,proxy-config-schema}-*
fi
mkdir -p "$CARGO_TARGET_DIR"
echo "$PWD" >"$owner"
