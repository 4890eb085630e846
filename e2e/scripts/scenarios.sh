#!/bin/bash
# Brings up a cluster of its own, goes through the scenarios, and takes it down again. Called by the Makefile.
#   scenarios.sh [NAME...]    KEEP=1 leaves cluster and release in place
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=$(e2e/scripts/cluster-build.sh)
images=$(e2e/scripts/images.sh)
# What drives the scenarios is built as tests are: it need not be fast, and linking it as a release takes minutes.
cargo test --locked --workspace --no-run --test scenarios
definitions=$(e2e/scripts/gateway-api.sh)
profile=${PROFILE:-optimized}
dir=$CLUSTER_DIR-e2e
keep=()
if [ -n "${KEEP:-}" ]; then
  keep=(--keep)
  echo "afterwards: export KUBECONFIG=$dir/kubeconfig PATH=$PROGRAMS:\$PATH; cluster down --dir $dir"
else
  trap '"$PROGRAMS/cluster" down --dir "$dir"' EXIT
fi
if [ -e "$dir/state.json" ]; then "$PROGRAMS/cluster" down --dir "$dir"; fi # kept by an earlier run
began=$SECONDS
"$PROGRAMS/cluster" up --dir "$dir" --nodes "$NODES"
# shellcheck disable=SC2086 # one word per image
"$PROGRAMS/cluster" load --dir "$dir" $images
echo "the cluster is up and has the images: $(((SECONDS - began) / 60)):$(printf %02d $(((SECONDS - began) % 60))) of 3:00"
binaries=$CARGO_TARGET_DIR/${profile/dev/debug}
"$CARGO_TARGET_DIR/debug/e2e" --silverback "$binaries/silverback" --cluster "$dir" --programs "$PROGRAMS" --gateway-api "$definitions" "${keep[@]}" "$@"
