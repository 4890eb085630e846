#!/bin/bash
# What becomes of the values of the charts kong and ingress, without a cluster. Called by chart.sh with Helm's program and a
# directory for what is rendered.
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=$1 out=$2
render() { "$helm" template silverback deploy/chart --namespace gateway "$@"; }
fail() { echo "$*"; exit 1; }

# values TEXT: the path of a file with these values.
values() { local file; file=$(mktemp -p "$out"); echo "$1" >"$file"; echo "$file"; }
# taken TEXT: renders with these values, into $out/taken.
taken() { render --values "$(values "$1")" >"$out/taken"; what=$1; }
# part NAME KEY: what is written in $out/taken below the first KEY after the first line with NAME, as one line.
part() {
  awk -v name="$1" -v key="$2" '
    !inside && !found && index($0, name) { found = 1 }
    found && !inside { match($0, /^[ -]*/); if (substr($0, RLENGTH + 1) ~ "^" key ":") { depth = RLENGTH; inside = 1; print substr($0, RLENGTH + 1); next } }
    inside { match($0, /^ */); if (RLENGTH <= depth) exit; print }' "$out/taken" | tr -s ' \n' ' '
}
# has NAME KEY WORDS: that part has these words.
has() { local found; found=$(part "$1" "$2"); [[ "$found" == *"$3"* ]] || fail "$what: $1 $2 has no \"$3\", but: $found"; }
lacks() { local found; found=$(part "$1" "$2"); [[ "$found" != *"$3"* ]] || fail "$what: $1 $2 has \"$3\": $found"; }
variable() { grep -A1 "name: $1$" "$out/taken" | grep -qF "value: $2" || fail "$what: $1 is not $2"; }
refused() { # refused WORDS TEXT
  if render --values "$(values "$2")" >/dev/null 2>"$out/error"; then fail "not refused: $2"; fi
  grep -qF -- "$1" "$out/error" || { cat "$out/error"; fail "refused without \"$1\": $2"; }
  echo "refused as it should be: $2"
}

# ---- of a map, what is not given is as that chart has it
taken '{readinessProbe: {periodSeconds: 5}, livenessProbe: {failureThreshold: 9}, ingressController: {livenessProbe: {periodSeconds: 7}, readinessProbe: {timeoutSeconds: 2}}}'
has "name: proxy" readinessProbe "path: /status/ready port: status"
has "name: proxy" readinessProbe "periodSeconds: 5"
has "name: proxy" livenessProbe "failureThreshold: 9 httpGet: path: /status port: status"
has "name: controller" livenessProbe "path: /healthz"
has "name: controller" livenessProbe "periodSeconds: 7"
has "name: controller" readinessProbe "path: /readyz"
# Another handler takes the place of the one that is there.
taken '{livenessProbe: {tcpSocket: {port: status}}, lifecycle: {preStop: {sleep: {seconds: 3}}}}'
lacks "name: proxy" livenessProbe httpGet
has "name: proxy" livenessProbe "tcpSocket: port: status"
lacks "name: proxy" lifecycle exec
taken '{lifecycle: {postStart: {exec: {command: [/hello]}}}}'
has "name: proxy" lifecycle "- quit - --wait=15"
has "name: proxy" lifecycle "- /hello"
taken '{containerSecurityContext: {runAsUser: 1001}}'
has "name: proxy" securityContext "drop: - ALL"
has "name: proxy" securityContext "readOnlyRootFilesystem: true"
has "name: proxy" securityContext "runAsUser: 1001"
taken '{containerSecurityContext: {enabled: false}}'
lacks "name: proxy" securityContext "drop"
# The certificate of the Admin API must be readable to whoever the proxy runs as.
taken '{securityContext: {runAsUser: 1001}}'
has "app: " securityContext "fsGroup: 65532"
has "app: " securityContext "seccompProfile: type: RuntimeDefault"
taken '{securityContext: {fsGroup: 1000}}'
has "app: " securityContext "fsGroup: 1000"
taken '{autoscaling: {enabled: true}}'
has "kind: HorizontalPodAutoscaler" spec "maxReplicas: 5"
has "kind: HorizontalPodAutoscaler" spec "averageUtilization: 80"
taken '{podAnnotations: {example.com/team: edge}}'
has "app: " annotations 'kuma.io/gateway: "enabled"'
has "app: " annotations 'example.com/team: "edge"'

# Kuma's container has no other token than the one that it is told of.
for mesh in 'kong {}' 'kong {mode: sidecar}' 'gateway {adopt: ingress}'; do
  taken "${mesh#* }"
  has "app: " annotations "kuma.io/service-account-token-volume: \"silverback-${mesh%% *}-token\""
  has "app: " volumes "name: silverback-${mesh%% *}-token projected: sources: - serviceAccountToken"
done
taken '{proxy: {podAnnotations: {kuma.io/service-account-token-volume: null}}}'
! grep -q -- "silverback-kong-token" "$out/taken" || fail "$what: there is a token"

# ---- settings of the old controller that overrule what that chart computes
taken '{ingressController: {ingressClass: edge, env: {ingress_class: public, publish_service: old/one, admission_webhook_listen: "0.0.0.0:8080"}}}'
has "name: controller" args "--ingress-class=public"
has "name: controller" args "--publish-service=old/one"
grep -A2 "^kind: IngressClass" "$out/taken" | grep -q "name: edge" || fail "the IngressClass keeps its name"
has "name: hook" args "--ingress-class=public"
has "name: hook" args "--create-ingress-class=false"
taken '{ingressController: {env: {admission_webhook_listen: "off"}}}'
! grep -q "^kind: ValidatingWebhookConfiguration" "$out/taken" || fail "$what: there is a webhook"
refused "ingressController.admissionWebhook.port" '{ingressController: {env: {admission_webhook_listen: "0.0.0.0:9443"}}}'
refused "ingressController.ingressClass" '{ingressController: {env: {ingress_class: {valueFrom: {configMapKeyRef: {name: x, key: y}}}}}}'
refused "controller.args" '{ingressController: {env: {publish_service: {valueFrom: {configMapKeyRef: {name: x, key: y}}}}}}'

# ---- Kong that stays has what its chart sets, under what the user sets
taken '{image: {repository: kong, tag: "3.9"}, env: {nginx_worker_processes: 4}}'
variable KONG_ROUTER_FLAVOR '"traditional"'
variable KONG_NGINX_WORKER_PROCESSES '"4"'
variable KONG_PROXY_ACCESS_LOG '"/dev/stdout"'
taken '{image: {repository: registry.example/silverback-proxy, tag: "1"}}'
! grep -q KONG_ROUTER_FLAVOR "$out/taken" || fail "$what: settings of Kong"

taken '{plugins: {configMaps: [{name: kept, pluginName: mine}], preInstalled: [there, {pluginName: too}]}}'
variable KONG_PLUGINS '"bundled,mine,there,too"'

# ---- labels
taken '{extraLabels: {team: "{{ .Release.Name }}-team", app: mine}, podLabels: {tier: front}, controller: {podLabels: {team: other}}}'
[ "$(grep -c 'team: "silverback-team"' <(sed -n '/^kind: Deployment/,/^---/p' "$out/taken"))" = 3 ] || fail "$what: extraLabels are not on pods"
grep -q 'team: "other"' "$out/taken"
[ "$(grep -c '^        app: ' "$out/taken")" = 2 ] || fail "$what: a label stands twice"
refused "Services and Deployments select by it" '{controller: {podLabels: {app.kubernetes.io/name: other}}}'

# ---- readiness that lets traffic in before the configuration
taken '{readinessProbe: {httpGet: {path: /status, port: metrics, scheme: HTTP}, periodSeconds: 4}, livenessProbe: {httpGet: {path: /status, port: metrics}}}'
has "name: proxy" readinessProbe "path: /status/ready port: status"
has "name: proxy" readinessProbe "periodSeconds: 4"
has "name: proxy" livenessProbe "path: /status port: status"
refused "readinessProbe.httpGet.path=/status/ready" '{readinessProbe: {httpGet: null, exec: {command: [kong, health]}}}'
refused "proxy.readinessGate=true" '{proxy: {readinessProbe: {httpGet: {path: /status}}}}'
refused "gateway.readinessProbe" '{adopt: ingress, gateway: {readinessProbe: {tcpSocket: {port: proxy}}}}'
taken '{readinessProbe: {exec: {command: [kong, health]}}, proxy: {readinessGate: true}}'
taken '{readinessProbe: {httpGet: {path: /healthz, port: proxy}}}'

# Of our own probes another handler takes the place of the default as well.
refused "proxy.readinessGate=true" '{proxy: {readinessProbe: {tcpSocket: {port: proxy}}}}'
refused "proxy.readinessGate=true" '{proxy: {readinessProbe: null}}'
taken '{proxy: {readinessGate: true, readinessProbe: {tcpSocket: {port: proxy}}, livenessProbe: {exec: {command: [kong, health]}}}, controller: {livenessProbe: {tcpSocket: {port: health}}}}'
has "name: proxy" readinessProbe "tcpSocket: port: proxy"
has "name: proxy" readinessProbe "periodSeconds: 1"
lacks "name: proxy" readinessProbe httpGet
lacks "name: proxy" livenessProbe httpGet
has "name: controller" livenessProbe "tcpSocket: port: health"
lacks "name: controller" livenessProbe httpGet
taken '{proxy: {readinessGate: true, readinessProbe: null}}'
lacks "name: proxy" readinessProbe httpGet

# ---- a mesh leaves the Admin API alone, wherever it is
taken '{admin: {tls: {containerPort: 9444}}, controller: {podAnnotations: {example.com/team: "{{ .Release.Name }}"}}}'
has "component: controller" annotations 'traffic.kuma.io/exclude-outbound-ports: "9444" traffic.sidecar.istio.io/excludeOutboundPorts: "9444"'
has "component: controller" annotations 'example.com/team: "silverback"'
taken '{controller: {podAnnotations: {traffic.kuma.io/exclude-outbound-ports: null}}}'
lacks "component: controller" annotations kuma
has "component: controller" annotations 'traffic.sidecar.istio.io/excludeOutboundPorts: "8444"'

# ---- what was changed, and would have no effect
refused "status.tls.enabled=true" '{status: {tls: {enabled: true}}}'
refused "status.enabled=false" '{status: {enabled: false}}'
refused "podSecurityPolicy.enabled=true" '{podSecurityPolicy: {enabled: true}}'
refused "rbac.gatewayAPI.enabled=false" '{ingressController: {rbac: {gatewayAPI: {enabled: false}}}}'
refused "env.admin_listen" '{env: {admin_listen: "0.0.0.0:8001"}}'
refused "env.status_listen" '{env: {status_listen: "0.0.0.0:8200"}}'
refused "env.admin_ssl_cert" '{proxy: {env: {admin_ssl_cert: /etc/mine/tls.crt}}}'
refused "env.role" '{env: {role: data_plane}}'
taken '{env: {admin_listen: "127.0.0.1:8444 http2 ssl, [::1]:8444 http2 ssl", status_listen: "0.0.0.0:8100, [::]:8100"}}'
variable KONG_ADMIN_LISTEN '"0.0.0.0:8444 http2 ssl, [::]:8444 http2 ssl"'
taken '{initContainerResources: {limits: {memory: 77Mi}}, deployment: {kong: {initContainers: {clearStalePid: {enabled: true}}}, serviceAccount: {automountServiceAccountToken: true}}}'
has "name: clear-stale-pid" resources "memory: 77Mi"
grep -q "automountServiceAccountToken: true" <(sed -n '/^kind: Deployment/,/^---/p' "$out/taken") || fail "$what: there is no token"
taken '{udpProxy: {enabled: true, nameOverride: "{{ .Release.Name }}-dns", stream: [{containerPort: 9053, servicePort: 53}]}}'
grep -q "^  name: silverback-dns$" "$out/taken" || fail "$what: the Service has another name"
has "name: controller" args "--publish-service-udp=gateway/silverback-dns"

# ---- the ingress chart's half of the controller
taken '{adopt: ingress, controller: {serviceMonitor: {enabled: true, interval: 9s}, updateStrategy: {rollingUpdate: {maxSurge: 2, maxUnavailable: 0}}, securityContext: {runAsUser: 1001}, containerSecurityContext: {runAsUser: 1002}, secretVolumes: [token], extraConfigMaps: [{name: rules, mountPath: /rules}], deployment: {sidecarContainers: [{name: beside, image: beside:1, volumeMounts: [{name: token, mountPath: /token}]}]}}}'
grep -q "^kind: ServiceMonitor" "$out/taken" || fail "$what: there is no ServiceMonitor"
grep -q "interval: 9s" "$out/taken"
has "name: silverback-controller" strategy "maxSurge: 2"
grep -q "image: beside:1" "$out/taken" || fail "$what: no container beside it"
has "name: beside" volumes "secretName: token"
has "name: beside" volumes "configMap: {name: rules}"
has "- name: controller" securityContext "runAsUser: 1002"
grep -q "runAsUser: 1001" "$out/taken" || fail "$what: no context of the pod"
refused "controller.lifecycle" '{adopt: ingress, controller: {lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}}}'
taken '{adopt: ingress, controller: {lifecycle: {preStop: {exec: {command: [kong, quit, --wait=15]}}}}}'
refused "silverback brings the controller" '{adopt: ingress, controller: {enabled: false}}'
refused "the controller alone can't be taken over" '{adopt: ingress, gateway: {enabled: false}}'
taken '{adopt: ingress, gateway: {enabled: true}, controller: {enabled: true}}'
refused "adopt=ingress" '{controller: {ingressController: {ingressClass: edge}}}'
refused "gateway.replicaCount" '{adopt: ingress, replicaCount: 3}'
refused "gateway.proxy.type" '{adopt: ingress, proxy: {type: ClusterIP}}'

# Whoever copied the defaults into both halves.
taken "adopt: ingress
$(for half in gateway controller; do echo "$half:"; sed 's/^/  /' e2e/testdata/chart/kong-defaults.yaml; done)"

# ---- a key whose lines are all commented out
empty='env: , image: , podAnnotations: , deployment: {serviceAccount: , initContainers: }, proxy: {annotations: , http: }, ingressController: {env: , image: , admissionWebhook: }'
taken "{$empty}"
variable KONG_DATABASE '"off"'
taken "{image: {repository: kong, tag: }, ingressController: , deployment: , udpProxy: , certificates: , plugins: , status: , admin: }"
taken "{adopt: ingress, gateway: {$empty}, controller: {ingressController: }}"
taken "{adopt: ingress, gateway: , controller: {ingressController: {env: , resources: }}}"

# ---- a name that no chart has
for typo in '{ingressController: {ingresClass: edge}}' '{adopt: ingress, gateway: {replicaCnt: 3}}' '{proxy: {http: {servicePrt: 80}}}' \
  '{deployment: {deamonset: true}}' '{image: {tagg: x}}' '{autoscaling: {maxReplica: 3}}' '{adopt: ingress, controller: {ingressController: {ingresClass: edge}}}' \
  '{adopt: ingress, gateway: {proxy: {typ: ClusterIP}}}' '{ingressController: {admissionWebhook: {failurePolice: Fail}}}' \
  '{adopt: ingress, gateway: {deployment: {deamonset: true}}}' '{podDisruptionBudget: {maxUnavailble: 1}}' '{status: {htp: {}}}' \
  '{ingressController: {gatewayDiscovery: {generateAdminApiServce: true}}}' '{udpProxy: {strem: []}}'; do
  refused "not allowed" "$typo"
done

# ---- one budget
taken '{controller: {podDisruptionBudget: {maxUnavailable: 1}}}'
[ "$(grep -c "minAvailable" "$out/taken")" = 0 ] || fail "$what: a budget has both"
echo "values of Kong's charts are taken or refused"
