{{/* The proxy's container and its volumes: the same alone (split) and beside a controller (sidecar). */}}

{{/* Kong's settings, which the embedded proxy takes, too. */}}
{{- define "silverback.proxy-env" -}}
{{- $proxy := (include "silverback.settings" . | fromYaml).proxy }}
{{- $sidecar := eq .Values.mode "sidecar" }}
{{- $http := list }}{{ $tls := list }}{{ $status := list }}{{ $admin := list }}{{ $stream := list }}{{ $ports := list }}
{{- range $proxy.service.addresses }}
{{- if $proxy.service.http.enabled }}{{ $http = append $http (join " " (prepend (default (list) $proxy.service.http.parameters) (printf "%s:%v" . $proxy.service.http.containerPort))) }}{{ end }}
{{- if $proxy.service.tls.enabled }}{{ $tls = append $tls (join " " (uniq (concat (list (printf "%s:%v" . $proxy.service.tls.containerPort)) (default (list "http2") $proxy.service.tls.parameters) (list "ssl")))) }}{{ end }}
{{- $status = append $status (printf "%s:%v" . $proxy.statusPort) }}
{{- $admin = append $admin (printf "%s:%v http2 ssl" . $proxy.adminPort) }}
{{- $address := . }}
{{- range $proxy.service.stream }}{{ $stream = append $stream (join " " (prepend (default (list) .parameters) (printf "%s:%v" $address .containerPort))) }}{{ end }}
{{- if $proxy.udp.enabled }}{{ range $proxy.udp.stream }}{{ $stream = append $stream (join " " (uniq (append (prepend (default (list) .parameters) (printf "%s:%v" $address .containerPort)) "udp"))) }}{{ end }}{{ end }}
{{- end }}
{{- range list $proxy.service.http $proxy.service.tls }}
{{- if .enabled }}{{ $ports = append $ports (printf "%v:%v" .port .containerPort) }}{{ end }}
{{- end }}
{{- $env := dict
  "database" "off"
  "proxy_listen" (join ", " (concat $http $tls))
  "status_listen" (join ", " $status)
  "port_maps" (join ", " $ports)
  "prefix" "/kong_prefix"
  "nginx_admin_client_max_body_size" "64m"
}}
{{- if $stream }}{{ $_ := set $env "stream_listen" (join ", " $stream) }}{{ end }}
{{- if $sidecar }}
{{- $_ := set $env "admin_listen" "127.0.0.1:8001" }}
{{- else }}
{{- $env = merge $env (dict
  "admin_listen" (join ", " $admin)
  "admin_ssl_cert" "/etc/silverback/admin/tls.crt"
  "admin_ssl_cert_key" "/etc/silverback/admin/tls.key"
  "nginx_admin_ssl_verify_client" "on"
  "nginx_admin_ssl_client_certificate" "/etc/silverback/admin/ca.crt"
) }}
{{- if eq (include "silverback.has-identities" .) "true" }}
{{- $env = omit $env "admin_ssl_cert" "admin_ssl_cert_key" }}
{{- end }}
{{- end }}
{{- if $proxy.certificate.enabled }}
{{- $_ := set $env "ssl_cert" "/etc/cert-manager/proxy/tls.crt" }}
{{- $_ := set $env "ssl_cert_key" "/etc/cert-manager/proxy/tls.key" }}
{{- end }}
{{- $plugins := list }}
{{- range concat (default (list) $proxy.plugins.configMaps) (default (list) $proxy.plugins.secrets) }}{{ $plugins = append $plugins .pluginName }}{{ end }}
{{- range $proxy.plugins.preInstalled }}
{{- if kindIs "map" . }}{{ $plugins = append $plugins .pluginName }}{{ else }}{{ $plugins = append $plugins . }}{{ end }}
{{- end }}
{{- if $plugins }}
{{- $_ := set $env "plugins" (printf "bundled,%s" (join "," $plugins)) }}
{{- $_ := set $env "lua_package_path" "/opt/?.lua;/opt/?/init.lua;;" }}
{{- end }}
{{- /* The listeners of the Admin API and of the state are the chart's; what those charts had there by default means nothing here. */}}
{{- toYaml (mergeOverwrite $env (omit (default (dict) $proxy.env) "admin_listen" "status_listen")) }}
{{- end }}

{{- define "silverback.proxy-variables" -}}
{{- $proxy := (include "silverback.settings" . | fromYaml).proxy }}
env:
  {{- include "silverback.variables" (list "KONG_" (include "silverback.proxy-env" . | fromYaml)) | trim | nindent 2 }}
  - name: KONG_NGINX_DAEMON
    value: "off"
  {{- if eq (include "silverback.keeps-configuration" .) "true" }}
  # A container that restarts has its configuration at once, also while no controller is there.
  - name: SILVERBACK_PROXY_CONFIGURATION_FILE
    value: /var/lib/silverback/configuration.json
  {{- end }}
  {{- if and (eq .Values.mode "split") (not .Values.pki.certManager.enabled) }}
  # Only the controller may use the Admin API, not whoever else the authority signs for. Kong knows no such setting.
  - name: SILVERBACK_PROXY_ADMIN_CLIENT_NAME
    value: controller.silverback.internal
  {{- end }}
  {{- if eq (include "silverback.has-identities" .) "true" }}
  - name: SILVERBACK_PROXY_IDENTITY_URL
    value: https://{{ include "silverback.identity-service" . }}.{{ include "silverback.namespace" . }}.svc:8445
  {{- end }}
  {{- with $proxy.customEnv }}
  {{- include "silverback.variables" (list "" .) | trim | nindent 2 }}
  {{- end }}
  {{- with $proxy.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $proxy.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "silverback.proxy-mounts" -}}
{{- $proxy := (include "silverback.settings" . | fromYaml).proxy }}
{{- $name := include "silverback.fullname" . }}
- {name: {{ $name }}-prefix-dir, mountPath: {{ (include "silverback.proxy-env" . | fromYaml).prefix }}}
- {name: {{ $name }}-tmp, mountPath: /tmp}
{{- if eq (include "silverback.keeps-configuration" .) "true" }}
- {name: kept-configuration, mountPath: /var/lib/silverback}
{{- end }}
{{- if eq .Values.mode "split" }}
- {name: admin-certificates, mountPath: /etc/silverback/admin, readOnly: true}
{{- if eq (include "silverback.has-identities" .) "true" }}
- {name: identity, mountPath: {{ (include "silverback.proxy-env" . | fromYaml).prefix | trimSuffix "/" }}/identity}
- {name: token, mountPath: /var/run/secrets/silverback, readOnly: true}
{{- end }}
{{- end }}
{{- if $proxy.certificate.enabled }}
- {name: {{ $name }}-proxy-cert, mountPath: /etc/cert-manager/proxy/, readOnly: true}
{{- end }}
{{- range $proxy.secretVolumes }}
- {name: {{ . }}, mountPath: /etc/secrets/{{ . }}}
{{- end }}
{{- range concat (default (list) $proxy.extraConfigMaps) (default (list) $proxy.extraSecrets) }}
- name: {{ .name }}
  mountPath: {{ .mountPath }}
  {{- with .subPath }}
  subPath: {{ . }}
  {{- end }}
{{- end }}
{{- range concat (default (list) $proxy.plugins.configMaps) (default (list) $proxy.plugins.secrets) }}
{{- $plugin := .pluginName }}
- {name: kong-plugin-{{ $plugin }}, mountPath: /opt/kong/plugins/{{ $plugin }}, readOnly: true}
{{- range .subdirectories }}
- {name: {{ .name }}, mountPath: /opt/kong/plugins/{{ $plugin }}/{{ default .name .path }}, readOnly: true}
{{- end }}
{{- end }}
{{- with $proxy.userDefinedVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- with $proxy.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "silverback.proxy-volumes" -}}
{{- $proxy := (include "silverback.settings" . | fromYaml).proxy }}
{{- $name := include "silverback.fullname" . }}
- name: {{ $name }}-prefix-dir
  emptyDir: {sizeLimit: {{ dig "sizeLimit" "256Mi" (default (dict) $proxy.prefixDir) }}}
- name: {{ $name }}-tmp
  emptyDir: {sizeLimit: {{ dig "sizeLimit" "1Gi" (default (dict) $proxy.tmpDir) }}}
{{- if eq (include "silverback.keeps-configuration" .) "true" }}
# It holds secrets: they stay in the node's memory, and go with the pod. Twice the largest configuration has room.
- name: kept-configuration
  emptyDir: {medium: Memory, sizeLimit: 160Mi}
{{- end }}
{{- if eq .Values.mode "split" }}
# With items, the kubelet waits until the Secret is filled.
- name: admin-certificates
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "silverback.proxy-secret" . }}
          items:
            {{- if ne (include "silverback.has-identities" .) "true" }}
            - {key: tls.crt, path: tls.crt}
            - {key: tls.key, path: tls.key}
            {{- end }}
            {{- if not .Values.pki.certManager.enabled }}
            - {key: ca.crt, path: ca.crt}
            {{- end }}
      {{- if .Values.pki.certManager.enabled }}
      # Whom the proxies trust is who signed for the controller, not who signed for them.
      - secret:
          name: {{ include "silverback.client-secret" . }}
          items:
            - {key: ca.crt, path: ca.crt}
      {{- end }}
{{- end }}
{{- if eq (include "silverback.has-identities" .) "true" }}
# The key stays in the node's memory.
- name: identity
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: token
  projected:
    sources:
      - serviceAccountToken: {path: token, audience: identity.gateway.silverback.dev, expirationSeconds: 3600}
{{- end }}
{{- if $proxy.certificate.enabled }}
- name: {{ $name }}-proxy-cert
  secret: {secretName: {{ $name }}-proxy-cert, defaultMode: 0440}
{{- end }}
{{- include "silverback.named-volumes" $proxy }}
{{- range $proxy.plugins.configMaps }}
- name: kong-plugin-{{ .pluginName }}
  configMap: {name: {{ .name }}}
{{- range .subdirectories }}
- name: {{ .name }}
  configMap: {name: {{ .name }}}
{{- end }}
{{- end }}
{{- range $proxy.plugins.secrets }}
- name: kong-plugin-{{ .pluginName }}
  secret: {secretName: {{ .name }}, defaultMode: 0440}
{{- range .subdirectories }}
- name: {{ .name }}
  secret: {secretName: {{ .name }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- with $proxy.userDefinedVolumes }}
{{ toYaml . }}
{{- end }}
{{- with $proxy.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "silverback.proxy-container-security" -}}
{{- $proxy := (include "silverback.settings" . | fromYaml).proxy }}
{{- $given := default (dict) $proxy.containerSecurityContext }}
{{- if ne (toString $given.enabled) "false" }}
securityContext:
  {{- if omit $given "enabled" }}
  {{- toYaml (omit $given "enabled") | nindent 2 }}
  {{- else }}
  {{- include "silverback.container-security" . | trim | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "silverback.proxy-init-containers" -}}
{{- $proxy := (include "silverback.settings" . | fromYaml).proxy }}
{{- if $proxy.clearStalePid.enabled }}
- name: clear-stale-pid
  image: {{ default (include "silverback.image" (list . $proxy.image)) $proxy.clearStalePid.image | quote }}
  imagePullPolicy: {{ $proxy.image.pullPolicy }}
  {{- if $proxy.clearStalePid.command }}
  command:
    {{- toYaml $proxy.clearStalePid.command | nindent 4 }}
  {{- else }}
  command: [rm, "-vrf", "$(KONG_PREFIX)/pids", "$(KONG_PREFIX)/sockets"]
  {{- end }}
  {{- include "silverback.proxy-variables" . | trim | nindent 2 }}
  {{- include "silverback.proxy-container-security" . | trim | nindent 2 }}
  {{- with $proxy.initContainerResources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- include "silverback.proxy-mounts" . | trim | nindent 4 }}
{{- end }}
{{- with $proxy.initContainers }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "silverback.proxy-container" -}}
{{- $proxy := (include "silverback.settings" . | fromYaml).proxy }}
- name: proxy
  image: {{ include "silverback.image" (list . $proxy.image) | quote }}
  imagePullPolicy: {{ $proxy.image.pullPolicy }}
  {{- with $proxy.args }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "silverback.proxy-variables" . | trim | nindent 2 }}
  ports:
    {{- if $proxy.service.http.enabled }}
    - {name: proxy, containerPort: {{ $proxy.service.http.containerPort }}{{ with $proxy.service.http.hostPort }}, hostPort: {{ . }}{{ end }}}
    {{- end }}
    {{- if $proxy.service.tls.enabled }}
    - {name: proxy-tls, containerPort: {{ $proxy.service.tls.containerPort }}{{ with $proxy.service.tls.hostPort }}, hostPort: {{ . }}{{ end }}}
    {{- end }}
    {{- range $proxy.service.stream }}
    - {name: stream-{{ .containerPort }}, containerPort: {{ .containerPort }}, protocol: {{ default "TCP" .protocol }}{{ with .hostPort }}, hostPort: {{ . }}{{ end }}}
    {{- end }}
    {{- if $proxy.udp.enabled }}
    {{- range $proxy.udp.stream }}
    - {name: streamudp-{{ .containerPort }}, containerPort: {{ .containerPort }}, protocol: UDP{{ with .hostPort }}, hostPort: {{ . }}{{ end }}}
    {{- end }}
    {{- end }}
    {{- if eq .Values.mode "split" }}
    - {name: admin-tls, containerPort: {{ $proxy.adminPort }}}
    {{- end }}
    - {name: status, containerPort: {{ $proxy.statusPort }}}
  # Without a configuration it is not ready: no request ever meets an unconfigured proxy.
  readinessProbe:
    {{- toYaml $proxy.readinessProbe | nindent 4 }}
  livenessProbe:
    {{- toYaml $proxy.livenessProbe | nindent 4 }}
  {{- with $proxy.startupProbe }}
  startupProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  lifecycle:
    {{- if $proxy.lifecycle }}
    {{- toYaml $proxy.lifecycle | nindent 4 }}
    {{- else }}
    preStop:
      sleep: {seconds: {{ $proxy.preStopSeconds }}}
    {{- end }}
  {{- include "silverback.proxy-container-security" . | trim | nindent 2 }}
  resources:
    {{- toYaml $proxy.resources | nindent 4 }}
  volumeMounts:
    {{- include "silverback.proxy-mounts" . | trim | nindent 4 }}
{{- end }}

{{/* 80 % of KONG_NGINX_ADMIN_CLIENT_MAX_BODY_SIZE, which is written as nginx writes sizes. */}}
{{- define "silverback.body-threshold" -}}
{{- $size := lower (toString (include "silverback.proxy-env" . | fromYaml).nginx_admin_client_max_body_size) }}
{{- $factor := 1 }}
{{- if hasSuffix "k" $size }}{{ $factor = 1024 }}{{ else if hasSuffix "m" $size }}{{ $factor = 1048576 }}{{ else if hasSuffix "g" $size }}{{ $factor = 1073741824 }}{{ end }}
{{- div (mul (int64 (regexFind "^[0-9]+" $size)) $factor 8) 10 }}
{{- end }}
