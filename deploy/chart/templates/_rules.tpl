{{/* What the controller may read, and the statuses that it may write: least privilege by kind. */}}

{{/* Kinds that belong to no namespace. */}}
{{- define "silverback.cluster-rules" -}}
{{- $controller := (include "silverback.settings" . | fromYaml).controller }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [get, list, watch]
- apiGroups: [configuration.konghq.com]
  resources: [kongclusterplugins, konglicenses, kongvaults]
  verbs: [get, list, watch]
- apiGroups: [configuration.konghq.com]
  resources: [kongclusterplugins/status, konglicenses/status, kongvaults/status]
  verbs: [patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [patch]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
# Events of objects that belong to no namespace are in "default".
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if eq (include "silverback.has-identities" .) "true" }}
# Whose token it is that a proxy shows.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
{{- end }}
{{- if and $controller.admissionWebhook.enabled (not $controller.admissionWebhook.certificate.provided) }}
# The caBundle of the chart's own webhooks.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [{{ include "silverback.webhook-configuration" . }}]
  verbs: [get, list, watch, patch]
{{- end }}
{{- end }}

{{/* Kinds in namespaces. */}}
{{- define "silverback.namespaced-rules" -}}
- apiGroups: [""]
  resources: [services, secrets, configmaps]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
- apiGroups: [configuration.konghq.com]
  resources:
    - ingressclassparameterses
    - kongconsumergroups
    - kongconsumers
    - kongcustomentities
    - kongingresses
    - kongplugins
    - kongupstreampolicies
    - tcpingresses
    - udpingresses
  verbs: [get, list, watch]
- apiGroups: [configuration.konghq.com]
  resources:
    - kongconsumergroups/status
    - kongconsumers/status
    - kongcustomentities/status
    - kongplugins/status
    - kongupstreampolicies/status
    - tcpingresses/status
    - udpingresses/status
  verbs: [patch]
- apiGroups: [incubator.ingress-controller.konghq.com]
  resources: [kongservicefacades]
  verbs: [get, list, watch]
- apiGroups: [incubator.ingress-controller.konghq.com]
  resources: [kongservicefacades/status]
  verbs: [patch]
- apiGroups: [gateway.networking.k8s.io]
  resources:
    - backendtlspolicies
    - gateways
    - grpcroutes
    - httproutes
    - referencegrants
    - tcproutes
    - tlsroutes
    - udproutes
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources:
    - backendtlspolicies/status
    - gateways/status
    - grpcroutes/status
    - httproutes/status
    - tcproutes/status
    - tlsroutes/status
    - udproutes/status
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
