//! What a Deployment or DaemonSet runs, as far as it tells a proxy or a controller.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A controller somewhere in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// `Deployment namespace/name`
    pub workload: String,
    /// Namespace.
    pub namespace: String,
    /// Helm release that it belongs to.
    pub release: Option<String>,
    /// Class that it serves.
    pub ingress_class: String,
    /// Namespaces that it watches; all when empty.
    pub namespaces: BTreeSet<String>,
    /// Whether it does not verify the certificates of its proxies (`--kong-admin-tls-skip-verify`).
    pub skips_verification: bool,
}

impl Controller {
    /// The controller in a workload, if there is one.
    pub fn of(workload: &Value) -> Option<Self> {
        let container = containers(workload).find(|container| is_controller(container))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, metadata) = (text(&workload["kind"]), &workload["metadata"]);
        let namespace = text(&metadata["namespace"]);
        let setting = |flag: &str| setting(container, flag);
        let watched = setting("watch-namespace").unwrap_or_default();
        let watched = watched.split(',').map(str::trim).filter(|name| !name.is_empty());
        Some(Self {
            workload: format!("{kind} {namespace}/{}", text(&metadata["name"])),
            release: metadata["annotations"]["meta.helm.sh/release-name"]
                .as_str()
                .map(str::to_owned),
            ingress_class: setting("ingress-class").unwrap_or_else(|| "kong".to_owned()),
            namespaces: watched.map(str::to_owned).collect(),
            namespace,
            skips_verification: is_on(container, SKIP_VERIFY),
        })
    }

    /// Whether there is a namespace that both watch.
    pub(super) fn shares_namespaces(&self, other: &BTreeSet<String>) -> bool {
        self.namespaces.is_empty() || other.is_empty() || !self.namespaces.is_disjoint(other)
    }
}

/// Whoever has one of these drives proxies.
const ADMIN_VARIABLES: [&str; 3] = [
    "CONTROLLER_KONG_ADMIN_SVC",
    "CONTROLLER_KONG_ADMIN_URL",
    "CONTROLLER_PROXY",
];
const SKIP_VERIFY: &str = "kong-admin-tls-skip-verify";

pub(super) fn containers(workload: &Value) -> impl Iterator<Item = &Value> {
    let list = workload["spec"]["template"]["spec"]["containers"].as_array();
    list.into_iter().flatten()
}

fn is_controller(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or_default();
    container["name"] == "ingress-controller"
        || image.contains("kubernetes-ingress-controller")
        || environment(container).any(|(name, _)| ADMIN_VARIABLES.contains(&name))
        || arguments(container)
            .any(|argument| argument.starts_with("--kong-admin-svc") || argument.starts_with("--kong-admin-url"))
}

fn arguments(container: &Value) -> impl Iterator<Item = &str> {
    ["command", "args"]
        .into_iter()
        .flat_map(|field| container[field].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
}

fn environment(container: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = container["env"].as_array().into_iter().flatten();
    list.filter_map(|variable| {
        Some((
            variable["name"].as_str()?,
            variable["value"].as_str().unwrap_or_default(),
        ))
    })
}

/// What a flag of the controller is set to, on its command line or by its variable.
fn setting(container: &Value, flag: &str) -> Option<String> {
    let long = format!("--{flag}");
    let mut words = arguments(container).skip_while(|word| *word != long && !word.starts_with(&format!("{long}=")));
    if let Some(word) = words.next() {
        return match word.split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => words.next().map(str::to_owned),
        };
    }
    let variable = variable(flag);
    let mut environment = environment(container).filter(|(name, value)| *name == variable && !value.is_empty());
    environment.next().map(|(_, value)| value.to_owned())
}

/// Whether a flag of the controller without a value is given, on its command line or by its variable.
fn is_on(container: &Value, flag: &str) -> bool {
    let is_true = |value: &str| ["1", "t", "true"].contains(&value.to_ascii_lowercase().as_str());
    let long = format!("--{flag}");
    let said = arguments(container).filter_map(|word| word.strip_prefix(&long));
    match said.last() {
        Some("") => true,
        Some(value) if value.starts_with('=') => is_true(&value[1..]),
        // Another flag that begins like this one.
        Some(_) => false,
        None => {
            let variable = variable(flag);
            environment(container).any(|(name, value)| *name == variable && is_true(value))
        }
    }
}

/// The variable of Kong Ingress Controller that stands for a flag.
fn variable(flag: &str) -> String {
    format!("CONTROLLER_{}", flag.to_uppercase().replace('-', "_"))
}

/// The proxy in a workload: its container.
pub(super) fn proxy(workload: &Value) -> Option<&Value> {
    containers(workload).find(|container| container["name"] == "proxy")
}

/// What `KONG_DATABASE` says; `Err` with where it comes from if that is elsewhere.
pub(super) fn database(proxy: &Value) -> Result<&str, ()> {
    let mut list = proxy["env"].as_array().into_iter().flatten();
    match list.find(|variable| variable["name"] == "KONG_DATABASE") {
        Some(variable) => variable["value"].as_str().ok_or(()),
        // What Kong takes when nothing is said.
        None => Ok("postgres"),
    }
}

/// Labels by which a workload selects its pods.
pub(super) fn selector(workload: &Value) -> BTreeMap<String, String> {
    labels(&workload["spec"]["selector"]["matchLabels"])
}

pub(super) fn labels(value: &Value) -> BTreeMap<String, String> {
    let labels = value.as_object().into_iter().flatten();
    labels
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// `a=b,c=d`
pub(super) fn shown(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// How many pods a Deployment shall have, where it says so.
pub(super) fn replicas(deployment: &Value) -> Option<u64> {
    deployment["spec"]["replicas"].as_u64()
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether Helm counts an object as that release's.
pub(super) fn is_owned(object: &Value, release: &str, namespace: &str) -> bool {
    let annotations = &object["metadata"]["annotations"];
    annotations["meta.helm.sh/release-name"] == release && annotations["meta.helm.sh/release-namespace"] == namespace
}
