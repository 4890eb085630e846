{{/* Jobs that run before anything of the release changes, each with rights of its own. */}}

{{/* list EVENTS WEIGHT */}}
{{- define "silverback.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
{{- /* What failed stays, so that its log can be read; Helm prints it, too, where it knows how. */}}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-output-log-policy: hook-failed
{{- end }}

{{/* dict context name events weight rules clusterRules: ServiceAccount and rights of a hook. */}}
{{- define "silverback.hook-rights" -}}
{{- $context := .context }}{{ $name := .name }}{{ $hook := include "silverback.hook" (list .events .weight) }}
{{- $namespace := include "silverback.namespace" $context }}
{{- $labels := include "silverback.common-labels" $context }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $hook | nindent 4 }}
{{- range $scope, $rules := dict "Role" .rules "ClusterRole" .clusterRules }}
{{- if $rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}
metadata:
  name: {{ ternary $name (printf "%s-%s" $namespace $name) (eq $scope "Role") }}
  {{- if eq $scope "Role" }}
  namespace: {{ $namespace }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $hook | nindent 4 }}
rules:
  {{- $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Binding
metadata:
  name: {{ ternary $name (printf "%s-%s" $namespace $name) (eq $scope "Role") }}
  {{- if eq $scope "Role" }}
  namespace: {{ $namespace }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $hook | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $scope }}
  name: {{ ternary $name (printf "%s-%s" $namespace $name) (eq $scope "Role") }}
subjects:
  - {kind: ServiceAccount, name: {{ $name }}, namespace: {{ $namespace }}}
{{- end }}
{{- end }}
{{- end }}

{{/* dict context name events weight arguments: the Job of a hook. */}}
{{- define "silverback.hook-job" -}}
{{- $context := .context }}
{{- $controller := (include "silverback.settings" $context | fromYaml).controller }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ include "silverback.namespace" $context }}
  labels:
    {{- include "silverback.common-labels" $context | nindent 4 }}
  annotations:
    {{- include "silverback.hook" (list .events .weight) | nindent 4 }}
spec:
  # What fails, fails for a reason that trying again does not mend.
  backoffLimit: 0
  activeDeadlineSeconds: 180
  template:
    metadata:
      labels:
        app.kubernetes.io/name: silverback
        app.kubernetes.io/component: hook
        app.kubernetes.io/instance: {{ $context.Release.Name | quote }}
    spec:
      serviceAccountName: {{ .name }}
      restartPolicy: Never
      {{- range $key := list "nodeSelector" "tolerations" "imagePullSecrets" }}
      {{- with get $controller $key }}
      {{ $key }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: hook
          image: {{ include "silverback.image" (list $context $controller.image) | quote }}
          imagePullPolicy: {{ $controller.image.pullPolicy }}
          args:
            {{- range .arguments }}
            - {{ . | quote }}
            {{- end }}
          terminationMessagePolicy: FallbackToLogsOnError
          securityContext:
            {{- include "silverback.container-security" $context | nindent 12 }}
          resources:
            requests: {cpu: 10m, memory: 32Mi}
            limits: {memory: 256Mi}
{{- end }}

{{/* list REPLICAS RESOURCES: what pods ask for, as the preflight takes it. */}}
{{- define "silverback.new-pods" -}}
{{- $parts := list (toString (index . 0)) }}
{{- range $kind := list "requests" "limits" }}
{{- range $name, $quantity := default (dict) (get (default (dict) (index $ 1)) $kind) }}
{{- $parts = append $parts (printf "%s.%s=%v" $kind $name $quantity) }}
{{- end }}
{{- end }}
{{- join "," $parts }}
{{- end }}

{{/*
Names of the Roles and ClusterRoles, and of their bindings, that the release before may have had: those of Kong's chart, and
those of our other mode.
*/}}
{{- define "silverback.old-roles" -}}
{{- $name := include "silverback.fullname" . }}{{ $controller := include "silverback.controller" . }}
{{- $suffix := ternary "-sidecar" "" (eq .Values.mode "split") }}
{{- $names := list $name $controller (printf "%s%s" $controller $suffix) }}
{{- range (include "silverback.settings" . | fromYaml).controller.watchNamespaces }}
{{- $names = concat $names (list (printf "%s-%s" $name .) (printf "%s-%s%s" $controller . $suffix)) }}
{{- end }}
{{- toYaml (uniq $names) }}
{{- end }}
{{- define "silverback.old-cluster-roles" -}}
{{- $suffix := ternary "-sidecar" "" (eq .Values.mode "split") }}
{{- toYaml (uniq (list (include "silverback.fullname" .) (include "silverback.controller" .) (printf "%s%s" (include "silverback.cluster-role" .) $suffix))) }}
{{- end }}
