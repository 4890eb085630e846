{{- define "kong.name" -}}{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "kong.fullname" -}}{{ default (printf "%s-%s" .Release.Name (include "kong.name" .)) .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "kong.version" -}}{{ regexFind "^[0-9]+\\.[0-9]+" (toString (default .Values.image.tag .Values.image.effectiveSemver)) }}{{- end }}
{{- define "kong.meta" -}}
app.kubernetes.io/name: {{ include "kong.name" . }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/version: {{ include "kong.version" . | quote }}
{{- range $name, $value := .Values.extraLabels }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- define "kong.selector" -}}
app.kubernetes.io/name: {{ include "kong.name" . }}
app.kubernetes.io/component: app
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}
{{- define "kong.security" -}}{{ toYaml (omit .Values.containerSecurityContext "enabled") }}{{- end }}
{{- define "kong.env" -}}
{{- $env := dict
  "KIC" "on"
  "ADMIN_LISTEN" "127.0.0.1:8444 http2 ssl, [::1]:8444 http2 ssl"
  "PROXY_LISTEN" "0.0.0.0:8000, [::]:8000, 0.0.0.0:8443 http2 ssl, [::]:8443 http2 ssl"
  "STATUS_LISTEN" "0.0.0.0:8100, [::]:8100"
  "STREAM_LISTEN" "off"
  "CLUSTER_LISTEN" "off"
  "PORT_MAPS" "80:8000, 443:8443"
  "LUA_PACKAGE_PATH" "/opt/?.lua;/opt/?/init.lua;;"
  "STATUS_ERROR_LOG" "/dev/stderr"
  "STATUS_ACCESS_LOG" "off"
  "PROXY_STREAM_ACCESS_LOG" "/dev/stdout basic"
  "PROXY_STREAM_ERROR_LOG" "/dev/stderr"
}}
{{- if .Values.admin.enabled }}{{ $_ := set $env "ADMIN_LISTEN" "0.0.0.0:8444 http2 ssl, [::]:8444 http2 ssl" }}
{{- /* The chart lets everybody in by default and shows a certificate of the moment, and our proxy never does: here whoever
has the webhook's certificate, which it shows as well. */}}
{{- $_ := set $env "ADMIN_SSL_CERT" "/etc/admin-certificate/tls.crt" }}
{{- $_ := set $env "ADMIN_SSL_CERT_KEY" "/etc/admin-certificate/tls.key" }}
{{- $_ := set $env "NGINX_ADMIN_SSL_VERIFY_CLIENT" "on" }}
{{- $_ := set $env "NGINX_ADMIN_SSL_CLIENT_CERTIFICATE" "/etc/admin-client-ca/tls.crt" }}
{{- end }}
{{- if not .Values.ingressController.enabled }}{{ $_ := unset $env "KIC" }}{{ end }}
{{- range $name, $value := .Values.env }}{{ $_ := set $env (upper $name) $value }}{{ end }}
{{- range $name, $value := $env }}
- name: KONG_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What the old controller may do with kinds that belong to no namespace. */}}
{{- define "kong.cluster-rules" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [get, list, watch]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
- apiGroups: [configuration.konghq.com]
  resources: [kongclusterplugins, konglicenses, kongvaults]
  verbs: [get, list, watch]
- apiGroups: [configuration.konghq.com]
  resources: [kongclusterplugins/status, konglicenses/status, kongvaults/status]
  verbs: [get, patch, update]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [get, patch, update]
{{- end }}

{{/* And with those in namespaces. */}}
{{- define "kong.namespaced-rules" -}}
- apiGroups: [""]
  resources: [configmaps, pods, services]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [services/status]
  verbs: [get, patch, update]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io, extensions]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io, extensions]
  resources: [ingresses/status]
  verbs: [get, patch, update]
- apiGroups: [configuration.konghq.com]
  resources: [ingressclassparameterses, kongconsumergroups, kongconsumers, kongcustomentities, kongingresses, kongplugins, kongupstreampolicies, tcpingresses, udpingresses]
  verbs: [get, list, watch]
- apiGroups: [configuration.konghq.com]
  resources: [kongconsumergroups/status, kongconsumers/status, kongcustomentities/status, kongingresses/status, kongplugins/status, kongupstreampolicies/status, tcpingresses/status, udpingresses/status]
  verbs: [get, patch, update]
# What Kong Ingress Controller does not ask for, and the stand-in does: it reads only Secrets that are in use, and kinds of
# its own where they are there.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [incubator.ingress-controller.konghq.com]
  resources: [kongservicefacades]
  verbs: [get, list, watch]
- apiGroups: [gateway.silverback.dev]
  resources: [proxyfleets, proxyinstances]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get, list, update, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [backendtlspolicies, grpcroutes, httproutes, referencegrants, tcproutes, tlsroutes, udproutes]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [backendtlspolicies/status, gateways/status, grpcroutes/status, httproutes/status, tcproutes/status, tlsroutes/status, udproutes/status]
  verbs: [get, patch, update]
{{- end }}
