#!/bin/bash
# The chart by itself, without a cluster. UPDATE=1 writes what is generated from it. Called by the Makefile.
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=$(e2e/scripts/cluster-build.sh)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export HELM_CACHE_HOME=$out HELM_CONFIG_HOME=$out HELM_DATA_HOME=$out
helm=$PROGRAMS/helm
render() { "$helm" template silverback deploy/chart --namespace gateway "$@"; }

# ---- it is sound, and depends on nothing but its values
"$helm" lint --strict deploy/chart
"$PROGRAMS/helm4" lint --strict deploy/chart
render >"$out/first"
render >"$out/second"
cmp "$out/first" "$out/second" || { echo "two renderings differ"; exit 1; }
"$PROGRAMS/helm4" template silverback deploy/chart --namespace gateway >"$out/helm4"
diff <(grep . "$out/first") <(grep . "$out/helm4") || { echo "Helm 3 and Helm 4 render differently"; exit 1; }
! grep -rnE '\blookup\b|rand[A-Z]|gen(CA|Sign|Self|Priv)|uuidv4|\bnow\b|\.Capabilities|\.Release\.(IsUpgrade|Revision)' deploy/chart/templates || {
  echo "renderings without a cluster would differ by the above"; exit 1; }
for kind in Deployment Service ServiceAccount ClusterRole Role Secret IngressClass PodDisruptionBudget NetworkPolicy ValidatingWebhookConfiguration; do
  grep -q "^kind: $kind$" "$out/first" || { echo "no $kind is rendered"; exit 1; }
done

# ---- what is for the Prometheus operator fits its definitions
render --set serviceMonitor.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true \
  --set 'serviceMonitor.targetLabels={team},serviceMonitor.honorLabels=true,prometheusRule.labels.team=edge' >"$out/monitored"
render --set adopt=ingress,controller.serviceMonitor.enabled=true,controller.serviceMonitor.interval=9s >>"$out/monitored"
render --set adopt=ingress,gateway.serviceMonitor.enabled=true >>"$out/monitored"
definitions=$(e2e/scripts/prometheus-operator.sh)
"$PROGRAMS/monitoring" "$definitions" ServiceMonitor PodMonitor PrometheusRule <"$out/monitored" || {
  echo "the Prometheus operator would not take the above"; exit 1; }
sed 's/podMetricsEndpoints:/podMetricEndpoints:/; s/ expr: max/ exprs: max/' "$out/monitored" >"$out/mistaken"
[ "$("$PROGRAMS/monitoring" "$definitions" <"$out/mistaken" | grep -c "there is no field")" -ge 3 ] || { echo "mistakes would not be seen"; exit 1; }
# Prometheus itself would load the rules, what they ask for is exported, and they fire when they should.
alerts=$(e2e/scripts/alerts.sh)
render --set prometheusRule.enabled=true >"$out/rules"
"$alerts" docs/reference/metrics.md e2e/testdata/alerts.yaml deploy/dashboards/*.json <"$out/rules" || { echo "the alerts are not good: the above"; exit 1; }
# mistaken WORDS EXPRESSION: a mistake that sed makes in the rules is seen, and told with these words.
mistaken() {
  sed "$2" "$out/rules" | "$alerts" docs/reference/metrics.md e2e/testdata/alerts.yaml >"$out/told" && { echo "not seen: $2"; exit 1; }
  grep -qF -- "$1" "$out/told" || { echo "$2 is told without \"$1\":"; cat "$out/told"; exit 1; }
}
render --set prometheusRule.enabled=true --set-string proxy.env.nginx_admin_client_max_body_size=0 >"$out/boundless"
! grep -n NearLimit "$out/boundless" || { echo "bodies have no limit, and there is the above"; exit 1; }
# Kong's certificate is renewed by a restart when 15 days are left: until then nothing is wrong.
render --set prometheusRule.enabled=true,image.repository=kong | grep -q "certificate_expiry.* < 1110857$" || { echo "the alert comes before Kong is restarted"; exit 1; }
sed 's/silverback_leader/silverback_leading/' deploy/dashboards/silverback.json >"$out/mistaken.json"
! "$alerts" docs/reference/metrics.md e2e/testdata/alerts.yaml "$out/mistaken.json" <"$out/rules" >/dev/null || { echo "a mistake in a dashboard is not seen"; exit 1; }
mistaken "parse error" 's/ expr: max(/ expr: max((/'
mistaken "silverback_leading is not exported" 's/silverback_leader/silverback_leading/'
mistaken "silverback_status_writes_waiting has no label queue" 's/lane!=/queue!=/'
mistaken "does not fire" 's/proxy_synced\(.*\) == 0/proxy_synced\1 == 2/'
mistaken "and [] should" 's/ for: 5m/ for: 1m/'

# ---- every value has its row, and plain manifests are those of the chart
# held FILE NEW: the file is as it would be generated.
held() {
  if [ -n "${UPDATE:-}" ]; then mkdir -p "${1%/*}"; cp "$2" "$1"; fi
  diff -u "$1" "$2" || { echo "$1 is not what the chart gives: run UPDATE=1 make chart"; exit 1; }
}
{ sed '/^<!-- begin/q' docs/reference/values.md
  printf '\n| value | default | meaning |\n|---|---|---|\n'
  e2e/scripts/values.sh
  printf '\n'; sed -n '/^<!-- end/,$p' docs/reference/values.md; } >"$out/values.md"
held docs/reference/values.md "$out/values.md"
{ cat deploy/manifests/head.yaml
  "$helm" template silverback deploy/chart --namespace silverback --no-hooks --skip-tests; } >"$out/manifests.yaml"
held deploy/manifests/silverback.yaml "$out/manifests.yaml"

# ---- images are built, in what people read, with the tag that the chart pulls
version=$(sed -n 's/^appVersion: //p' deploy/chart/Chart.yaml)
for page in deploy/Dockerfile README.md docs/guide/cluster.md docs/operations/README.md; do
  tags=$(grep -oE '(/silverback(-proxy)?:|image\.tag=)[0-9][^ ,]*' "$page" | sed 's/.*[:=]//' | sort -u)
  [ "$tags" = "$version" ] || { echo "$page has the tags \"$tags\", the chart pulls $version"; exit 1; }
done
render --set controller.image.repository=registry.example/silverback,proxy.image.repository=registry.example/silverback-proxy >"$out/own-images"
! grep -n "ghcr.io" "$out/own-images" || { echo "images are named, and there is the above"; exit 1; }

# ---- names, selectors and ports: what an upgrade must not change
for values in e2e/testdata/chart/*.yaml; do
  name=${values##*/} name=${name%.yaml}
  render --values "$values" >"$out/$name.yaml"
  e2e/scripts/identity.sh <"$out/$name.yaml" >"$out/$name.identity"
  held "e2e/testdata/chart/$name.identity" "$out/$name.identity"
done
# Those of a release of the kong chart, written from what that chart makes, byte for byte.
while read -r line; do
  grep -qxF -- "$line" "$out/kong-defaults.identity" || { echo "the kong chart's \"$line\" is not kept:"; cat "$out/kong-defaults.identity"; exit 1; }
done <e2e/testdata/chart/kong.kept
while read -r line; do
  grep -qxF -- "$line" "$out/ingress-typical.identity" || { echo "the ingress chart's \"$line\" is not kept:"; cat "$out/ingress-typical.identity"; exit 1; }
done <e2e/testdata/chart/ingress.kept

# ---- refused values: each with words that help
refused() {
  local words=$1; shift
  if render "$@" >/dev/null 2>"$out/error"; then echo "not refused: $*"; exit 1; fi
  grep -qF -- "$words" "$out/error" || { echo "refused without \"$words\": $*"; cat "$out/error"; exit 1; }
  echo "refused as it should be: $*"
}
refused /controller/replicas --set controller.replicas=many
refused nosuchvalue --set nosuchvalue=1
refused failurePolicy --set controller.admissionWebhook.failurePolicy=Maybe
refused secretName --set controller.admissionWebhook.certificate.provided=true
refused /proxy/service/type --set proxy.service.type=Anything
long=$(printf 'n%.0s' {1..44}) # what a kong release with its webhook has at most
render --set "fullnameOverride=$long" >/dev/null
refused "$long""n-controller-metrics would have a name of 64 letters" --set "fullnameOverride=${long}n"
refused "ends a proxy before it drains" --set proxy.preStopSeconds=45
refused "ends a proxy before it drains" --set terminationGracePeriodSeconds=5
render --set 'terminationGracePeriodSeconds=5,proxy.preStopSeconds=1' >/dev/null
refused "minReplicas=8 is above maxReplicas=5" --set autoscaling.enabled=true,autoscaling.minReplicas=8
refused "can't be the name of an IngressClass" --set ingressController.ingressClass=Edge
refused "proxy.identity=shared" --set proxy.identity=pod,image.repository=registry.example/kong/kong-gateway
refused "adopt" --set adopt=other
refused "--reset-then-reuse-values" --set adopt=null
refused "a Deployment, and a DaemonSet can't become one" --set deployment.daemonset=true
refused "env.database=off" --set env.database=postgres
refused "controller.image.repository" --set ingressController.image.repository=registry.example/kic
refused "KongLicense" --set ingressController.konnect.enabled=true
refused "the controller configures the proxies" --set dblessConfig.configMap=mine
refused "Set adopt=ingress" --set gateway.replicaCount=2
refused "gateway.admin.tls.client.caBundle" --set adopt=ingress --set gateway.admin.tls.client.caBundle=PEM
refused "pki.certManager" --set adopt=ingress --set gateway.admin.tls.client.caBundle=PEM
refused "Services and Deployments select by it" --set "proxy.podLabels.app\.kubernetes\.io/name=other"
refused "mode=split" --set adopt=ingress,mode=sidecar
refused "controller.keepLastGood=false" --set 'controller.args={--last-good-directory=/kept}'
render --set 'controller.keepLastGood=false,controller.args={--last-good-directory=/kept}' >/dev/null
refused "rbac.enableClusterRoles=false does not apply" --set 'controller.watchNamespaces={shop},ingressController.rbac.enableClusterRoles=false'
# What --reuse-values brings from another chart: its values, and none of ours.
sed -n 's/^\([a-zA-Z]*\):.*/\1/p' deploy/chart/values.yaml | while read -r key; do
  if [ "$key" = proxy ]; then echo "proxy: {replicas: null, image: null, service: null, env: null, enabled: true, type: LoadBalancer}"; else echo "$key: null"; fi
done >"$out/foreign.yaml"
refused "--reset-then-reuse-values" --values "$out/foreign.yaml"
# The image that the fixtures of upgrades name, once ours is named beside it.
render --set ingressController.image.repository=registry.example/kic,controller.image.repository=registry.example/silverback >/dev/null

# ---- hooks, which Helm does not uninstall, are found by their labels
unlabelled=$(awk '
  function flush() { if (hook && !(label && component)) print kind, name; hook = label = component = 0; kind = name = "" }
  /^---/ { flush() }
  /^kind: / { kind = $2 }
  /^  name: / && name == "" { name = $2 }
  /^    helm.sh\/hook: / { hook = 1 }
  /^    app.kubernetes.io\/instance: / { label = 1 }
  /^    app.kubernetes.io\/component: (hook|test)$/ { component = 1 }
  END { flush() }' "$out/first")
[ -z "$unlabelled" ] || { echo "hooks without labels: $unlabelled"; exit 1; }

# ---- what is switched on or off is there or not
! grep -nE "ValidatingWebhookConfiguration|webhook-listen" "$out/unchecked.yaml" || { echo "the webhook is off, and there is the above"; exit 1; }
! grep -nE 'admissionregistration.k8s.io\]|webhook-secret=' "$out/provided.yaml" || { echo "the certificate is provided, and there is the above"; exit 1; }
grep -q "secretName: mine" "$out/provided.yaml"
! grep -n "replicas: [0-9]" <(sed -n '/name: silverback-edge$/,/^---/p' "$out/kong-typical.yaml") || { echo "the HPA's count would be overwritten"; exit 1; }
for scaled in proxy.autoscaling.enabled=true autoscaling.enabled=true adopt=ingress,gateway.autoscaling.enabled=true mode=sidecar,autoscaling.enabled=true; do
  render --set "$scaled" >"$out/scaled"
  grep -q "^kind: HorizontalPodAutoscaler" "$out/scaled"
  ! awk '/^---/ { name = "" } /^kind: / { kind = $2 } /^  name: / && name == "" { name = $2 }
    kind == "Deployment" && /^  replicas:/ { print name }' "$out/scaled" | grep -E '^silverback-(kong|gateway)$' || { echo "$scaled: the HPA's count would be overwritten"; exit 1; }
done
render --set proxy.replicas=null >"$out/scaled"
! grep "replicas: [0-9]" <(sed -n '/name: silverback-kong$/,/^---/p' "$out/scaled") || { echo "what another program scales would be overwritten"; exit 1; }
render --set proxy.identity=pod >"$out/identity"
! grep -nE 'tls\.key|ADMIN_SSL_CERT"?$' "$out/identity" || { echo "keys never leave the pods, and there is the above"; exit 1; }
grep -q "audience: identity.gateway.silverback.dev" "$out/identity"
grep -A1 KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE "$out/first" | grep -q 'value: "64m"' || { echo "Kong's limit of 10 MiB is not raised"; exit 1; }
! grep -n restart-workload "$out/first" || { echo "the embedded proxy needs no restart, and there is the above"; exit 1; }
render --set proxy.image.repository=kong >"$out/kong"
grep -q -- "--restart-workload=deployment/gateway/silverback-kong$" "$out/kong"
render --set proxy.image.repository=kong,pki.certManager.enabled=true >"$out/managed"
grep -q -- "--restart-workload=deployment/gateway/silverback-kong$" "$out/managed"
grep -A3 "resources: \[deployments\]" "$out/managed" | grep -q "verbs: \[patch\]" || { echo "cert-manager: the controller may not restart Kong"; exit 1; }
# What a proxy runs holds secrets: it is put away in memory, in both modes; Kong puts nothing away.
for mode in split sidecar; do
  render --set mode=$mode >"$out/keeping"
  grep -A1 SILVERBACK_PROXY_CONFIGURATION_FILE "$out/keeping" | grep -q "value: /var/lib/silverback/"
  grep -A1 "name: kept-configuration$" "$out/keeping" | grep -q "medium: Memory" || { echo "mode $mode: secrets would be on the node's disk"; exit 1; }
done
! grep -nE "kept-configuration|CONFIGURATION_FILE" "$out/kong" <(render --set proxy.keepConfiguration=false) || { echo "nothing is to be kept, and there is the above"; exit 1; }
# Each sidecar writes the row of its own proxy; there is no Admin Service, and so no fleet.
grep -A1 "name: NODE_NAME" "$out/keeping" | grep -q spec.nodeName
grep -q "resources: \[proxyinstances\]" "$out/keeping"
! grep -n "proxyfleets" "$out/keeping" || { echo "sidecars have no use for the above"; exit 1; }
# The release in one namespace, its objects in another: hooks look for Helm's Secrets where these are, and all else is with the objects.
render --set namespace=proxies >"$out/parted"
[ "$(grep -c -- '"--release-namespace=gateway"' "$out/parted")" = 2 ]
diff <(grep -B1 -E '^  namespace: gateway$' "$out/parted" | grep name: | sort | uniq -c | tr -s ' ') <(printf ' 2 name: proxies-silverback-kong-%s\n' adopt preflight) || {
  echo "objects are not where they should be: the above"; exit 1; }
# rights VERBS: namespaces and names of the Roles that somebody has these rights on.
rights() {
  awk -v verbs="$1" '
    /^---/ { namespace = "" }
    /^  namespace: / { namespace = $2 }
    /resources: \[roles, rolebindings\]/ { inside = 1; names = ""; next }
    inside && /verbs:/ { if (index($0, verbs)) print namespace, names; inside = 0 }
    inside { gsub(/resourceNames:|[][,-] /, " "); gsub(/[][,]/, " "); $1 = $1; names = names (names == "" ? "" : " ") $0 }' | sort
}
# What adopt keeps of rights, the leader may remove, and nothing else.
render --set 'controller.watchNamespaces={shop,team}' >"$out/watching"
[ "$(rights escalate <"$out/watching" | wc -l)" = 3 ]
diff <(rights escalate <"$out/watching") <(rights 'get, delete' <"$out/watching") || {
  echo "adopt and the leader have rights on different roles: the above"; exit 1; }
# Sidecars remove what an upgrade left, and put away what proxies accepted last, as well.
render --set mode=sidecar >"$out/sidecar"
grep -q -- "--upgrade-record=gateway/silverback-upgrade-record" "$out/sidecar"
for mode in first sidecar; do
  grep -q -- "--last-good-secret=gateway/silverback-kong-last-good" "$out/$mode"
  [ "$(grep -c "^type: gateway.silverback.dev/last-good" "$out/$mode")" = 4 ]
  grep -q "resourceNames: \[silverback-kong-last-good-0, .*silverback-kong-last-good-key\]" "$out/$mode" || { echo "$mode may not write what proxies accepted last"; exit 1; }
done
render --set controller.keepLastGood=false >"$out/forgetting"
! grep -nE "last-good-secret=|^type: gateway.silverback.dev/last-good" "$out/forgetting" || { echo "nothing is to be put away, and there is the above"; exit 1; }
e2e/scripts/chart-kong.sh "$helm" "$out"
echo "the chart is good"
