#!/bin/bash
# Prints the path of cargo-deny, which is built into the cache the first time. Called by the Makefile.
set -euo pipefail
VERSION=0.20.2
root=$SILVERBACK_CACHE/tools/cargo-deny-$VERSION
if [ "${1:-}" != --where ] && [ ! -x "$root/bin/cargo-deny" ]; then
  echo "building cargo-deny $VERSION, once" >&2
  # Not optimised: compiling takes long, checking does not.
  CARGO_TARGET_DIR=$SILVERBACK_CACHE/tools/build cargo install --quiet --locked --debug --root "$root" "cargo-deny@$VERSION" >&2
  rm -rf "$SILVERBACK_CACHE/tools/build"
fi
echo "$root/bin/cargo-deny"
