#!/bin/bash
# The benchmark of large fleets: a real API server and stub proxies in a network namespace of their own, since endpoints
# may not have loopback addresses. Called by the Makefile, as root.
#   bench-fleet.sh [NAME...]    NAME: large, small, probes; all by default
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=$(e2e/scripts/cluster-build.sh)
BENCH=$CARGO_TARGET_DIR/release/bench
# Seconds to build, and benchmarks are rare: it is not kept.
bare=$(mktemp -d)
trap 'rm -rf "$bare"' EXIT
(cd e2e/bare-client && CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -trimpath -o "$bare/bare-client" .)
kept=0

run() { # run PROXIES FLAGS...
  local proxies=$1 namespace=silverback-bench-$$ directory
  shift
  directory=$(mktemp -d)
  ip netns add "$namespace"
  ip -n "$namespace" link set lo up
  # One address for each stub, all in one net on loopback.
  ip -n "$namespace" addr add 10.99.0.1/16 dev lo
  if ip netns exec "$namespace" "$BENCH" fleet --silverback "$CARGO_TARGET_DIR/release/silverback" \
    --cluster "$PROGRAMS/cluster" --bare-client "$bare/bare-client" --directory "$directory" --proxies "$proxies" "$@"; then
    rm -rf "$directory"
  else
    kept=1
    rm -rf "$directory/etcd"
    echo "logs: $directory"
  fi
  ip netns delete "$namespace"
  echo
}

for name in "${@:-large small probes}"; do # one word may name several
  for part in $name; do
    case $part in
      large) run 100 --routes 10000 --helm-releases 4000 --other-services 5000 ;;
      small) run 10 --routes 1000 --changes 50 ;;
      probes) run 1000 --routes 10 --idle-only ;;
      *) echo "no such part: $part" >&2; exit 2 ;;
    esac
  done
done
exit $kept
