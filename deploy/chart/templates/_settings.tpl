{{/*
The settings that hold, as YAML: this chart's values, and over them those of the kong and ingress charts that are given.
A key of those charts wins: it was set by the user, while ours may be a default. NOTES.txt says which ones were taken.
*/}}

{{/* list MAP KEY…: those of the keys that the map has, with a value. */}}
{{- define "silverback.pick" -}}
{{- $map := default (dict) (index . 0) }}
{{- $picked := dict }}
{{- range rest . }}
{{- if and (hasKey $map .) (not (kindIs "invalid" (get $map .))) }}{{ $_ := set $picked . (get $map .) }}{{ end }}
{{- end }}
{{- toYaml $picked }}
{{- end }}

{{- define "silverback.settings" -}}
{{- $kong := include "silverback.kong" . | fromYaml }}
{{- $kongController := include "silverback.kong-controller" . | fromYaml }}
{{- $settings := dict
  "proxy" (include "silverback.proxy-settings" (list . $kong) | fromYaml)
  "controller" (include "silverback.controller-settings" (list . $kong $kongController) | fromYaml)
  "ingressClass" (include "silverback.class-settings" (list . $kongController) | fromYaml)
  "monitor" (include "silverback.monitor-settings" (list .Values.serviceMonitor $kong.serviceMonitor $kongController.serviceMonitor) | fromYaml)
}}
{{- toYaml $settings }}
{{- end }}

{{/* list SETTINGS…: the last ones that are switched on, or the first. */}}
{{- define "silverback.monitor-settings" -}}
{{- $chosen := default (dict) (index . 0) }}
{{- range . }}{{ if (default (dict) .).enabled }}{{ $chosen = . }}{{ end }}{{ end }}
{{- include "silverback.pick" (list $chosen "enabled" "interval" "namespace" "labels" "targetLabels" "honorLabels" "relabelings" "metricRelabelings") }}
{{- end }}

{{/* Where pods run: keys that mean the same in all charts. */}}
{{- define "silverback.placement-keys" -}}
[affinity, topologySpreadConstraints, nodeSelector, tolerations, priorityClassName, dnsPolicy, dnsConfig]
{{- end }}

{{- define "silverback.proxy-settings" -}}
{{- $context := index . 0 }}{{ $kong := index . 1 }}
{{- $own := $context.Values.proxy }}
{{- $deployment := default (dict) $kong.deployment }}
{{- $service := default (dict) $kong.proxy }}
{{- $settings := deepCopy $own }}
{{- $defaults := include "silverback.kong-defaults" $context | fromYaml }}

{{- /* Image. The repository is Kong's where only a tag is given, as in Kong's chart. */}}
{{- $image := default (dict) $kong.image }}
{{- if or $image.repository $image.tag $image.unifiedRepoTag }}
{{- $_ := set $settings "image" (mergeOverwrite (dict "repository" "kong" "tag" "3.9" "pullPolicy" $own.image.pullPolicy) $image) }}
{{- else if $image.pullPolicy }}
{{- $_ := set $settings.image "pullPolicy" $image.pullPolicy }}
{{- end }}
{{- $_ := set $settings "imagePullSecrets" (concat (list) (default (list) $context.Values.imagePullSecrets)) }}
{{- range $image.pullSecrets }}
{{- $_ := set $settings "imagePullSecrets" (append $settings.imagePullSecrets (ternary . (dict "name" .) (kindIs "map" .))) }}
{{- end }}

{{- /* Workload. */}}
{{- if hasKey $kong "replicaCount" }}{{ $_ := set $settings "replicas" $kong.replicaCount }}{{ end }}
{{- range $key := concat (include "silverback.placement-keys" $context | fromYamlArray) (list "resources" "updateStrategy" "startupProbe" "terminationGracePeriodSeconds" "podLabels" "deploymentAnnotations" "envFrom" "customEnv" "plugins" "secretVolumes" "extraConfigMaps" "extraSecrets" "initContainerResources") }}
{{- if and (hasKey $kong $key) (not (kindIs "invalid" (get $kong $key))) }}
{{- if or (not (kindIs "map" (get $kong $key))) (get $kong $key) }}{{ $_ := set $settings $key (get $kong $key) }}{{ end }}
{{- end }}
{{- end }}
{{- range $key := list "initContainers" "sidecarContainers" "hostAliases" "userDefinedVolumes" "userDefinedVolumeMounts" "hostNetwork" "hostname" "revisionHistoryLimit" "minReadySeconds" "prefixDir" "tmpDir" }}
{{- if and (hasKey $deployment $key) (not (kindIs "invalid" (get $deployment $key))) }}{{ $_ := set $settings $key (get $deployment $key) }}{{ end }}
{{- end }}
{{- range $key := list "readinessProbe" "livenessProbe" }}
{{- with get $own $key }}{{ $_ := set $settings $key (include "silverback.one-handler" . | fromYaml) }}{{ end }}
{{- end }}
{{- range $key, $way := dict "readinessProbe" "probe" "livenessProbe" "probe" "lifecycle" "lifecycle" }}
{{- with get $kong $key }}{{ $_ := set $settings $key (include (printf "silverback.merged-%s" $way) (list (get $defaults $key) .) | fromYaml) }}{{ end }}
{{- end }}
{{- with $kong.podAnnotations }}{{ $_ := set $settings "podAnnotations" (include "silverback.merged" (list (default (dict) $own.podAnnotations) .) | fromYaml) }}{{ end }}
{{- with $kong.containerSecurityContext }}{{ $_ := set $settings "containerSecurityContext" (include "silverback.merged" (list $defaults.containerSecurityContext .) | fromYaml) }}{{ end }}
{{- /* Containers of the user's own may run as root, which the context of the pod must not forbid then. */}}
{{- if or $kong.securityContext $deployment.initContainers $deployment.sidecarContainers }}
{{- $_ := set $settings "securityContext" (include "silverback.merged" (list $defaults.securityContext (default (dict) $kong.securityContext)) | fromYaml) }}
{{- else if $own.securityContext }}
{{- $_ := set $settings "securityContext" (include "silverback.merged" (list (pick $defaults.securityContext "fsGroup") $own.securityContext) | fromYaml) }}
{{- end }}
{{- $budget := default (dict) $kong.podDisruptionBudget }}
{{- if $budget }}{{ $_ := set $settings "podDisruptionBudget" (mergeOverwrite (deepCopy $own.podDisruptionBudget) $budget) }}{{ end }}
{{- if not (kindIs "invalid" $settings.podDisruptionBudget.minAvailable) }}
{{- $_ := unset $settings.podDisruptionBudget "maxUnavailable" }}
{{- end }}
{{- $scaling := default (dict) $kong.autoscaling }}
{{- if $scaling }}{{ $_ := set $settings "autoscaling" (include "silverback.merged" (list $defaults.autoscaling $scaling) | fromYaml) }}{{ end }}
{{- $account := default (dict) $deployment.serviceAccount }}
{{- $_ := set $settings "serviceAccount" (mergeOverwrite (dict "create" true "name" "" "annotations" (dict)) (default (dict) $own.serviceAccount) $account) }}
{{- if not $settings.serviceAccount.name }}{{ $_ := set $settings.serviceAccount "name" (include "silverback.fullname" $context) }}{{ end }}

{{- /* Settings of Kong; a license of Enterprise, certificates of cert-manager. */}}
{{- $stays := and (or $image.repository $image.tag $image.unifiedRepoTag) (not (contains "silverback-proxy" (printf "%v %v" $image.repository $image.unifiedRepoTag))) }}
{{- $_ := set $settings "env" (mergeOverwrite (ternary $defaults.env (dict) (not (not $stays))) (deepCopy (default (dict) $own.env)) (default (dict) $kong.env)) }}
{{- $enterprise := default (dict) $kong.enterprise }}
{{- if and $enterprise.enabled $enterprise.license_secret }}
{{- $_ := set $settings.env "license_data" (dict "valueFrom" (dict "secretKeyRef" (dict "name" $enterprise.license_secret "key" "license"))) }}
{{- end }}
{{- $certificates := mergeOverwrite (dict) (default (dict) $own.certificate) }}
{{- $given := default (dict) $kong.certificates }}
{{- if and $given.enabled (ne (toString (dig "proxy" "enabled" true $given)) "false") }}
{{- $certificates = mergeOverwrite (dict "enabled" true) (omit $given "proxy" "admin" "manager" "portal" "cluster") (default (dict) $given.proxy) (dict "enabled" true) }}
{{- end }}
{{- $_ := set $settings "certificate" $certificates }}

{{- /* Services. */}}
{{- $kept := include "silverback.pick" (list $service "type" "annotations" "labels" "http" "tls" "stream" "loadBalancerIP" "loadBalancerClass" "loadBalancerSourceRanges" "externalIPs" "externalTrafficPolicy" "clusterIP" "ipFamilyPolicy" "ipFamilies" "trafficDistribution" "addresses") | fromYaml }}
{{- $_ := set $settings "service" (mergeOverwrite (dict "http" (dict "enabled" true "containerPort" 8000) "tls" (dict "enabled" true "containerPort" 8443) "addresses" (list "0.0.0.0" "[::]") "stream" (list)) (deepCopy $own.service) $kept) }}
{{- range $way := list $settings.service.http $settings.service.tls }}
{{- if hasKey $way "servicePort" }}{{ $_ := set $way "port" $way.servicePort }}{{ end }}
{{- end }}
{{- $_ := set $settings "udp" (mergeOverwrite (dict "enabled" false "type" "LoadBalancer" "stream" (list)) (default (dict) $kong.udpProxy)) }}
{{- $_ := set $settings "adminPort" (int (dig "admin" "tls" "containerPort" 8444 $kong)) }}
{{- $_ := set $settings "statusPort" (int (dig "status" "http" "containerPort" 8100 $kong)) }}
{{- $_ := set $settings "clearStalePid" (mergeOverwrite (dict "enabled" false) (dig "kong" "initContainers" "clearStalePid" (dict) $deployment)) }}
{{- toYaml $settings }}
{{- end }}

{{- define "silverback.controller-settings" -}}
{{- $context := index . 0 }}{{ $proxies := index . 1 }}{{ $release := index . 2 }}
{{- $own := $context.Values.controller }}
{{- $ingress := eq $context.Values.adopt "ingress" }}
{{- $given := default (dict) $release.ingressController }}
{{- $defaults := (include "silverback.kong-defaults" $context | fromYaml).controller }}
{{- $settings := deepCopy (omit $own "ingressController" "deployment" "proxy" "image") }}
{{- $_ := set $settings "image" (deepCopy $own.image) }}
{{- $_ := set $settings "imagePullSecrets" (concat (list) (default (list) $context.Values.imagePullSecrets)) }}
{{- $secrets := default (list) (dig "image" "pullSecrets" (list) $given) }}
{{- if not $secrets }}{{ $secrets = default (list) (dig "image" "pullSecrets" (list) $release) }}{{ end }}
{{- range $secrets }}
{{- $_ := set $settings "imagePullSecrets" (append $settings.imagePullSecrets (ternary . (dict "name" .) (kindIs "map" .))) }}
{{- end }}

{{- /* The kong chart's pods held the controller, too: what said where they may run says it of the controller. */}}
{{- range $key := list "nodeSelector" "tolerations" "priorityClassName" "dnsPolicy" "dnsConfig" }}
{{- if and (not $ingress) (not (get $settings $key)) (get $release $key) }}{{ $_ := set $settings $key (get $release $key) }}{{ end }}
{{- end }}
{{- if and $ingress (hasKey $release "replicaCount") }}{{ $_ := set $settings "replicas" (max 1 (int $release.replicaCount)) }}{{ end }}
{{- range $key := list "resources" "envFrom" "watchNamespaces" }}
{{- if get $given $key }}{{ $_ := set $settings $key (get $given $key) }}{{ end }}
{{- end }}
{{- range $key := list "readinessProbe" "livenessProbe" }}
{{- with get $own $key }}{{ $_ := set $settings $key (include "silverback.one-handler" . | fromYaml) }}{{ end }}
{{- with get $given $key }}{{ $_ := set $settings $key (include "silverback.merged-handler" (list (get $defaults $key) .) | fromYaml) }}{{ end }}
{{- end }}
{{- if $given.args }}{{ $_ := set $settings "args" (concat $given.args (default (list) $own.args)) }}{{ end }}
{{- $_ := set $settings "extraVolumeMounts" (concat (default (list) $own.extraVolumeMounts) (default (list) $given.userDefinedVolumeMounts)) }}
{{- if and $ingress (dig "deployment" "userDefinedVolumes" (list) $release) }}
{{- $_ := set $settings "extraVolumes" (concat (default (list) $own.extraVolumes) $release.deployment.userDefinedVolumes) }}
{{- else if and (not $ingress) $given.userDefinedVolumeMounts }}
{{- $_ := set $settings "extraVolumes" (concat (default (list) $own.extraVolumes) (dig "deployment" "userDefinedVolumes" (list) $release)) }}
{{- end }}

{{- $security := dict "runAsNonRoot" true "fsGroup" 65532 "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- if $ingress }}
{{- $beside := default (list) (dig "deployment" "sidecarContainers" (list) $release) }}
{{- if $beside }}{{ $security = omit $security "runAsNonRoot" }}{{ end }}
{{- $_ := set $settings "extraContainers" (concat (default (list) $own.extraContainers) $beside) }}
{{- end }}
{{- $_ := set $settings "securityContext" (include "silverback.merged" (list $security (default (dict) $own.securityContext)) | fromYaml) }}

{{- /* Variables of Kong Ingress Controller. Its charts skip verification by default; here both sides verify. What else is left out
is a flag here, which would win over the variable. */}}
{{- $variables := omit (default (dict) $given.env) "kong_admin_tls_skip_verify" "kong_admin_url" "kong_admin_svc" "publish_service" "publish_service_udp" "election_id" "ingress_class" "admission_webhook_listen" }}
{{- $_ := set $settings "publishService" (dig "env" "publish_service" "" $given) }}
{{- $_ := set $settings "publishServiceUdp" (dig "env" "publish_service_udp" "" $given) }}
{{- $_ := set $settings "variables" $variables }}
{{- $_ := set $settings "customEnv" (default (dict) $given.customEnv) }}
{{- if and (not $settings.electionId) $ingress }}{{ $_ := set $settings "electionId" (dig "env" "election_id" "" $given) }}{{ end }}
{{- $_ := set $settings "gatewayControllerName" (dig "env" "gateway_api_controller_name" "" $given) }}

{{- /* Webhook: the keys are the same. */}}
{{- $webhook := dict }}
{{- range $key, $value := omit (default (dict) $given.admissionWebhook) "address" "filterSecrets" }}
{{- if or (kindIs "bool" $value) $value }}{{ $_ := set $webhook $key $value }}{{ end }}
{{- end }}
{{- $_ := set $settings "admissionWebhook" (mergeOverwrite (deepCopy $own.admissionWebhook) $webhook) }}
{{- if has (dig "env" "admission_webhook_listen" "" $given) (list "off" false) }}{{ $_ := set $settings.admissionWebhook "enabled" false }}{{ end }}
{{- with $settings.podDisruptionBudget }}{{ if not (kindIs "invalid" .maxUnavailable) }}{{ $_ := unset . "minAvailable" }}{{ end }}{{ end }}
{{- $rights := default (dict) $given.rbac }}
{{- $_ := set $settings "rbac" (mergeOverwrite (dict "create" true "enableClusterRoles" true) (default (dict) $own.rbac) (include "silverback.pick" (list $rights "create" "enableClusterRoles") | fromYaml)) }}
{{- $account := mergeOverwrite (dict "create" true "name" "" "annotations" (dict)) (default (dict) $own.serviceAccount) }}
{{- if $ingress }}{{ $account = mergeOverwrite $account (dig "deployment" "serviceAccount" (dict) $release) }}{{ end }}
{{- if not $account.name }}{{ $_ := set $account "name" (include "silverback.controller" $context) }}{{ end }}
{{- $_ := set $settings "serviceAccount" $account }}
{{- $_ := set $settings "metricsLabels" (default (dict) $given.labels) }}
{{- toYaml $settings }}
{{- end }}

{{- define "silverback.class-settings" -}}
{{- $context := index . 0 }}{{ $given := default (dict) (index . 1).ingressController }}
{{- $settings := deepCopy $context.Values.ingressClass }}
{{- if $given.ingressClass }}{{ $_ := set $settings "name" $given.ingressClass }}{{ end }}
{{- /* Which class is served, and which object that chart made: the variable overruled the one, and not the other. */}}
{{- $_ := set $settings "served" (default $settings.name (dig "env" "ingress_class" "" $given)) }}
{{- if hasKey $given "createIngressClass" }}{{ $_ := set $settings "create" $given.createIngressClass }}{{ end }}
{{- $annotations := merge (dict) (default (dict) $settings.annotations) (default (dict) $given.ingressClassAnnotations) }}
{{- if $settings.default }}{{ $_ := set $annotations "ingressclass.kubernetes.io/is-default-class" "true" }}{{ end }}
{{- $_ := set $settings "annotations" $annotations }}
{{- toYaml $settings }}
{{- end }}

{{/* Keys of the kong and ingress charts that are given, for NOTES.txt. */}}
{{- define "silverback.taken" -}}
{{- $ours := (include "silverback.own-values" . | fromYaml).chart }}
{{- $taken := list }}
{{- range $key, $_ := .Values }}{{ if not (has $key $ours) }}{{ $taken = append $taken $key }}{{ end }}{{ end }}
{{- join ", " ($taken | sortAlpha) }}
{{- end }}
