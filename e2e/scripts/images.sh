#!/bin/bash
# Makes images from our binaries and the test application, each a tar file in the cache, and prints these. Ours have the
# file system of deploy/Dockerfile (deploy/rootfs.sh). Called by the Makefile.
# PROFILE=release takes those that users get, PROFILE=dev those of the integration tests: slower programs, sooner built.
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=$(e2e/scripts/cluster-build.sh)
profile=${PROFILE:-optimized}
# The whole workspace and the same programs wherever they are built: another selection has other features, and builds all anew.
if [ "$profile" = dev ]; then
  cargo test --locked --workspace --no-run --test '*' >&2 # what integration tests run
else
  cargo build --locked --profile "$profile" --workspace --bin silverback --bin silverback-proxy >&2
fi
binaries=$CARGO_TARGET_DIR/${profile/dev/debug}
roots=$(mktemp -d)
trap 'rm -rf "$roots"' EXIT

# image NAME:TAG PROGRAM OPTION...: from the program alone.
image() {
  local name=$1 program=$2 out; shift 2
  out=$SILVERBACK_CACHE/images/${name//[:\/]/-}-$(cat "$program" "$PROGRAMS/cluster" e2e/scripts/images.sh deploy/rootfs.sh | sha256sum | cut -c1-16).tar
  if [ ! -e "$out" ]; then
    mkdir -p "${out%/*}"
    # Earlier builds; not those of another clone that is about to load them.
    find "$SILVERBACK_CACHE/images" -name "${name//[:\/]/-}-*.tar" -mmin +60 -delete
    case " $* " in
      *" --root "*) deploy/rootfs.sh "$program" "$roots/$name" "${links[@]}" ;;
      *) set -- "$@" "/${program##*/}=$program" ;;
    esac
    "$PROGRAMS/cluster" image --name "localhost/$name" --out "$out.part.$$" --user 65532:65532 --entrypoint "/${program##*/}" "$@" >/dev/null
    mv "$out.part.$$" "$out"
  fi
  echo "$out"
}
links=()
image silverback:e2e "$binaries/silverback" --root "$roots/silverback:e2e" --env PATH=/usr/local/bin:/bin:/ --env MALLOC_ARENA_MAX=2 --env MALLOC_MMAP_THRESHOLD_=1048576
links=(/usr/local/bin/kong /bin/rm)
image silverback-proxy:e2e "$binaries/silverback-proxy" --root "$roots/silverback-proxy:e2e" --env PATH=/usr/local/bin:/bin:/
image testapp:1 "$PROGRAMS/testapp" --env VERSION=v1
