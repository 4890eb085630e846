#!/bin/bash
# Brings up a cluster of its own, goes through the scenarios, and takes it down again. Called by the Makefile.
#   scenarios.sh [NAME...]    KEEP=1 leaves cluster and release in place
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=$(e2e/scripts/cluster-build.sh)
images=$(e2e/scripts/images.sh)
definitions=$(e2e/scripts/gateway-api.sh)
profile=${PROFILE:-release}
# Together with what the images hold, so that what both are made of is built once.
cargo build --locked --profile "$profile" --package silverback --package silverback-proxy --package silverback-e2e
dir=$CLUSTER_DIR-e2e
keep=()
if [ -n "${KEEP:-}" ]; then
  keep=(--keep)
  echo "afterwards: export KUBECONFIG=$dir/kubeconfig PATH=$PROGRAMS:\$PATH; cluster down --dir $dir"
else
  trap '"$PROGRAMS/cluster" down --dir "$dir"' EXIT
fi
if [ -e "$dir/state.json" ]; then "$PROGRAMS/cluster" down --dir "$dir"; fi # kept by an earlier run
"$PROGRAMS/cluster" up --dir "$dir" --nodes "$NODES"
# shellcheck disable=SC2086 # one word per image
"$PROGRAMS/cluster" load --dir "$dir" $images
"$CARGO_TARGET_DIR/${profile/dev/debug}/e2e" --cluster "$dir" --programs "$PROGRAMS" --gateway-api "$definitions" "${keep[@]}" "$@"
