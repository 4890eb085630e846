#!/bin/bash
# The identity of rendered objects, one line each: kind, namespace, name; selectors; ports. From standard input. Called by chart.sh.
set -euo pipefail
awk '
  function flush(   i, line) {
    if (kind == "") return
    line = kind " " (namespace == "" ? "-" : namespace) " " name
    if (selector != "") line = line " {" selector "}"
    if (ports != "") line = line " [" ports "]"
    print line
  }
  /^---/ { flush(); kind = name = namespace = selector = ports = inside = part = ""; next }
  /^kind: / { kind = $2 }
  /^metadata:/ { part = "metadata" }
  /^spec:/ { part = "spec" }
  /^[a-z]/ && !/^(metadata|spec):/ { part = "" }
  part == "metadata" && /^  name: / { name = $2 }
  part == "metadata" && /^  namespace: / { namespace = $2 }
  part == "spec" && /^  [a-zA-Z]/ { inside = "" }
  part == "spec" && /^  (selector|podSelector):/ { inside = "selector"; next }
  part == "spec" && kind == "Service" && /^  ports:/ { inside = "ports"; next }
  inside == "selector" && /^ +(app|gateway)[a-z.]*\/[a-z]+: / { key = $1; sub(/^.*\//, "", key); value = $2; gsub(/"/, "", value); selector = selector (selector == "" ? "" : " ") key value }
  inside == "ports" && /name: / && match($0, /name: [a-z0-9-]+/) { ports = ports (ports == "" ? "" : " ") substr($0, RSTART + 6, RLENGTH - 6) }
  inside == "ports" && match($0, /[ {,]port: [0-9]+/) { port = substr($0, RSTART, RLENGTH); sub(/^.*: /, "", port); ports = ports ":" port }
  inside == "ports" && match($0, /targetPort: [a-z0-9-]+/) { ports = ports ">" substr($0, RSTART + 12, RLENGTH - 12) }
  inside == "ports" && match($0, /nodePort: [0-9]+/) { ports = ports "@" substr($0, RSTART + 10, RLENGTH - 10) }
  END { flush() }' | LC_ALL=C sort
