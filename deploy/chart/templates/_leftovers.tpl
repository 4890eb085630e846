{{/*
What a release before this one may have had, and this one has not: objects of Kong's charts, and of ours in the other mode or with
other values. `silverback adopt` keeps such objects for old pods, and the leader removes them: both have rights by these names.
*/}}

{{/* list NAMES OWN: those of the names that are not the release's own, as YAML. */}}
{{- define "silverback.without" -}}
{{- $left := list }}
{{- $own := index . 1 }}
{{- range index . 0 }}{{ if not (or (empty .) (has . $own)) }}{{ $left = append $left . }}{{ end }}{{ end }}
{{- toYaml (uniq $left) }}
{{- end }}

{{/* list CONTEXT NAMESPACE: Roles and RoleBindings in a namespace, be it the release's or one that is watched. */}}
{{- define "silverback.old-roles" -}}
{{- $context := index . 0 }}{{ $namespace := index . 1 }}
{{- $chart := include "silverback.webhook-owner" $context }}{{ $controller := include "silverback.controller" $context }}
{{- $own := ternary "-sidecar" "" (eq $context.Values.mode "sidecar") }}{{ $other := ternary "" "-sidecar" (eq $context.Values.mode "sidecar") }}
{{- $old := list }}{{ $new := list }}
{{- if eq $namespace (include "silverback.namespace" $context) }}
{{- $old = list $chart (printf "%s%s" $controller $other) }}
{{- $new = list (printf "%s%s" $controller $own) }}
{{- end }}
{{- if has $namespace (include "silverback.settings" $context | fromYaml).controller.watchNamespaces }}
{{- $old = concat $old (list (printf "%s-%s" $chart $namespace) (printf "%s-%s%s" $controller $namespace $other)) }}
{{- $new = append $new (printf "%s-%s%s" $controller $namespace $own) }}
{{- end }}
{{- include "silverback.without" (list $old $new) }}
{{- end }}

{{/* ClusterRoles and ClusterRoleBindings. */}}
{{- define "silverback.old-cluster-roles" -}}
{{- $other := ternary "" "-sidecar" (eq .Values.mode "sidecar") }}
{{- toYaml (list (include "silverback.webhook-owner" .) (printf "%s%s" (include "silverback.cluster-role" .) $other)) }}
{{- end }}

{{- define "silverback.old-service-accounts" -}}
{{- $settings := include "silverback.settings" . | fromYaml }}
{{- $own := list }}
{{- if $settings.proxy.serviceAccount.create }}{{ $own = append $own $settings.proxy.serviceAccount.name }}{{ end }}
{{- if and (eq .Values.mode "split") $settings.controller.serviceAccount.create }}{{ $own = append $own $settings.controller.serviceAccount.name }}{{ end }}
{{- include "silverback.without" (list (list (include "silverback.fullname" .) (include "silverback.controller" .) $settings.controller.serviceAccount.name) $own) }}
{{- end }}

{{/* The chart's own Secrets; the controller fills them. */}}
{{- define "silverback.own-secrets" -}}
{{- $webhook := (include "silverback.settings" . | fromYaml).controller.admissionWebhook }}
{{- $own := list }}
{{- if and (eq .Values.mode "split") (not .Values.pki.certManager.enabled) }}
{{- $own = list (include "silverback.ca-secret" .) (include "silverback.proxy-secret" .) }}
{{- end }}
{{- if and $webhook.enabled (not $webhook.certificate.provided) }}{{ $own = append $own (include "silverback.webhook-secret" .) }}{{ end }}
{{- toYaml $own }}
{{- end }}

{{- define "silverback.old-secrets" -}}
{{- $chart := include "silverback.webhook-owner" . }}
{{- $old := list }}
{{- range list "validation-webhook-keypair" "validation-webhook-ca-keypair" "admin-api-keypair" "admin-api-ca-keypair" }}
{{- $old = append $old (printf "%s-%s" $chart .) }}
{{- end }}
{{- $client := dig "ingressController" "adminApi" "tls" "client" (dict) (include "silverback.kong-controller" . | fromYaml) }}
{{- $old = concat $old (list (toString (default "" $client.secretName)) (toString (default "" $client.caSecretName))) }}
{{- $old = concat $old (list (include "silverback.ca-secret" .) (include "silverback.proxy-secret" .) (include "silverback.webhook-secret" .)) }}
{{- $old = concat $old (include "silverback.last-good-secrets" . | fromYamlArray) }}
{{- $own := include "silverback.own-secrets" . | fromYamlArray }}
{{- if eq (include "silverback.keeps-last-good" .) "true" }}{{ $own = concat $own (include "silverback.last-good-secrets" . | fromYamlArray) }}{{ end }}
{{- include "silverback.without" (list $old $own) }}
{{- end }}

{{- define "silverback.old-config-maps" -}}
- {{ include "silverback.fullname" . }}-admin-client-ca
{{- end }}
