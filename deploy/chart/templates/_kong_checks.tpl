{{/* Values of Kong's charts that need more than a look at one value: called by silverback.check with dict context kong controller prefix. */}}

{{- define "silverback.check-kong" -}}
{{- $context := .context }}{{ $prefix := .prefix }}
{{- $settings := include "silverback.settings" $context | fromYaml }}
{{- include "silverback.check-places" $context }}
{{- include "silverback.refuse" (list $context .kong $prefix.kong (include "silverback.listeners-refused" $context)) }}
{{- include "silverback.refuse" (list $context $context.Values.proxy "proxy." (include "silverback.listeners-refused" $context)) }}
{{- if eq $context.Values.adopt "ingress" }}
{{- include "silverback.refuse" (list $context .controller $prefix.controller (include "silverback.controller-half-refused" $context)) }}
{{- include "silverback.refuse" (list $context .kong $prefix.kong (include "silverback.gateway-half-refused" $context)) }}
{{- end }}
{{- $variables := dig "ingressController" "env" (dict) .controller }}
{{- range $name, $instead := dict "ingress_class" "ingressController.ingressClass" "publish_service" "controller.args=[\"--publish-service=NAMESPACE/NAME\"]" "publish_service_udp" "controller.args=[\"--publish-service-udp=NAMESPACE/NAME\"]" "admission_webhook_listen" "ingressController.admissionWebhook.port" }}
{{- if kindIs "map" (get (default (dict) $variables) $name) }}
{{- fail (printf "%singressController.env.%s comes from elsewhere, and silverback's chart has to know it: give it as %s, and remove it here." $prefix.controller $name $instead) }}
{{- end }}
{{- end }}
{{- $listen := toString (default "" (get (default (dict) $variables) "admission_webhook_listen")) }}
{{- $port := toString $settings.controller.admissionWebhook.port }}
{{- if not (has $listen (list "" "off" "false" (printf ":%s" $port) (printf "0.0.0.0:%s" $port) (printf "[::]:%s" $port))) }}
{{- fail (printf "%singressController.env.admission_webhook_listen=%s does not apply to silverback: set the port by ingressController.admissionWebhook.port, which Service and container have, too, and remove it." $prefix.controller $listen) }}
{{- end }}
{{- include "silverback.check-readiness" (dict "context" $context "settings" $settings "prefix" (ternary $prefix.kong "proxy." (not (empty .kong.readinessProbe)))) }}
{{- end }}

{{/* The listeners that are the chart's, and who may use them. */}}
{{- define "silverback.listeners-refused" -}}
- {path: env.admin_listen, fine: ["", "127.0.0.1:8444 http2 ssl, [::1]:8444 http2 ssl", "127.0.0.1:8444 http2 ssl", "0.0.0.0:8444 http2 ssl, [::]:8444 http2 ssl", "0.0.0.0:8444 http2 ssl"], instead: "the Admin API is for the controller alone, at a listener of the chart's. Remove it; its port is admin.tls.containerPort"}
- {path: env.status_listen, fine: ["", "0.0.0.0:8100, [::]:8100", "0.0.0.0:8100"], instead: "probes ask the status listener of the chart's. Remove it; its port is status.http.containerPort"}
{{- range $name := list "admin_ssl_cert" "admin_ssl_cert_key" "nginx_admin_ssl_verify_client" "nginx_admin_ssl_client_certificate" }}
- {path: env.{{ $name }}, fine: [""], instead: "controller and proxies know each other by the release's own certificates; to bring yours use pki.certManager"}
{{- end }}
- {path: env.role, fine: ["", traditional], instead: "proxies are configured by the controller, not by a control plane of Kong. Remove it"}
{{- end }}

{{/* What the ingress chart takes for its controller, and this one does not. */}}
{{- define "silverback.controller-half-refused" -}}
- {path: enabled, fine: [true], instead: "silverback brings the controller of these gateways. Remove it; uninstall the other release afterwards"}
- {path: lifecycle, fine: [{}, {preStop: {exec: {command: [kong, quit, --wait=15]}}}], instead: "the controller gives its Lease back when it is told to end. Remove it"}
- {path: deployment.initContainers, fine: [[]], instead: "the controller's pod has none. Remove it, or use controller.extraContainers"}
- {path: deployment.hostAliases, fine: [[]], instead: "the controller speaks to the API server and the proxies' addresses alone. Remove it"}
- {path: deployment.hostNetwork, fine: [false], instead: "the network policy selects the controller's pods by their labels. Remove it"}
- {path: deployment.daemonset, fine: [false], instead: "one controller leads, the others stand by. Remove it, and set controller.replicas"}
- {path: autoscaling.enabled, fine: [false], instead: "one controller leads, the others stand by. Remove it, and set controller.replicas"}
{{- end }}

{{/* The same for its gateways. */}}
{{- define "silverback.gateway-half-refused" -}}
- {path: enabled, fine: [true], instead: "a release of the controller alone can't be taken over. Upgrade the release of the gateways, and uninstall this one afterwards"}
{{- end }}

{{/* This chart's own values, where values of Kong's charts may stand beside them. */}}
{{- define "silverback.own-values" -}}
chart: [adopt, mode, namespace, nameOverride, fullnameOverride, extraLabels, extraObjects, imagePullSecrets, controller, proxy, pki, ingressClass, networkPolicy, serviceMonitor, podMonitor, prometheusRule, crds, preflight, global]
controller: [replicas, image, args, env, envFrom, electionId, keepLastGood, watchNamespaces, rbac, serviceAccount, resources, podAnnotations, podLabels, updateStrategy, securityContext, containerSecurityContext, nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName, dnsPolicy, dnsConfig, terminationGracePeriodSeconds, extraVolumes, extraVolumeMounts, extraContainers, podDisruptionBudget, livenessProbe, readinessProbe, admissionWebhook]
proxy: [replicas, image, identity, restartForCertificates, keepConfiguration, args, env, customEnv, extraEnv, envFrom, plugins, resources, service, certificate, preStopSeconds, terminationGracePeriodSeconds, lifecycle, readinessProbe, livenessProbe, startupProbe, readinessGate, autoscaling, updateStrategy, minReadySeconds, serviceAccount, podAnnotations, podLabels, nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName, dnsPolicy, dnsConfig, securityContext, containerSecurityContext, extraVolumes, extraVolumeMounts, initContainers, sidecarContainers, podDisruptionBudget]
{{- end }}

{{/* Values of one of Kong's charts in the place where the other one has them would be passed over without a word. */}}
{{- define "silverback.check-places" -}}
{{- $own := include "silverback.own-values" . | fromYaml }}
{{- if eq .Values.adopt "kong" }}
{{- range $key, $value := .Values.controller }}
{{- if not (or (has $key $own.controller) (kindIs "invalid" $value)) }}
{{- fail (printf "controller.%s is a value of the ingress chart, and the names are those of the kong chart. Set adopt=ingress to keep that release's names (UPGRADING.md), or give %s at the top level." $key $key) }}
{{- end }}
{{- end }}
{{- else }}
{{- range $key, $value := omit .Values "gateway" }}
{{- if not (or (has $key $own.chart) (kindIs "invalid" $value)) }}
{{- fail (printf "%s is a value of the kong chart, and the names are those of the ingress chart: give it as %s.%s, or set adopt=kong." $key (ternary "controller" "gateway" (eq $key "ingressController")) $key) }}
{{- end }}
{{- end }}
{{- range $key, $value := .Values.proxy }}
{{- if not (or (has $key $own.proxy) (kindIs "invalid" $value)) }}
{{- fail (printf "proxy.%s is a value of the kong chart, and the names are those of the ingress chart: give it as gateway.proxy.%s, or set adopt=kong." $key $key) }}
{{- end }}
{{- end }}
{{- range $key := list "nameOverride" "fullnameOverride" }}
{{- if get $.Values $key }}
{{- fail (printf "%s does not apply with adopt=ingress: give it as gateway.%s or controller.%s." $key $key $key) }}
{{- end }}
{{- end }}
{{- range $half := list "gateway" "controller" }}
{{- range $key := list "extraLabels" "namespace" }}
{{- if get (default (dict) (get $.Values $half)) $key }}
{{- fail (printf "%s.%s does not apply to silverback: its release is in one namespace, with the same labels everywhere. Give %s at the top level." $half $key $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
dict context settings prefix: fails if a new pod would be Ready, and get requests, before it has a configuration. A probe of the proxy's
own ports gets a 404 until then.
*/}}
{{- define "silverback.check-readiness" -}}
{{- $proxy := .settings.proxy }}
{{- $asked := default (dict) (default (dict) $proxy.readinessProbe).httpGet }}
{{- $ways := list "proxy" "proxy-tls" (toString $proxy.service.http.containerPort) (toString $proxy.service.tls.containerPort) }}
{{- if not (or $proxy.readinessGate (eq (toString $asked.path) "/status/ready") (has (toString $asked.port) $ways)) }}
{{- fail (printf "%sreadinessProbe: proxies would take requests before they have a configuration. Set %sreadinessProbe.httpGet.path=/status/ready (port: status), or keep the probe and set proxy.readinessGate=true." .prefix .prefix) }}
{{- end }}
{{- end }}
