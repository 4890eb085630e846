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
    pub(super) values: &'static str,
}

/// The fixture of the kong chart.
const KONG: &str = "e2e/testdata/kong-release";

impl Edge {
    /// What most users have, with a load balancer that sends to nodes with a proxy alone.
    pub(super) fn plain() -> Self {
        Self {
            what: "the kong chart's defaults",
            chart: Some(KONG),
            name: "edge-kong",
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
            values: "replicaCount: 2\nfullnameOverride: front\nextraLabels: {team: edge}\n\
                     proxy: {type: NodePort, http: {nodePort: 30080}, tls: {nodePort: 30443}}\n\
                     ingressController: {ingressClass: edge, env: {log_level: debug}}\n\
                     updateStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 100%, maxUnavailable: 0}}\n\
                     lifecycle: {preStop: {exec: {command: [kong, quit, --wait=4, --timeout=4]}}}\n",
        }
    }

    /// Our own chart in the classic layout.
    pub(super) fn sidecar() -> Self {
        Self {
            what: "our sidecar mode",
            chart: None,
            name: "edge-kong",
            values: "mode: sidecar\ningressClass: {name: edge}\nproxy: {service: {type: ClusterIP}, preStopSeconds: 4, \
                     customEnv: {silverback_proxy_drain_timeout: 4s}}\n",
        }
    }
}
