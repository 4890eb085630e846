//! The release that is upgraded: where it is, what it is called, which values it has.

/// Namespace and IngressClass: beside the release that all scenarios share.
pub(super) const NAMESPACE: &str = "edge";
pub(super) const HOST: &str = "edge.example";
pub(super) const RELEASE: &str = "edge";

/// A starting point.
pub(super) struct Edge {
    pub(super) what: &'static str,
    /// Directory of its chart; none is our own.
    pub(super) chart: Option<&'static str>,
    /// Name of the Deployment; the Service's is this with `-proxy`.
    pub(super) name: &'static str,
    /// Name of the controllers' Deployment.
    pub(super) controller: &'static str,
    /// What the upgrade is given beside the images.
    pub(super) given: &'static str,
    /// Name of the one Lease.
    pub(super) lease: &'static str,
    pub(super) values: &'static str,
}

/// The fixtures of the charts.
const KONG: &str = "e2e/testdata/kong-release";
const INGRESS: &str = "e2e/testdata/ingress-release";
/// The controller's name of the ingress chart's release, as its values have it: the release that all scenarios share has the
/// default.
pub(super) const GATEWAY_CONTROLLER: &str = "example.com/edge";
/// The Lease of our own chart.
const LEASE: &str = "edge.silverback.gateway.silverback.dev";

impl Edge {
    /// Whether each proxy pod has a controller of ours, as our chart makes them.
    pub(super) fn has_own_sidecars(&self) -> bool {
        self.chart.is_none()
    }

    pub(super) fn is_of_ingress_chart(&self) -> bool {
        self.chart == Some(INGRESS)
    }

    /// Whether an autoscaler decides how many proxies there are.
    pub(super) fn is_autoscaled(&self) -> bool {
        self.values.contains("autoscaling: {enabled: true")
    }

    /// What most users have, with a load balancer that sends to nodes with a proxy alone.
    pub(super) fn plain() -> Self {
        Self {
            what: "the kong chart's defaults",
            chart: Some(KONG),
            name: "edge-kong",
            controller: "edge-kong-controller",
            given: "mode=split",
            lease: LEASE,
            values: "replicaCount: 2\nproxy: {externalTrafficPolicy: Local}\n\
                     ingressController: {ingressClass: edge}\n\
                     lifecycle: {preStop: {exec: {command: [kong, quit, --wait=4, --timeout=4]}}}\n",
        }
    }

    /// Names of the user's own, fixed node ports, a Deployment that may double.
    pub(super) fn other_names() -> Self {
        Self {
            what: "fullnameOverride, node ports, a strategy of its own, further labels",
            chart: Some(KONG),
            name: "front",
            controller: "front-controller",
            given: "mode=split",
            lease: LEASE,
            values: "replicaCount: 2\nfullnameOverride: front\nextraLabels: {team: edge}\n\
                     proxy: {type: NodePort, http: {nodePort: 30080}, tls: {nodePort: 30443}}\n\
                     ingressController: {ingressClass: edge, env: {log_level: debug}}\n\
                     updateStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 100%, maxUnavailable: 0}}\n\
                     lifecycle: {preStop: {exec: {command: [kong, quit, --wait=4, --timeout=4]}}}\n",
        }
    }

    /// What larger users have: another label of the name, an autoscaler, a budget for disruptions, objects of their own.
    pub(super) fn grown() -> Self {
        Self {
            what: "nameOverride, autoscaling, a PodDisruptionBudget, extraObjects, podLabels, proxy.nameOverride",
            chart: Some(KONG),
            name: "edge-main",
            controller: "edge-main-controller",
            given: "mode=split",
            lease: LEASE,
            values: "nameOverride: main\nextraLabels: {team: edge}\npodLabels: {tier: front}\n\
                     autoscaling: {enabled: true, minReplicas: 2, maxReplicas: 4}\n\
                     podDisruptionBudget: {enabled: true, minAvailable: 1}\n\
                     proxy: {type: NodePort, annotations: {example.com/balancer: internal}}\n\
                     ingressController: {ingressClass: edge, watchNamespaces: [shop, edge], env: {log_level: debug}}\n\
                     resources: {requests: {cpu: 10m}}\n\
                     extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: edge-pages}, data: {page: hello}}]\n\
                     lifecycle: {preStop: {exec: {command: [kong, quit, --wait=4, --timeout=4]}}}\n",
        }
    }

    /// The ingress chart: one controller, gateway discovery.
    pub(super) fn ingress() -> Self {
        Self {
            what: "the ingress chart",
            chart: Some(INGRESS),
            name: "edge-gateway",
            controller: "edge-controller",
            given: "adopt=ingress",
            lease: "kong-ingress-controller-leader-edge",
            values: "controller: {ingressController: {ingressClass: edge, env: {gateway_api_controller_name: example.com/edge}}}\n\
                     gateway:\n  replicaCount: 2\n\
                     \x20 proxy: {externalTrafficPolicy: Local}\n\
                     \x20 lifecycle: {preStop: {exec: {command: [kong, quit, --wait=4, --timeout=4]}}}\n",
        }
    }

    /// Our own chart in the classic layout.
    pub(super) fn sidecar() -> Self {
        Self {
            what: "our sidecar mode",
            chart: None,
            name: "edge-kong",
            controller: "edge-kong-controller",
            given: "mode=split",
            lease: LEASE,
            values: "mode: sidecar\ningressClass: {name: edge}\nproxy: {service: {type: ClusterIP}, preStopSeconds: 4, \
                     customEnv: {silverback_proxy_drain_timeout: 4s}}\n",
        }
    }
}
