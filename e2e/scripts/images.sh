#!/bin/bash
# Makes images from the release binaries and the test application, each a tar file in the cache, and prints these.
# An image holds the program, the shared libraries that it needs, and nothing else. Called by the Makefile.
# PROFILE=dev takes the binaries of `cargo build` instead: slower programs, sooner built.
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=$(e2e/scripts/cluster-build.sh)
profile=${PROFILE:-release}
cargo build --locked --profile "$profile" --package silverback --package silverback-proxy >&2
binaries=$CARGO_TARGET_DIR/${profile/dev/debug}

# image NAME:TAG PROGRAM OPTION...
image() {
  local name=$1 program=$2 out; shift 2
  out=$SILVERBACK_CACHE/images/${name//[:\/]/-}-$(cat "$program" "$PROGRAMS/cluster" e2e/scripts/images.sh | sha256sum | cut -c1-16).tar
  if [ ! -e "$out" ]; then
    mkdir -p "${out%/*}"
    rm -f "$SILVERBACK_CACHE/images/${name//[:\/]/-}"-*.tar # earlier builds
    "$PROGRAMS/cluster" image --name "localhost/$name" --out "$out.part" "$@" "/${program##*/}=$program" >/dev/null
    mv "$out.part" "$out"
  fi
  echo "$out"
}
image silverback:e2e "$binaries/silverback" --libraries --user 65532:65532
image silverback-proxy:e2e "$binaries/silverback-proxy" --libraries --user 65532:65532
image testapp:1 "$PROGRAMS/testapp" --user 65532:65532 --env VERSION=v1
