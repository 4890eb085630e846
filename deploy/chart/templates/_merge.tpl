{{/*
Maps of Kong's charts: what the user gave stands over what these charts have by default, as it did when they were rendered by them.
*/}}

{{/* What the kong chart has by default, of the maps of which users give parts. */}}
{{- define "silverback.kong-defaults" -}}
readinessProbe: {httpGet: {path: /status/ready, port: status, scheme: HTTP}, initialDelaySeconds: 5, timeoutSeconds: 5, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
livenessProbe: {httpGet: {path: /status, port: status, scheme: HTTP}, initialDelaySeconds: 5, timeoutSeconds: 5, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
lifecycle: {preStop: {exec: {command: [kong, quit, --wait=15]}}}
# Whoever the proxy runs as has to read the certificate of its Admin API; that chart mounted none.
securityContext: {fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
containerSecurityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}
autoscaling: {enabled: false, minReplicas: 2, maxReplicas: 5, targetCPUUtilizationPercentage: 80}
# Of Kong itself, where its image stays.
env:
  router_flavor: traditional
  nginx_worker_processes: "2"
  proxy_access_log: /dev/stdout
  admin_access_log: /dev/stdout
  proxy_error_log: /dev/stderr
  admin_error_log: /dev/stderr
  status_error_log: /dev/stderr
controller:
  readinessProbe: {httpGet: {path: /readyz, port: health, scheme: HTTP}, initialDelaySeconds: 5, timeoutSeconds: 5, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
  livenessProbe: {httpGet: {path: /healthz, port: health, scheme: HTTP}, initialDelaySeconds: 5, timeoutSeconds: 5, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
{{- end }}

{{/* list DEFAULT GIVEN: one over the other, as Helm does it: lists as a whole, and null takes a key away. */}}
{{- define "silverback.merged" -}}
{{- $merged := deepCopy (index . 0) }}
{{- range $key, $value := index . 1 }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $merged $key }}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $merged $key)) }}{{ $_ := set $merged $key (include "silverback.merged" (list (get $merged $key) $value) | fromYaml) }}
{{- else }}{{ $_ := set $merged $key $value }}{{ end }}
{{- end }}
{{- toYaml $merged }}
{{- end }}

{{/* list DEFAULT GIVEN: the same of a probe or hook, which has one handler: that which was given. */}}
{{- define "silverback.merged-handler" -}}
{{- $merged := include "silverback.merged" . | fromYaml }}
{{- $handlers := list "exec" "httpGet" "tcpSocket" "grpc" "sleep" }}
{{- $given := list }}
{{- range $handlers }}{{ if and (hasKey (index $ 1) .) (not (kindIs "invalid" (get (index $ 1) .))) }}{{ $given = append $given . }}{{ end }}{{ end }}
{{- if $given }}
{{- range $handlers }}{{ if not (has . $given) }}{{ $_ := unset $merged . }}{{ end }}{{ end }}
{{- end }}
{{- toYaml $merged }}
{{- end }}

{{/*
A probe of this chart's own values, over whose default Helm has laid what was given: each default asks by HTTP, and where there is
another handler, that is what was given.
*/}}
{{- define "silverback.one-handler" -}}
{{- if pick . "exec" "tcpSocket" "grpc" }}{{ toYaml (omit . "httpGet") }}{{ else }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* list DEFAULT GIVEN: the same of the hooks of a container. */}}
{{- define "silverback.merged-lifecycle" -}}
{{- $merged := include "silverback.merged" . | fromYaml }}
{{- $given := index . 1 }}
{{- if and (kindIs "map" $given.preStop) (index . 0).preStop }}
{{- $_ := set $merged "preStop" (include "silverback.merged-handler" (list (index . 0).preStop $given.preStop) | fromYaml) }}
{{- end }}
{{- toYaml $merged }}
{{- end }}

{{/*
list DEFAULT GIVEN: a probe of a proxy. Those charts once asked /status, at a port of another name, which is answered before there
is a configuration: their former default becomes the present one.
*/}}
{{- define "silverback.merged-probe" -}}
{{- $probe := include "silverback.merged-handler" . | fromYaml }}
{{- $default := (index . 0).httpGet }}
{{- with $probe.httpGet }}
{{- if eq (toString .port) "metrics" }}{{ $_ := set . "port" $default.port }}{{ end }}
{{- if and (eq (toString .path) "/status") (has (toString .port) (list "status" "8100")) }}{{ $_ := set . "path" $default.path }}{{ end }}
{{- end }}
{{- toYaml $probe }}
{{- end }}
