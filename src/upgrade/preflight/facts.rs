//! What preflight is told: what the release shall become, and what was read of the cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{share::Share, workload::Controller};
use crate::upgrade::{definitions::Definition, release::Release};

/// The layout of names that the release keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopt {
    /// That of the chart `kong`: `REL-kong`, `REL-kong-proxy`.
    Kong,
    /// That of the chart `ingress`: `REL-gateway`, `REL-gateway-proxy`, `REL-controller`.
    Ingress,
}

impl Adopt {
    /// The value of the chart.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kong => "kong",
            Self::Ingress => "ingress",
        }
    }
}

/// Pods that come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewPods {
    /// How many; at least as many where an autoscaler counts them.
    pub count: u64,
    /// What each asks for, by name in a ResourceQuota: `requests.cpu` = `50m`.
    pub resources: BTreeMap<String, String>,
    /// The Deployment that they are of: those that it has are replaced. Without one all of them come beside what is there.
    pub deployment: Option<String>,
    /// How many more than it has there may be while it replaces them.
    pub surge: Share,
}

/// What the release shall become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub release: String,
    /// Namespace of its objects.
    pub namespace: String,
    /// Namespace where Helm keeps it: another one only with the chart's value `namespace`.
    pub release_namespace: String,
    /// Whose names it keeps.
    pub adopt: Adopt,
    /// Whether there is a controller in each proxy pod, instead of a Deployment of controllers.
    pub has_sidecars: bool,
    /// Name of the proxies' Deployment.
    pub proxy_deployment: String,
    /// Labels by which that Deployment selects its pods.
    pub proxy_selector: BTreeMap<String, String>,
    /// Name of the proxies' Service.
    pub proxy_service: String,
    /// Name of the controller's Deployment.
    pub controller_deployment: String,
    /// Name of the Service through which proxies are found.
    pub admin_service: String,
    /// Name of the IngressClass.
    pub ingress_class: String,
    /// Whether the chart makes the IngressClass.
    pub creates_ingress_class: bool,
    /// Whether the chart applies the definitions.
    pub manages_definitions: bool,
    /// Secret with the proxies' certificate.
    pub proxy_certificate_secret: Option<String>,
    /// Pods that come.
    pub new_pods: Vec<NewPods>,
    /// Whether the chart runs it, while Helm is at work on the release.
    pub is_hook: bool,
    /// Checks whose failures are warnings.
    pub ignored: Vec<String>,
}

impl Plan {
    /// A value of Kong's chart for the proxies, where the chart whose names are kept has it.
    pub(super) fn proxy_value(&self, path: &str) -> String {
        match self.adopt {
            Adopt::Kong => path.to_owned(),
            Adopt::Ingress => format!("gateway.{path}"),
        }
    }
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What: `Deployments of all namespaces`.
    pub what: String,
    /// The right that is needed: `list on deployments (apps)`.
    pub right: String,
    /// Why not.
    pub why: String,
}

/// Something that whoever installs must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `create on deployments (apps) in namespace shop`
    pub what: String,
    /// Whether it is.
    pub is_allowed: bool,
}

/// A certificate in a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// `namespace/name` of the Secret.
    pub secret: String,
    /// The certificate, PEM.
    pub pem: String,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// Version of the API server.
    pub kubernetes: Option<(u32, u32)>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// What whoever installs is allowed; empty if that was not asked.
    pub rights: Vec<Right>,
    /// Our definitions, each with the one in place.
    pub definitions: Vec<(Definition, Option<Definition>)>,
    /// Release and channel of the Gateway API's definitions, if they are there.
    pub gateway_api: Option<(String, String)>,
    /// The revision of the release that is deployed.
    pub deployed: Option<Release>,
    /// The revision that Helm is about to deploy.
    pub pending: Option<Release>,
    /// The latest revisions of the other releases in the namespace.
    pub neighbours: Vec<Release>,
    /// Deployments of the namespace.
    pub deployments: Vec<Value>,
    /// DaemonSets of the namespace.
    pub daemon_sets: Vec<Value>,
    /// Services of the namespace.
    pub services: Vec<Value>,
    /// ResourceQuotas of the namespace.
    pub quotas: Vec<Value>,
    /// The IngressClass of that name.
    pub ingress_class: Option<Value>,
    /// Controllers in the whole cluster that serve Ingresses as we do.
    pub controllers: Vec<Controller>,
    /// The certificate in the Secret that the proxies mount, if it holds one.
    pub proxy_certificate: Option<IssuedCertificate>,
    /// Authorities whose clients the gateways trust: where it stands, and its certificate as PEM.
    pub client_authorities: Vec<(String, String)>,
    /// Certificates of the namespace.
    pub certificates: Vec<IssuedCertificate>,
}
