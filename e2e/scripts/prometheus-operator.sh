#!/bin/bash
# Takes the Prometheus operator's definitions of kinds out of its Go module into the module cache, and prints the directory that
# holds them. Called by chart.sh.
set -euo pipefail
VERSION=v0.85.0
module=$(GOFLAGS=-mod=mod go mod download -json "github.com/prometheus-operator/prometheus-operator@$VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
echo "$module/example/prometheus-operator-crd"
