{{/* The controller's container and its volumes: alone (split), or beside the proxy that it drives (sidecar). */}}

{{- define "silverback.controller-arguments" -}}
{{- $settings := include "silverback.settings" . | fromYaml }}
{{- $controller := $settings.controller }}
{{- $namespace := include "silverback.namespace" . }}
{{- $sidecar := eq .Values.mode "sidecar" }}
- run
{{- if $sidecar }}
- --kong-admin-url=http://127.0.0.1:8001
{{- else }}
- --kong-admin-svc={{ $namespace }}/{{ include "silverback.admin" . }}
{{- if .Values.pki.certManager.enabled }}
- --kong-admin-tls-client-cert-file=/etc/silverback/client/tls.crt
- --kong-admin-tls-client-key-file=/etc/silverback/client/tls.key
- --kong-admin-ca-cert-file=/etc/silverback/client/proxy-ca.crt
{{- else }}
- --ca-secret={{ $namespace }}/{{ include "silverback.ca-secret" . }}
- --proxy-certificate-secret={{ $namespace }}/{{ include "silverback.proxy-secret" . }}
{{- if eq (include "silverback.has-identities" .) "true" }}
- --proxy-identity-listen=:8445
- --proxy-identity-service={{ $namespace }}/{{ include "silverback.identity-service" . }}
- --proxy-service-account={{ $namespace }}/{{ $settings.proxy.serviceAccount.name }}
{{- end }}
{{- end }}
{{- if eq (include "silverback.restarts-proxies" .) "true" }}
- --restart-workload=deployment/{{ $namespace }}/{{ include "silverback.fullname" . }}
{{- end }}
{{- end }}
{{- /* Not the one Lease: the new controller must be able to lead while sidecars are left. */}}
- --election-id={{ include "silverback.election-id" . }}{{ if $sidecar }}-sidecar{{ end }}
- --publish-service={{ default (printf "%s/%s" $namespace (include "silverback.proxy-service" .)) $controller.publishService }}
- --upgrade-record={{ $namespace }}/{{ .Release.Name }}-upgrade-record
{{- if eq (include "silverback.keeps-last-good" .) "true" }}
- --last-good-secret={{ $namespace }}/{{ include "silverback.last-good" . }}
{{- end }}
{{- if or $settings.proxy.udp.enabled $controller.publishServiceUdp }}
- --publish-service-udp={{ default (printf "%s/%s" $namespace (include "silverback.udp-service" .)) $controller.publishServiceUdp }}
{{- end }}
- --ingress-class={{ $settings.ingressClass.served }}
{{- with $controller.admissionWebhook }}
{{- if .enabled }}
- --admission-webhook-listen=:{{ .port }}
{{- if not .certificate.provided }}
- --admission-webhook-secret={{ $namespace }}/{{ include "silverback.webhook-secret" $ }}
- --admission-webhook-service={{ $namespace }}/{{ include "silverback.webhook-service" $ }}
- --admission-webhook-configuration={{ include "silverback.webhook-configuration" $ }}
{{- end }}
{{- end }}
{{- end }}
{{- with $controller.watchNamespaces }}
- --watch-namespace={{ join "," . }}
{{- end }}
{{- range $controller.args }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "silverback.controller-container" -}}
{{- $controller := (include "silverback.settings" . | fromYaml).controller }}
- name: {{ ternary "ingress-controller" "controller" (eq .Values.mode "sidecar") }}
  image: {{ include "silverback.image" (list . $controller.image) | quote }}
  imagePullPolicy: {{ $controller.image.pullPolicy }}
  args:
    {{- include "silverback.controller-arguments" . | trim | nindent 4 }}
  env:
    {{- include "silverback.pod-identity" . | trim | nindent 4 }}
    {{- if eq .Values.mode "sidecar" }}
    # Of the row that each writes of its own proxy.
    - name: NODE_NAME
      valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
    {{- end }}
    {{- with $controller.variables }}
    {{- include "silverback.variables" (list "CONTROLLER_" .) | trim | nindent 4 }}
    {{- end }}
    {{- with $controller.customEnv }}
    {{- include "silverback.variables" (list "" .) | trim | nindent 4 }}
    {{- end }}
    {{- with (ternary $controller.env (list) (kindIs "slice" $controller.env)) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $controller.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: health, containerPort: 10254}
    - {name: metrics, containerPort: 10255}
    {{- if eq (include "silverback.has-identities" .) "true" }}
    - {name: identity, containerPort: 8445}
    {{- end }}
    {{- if $controller.admissionWebhook.enabled }}
    - {name: webhook, containerPort: {{ $controller.admissionWebhook.port }}}
    {{- end }}
  livenessProbe:
    {{- toYaml $controller.livenessProbe | nindent 4 }}
  readinessProbe:
    {{- toYaml $controller.readinessProbe | nindent 4 }}
  {{- if ne (toString (default (dict) $controller.containerSecurityContext).enabled) "false" }}
  securityContext:
    {{- include "silverback.merged" (list (include "silverback.container-security" . | fromYaml) (omit (default (dict) $controller.containerSecurityContext) "enabled")) | nindent 4 }}
  {{- end }}
  resources:
    {{- toYaml $controller.resources | nindent 4 }}
  {{- $mounts := include "silverback.controller-mounts" . | trim }}
  {{- with $mounts }}
  volumeMounts:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "silverback.controller-mounts" -}}
{{- $controller := (include "silverback.settings" . | fromYaml).controller }}
{{- if eq .Values.mode "sidecar" }}
- {name: {{ include "silverback.fullname" . }}-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- else if .Values.pki.certManager.enabled }}
- {name: client-certificate, mountPath: /etc/silverback/client, readOnly: true}
{{- end }}
{{- if and $controller.admissionWebhook.enabled $controller.admissionWebhook.certificate.provided }}
- {name: webhook-cert, mountPath: /admission-webhook, readOnly: true}
{{- end }}
{{- with $controller.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "silverback.controller-volumes" -}}
{{- $controller := (include "silverback.settings" . | fromYaml).controller }}
{{- if and (eq .Values.mode "split") .Values.pki.certManager.enabled }}
# Whom the controller trusts is who signed for the proxies, not who signed for it.
- name: client-certificate
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "silverback.client-secret" . }}
          items:
            - {key: tls.crt, path: tls.crt}
            - {key: tls.key, path: tls.key}
      - secret:
          name: {{ include "silverback.proxy-secret" . }}
          items:
            - {key: ca.crt, path: proxy-ca.crt}
{{- end }}
{{- with $controller.admissionWebhook }}
{{- if and .enabled .certificate.provided }}
- name: webhook-cert
  secret:
    secretName: {{ required "controller.admissionWebhook.certificate.secretName: name the Secret with tls.crt and tls.key" .certificate.secretName }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- /* In the ingress chart, volumes of the pod for whoever is beside the controller: it mounted none itself. */}}
{{- if eq .Values.adopt "ingress" }}{{ include "silverback.named-volumes" $controller }}{{ end }}
{{- with $controller.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
