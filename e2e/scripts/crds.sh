#!/bin/bash
# Writes deploy/crds from the Rust types, one file per kind. Called by the Makefile.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p deploy/crds
definitions=$(cargo run --locked --quiet -- crds print)
rm -f deploy/crds/*.yaml
awk '/^---$/ { document = name = ""; next }
     { document = document $0 "\n" }
     /^  name: / && !($2 in seen) { name = $2; seen[name] }
     name { texts[name] = document }
     END { for (name in texts) { i = index(name, "."); printf "%s", texts[name] > ("deploy/crds/" substr(name, i + 1) "_" substr(name, 1, i - 1) ".yaml") } }' <<<"$definitions"
ls deploy/crds
