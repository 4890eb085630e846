{{/* Jobs that run before anything of the release changes, each with rights of its own. */}}

{{/* Helm does not uninstall hooks: by these labels they are found where one was left. */}}
{{- define "silverback.hook-labels" -}}
{{ include "silverback.common-labels" . }}
app.kubernetes.io/name: silverback
app.kubernetes.io/component: hook
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* list EVENTS WEIGHT */}}
{{- define "silverback.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
{{- /* A Job that failed stays, so that its log can be read; Helm prints it, too, where it knows how. Its rights go: they had succeeded. */}}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-output-log-policy: hook-failed
{{- end }}

{{/*
dict context name events weight rules clusterRules elsewhere: ServiceAccount and rights of a hook. `rules` are for the namespace of
the release's objects, `elsewhere` has those for further namespaces by their names.
*/}}
{{- define "silverback.hook-rights" -}}
{{- $context := .context }}{{ $name := .name }}{{ $hook := include "silverback.hook" (list .events .weight) }}
{{- $namespace := include "silverback.namespace" $context }}
{{- $labels := include "silverback.hook-labels" $context }}
{{- $abroad := printf "%s-%s" $namespace $name }}
{{- $roles := list (dict "kind" "Role" "name" $name "namespace" $namespace "rules" .rules) (dict "kind" "ClusterRole" "name" $abroad "rules" .clusterRules) }}
{{- range $elsewhere, $rules := .elsewhere }}
{{- $roles = append $roles (dict "kind" "Role" "name" $abroad "namespace" $elsewhere "rules" $rules) }}
{{- end }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $namespace }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $hook | nindent 4 }}
{{- range $role := $roles }}
{{- if $role.rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $role.kind }}
metadata:
  name: {{ $role.name }}
  {{- with $role.namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $hook | nindent 4 }}
rules:
  {{- $role.rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $role.kind }}Binding
metadata:
  name: {{ $role.name }}
  {{- with $role.namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels | nindent 4 }}
  annotations:
    {{- $hook | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $role.kind }}
  name: {{ $role.name }}
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
    {{- include "silverback.hook-labels" $context | nindent 4 }}
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

{{/* list REPLICAS RESOURCES DEPLOYMENT STRATEGY: how many pods come and what they ask for, as the preflight takes it. */}}
{{- define "silverback.new-pods" -}}
{{- $parts := list (toString (index . 0)) (printf "deployment=%s" (index . 2)) }}
{{- with index . 3 }}
{{- $parts = append $parts (printf "surge=%s" (include "silverback.scalar" (dig "rollingUpdate" "maxSurge" "25%" .))) }}
{{- end }}
{{- range $kind := list "requests" "limits" }}
{{- range $name, $quantity := default (dict) (get (default (dict) (index $ 1)) $kind) }}
{{- $parts = append $parts (printf "%s.%s=%v" $kind $name $quantity) }}
{{- end }}
{{- end }}
{{- join "," $parts }}
{{- end }}
