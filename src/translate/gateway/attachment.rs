//! Which routes are served by which listeners of our Gateways, under which host names (`kic.md` 6.3). Pure.

use super::{
    hostnames,
    listeners::OurListener,
    status::{ConditionOutcome, ParentOutcome, RouteOutcome},
};
use crate::{
    model::{
        Kind, NamespacedName, Reason, Snapshot,
        gateway::{LabelSelector, Listener, ParentReference},
        kubernetes::TextMap,
    },
    translate::{problems::Owner, state::State},
};

/// The label that the API server gives each Namespace: its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What attaching a route needs to know of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route<'a> {
    pub(super) owner: Owner<'a>,
    pub(super) parents: &'a [ParentReference],
    pub(super) hostnames: &'a [String],
}

/// Where a route is served.
#[derive(Debug, Clone, Default)]
pub(super) struct Attachment<'a> {
    /// The listeners that take it. Of raw objects: those that it names, as far as their Gateways are there.
    pub(super) listeners: Vec<&'a Listener>,
    /// The names under which it is served, empty for any. Of raw objects: its own.
    pub(super) hostnames: Vec<String>,
}

impl Attachment<'_> {
    /// Whether one of the listeners has one of these protocols.
    pub(super) fn has_protocol(&self, protocol: &str) -> bool {
        self.listeners.iter().any(|listener| listener.protocol == protocol)
    }

    /// What HTTP routes are reached by: what the listeners have, `None` if there are none.
    pub(super) fn http_protocols(&self) -> Option<Vec<&'static str>> {
        let protocols = [("HTTP", "http"), ("HTTPS", "https")].into_iter();
        let served: Vec<_> = protocols
            .filter(|(listener, _)| self.has_protocol(listener))
            .map(|(_, protocol)| protocol)
            .collect();
        (!served.is_empty()).then_some(served)
    }
}

/// Why a listener does not take a route; a later one says that more of it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    NoMatchingParent,
    NotAllowedByListeners,
    NoMatchingListenerHostname,
}

impl Refusal {
    fn word(self) -> (&'static str, Reason) {
        match self {
            Self::NoMatchingParent => ("NoMatchingParent", Reason::NoMatchingParent),
            Self::NotAllowedByListeners => ("NotAllowedByListeners", Reason::NotAllowedByListeners),
            Self::NoMatchingListenerHostname => ("NoMatchingListenerHostname", Reason::NoMatchingListenerHostname),
        }
    }
}

/// Attaches a route, and notes what came of it. `None` if it is served nowhere.
pub(super) fn attach<'a>(route: Route<'a>, state: &mut State<'a>) -> Option<Attachment<'a>> {
    let own = valid_hostnames(route, state)?;
    if state.settings.raw_objects {
        return Some(attach_raw(route, own, state));
    }
    let mut outcome = RouteOutcome {
        observed_generation: route.owner.metadata.generation,
        ..RouteOutcome::default()
    };
    let mut attachment = Attachment::default();
    let mut names: Vec<Option<&str>> = Vec::new();
    for (position, parent) in route.parents.iter().enumerate() {
        let Some((namespace, name)) = gateway_name(route, parent) else {
            continue;
        };
        if state.gateways.get(namespace, name).is_none() {
            report_unknown(route, position, (namespace, name), state);
            continue;
        }
        let accepted = match_parent(route, parent, (namespace, name), &own, state);
        let (accepted, condition) = match accepted {
            Ok(accepted) => (
                accepted,
                ConditionOutcome::yes("Accepted", "Accepted", "the route is attached"),
            ),
            Err((refusal, message)) => {
                let (word, reason) = refusal.word();
                let consequence = format!("{message}; the route is not served there");
                let field = format!("spec.parentRefs[{position}]");
                let remedy = "correct the route, or let a listener of the Gateway take it";
                state.problems.report(route.owner, field, reason, consequence, remedy);
                (Vec::new(), ConditionOutcome::no("Accepted", word, message))
            }
        };
        outcome.parents.push(ParentOutcome {
            parent: parent.clone(),
            conditions: vec![
                condition,
                ConditionOutcome::yes("ResolvedRefs", "ResolvedRefs", "all references lead somewhere"),
            ],
        });
        let gateway = state.gateways.get_mut(namespace, name).expect("it was found above");
        for index in accepted {
            let listener = &mut gateway.listeners[index];
            let is_new = !attachment
                .listeners
                .iter()
                .any(|known| std::ptr::eq(*known, listener.spec));
            if is_new {
                listener.attached += 1;
                attachment.listeners.push(listener.spec);
                names.push(listener.spec.hostname.as_deref().filter(|name| !name.is_empty()));
            }
        }
        let gateway = gateway.owner;
        state.takes_part(gateway);
    }
    if !outcome.parents.is_empty() {
        let object = route.owner.kind.object_ref(route.owner.metadata);
        state.route_outcomes.insert(object, outcome);
    }
    if attachment.listeners.is_empty() {
        return None;
    }
    attachment.hostnames = hostnames::served(&own, &names)?;
    Some(attachment)
}

/// As in Kong Ingress Controller's own tests: every route counts as attached, and its host names are not looked at.
fn attach_raw<'a>(route: Route<'a>, own: Vec<&'a str>, state: &State<'a>) -> Attachment<'a> {
    let mut attachment = Attachment {
        listeners: Vec::new(),
        hostnames: own.into_iter().map(str::to_owned).collect(),
    };
    for parent in route.parents {
        let name = gateway_name(route, parent);
        let Some(gateway) = name.and_then(|(namespace, name)| state.gateways.get(namespace, name)) else {
            continue;
        };
        let named = gateway
            .listeners
            .iter()
            .filter(|listener| is_of_section(parent, listener.spec));
        attachment.listeners.extend(named.map(|listener| listener.spec));
    }
    attachment
}

/// The host names of a route that are such; `None` if there are others only, which must not become any host.
fn valid_hostnames<'a>(route: Route<'a>, state: &mut State<'a>) -> Option<Vec<&'a str>> {
    let mut valid = Vec::with_capacity(route.hostnames.len());
    for (position, name) in route.hostnames.iter().enumerate() {
        if hostnames::is_valid(name) {
            valid.push(name.as_str());
        } else {
            state.problems.report(
                route.owner,
                format!("spec.hostnames[{position}]"),
                Reason::InvalidField,
                format!("{name:?} is not a host name; it is left out"),
                "use a DNS name such as shop.example.com or *.example.com",
            );
        }
    }
    (!valid.is_empty() || route.hostnames.is_empty()).then_some(valid)
}

/// Namespace and name of the Gateway that a parent is; `None` for parents of other kinds.
fn gateway_name<'a>(route: Route<'a>, parent: &'a ParentReference) -> Option<(&'a str, &'a str)> {
    let group = parent.group.as_deref().unwrap_or(Kind::Gateway.group());
    let kind = parent.kind.as_deref().unwrap_or(Kind::Gateway.name());
    let is_gateway = group == Kind::Gateway.group() && kind == Kind::Gateway.name();
    let namespace = parent.namespace.as_deref().unwrap_or(&route.owner.metadata.namespace);
    is_gateway.then_some((namespace, parent.name.as_str()))
}

fn report_unknown(route: Route<'_>, position: usize, (namespace, name): (&str, &str), state: &mut State<'_>) {
    if state.gateways.is_known(namespace, name) {
        return;
    }
    state.problems.report(
        route.owner,
        format!("spec.parentRefs[{position}].name"),
        Reason::NoMatchingParent,
        format!("there is no Gateway {name} in namespace {namespace}; the route is not served there"),
        "create the Gateway, or correct name and namespace",
    );
}

fn is_named(parent: &ParentReference, listener: &Listener) -> bool {
    is_of_section(parent, listener) && parent.port.is_none_or(|port| port == listener.port)
}

/// The same without the port, which Kong Ingress Controller does not look at.
fn is_of_section(parent: &ParentReference, listener: &Listener) -> bool {
    let section = parent.section_name.as_deref().filter(|name| !name.is_empty());
    section.is_none_or(|name| name == listener.name)
}

/// The positions of the listeners of a parent that take the route, or why none does.
fn match_parent<'a>(
    route: Route<'a>,
    parent: &ParentReference,
    (namespace, name): (&str, &str),
    hostnames: &[&str],
    state: &State<'a>,
) -> Result<Vec<usize>, (Refusal, String)> {
    let gateway = state.gateways.get(namespace, name).expect("the caller has found it");
    let mut refusal = (
        Refusal::NoMatchingParent,
        format!("{} has no listener of that name or port", gateway.owner),
    );
    let mut accepted = Vec::new();
    for (index, listener) in gateway.listeners.iter().enumerate() {
        if !is_named(parent, listener.spec) {
            continue;
        }
        match take(route, listener, namespace, hostnames, state) {
            Ok(()) => accepted.push(index),
            Err(found) if found.0 >= refusal.0 => refusal = found,
            Err(_) => {}
        }
    }
    if accepted.is_empty() {
        Err(refusal)
    } else {
        Ok(accepted)
    }
}

fn take<'a>(
    route: Route<'a>,
    listener: &OurListener<'a>,
    gateway_namespace: &str,
    own: &[&str],
    state: &State<'a>,
) -> Result<(), (Refusal, String)> {
    let spec = listener.spec;
    let kind = route.owner.kind;
    if let Some(fault) = &listener.fault {
        return Err((fault.refusal(), fault.message(spec)));
    }
    if !listener.kinds.contains(&kind) {
        let message = format!("the listener {} takes no routes of kind {}", spec.name, kind.name());
        return Err((Refusal::NotAllowedByListeners, message));
    }
    if !is_allowed(&route.owner.metadata.namespace, spec, gateway_namespace, state.snapshot) {
        let message = format!(
            "the listener {} takes no routes of the namespace {}",
            spec.name, route.owner.metadata.namespace
        );
        return Err((Refusal::NotAllowedByListeners, message));
    }
    if hostnames::served(own, &[listener.hostname()]).is_none() {
        let message = format!(
            "none of the route's host names is among those of the listener {}, {}",
            spec.name,
            listener.hostname().unwrap_or_default()
        );
        return Err((Refusal::NoMatchingListenerHostname, message));
    }
    Ok(())
}

/// Whether a listener takes routes of a namespace.
fn is_allowed(namespace: &str, listener: &Listener, gateway_namespace: &str, snapshot: &Snapshot) -> bool {
    let allowed = listener
        .allowed_routes
        .as_ref()
        .and_then(|allowed| allowed.namespaces.as_ref());
    let from = allowed.and_then(|allowed| allowed.from.as_deref()).unwrap_or("Same");
    match from {
        "All" => true,
        "Same" => namespace == gateway_namespace,
        "Selector" => {
            let Some(selector) = allowed.and_then(|allowed| allowed.selector.as_ref()) else {
                return false;
            };
            let object = snapshot.namespaces.get(&NamespacedName::new("", namespace));
            let labels = object.map(|object| &object.metadata.labels);
            selects(selector, labels.unwrap_or(&TextMap::default()), namespace)
        }
        _ => false,
    }
}

/// Whether a selector takes a namespace with these labels. One without any requirement takes all.
fn selects(selector: &LabelSelector, labels: &TextMap, namespace: &str) -> bool {
    let value = |key: &str| {
        let by_name = (key == NAME_LABEL).then_some(namespace);
        labels.get(key).map(String::as_str).or(by_name)
    };
    let has_labels = selector
        .match_labels
        .iter()
        .all(|(key, wanted)| value(key) == Some(wanted));
    has_labels
        && selector.match_expressions.iter().all(|requirement| {
            let value = value(&requirement.key);
            let is_listed = value.is_some_and(|value| requirement.values.iter().any(|listed| listed == value));
            match requirement.operator.as_str() {
                "In" => is_listed,
                "NotIn" => !is_listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects_team(selector: serde_json::Value) -> bool {
        let selector: LabelSelector = serde_json::from_value(selector).expect("a selector");
        let labels = TextMap::from([("team".to_owned(), "shop".to_owned())]);
        selects(&selector, &labels, "store")
    }

    #[test]
    fn namespaces_are_selected_by_labels() {
        let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "team", "operator": operator, "values": values}]});
        assert!(selects_team(json!({})));
        assert!(selects_team(json!({"matchLabels": {"team": "shop"}})));
        assert!(!selects_team(json!({"matchLabels": {"team": "other"}})));
        assert!(selects_team(
            json!({"matchLabels": {"kubernetes.io/metadata.name": "store"}})
        ));
        assert!(selects_team(expression("In", &["a", "shop"])));
        assert!(!selects_team(expression("NotIn", &["shop"])));
        assert!(selects_team(expression("NotIn", &["a"])));
        assert!(selects_team(expression("Exists", &[])));
        assert!(!selects_team(expression("DoesNotExist", &[])));
        assert!(!selects_team(expression("Near", &["shop"])));
    }
}
