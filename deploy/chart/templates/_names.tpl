{{/* Names and labels. The proxies carry the labels of the kong chart, so that its releases can be taken over. */}}

{{- define "silverback.name" -}}
{{- default "kong" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "silverback.fullname" -}}
{{- default (printf "%s-%s" .Release.Name (include "silverback.name" .)) .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "silverback.admin" -}}{{ include "silverback.fullname" . }}-gateway-admin{{- end }}
{{- define "silverback.controller" -}}{{ include "silverback.fullname" . }}-controller{{- end }}
{{- define "silverback.ca-secret" -}}{{ include "silverback.fullname" . }}-ca{{- end }}
{{- define "silverback.proxy-secret" -}}{{ include "silverback.fullname" . }}-proxy-tls{{- end }}

{{- define "silverback.webhook-secret" -}}{{ include "silverback.fullname" . }}-webhook-tls{{- end }}
{{- define "silverback.identity-service" -}}{{ include "silverback.controller" . }}-identity{{- end }}
{{/* "true" when the proxies have to be restarted to read a certificate again. */}}
{{- define "silverback.restarts-proxies" -}}
{{- if kindIs "invalid" .Values.proxy.restartForCertificates }}{{ not (hasSuffix "silverback-proxy" .Values.proxy.image.repository) }}
{{- else }}{{ .Values.proxy.restartForCertificates }}{{ end }}
{{- end }}
{{/* As the kong chart calls them, so that its releases can be taken over. */}}
{{- define "silverback.webhook-service" -}}{{ include "silverback.fullname" . }}-validation-webhook{{- end }}
{{- define "silverback.webhook-configuration" -}}{{ include "silverback.fullname" . }}-{{ .Release.Namespace }}-validations{{- end }}

{{/* What all webhooks have in common. Without a bundle of the user's the controller sets its own. */}}
{{- define "silverback.webhook-common" -}}
{{- with .Values.controller.admissionWebhook -}}
admissionReviewVersions: [v1]
clientConfig:
  {{- with .certificate.caBundle }}
  caBundle: {{ . | b64enc }}
  {{- end }}
  service:
    name: {{ include "silverback.webhook-service" $ }}
    namespace: {{ $.Release.Namespace }}
failurePolicy: {{ .failurePolicy }}
matchPolicy: {{ .matchPolicy }}
sideEffects: None
timeoutSeconds: {{ .timeoutSeconds }}
{{- with .namespaceSelector }}
namespaceSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "silverback.common-labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "silverback.proxy-selector" -}}
app.kubernetes.io/name: {{ include "silverback.name" . }}
app.kubernetes.io/component: app
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "silverback.controller-selector" -}}
app.kubernetes.io/name: silverback
app.kubernetes.io/component: controller
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Pods of one kind apart from one another, if it can be. */}}
{{- define "silverback.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- . | nindent 6 }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- . | nindent 6 }}
{{- end }}

{{- define "silverback.anti-affinity" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- . | nindent 12 }}
{{- end }}

{{- define "silverback.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}
