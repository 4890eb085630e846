{{/* What pods have in common. */}}

{{/* list CONTEXT IMAGE: repository:tag, or repository@digest; the chart's appVersion without a tag. */}}
{{- define "silverback.image" -}}
{{- $context := index . 0 }}{{ $image := index . 1 -}}
{{- if $image.unifiedRepoTag }}{{ $image.unifiedRepoTag }}
{{- else if hasPrefix "sha256:" (toString $image.tag) }}{{ $image.repository }}@{{ $image.tag }}
{{- else }}{{ $image.repository }}:{{ default $context.Chart.AppVersion (toString $image.tag) }}{{ end }}
{{- end }}

{{/* list CONTEXT OWN GIVEN: labels of pods beside those that are selected by: extraLabels, the chart's own, the user's. */}}
{{- define "silverback.pod-labels" -}}
{{- $context := index . 0 }}
{{- $lines := list }}
{{- range $name, $value := mergeOverwrite (deepCopy (default (dict) $context.Values.extraLabels)) (index . 1) (default (dict) (index . 2)) }}
{{- $lines = append $lines (printf "%s: %s" $name (tpl (toString $value) $context | quote)) }}
{{- end }}
{{- join "\n" $lines }}
{{- end }}

{{/* Pods of one kind apart from one another, if it can be. Those that a rollout replaces do not count, or the new ones would be
beside one another once these have gone. */}}
{{- define "silverback.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- . | nindent 6 }}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
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

{{/* list PLACEMENT SELECTOR: where pods run. */}}
{{- define "silverback.placement" -}}
{{- $placement := index . 0 }}{{ $selector := index . 1 }}
{{- with $placement.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $placement.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $placement.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $placement.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $placement.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $placement.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
  {{- if $placement.affinity }}
  {{- toYaml $placement.affinity | nindent 2 }}
  {{- else }}
  {{- include "silverback.anti-affinity" $selector | trim | nindent 2 }}
  {{- end }}
topologySpreadConstraints:
  {{- if $placement.topologySpreadConstraints }}
  {{- toYaml $placement.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- include "silverback.spread" $selector | trim | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What the strictest Pod Security Standard asks of a container. */}}
{{- define "silverback.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Names that a pod's container has for itself. */}}
{{- define "silverback.pod-identity" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end }}

{{/* list PREFIX MAP: variables in order of their names. A value that is a map is put in as it is (valueFrom). */}}
{{- define "silverback.variables" -}}
{{- $prefix := index . 0 }}
{{- range $name, $value := index . 1 }}
- name: {{ printf "%s%s" $prefix (upper $name) }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ include "silverback.scalar" $value | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Numbers of values are floating point: 1000000 must not become 1e+06. */}}
{{- define "silverback.scalar" -}}
{{- if kindIs "float64" . }}{{ if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* Volumes of Secrets and ConfigMaps, from keys of the kong chart. */}}
{{- define "silverback.named-volumes" -}}
{{- range .secretVolumes }}
- name: {{ . }}
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- range .extraConfigMaps }}
- name: {{ .name }}
  configMap: {name: {{ .name }}}
{{- end }}
{{- range .extraSecrets }}
- name: {{ .name }}
  secret: {secretName: {{ .name }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* Fields of a Service that users set, from the keys of the kong chart. */}}
{{- define "silverback.service-spec" -}}
type: {{ .type }}
{{- range $key := list "clusterIP" "externalTrafficPolicy" "ipFamilyPolicy" "trafficDistribution" }}
{{- with get $ $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- range $key := list "externalIPs" "ipFamilies" }}
{{- with get $ $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if eq .type "LoadBalancer" }}
{{- range $key := list "loadBalancerIP" "loadBalancerClass" }}
{{- with get $ $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* What all webhooks have in common. Without a bundle of the user's the controller sets its own. */}}
{{- define "silverback.webhook-common" -}}
{{- with (include "silverback.settings" . | fromYaml).controller.admissionWebhook -}}
admissionReviewVersions: [v1]
clientConfig:
  {{- with .certificate.caBundle }}
  caBundle: {{ . | b64enc }}
  {{- end }}
  service:
    name: {{ include "silverback.webhook-service" $ }}
    namespace: {{ include "silverback.namespace" $ }}
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
