#!/bin/bash
# The chart by itself, without a cluster. Called by the Makefile.
set -euo pipefail
cd "$(dirname "$0")/../.."
HELM=$(e2e/scripts/cluster-build.sh)/helm
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export HELM_CACHE_HOME=$out HELM_CONFIG_HOME=$out HELM_DATA_HOME=$out

"$HELM" lint --strict deploy/chart
render() { "$HELM" template gateway deploy/chart --namespace gateway --include-crds "$@"; }
render >"$out/first"
render >"$out/second"
cmp "$out/first" "$out/second" || { echo "two renderings differ"; exit 1; }
! grep -rnE '\blookup\b|randAlpha|genCA|genSigned|now \|' deploy/chart/templates || { echo "renderings without a cluster would differ by the above"; exit 1; }
for kind in Deployment Service ServiceAccount ClusterRole Role Secret IngressClass PodDisruptionBudget NetworkPolicy CustomResourceDefinition ValidatingWebhookConfiguration; do
  grep -q "^kind: $kind$" "$out/first" || { echo "no $kind is rendered"; exit 1; }
done

# refused WORDS FLAG...: these values must be refused with these words.
refused() {
  local words=$1; shift
  if render "$@" >/dev/null 2>"$out/error"; then echo "not refused: $*"; exit 1; fi
  grep -q -- "$words" "$out/error" || { echo "refused without \"$words\": $*"; cat "$out/error"; exit 1; }
  echo "refused as it should be: $*"
}
refused replicas --set controller.replicas=many
refused nosuchvalue --set nosuchvalue=1
refused failurePolicy --set controller.admissionWebhook.failurePolicy=Maybe
refused secretName --set controller.admissionWebhook.certificate.provided=true
refused type --set proxy.service.type=Anything
render --set proxy.autoscaling.enabled=true,proxy.readinessGate=true,networkPolicy.enabled=false --set controller.watchNamespaces='{a,b}' >/dev/null
render --set controller.admissionWebhook.enabled=false >"$out/unchecked"
! grep -n webhook "$out/unchecked" || { echo "the webhook is off, and there is the above"; exit 1; }
render --set controller.admissionWebhook.certificate.provided=true,controller.admissionWebhook.certificate.secretName=mine >"$out/provided"
grep -q "secretName: mine" "$out/provided"
! grep -nE 'admissionregistration.k8s.io\]|webhook-secret=' "$out/provided" || { echo "the certificate is provided, and there is the above"; exit 1; }
render --set proxy.identity=pod >"$out/identity"
! grep -nE 'tls\.key|ADMIN_SSL_CERT"?$' "$out/identity" || { echo "keys never leave the pods, and there is the above"; exit 1; }
grep -q "audience: identity.gateway.silverback.dev" "$out/identity"
! grep -n restart-workload "$out/first" || { echo "the embedded proxy needs no restart, and there is the above"; exit 1; }
render --set proxy.image.repository=kong >"$out/kong"
grep -q -- "--restart-workload=deployment/gateway/gateway-kong$" "$out/kong"
echo "the chart is good"
