#!/bin/bash
# Runs the Gateway API's own conformance suite on a cluster of its own, with the chart installed as a user does it, and
# prints how many tests of each profile pass. Called by the Makefile.
#   conformance.sh [FLAG...]    flags of the suite, such as -run-test=HTTPRouteSimpleSameNamespace
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=$(e2e/scripts/cluster-build.sh)
images=$(e2e/scripts/images.sh)
definitions=$(e2e/scripts/gateway-api.sh)
built=$SILVERBACK_CACHE/conformance
mkdir -p "$built"
(
  cd e2e/conformance
  export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly"
  go test -c -o "$built/conformance.test" .
  go build -trimpath -ldflags="-s -w" -o "$built/echo-basic" sigs.k8s.io/gateway-api/conformance/echo-basic
)
# The suite's pods ask for these images by name.
for tag in v1.5.1 v1.6.0-dev.2 v1.6.0-dev.3; do
  out=$built/echo-basic-$tag.tar
  "$PROGRAMS/cluster" image --name "registry.k8s.io/gateway-api/echo-basic:$tag" --out "$out" "/echo-basic=$built/echo-basic" >/dev/null
  images+=" $out"
done
"$PROGRAMS/cluster" image --name registry.k8s.io/coredns/coredns:v1.12.2 --out "$built/coredns.tar" "/coredns=$PROGRAMS/coredns" >/dev/null

dir=$CLUSTER_DIR-conformance
trap '"$PROGRAMS/cluster" down --dir "$dir"' EXIT
if [ -e "$dir/state.json" ]; then "$PROGRAMS/cluster" down --dir "$dir"; fi # kept by an earlier run
"$PROGRAMS/cluster" up --dir "$dir" --nodes "$NODES"
# shellcheck disable=SC2086 # one word per image
"$PROGRAMS/cluster" load --dir "$dir" $images "$built/coredns.tar"
export KUBECONFIG=$dir/kubeconfig HELM_CACHE_HOME=$dir/helm/cache HELM_CONFIG_HOME=$dir/helm/config HELM_DATA_HOME=$dir/helm/data
"$PROGRAMS/kubectl" apply --server-side -f "$definitions/standard" >/dev/null
"$PROGRAMS/helm" install silverback deploy/chart --namespace gateway --create-namespace --wait --timeout 120s \
  --set controller.image.repository=localhost/silverback,controller.image.tag=e2e,controller.image.pullPolicy=Never \
  --set proxy.image.repository=localhost/silverback-proxy,proxy.image.tag=e2e,proxy.image.pullPolicy=Never,proxy.service.type=ClusterIP >/dev/null
"$PROGRAMS/kubectl" apply -f - >/dev/null <<'TEXT'
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: kong}
spec: {controllerName: konghq.com/kic-gateway-controller}
TEXT

# The suite dials the addresses of Gateways: it runs where these lead somewhere, on a node, and asks the API server from there.
sed 's,server: .*,server: https://10.89.0.1:6443,' "$KUBECONFIG" >"$dir/node.kubeconfig"
report=$built/report.yaml
rm -f "$report"
outcome=0
"$PROGRAMS/cluster" exec --dir "$dir" node1 -- env KUBECONFIG="$dir/node.kubeconfig" "$built/conformance.test" \
  -test.v -test.timeout 60m -gateway-class=kong -cleanup-base-resources=false -report-output="$report" \
  -organization=silverback -project=silverback -url=https://github.com/silverback-gateway/silverback -version=0.0.0 -contact=none \
  "$@" >"$built/log" 2>&1 || outcome=$?
grep -E '^ {4}--- (PASS|FAIL|SKIP): TestConformance/[A-Za-z0-9]+ ' "$built/log" | sed 's/^ *--- //; s,TestConformance/,,' | sort
for word in PASS FAIL SKIP; do
  echo "$word: $(grep -cE "^ {4}--- $word: TestConformance/[A-Za-z0-9]+ " "$built/log")"
done
echo "log: $built/log, report: $report"
exit $outcome
