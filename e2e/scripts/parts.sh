#!/bin/bash
# Goes through parts of `make test` in order, all of them whatever fails, and prints each one's time beside its budget.
# Called by the Makefile.
set -uo pipefail

# Minutes. From nothing, prerequisites, build and lint have 30 together: that is where programs of the cluster, binaries, tests
# and what clippy reads are made. A budget is printed, not enforced: machines differ.
[ -d "$CARGO_TARGET_DIR/optimized" ] && warm=1 || warm=
budget() {
  local warm_or_cold=
  case $1 in
    prerequisites) warm_or_cold="5 8" ;;
    build) warm_or_cold="8 14" ;;
    lint) warm_or_cold="5 8" ;;
    deny) warm_or_cold="1 6" ;;
    pure | unit | integration) warm_or_cold="5 5" ;;
    e2e) warm_or_cold="27 27" ;; # the cluster's 3, the scenarios' 12, the upgrades' 8, chaos' 4
    e2e-long) warm_or_cold="12 12" ;; # five minutes of them without an API server
    bench-fleet) warm_or_cold="10 10" ;; # 10,000 routes, 1,000, and a thousand proxies
    *) warm_or_cold="3 3" ;;
  esac
  [ -n "$warm" ] && echo "${warm_or_cold% *}" || echo "${warm_or_cold#* }"
}

# All crates of ours are built anew in a new clone: what helps the second build costs the first one a fifth.
export CARGO_INCREMENTAL=0

# Two clones at once would build each other's crates anew at every step.
exec 9>"$CARGO_TARGET_DIR/.lock"
flock --nonblock 9 || { echo "waiting for another \`make test\` in $CARGO_TARGET_DIR"; flock 9; }

# Seconds of processor time that the parts have used so far: what a part would take on two cores of its own is about half
# of what it adds, however busy the machine is.
counted=$(mktemp)
trap 'rm -f "$counted"' EXIT
processor() {
  times >"$counted" # not in a subshell, which has used none
  used=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += t[1] * 60 + t[2] } printf "%d", sum }' "$counted")
}

table="" passed=0 failed=0 began=$SECONDS
for part in "$@"; do
  minutes=$(budget "$part")
  printf '\n==== %s (budget %s min)\n' "$part" "$minutes"
  processor
  start=$SECONDS before=$used
  if make "$part" 9>&-; then outcome=good passed=$((passed + 1)); else outcome=FAILED failed=$((failed + 1)); fi
  processor
  took=$((SECONDS - start)) cost=$((used - before))
  [ $took -le $((minutes * 60)) ] || outcome+=", OVER BUDGET"
  table+=$(printf '%-14s %4d:%02d of %2d:00  processor %4d:%02d  %s' "$part" $((took / 60)) $((took % 60)) "$minutes" \
    $((cost / 60)) $((cost % 60)) "$outcome")$'\n'
done
processor
printf '\n%s%-14s %4d:%02d           processor %4d:%02d, %s cores\n\n' "$table" all \
  $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) $((used / 60)) $((used % 60)) "$(nproc)"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
