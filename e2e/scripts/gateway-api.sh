#!/bin/bash
# Takes the definitions of the Gateway API out of its Go module, of the version that e2e/conformance names, into the
# cache, and prints the directory that holds them: standard/ and experimental/. Called by scenarios.sh and conformance.sh.
set -euo pipefail
cd "$(dirname "$0")/../conformance"
CACHE=${SILVERBACK_CACHE:-$HOME/.cache/silverback}
version=$(go list -mod=readonly -m -f '{{.Version}}' sigs.k8s.io/gateway-api)
directory=$CACHE/gateway-api/$version
if [ ! -d "$directory" ]; then
  module=$(go mod download -json sigs.k8s.io/gateway-api | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  mkdir -p "$CACHE/gateway-api"
  new=$(mktemp -d "$CACHE/gateway-api/.taking-XXXXXX")
  for channel in standard experimental; do
    mkdir "$new/$channel"
    install -m 644 "$module/config/crd/$channel"/gateway.*.yaml "$new/$channel/"
  done
  chmod 755 "$new"
  mv -T "$new" "$directory" 2>/dev/null || rm -rf "$new" # another run may have been first
fi
echo "$directory"
