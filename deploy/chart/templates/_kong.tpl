{{/*
Values of the charts kong and ingress: where they are, and which of them say something that does not hold here. What they
mean is in _settings.tpl; the list for people in docs/reference/values.md.
*/}}

{{/* list MAP "a.b.c": the value there as JSON, or nothing. */}}
{{- define "silverback.at" -}}
{{- $value := index . 0 }}
{{- range splitList "." (index . 1) }}
{{- if kindIs "map" $value }}{{ $value = get $value . }}{{ else }}{{ $value = "" }}{{ end }}
{{- end }}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "string" $value) (eq $value ""))) }}{{ toJson $value }}{{ end }}
{{- end }}

{{/* The same as text. */}}
{{- define "silverback.text" -}}
{{- with include "silverback.at" . }}{{ include "silverback.scalar" (fromYaml (printf "value: %s" .)).value }}{{ end }}
{{- end }}

{{/*
Values without those that are there and empty, as a key whose lines are all commented out leaves them: for those charts they are
unset. Further down an empty value takes a default away.
*/}}
{{- define "silverback.said" -}}
{{- $said := dict }}
{{- range $key, $value := default (dict) . }}
{{- if and (kindIs "map" $value) (has $key (list "admin" "certificates" "deployment" "image" "ingressController" "plugins" "proxy" "status" "udpProxy")) }}
{{- $part := dict }}
{{- range $name, $inner := $value }}{{ if not (kindIs "invalid" $inner) }}{{ $_ := set $part $name $inner }}{{ end }}{{ end }}
{{- $_ := set $said $key $part }}
{{- else if not (kindIs "invalid" $value) }}
{{- $_ := set $said $key $value }}
{{- end }}
{{- end }}
{{- toYaml $said }}
{{- end }}

{{/* Values of the kong chart for the proxies, and for the controller. The ingress chart has each under a name of its own. */}}
{{- define "silverback.kong" -}}
{{- include "silverback.said" (eq .Values.adopt "ingress" | ternary .Values.gateway (omit .Values "global")) }}
{{- end }}
{{- define "silverback.kong-controller" -}}
{{- include "silverback.said" (eq .Values.adopt "ingress" | ternary .Values.controller (omit .Values "global")) }}
{{- end }}

{{/*
What is refused: a value that differs from what those charts have by default, and has no effect here. PATH, the values that are
fine, and what to do instead.
*/}}
{{- define "silverback.kong-refused" -}}
- {path: deployment.daemonset, fine: [false], instead: "silverback's proxies are a Deployment, and a DaemonSet can't become one without a gap. Install silverback beside it under another release name and IngressClass, move the traffic, then uninstall this release (UPGRADING.md, \"A DaemonSet\")"}
- {path: env.database, fine: ["off", false], instead: "silverback drives proxies without a database. Export the configuration with decK, apply it as Kubernetes objects, and set env.database=off in the old release first"}
- {path: postgresql.enabled, fine: [false], instead: "silverback drives proxies without a database. Move the old release to env.database=off first"}
- {path: dblessConfig.config, fine: [""], instead: "the controller configures the proxies: express it as Ingress, Gateway API and Kong objects"}
- {path: dblessConfig.configMap, fine: [""], instead: "the controller configures the proxies: express it as Ingress, Gateway API and Kong objects"}
- {path: dblessConfig.secret, fine: [""], instead: "the controller configures the proxies: express it as Ingress, Gateway API and Kong objects"}
- {path: proxy.enabled, fine: [true], instead: "the proxies' Service is always made; set proxy.type=ClusterIP"}
- {path: proxy.ingress.enabled, fine: [false], instead: "put that Ingress into extraObjects"}
- {path: admin.ingress.enabled, fine: [false], instead: "the Admin API is for the controller alone; the dashboard shows what it would"}
- {path: admin.tls.client.caBundle, fine: [""], instead: "the release has authorities of its own; to bring yours use pki.certManager"}
- {path: admin.tls.client.secretName, fine: [""], instead: "the release has authorities of its own; to bring yours use pki.certManager"}
- {path: manager.ingress.enabled, fine: [false], instead: "Kong Manager needs the Admin API, which is for the controller alone; use silverback's dashboard"}
- {path: portal.enabled, fine: [false], instead: "Kong's developer portal needs a database; remove it"}
- {path: portalapi.enabled, fine: [false], instead: "Kong's developer portal needs a database; remove it"}
- {path: cluster.enabled, fine: [false], instead: "proxies are configured by the controller, not by a control plane of Kong; remove it"}
- {path: clustertelemetry.enabled, fine: [false], instead: "proxies are configured by the controller, not by a control plane of Kong; remove it"}
- {path: clusterCaSecretName, fine: [""], instead: "proxies are configured by the controller, not by a control plane of Kong; remove it"}
- {path: status.enabled, fine: [true], instead: "probes ask the status listener. Remove it"}
- {path: status.http.enabled, fine: [true], instead: "probes ask the status listener. Remove it"}
- {path: status.tls.enabled, fine: [false], instead: "the status listener has no TLS; it shows state and metrics alone. Remove it"}
- {path: podSecurityPolicy.enabled, fine: [false], instead: "Kubernetes has no PodSecurityPolicies any more. Remove it; the pods keep to the strictest Pod Security Standard"}
- {path: enterprise.portal.enabled, fine: [false], instead: "Kong's developer portal needs a database; remove it"}
- {path: enterprise.rbac.enabled, fine: [false], instead: "Kong's RBAC needs a database; remove it"}
- {path: enterprise.smtp.enabled, fine: [false], instead: "it is for Kong Manager and the portal, which need a database; remove it"}
{{- end }}

{{- define "silverback.kong-controller-refused" -}}
- {path: ingressController.image.repository, fine: [kong/kubernetes-ingress-controller], unless: controller.image.repository, instead: "it names Kong's controller; set controller.image.repository for silverback's, and this one may stay"}
- {path: ingressController.image.unifiedRepoTag, fine: [""], unless: controller.image.repository, instead: "it names Kong's controller; set controller.image.repository and controller.image.tag for silverback's, and this one may stay"}
- {path: ingressController.konnect.enabled, fine: [false], instead: "silverback does not speak to Konnect; give licences as KongLicense objects"}
- {path: ingressController.adminApi.tls.client.enabled, fine: [false], instead: "the controller always shows a certificate, of the release's own authority; to bring yours use pki.certManager"}
- {path: ingressController.rbac.gatewayAPI.enabled, fine: [true], instead: "the controller reads the kinds of the Gateway API wherever these are defined, and waits for the rights to. Remove it"}
- {path: ingressController.admissionWebhook.address, fine: ["", 0.0.0.0, "[::]"], instead: "the webhook listens on all addresses of its pod; give controller.args=[\"--admission-webhook-listen=ADDRESS:PORT\"]"}
- {path: ingressController.env.kong_admin_url, fine: [""], instead: "the controller finds the proxies by their Service; remove it"}
- {path: ingressController.env.kong_admin_svc, fine: [""], instead: "the controller finds the proxies by the release's own Service; add others by controller.args=[\"--kong-admin-svc=NAMESPACE/NAME\"]"}
- {path: ingressController.env.kong_admin_filter_tag, fine: [""], instead: "proxies without a database have one configuration; remove it"}
{{- end }}

{{/* Fails where this chart's defaults are missing. Called first by every template, so that none fails over a missing key. */}}
{{- define "silverback.ours" -}}
{{- if not (and (hasKey .Values "adopt") (kindIs "map" .Values.controller) (kindIs "map" .Values.pki) (hasKey .Values.proxy "service")) }}
{{- fail "These are the values of another chart, as --reuse-values brings them: the defaults of this one are missing. Use --reset-then-reuse-values instead, which takes over only what you set yourself." }}
{{- end }}
{{- end }}

{{/* Fails on values that can't be meant. Called once per rendering. */}}
{{- define "silverback.check" -}}
{{- $kong := include "silverback.kong" . | fromYaml }}
{{- $controller := include "silverback.kong-controller" . | fromYaml }}
{{- $prefix := dict "kong" "" "controller" "" }}
{{- if eq .Values.adopt "ingress" }}{{ $prefix = dict "kong" "gateway." "controller" "controller." }}{{ end }}
{{- include "silverback.refuse" (list . $kong $prefix.kong (include "silverback.kong-refused" .)) }}
{{- include "silverback.refuse" (list . $controller $prefix.controller (include "silverback.kong-controller-refused" .)) }}
{{- include "silverback.check-kong" (dict "context" . "kong" $kong "controller" $controller "prefix" $prefix) }}
{{- if eq .Values.adopt "kong" }}
{{- if hasKey .Values "gateway" }}
{{- fail "gateway: is a value of the ingress chart, and the names are those of the kong chart. Set adopt=ingress to keep that release's names (UPGRADING.md), or remove gateway." }}
{{- end }}
{{- include "silverback.refuse" (list . $kong "" (include "silverback.sidecar-only" .)) }}
{{- end }}
{{- if and (eq .Values.mode "sidecar") (eq .Values.adopt "ingress") }}
{{- fail "mode=sidecar: the ingress chart has controller and proxies apart; use mode=split, or adopt=kong in a new release." }}
{{- end }}
{{- $settings := include "silverback.settings" . | fromYaml }}
{{- with $settings.controller }}
{{- if and .watchNamespaces .rbac.create (not .rbac.enableClusterRoles) }}
{{- fail "rbac.enableClusterRoles=false does not apply to silverback: the controller reads IngressClasses, Namespaces, cluster-wide plugins and definitions of kinds, and sends nothing before it has. Remove it: with watchNamespaces the ClusterRole has only kinds that are in no namespace." }}
{{- end }}
{{- end }}
{{- if eq (include "silverback.keeps-last-good" .) "true" }}
{{- range $settings.controller.args }}
{{- if hasPrefix "--last-good-" . }}
{{- fail (printf "controller.args has %s, and controller.keepLastGood the Secrets of the release: set controller.keepLastGood=false, or remove the flag." .) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "silverback.check-late" $settings }}
{{- $services := list (include "silverback.proxy-service" .) (printf "%s-metrics" (include "silverback.controller" .)) }}
{{- if eq .Values.mode "split" }}{{ $services = append $services (include "silverback.admin" .) }}{{ end }}
{{- if eq (include "silverback.has-identities" .) "true" }}{{ $services = append $services (include "silverback.identity-service" .) }}{{ end }}
{{- if $settings.controller.admissionWebhook.enabled }}{{ $services = append $services (include "silverback.webhook-service" .) }}{{ end }}
{{- range $services }}
{{- if gt (len .) 63 }}
{{- fail (printf "the Service %s would have a name of %d letters, and Kubernetes takes 63: choose a shorter release name or fullnameOverride. Where the release exists already its names can't change: install silverback beside it (UPGRADING.md)." . (len .)) }}
{{- end }}
{{- end }}
{{- range $name := concat (keys $settings.proxy.podLabels) (keys $settings.controller.podLabels) (keys .Values.extraLabels) }}
{{- if has $name (list "app.kubernetes.io/name" "app.kubernetes.io/component" "app.kubernetes.io/instance" "gateway.silverback.dev/admin") }}
{{- fail (printf "label %s can't be set by podLabels or extraLabels: Services and Deployments select by it." $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fails on settings that the API server would refuse when most is made already, or that no proxy would become Ready with. */}}
{{- define "silverback.check-late" -}}
{{- with .proxy.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail (printf "autoscaling: minReplicas=%v is above maxReplicas=%v: set maxReplicas as well." .minReplicas .maxReplicas) }}
{{- end }}
{{- end }}
{{- if and .ingressClass.create (not (regexMatch "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" .ingressClass.name)) }}
{{- fail (printf "ingressClass.name=%s can't be the name of an IngressClass: lower case letters, digits, - and . alone." .ingressClass.name) }}
{{- end }}
{{- with .proxy }}
{{- if and (not .lifecycle) (le (int .terminationGracePeriodSeconds) (int .preStopSeconds)) }}
{{- fail (printf "terminationGracePeriodSeconds=%v ends a proxy before it drains: it goes on for proxy.preStopSeconds=%v first, and then needs time to finish what is under way. Raise the one, or lower the other." .terminationGracePeriodSeconds .preStopSeconds) }}
{{- end }}
{{- end }}
{{- $image := default .proxy.image.repository .proxy.image.unifiedRepoTag }}
{{- if and (eq .proxy.identity "pod") (regexMatch "(^|/)kong(-[a-z]+)*([:@].*)?$" (toString $image)) }}
{{- fail (printf "proxy.identity=pod does not apply to %s: Kong can't ask for a certificate of its own. Set proxy.identity=shared." $image) }}
{{- end }}
{{- end }}

{{/* What only the kong chart can say: in the ingress chart both have other fixed values. */}}
{{- define "silverback.sidecar-only" -}}
- {path: deployment.kong.enabled, fine: [true], instead: "a release of the controller alone can't be taken over. Upgrade the release of the proxies, and uninstall this one afterwards"}
- {path: ingressController.enabled, fine: [true], instead: "silverback brings the controller of these proxies. Remove it; uninstall the other release afterwards"}
- {path: ingressController.gatewayDiscovery.enabled, fine: [false], instead: "silverback always finds proxies by their Service. Remove it"}
- {path: admin.enabled, fine: [false], instead: "the Admin API is for the controller alone. Remove it; the dashboard and kubectl get proxyinstances show the state"}
{{- end }}

{{/* list CONTEXT VALUES PREFIX TABLE */}}
{{- define "silverback.refuse" -}}
{{- $context := index . 0 }}{{ $values := index . 1 }}{{ $prefix := index . 2 }}
{{- range (fromYaml (printf "table:\n%s" (index . 3))).table }}
{{- $entry := . }}
{{- $given := include "silverback.at" (list $values .path) }}
{{- $fine := list }}
{{- range .fine }}{{ $fine = append $fine (toJson .) }}{{ end }}
{{- if and $given (not (has $given $fine)) }}
{{- $excused := false }}
{{- with .unless }}{{ $excused = ne (include "silverback.text" (list $context.Values .)) (include "silverback.own-image" $context) }}{{ end }}
{{- if not $excused }}
{{- fail (printf "%s%s=%s does not apply to silverback: %s." $prefix .path (include "silverback.text" (list $values .path)) .instead) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The default of controller.image.repository. */}}
{{- define "silverback.own-image" -}}ghcr.io/silverback-gateway/silverback{{- end }}
