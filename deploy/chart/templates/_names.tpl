{{/*
Names and labels. `adopt` says whose they are: those of a release of the kong chart, or of the ingress chart. All are made
of the release's name and values alone, so that a rendering without a cluster is the same.
*/}}

{{- define "silverback.namespace" -}}{{ default .Release.Namespace .Values.namespace }}{{- end }}

{{/* Label app.kubernetes.io/name of the proxies: part of their Deployment's selector, which can't change. */}}
{{- define "silverback.name" -}}
{{- if eq .Values.adopt "ingress" -}}
{{- default "gateway" (include "silverback.text" (list .Values.gateway "nameOverride")) | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- default "kong" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The proxies' Deployment, and what the names of their other objects begin with. */}}
{{- define "silverback.fullname" -}}
{{- $override := .Values.fullnameOverride }}
{{- if eq .Values.adopt "ingress" }}{{ $override = include "silverback.text" (list .Values.gateway "fullnameOverride") }}{{ end }}
{{- default (printf "%s-%s" .Release.Name (include "silverback.name" .)) $override | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Label app.kubernetes.io/name of the controller. */}}
{{- define "silverback.controller-name" -}}
{{- if eq .Values.adopt "ingress" -}}
{{- default "controller" (include "silverback.text" (list .Values.controller "nameOverride")) | trunc 63 | trimSuffix "-" }}
{{- else -}}
silverback
{{- end }}
{{- end }}

{{/* The controller's Deployment, ServiceAccount and rights. */}}
{{- define "silverback.controller" -}}
{{- if eq .Values.adopt "ingress" -}}
{{- default (printf "%s-%s" .Release.Name (include "silverback.controller-name" .)) (include "silverback.text" (list .Values.controller "fullnameOverride")) | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ include "silverback.fullname" . | trunc 52 | trimSuffix "-" }}-controller
{{- end }}
{{- end }}

{{- define "silverback.admin" -}}
{{ include "silverback.fullname" . }}-{{ ternary "admin" "gateway-admin" (eq .Values.adopt "ingress") }}
{{- end }}

{{- define "silverback.proxy-service" -}}
{{- $override := include "silverback.text" (list (include "silverback.kong" . | fromYaml) "proxy.nameOverride") }}
{{- if $override }}{{ tpl $override . }}{{ else }}{{ include "silverback.fullname" . }}-proxy{{ end }}
{{- end }}

{{- define "silverback.udp-service" -}}
{{- $override := include "silverback.text" (list (include "silverback.kong" . | fromYaml) "udpProxy.nameOverride") }}
{{- if $override }}{{ tpl $override . }}{{ else }}{{ include "silverback.fullname" . }}-udp-proxy{{ end }}
{{- end }}

{{/* What the webhook's objects are named after: in both charts the release that has the controller. */}}
{{- define "silverback.webhook-owner" -}}
{{- if eq .Values.adopt "ingress" }}{{ include "silverback.controller" . }}{{ else }}{{ include "silverback.fullname" . }}{{ end }}
{{- end }}
{{- define "silverback.webhook-service" -}}{{ include "silverback.webhook-owner" . }}-validation-webhook{{- end }}
{{- define "silverback.webhook-configuration" -}}{{ include "silverback.webhook-owner" . }}-{{ include "silverback.namespace" . }}-validations{{- end }}

{{- define "silverback.ca-secret" -}}{{ include "silverback.fullname" . }}-ca{{- end }}
{{- define "silverback.proxy-secret" -}}{{ include "silverback.fullname" . }}-proxy-tls{{- end }}
{{- define "silverback.client-secret" -}}{{ include "silverback.fullname" . }}-controller-tls{{- end }}
{{- define "silverback.webhook-secret" -}}{{ include "silverback.fullname" . }}-webhook-tls{{- end }}

{{/* What proxies accepted last: four Secrets, and one with their key. Sidecars have no leader that could write them. */}}
{{- define "silverback.last-good" -}}{{ include "silverback.fullname" . }}-last-good{{- end }}
{{- define "silverback.last-good-secrets" -}}
{{- range list "0" "1" "2" "3" "key" }}
- {{ include "silverback.last-good" $ }}-{{ . }}
{{- end }}
{{- end }}
{{- define "silverback.keeps-last-good" -}}
{{- .Values.controller.keepLastGood }}
{{- end }}

{{/* Where the proxies' Admin APIs listen. */}}
{{- define "silverback.admin-port" -}}{{ (include "silverback.settings" . | fromYaml).proxy.adminPort }}{{- end }}

{{- define "silverback.identity-service" -}}{{ include "silverback.controller" . }}-identity{{- end }}

{{/* "true" where proxies get certificates of their own, in their pods' names. */}}
{{- define "silverback.has-identities" -}}
{{- and (eq .Values.proxy.identity "pod") (eq .Values.mode "split") (not .Values.pki.certManager.enabled) }}
{{- end }}

{{/* "true" when the proxies have to be restarted to read a certificate again. */}}
{{- define "silverback.restarts-proxies" -}}
{{- $settings := include "silverback.settings" . | fromYaml }}
{{- if eq .Values.mode "sidecar" }}false
{{- else if kindIs "invalid" .Values.proxy.restartForCertificates }}{{ not (hasSuffix "silverback-proxy" (toString $settings.proxy.image.repository)) }}
{{- else }}{{ .Values.proxy.restartForCertificates }}{{ end }}
{{- end }}

{{/* "true" when proxies put away what they run for their next start. Kong can't. */}}
{{- define "silverback.keeps-configuration" -}}
{{- $image := (include "silverback.settings" . | fromYaml).proxy.image }}
{{- if kindIs "invalid" .Values.proxy.keepConfiguration }}{{ contains "silverback-proxy" (printf "%s %s" $image.repository $image.unifiedRepoTag) }}
{{- else }}{{ .Values.proxy.keepConfiguration }}{{ end }}
{{- end }}

{{/* Cluster-wide names carry the namespace: releases of one name in two namespaces do not meet. */}}
{{- define "silverback.cluster-role" -}}{{ include "silverback.namespace" . }}-{{ include "silverback.controller" . }}{{- end }}

{{- define "silverback.service-account" -}}
{{- $settings := include "silverback.settings" . | fromYaml }}
{{- if eq .Values.mode "sidecar" }}{{ $settings.proxy.serviceAccount.name }}{{ else }}{{ $settings.controller.serviceAccount.name }}{{ end }}
{{- end }}

{{/* Kong Ingress Controller's Lease where it is to be taken over, so that only one of the two pushes. */}}
{{- define "silverback.election-id" -}}
{{- $settings := include "silverback.settings" . | fromYaml }}
{{- if $settings.controller.electionId -}}
{{ $settings.controller.electionId }}
{{- else if eq .Values.adopt "ingress" -}}
kong-ingress-controller-leader-{{ $settings.ingressClass.name }}
{{- else -}}
{{ .Release.Name }}.silverback.gateway.silverback.dev
{{- end }}
{{- end }}

{{- define "silverback.common-labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- range $name, $value := .Values.extraLabels }}
{{ $name }}: {{ tpl (toString $value) $ | quote }}
{{- end }}
{{- end }}

{{/* The proxies, byte for byte as in the charts that are taken over. */}}
{{- define "silverback.proxy-selector" -}}
app.kubernetes.io/name: {{ include "silverback.name" . }}
app.kubernetes.io/component: app
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Proxies whose Admin API is for the controller: pods of an earlier chart lack the label. */}}
{{- define "silverback.admin-selector" -}}
{{ include "silverback.proxy-selector" . }}
gateway.silverback.dev/admin: "true"
{{- end }}

{{/* Never a superset of the proxies' selector, or their Service would send traffic to the controller. */}}
{{- define "silverback.controller-selector" -}}
app.kubernetes.io/name: {{ include "silverback.controller-name" . }}
app.kubernetes.io/component: {{ ternary "app" "controller" (eq .Values.adopt "ingress") }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The pods that run a controller. */}}
{{- define "silverback.controller-pods" -}}
{{- if eq .Values.mode "sidecar" }}{{ include "silverback.proxy-selector" . }}{{ else }}{{ include "silverback.controller-selector" . }}{{ end }}
{{- end }}

{{- define "silverback.proxy-labels" -}}
{{ include "silverback.common-labels" . }}
{{ include "silverback.proxy-selector" . }}
{{- end }}

{{- define "silverback.controller-labels" -}}
{{ include "silverback.common-labels" . }}
{{ include "silverback.controller-pods" . }}
{{- end }}
