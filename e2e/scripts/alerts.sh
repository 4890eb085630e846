#!/bin/bash
# Prints the path of the program that holds alerts against Prometheus' own parser and engine; it is built into the cache the first
# time, and anew when its sources change. Called by chart.sh.
set -euo pipefail
shopt -s inherit_errexit # what fails to build is not kept as built
cd "$(dirname "$0")/../cluster/alerts"
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly"
tools=${SILVERBACK_CACHE:-$HOME/.cache/silverback}/tools
program=$tools/alerts-$({ go env GOVERSION; sha256sum ./*.go go.mod go.sum; } | sha256sum | cut -c1-16)
if [ ! -x "$program" ]; then
  echo "building ${program##*/}, once" >&2
  mkdir -p "$tools"
  building=$(mktemp "$tools/.building-XXXXXX")
  trap 'rm -f "$building"' EXIT
  go build -trimpath -ldflags="-s -w" -o "$building" . >&2
  mv "$building" "$program"
fi
echo "$program"
