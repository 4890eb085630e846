#!/bin/bash
# Prints the table of docs/reference/values.md: one row per value of the chart, with what its comment says. Called by chart.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
awk '
  function cell(text) { gsub(/\|/, "\\|", text); gsub(/</, "\\<", text); return text }
  /^ *$/ { comment = ""; next }
  /^ *#/ { line = $0; sub(/^ *# ?/, "", line); comment = comment (comment == "" ? "" : " ") line; next }
  /^ *- / { next } # items of a list that is shown as its key
  {
    match($0, /^ */); depth = RLENGTH / 2
    key = $0; sub(/^ */, "", key); value = key; sub(/:.*/, "", key); sub(/^[^:]*: ?/, "", value)
    path[depth] = key; name = path[0]
    for (i = 1; i <= depth; i++) name = name "." path[i]
    # What is written below a probe or a selector is its default as a whole.
    if (hidden != "" && index(name, hidden ".") == 1) { comment = ""; next }
    hidden = ""
    if (key ~ /(Probe|Selector)$/ && value == "") { hidden = name; value = "*see values.yaml*" }
    if (key == "resources" && value == "") { hidden = name; value = "*see values.yaml*" }
    if (comment != "" || value != "") {
      if (value != "" && value !~ /^\*/) value = "`" cell(value) "`"
      printf "| `%s` | %s | %s |\n", name, value, cell(comment)
    }
    comment = ""
  }' deploy/chart/values.yaml
