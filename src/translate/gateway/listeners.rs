//! Gateways that are ours, and what is right and wrong with their listeners (`kic.md` 6.1, 6.2). Pure.
//!
//! Called once a translation, before routes are attached; `finish` makes statuses of it when that is done.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    UNSUPPORTED_VALUE,
    attachment::Refusal,
    hostnames,
    status::{ClassOutcome, ConditionOutcome, GatewayOutcome, ListenerOutcome},
};
use crate::{
    model::{
        Kind, ObjectRef, Reason, Snapshot,
        gateway::{Gateway, GatewaySpec, Listener, RouteGroupKind},
    },
    translate::{
        Settings, annotations,
        problems::{Owner, Problems},
    },
};

/// Kinds that may attach, by the protocol of the listener.
const SUPPORTED: &[(&str, &[Kind])] = &[
    ("HTTP", &[Kind::HTTPRoute, Kind::GRPCRoute]),
    ("HTTPS", &[Kind::HTTPRoute, Kind::GRPCRoute]),
    ("TLS", &[Kind::TLSRoute]),
    ("TCP", &[Kind::TCPRoute]),
    ("UDP", &[Kind::UDPRoute]),
];

/// The Gateways that routes can be attached to, by namespace and name.
#[derive(Debug, Default)]
pub(in crate::translate) struct Gateways<'a> {
    by_name: BTreeMap<(&'a str, &'a str), OurGateway<'a>>,
    /// All that are known, whoever's they are.
    known: HashSet<(&'a str, &'a str)>,
    classes: BTreeMap<ObjectRef, ClassOutcome>,
}

/// A Gateway of ours.
#[derive(Debug)]
pub(in crate::translate) struct OurGateway<'a> {
    pub(super) owner: Owner<'a>,
    pub(super) listeners: Vec<OurListener<'a>>,
}

/// A listener of a Gateway of ours.
#[derive(Debug)]
pub(in crate::translate) struct OurListener<'a> {
    pub(super) spec: &'a Listener,
    /// Kinds that may attach.
    pub(super) kinds: Vec<Kind>,
    /// Why nothing can attach.
    pub(super) fault: Option<ListenerFault>,
    /// What of `ResolvedRefs` is not so.
    pub(super) unresolved: Option<(&'static str, String)>,
    /// How many routes are attached.
    pub(super) attached: i64,
}

/// Why a listener serves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListenerFault {
    UnsupportedProtocol,
    InvalidHostname,
    /// It demands certificates of clients, which Kong's listeners can't; the field that says so.
    ClientCertificates(String),
    ProtocolConflict(String),
    HostnameConflict(String),
}

impl ListenerFault {
    /// What a route is told that names the listener: one of an unknown protocol takes no kind of routes.
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::UnsupportedProtocol => Refusal::NotAllowedByListeners,
            Self::InvalidHostname
            | Self::ClientCertificates(_)
            | Self::ProtocolConflict(_)
            | Self::HostnameConflict(_) => Refusal::NoMatchingParent,
        }
    }

    /// The reason of the listener's conditions.
    fn reason(&self) -> &'static str {
        match self {
            Self::UnsupportedProtocol => "UnsupportedProtocol",
            Self::InvalidHostname => "Invalid",
            Self::ClientCertificates(_) => UNSUPPORTED_VALUE,
            Self::ProtocolConflict(_) => "ProtocolConflict",
            Self::HostnameConflict(_) => "HostnameConflict",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::ProtocolConflict(_) | Self::HostnameConflict(_))
    }

    pub(super) fn message(&self, listener: &Listener) -> String {
        match self {
            Self::UnsupportedProtocol => format!(
                "the protocol {:?} of the listener {} is not supported",
                listener.protocol, listener.name
            ),
            Self::InvalidHostname => format!(
                "{:?} of the listener {} is not a host name",
                listener.hostname.as_deref().unwrap_or_default(),
                listener.name
            ),
            Self::ClientCertificates(_) => format!(
                "the listener {} wants certificates of clients, for which Kong's listeners can't ask",
                listener.name
            ),
            Self::ProtocolConflict(other) => format!(
                "the protocol {} of the listener {} does not go with that of the listener {other} on port {}",
                listener.protocol, listener.name, listener.port
            ),
            Self::HostnameConflict(other) => format!(
                "the listener {other} has the same port, protocol and host name as the listener {}",
                listener.name
            ),
        }
    }
}

impl OurListener<'_> {
    /// The host name, `None` for any.
    pub(super) fn hostname(&self) -> Option<&str> {
        hostname(self.spec)
    }
}

/// The host name of a listener, `None` for any.
pub(super) fn hostname(listener: &Listener) -> Option<&str> {
    listener.hostname.as_deref().filter(|name| !name.is_empty())
}

/// Whether a listener passes TLS on as it is.
pub(super) fn is_passthrough(listener: &Listener) -> bool {
    let mode = listener.tls.as_ref().and_then(|tls| tls.mode.as_deref());
    mode == Some("Passthrough")
}

impl<'a> Gateways<'a> {
    /// Finds those of our classes; of raw objects all, since no class is ours then.
    pub(in crate::translate) fn find(snapshot: &'a Snapshot, settings: &Settings, problems: &mut Problems) -> Self {
        let mut gateways = Self::default();
        let mut ours = HashSet::new();
        for (key, class) in &*snapshot.gateway_classes {
            if class.spec.controller_name == settings.gateway_controller_name {
                ours.insert(&*key.name);
                let accepted = ConditionOutcome::yes(
                    "Accepted",
                    "Accepted",
                    "the gatewayclass has been accepted by the controller",
                );
                let outcome = ClassOutcome {
                    observed_generation: class.metadata.generation,
                    conditions: vec![accepted],
                };
                let object = Kind::GatewayClass.object_ref(&class.metadata);
                gateways.classes.insert(object, outcome);
            }
        }
        for (key, gateway) in &*snapshot.gateways {
            let name = (&*key.namespace, &*key.name);
            gateways.known.insert(name);
            let is_wanted = settings.gateway_to_reconcile.as_ref().is_none_or(|only| only == key);
            if settings.raw_objects || (is_wanted && ours.contains(gateway.spec.gateway_class_name.as_str())) {
                gateways.by_name.insert(name, OurGateway::new(gateway, problems));
            }
        }
        gateways
    }

    /// A Gateway of ours.
    pub(super) fn get<'s>(&'s self, namespace: &'s str, name: &'s str) -> Option<&'s OurGateway<'a>> {
        self.by_name.get(&(namespace, name))
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, namespace: &'a str, name: &'a str) -> Option<&mut OurGateway<'a>> {
        self.by_name.get_mut(&(namespace, name))
    }

    /// Whether there is such a Gateway at all.
    pub(super) fn is_known(&self, namespace: &str, name: &str) -> bool {
        self.known.contains(&(namespace, name))
    }

    /// All of ours, in order of their names.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut OurGateway<'a>> {
        self.by_name.values_mut()
    }

    /// The statuses of classes and Gateways.
    pub(super) fn finish(self) -> (BTreeMap<ObjectRef, ClassOutcome>, BTreeMap<ObjectRef, GatewayOutcome>) {
        let gateways = self.by_name.into_values().map(|gateway| {
            let object = gateway.owner.kind.object_ref(gateway.owner.metadata);
            (object, gateway.finish())
        });
        (self.classes, gateways.collect())
    }
}

impl<'a> OurGateway<'a> {
    fn new(gateway: &'a Gateway, problems: &mut Problems) -> Self {
        let owner = Owner::new(Kind::Gateway, &gateway.metadata);
        annotations::check(owner, problems);
        let mut ports: HashMap<(u16, bool), Vec<&Listener>> = HashMap::new();
        let mut listeners = Vec::with_capacity(gateway.spec.listeners.len());
        let tls = gateway.spec.tls.as_ref();
        if tls.is_some_and(|tls| tls.backend.as_ref().is_some_and(|backend| !backend.is_empty())) {
            problems.report(
                owner,
                "spec.tls.backend",
                Reason::Ignored,
                "Kong shows backends no certificate of a Gateway; the field is ignored",
                "name the Secret on each Service that demands one, by the annotation konghq.com/client-cert",
            );
        }
        for (position, spec) in gateway.spec.listeners.iter().enumerate() {
            let wanted = client_certificates(&gateway.spec, position);
            let fault = check(spec, &ports).or_else(|| {
                let wanted = wanted.as_ref().filter(|wanted| !wanted.is_optional)?;
                Some(ListenerFault::ClientCertificates(wanted.field.clone()))
            });
            if let Some(wanted) = wanted.filter(|wanted| wanted.is_optional) {
                problems.report(
                    owner,
                    wanted.field,
                    Reason::Ignored,
                    format!(
                        "Kong's listeners can't ask clients for certificates: the listener {} serves them without",
                        spec.name
                    ),
                    "remove the validation",
                );
            }
            if fault.is_none() {
                ports.entry((spec.port, spec.protocol == "UDP")).or_default().push(spec);
            }
            let mut listener = OurListener {
                spec,
                kinds: Vec::new(),
                fault,
                unresolved: None,
                attached: 0,
            };
            if let Some(fault) = &listener.fault {
                let own = |field: &str| format!("spec.listeners[{position}].{field}");
                let (field, reason, remedy) = match fault {
                    ListenerFault::UnsupportedProtocol => {
                        (own("protocol"), Reason::Unsupported, "use HTTP, HTTPS, TLS, TCP or UDP")
                    }
                    ListenerFault::InvalidHostname => (
                        own("hostname"),
                        Reason::InvalidField,
                        "use a DNS name such as shop.example.com or *.example.com",
                    ),
                    ListenerFault::ClientCertificates(field) => (
                        field.clone(),
                        Reason::Unsupported,
                        "remove the validation, and tell clients by a plugin such as mtls-auth, or end their TLS before \
                         the proxies",
                    ),
                    ListenerFault::ProtocolConflict(_) => (own("port"), Reason::Conflict, "give it another port"),
                    ListenerFault::HostnameConflict(_) => {
                        (own("hostname"), Reason::Conflict, "give it another host name or port")
                    }
                };
                problems.report(
                    owner,
                    field,
                    reason,
                    fault.message(spec) + "; no route is served by it",
                    remedy,
                );
            }
            listener.choose_kinds(owner, position, problems);
            listeners.push(listener);
        }
        Self { owner, listeners }
    }

    fn finish(self) -> GatewayOutcome {
        let faulty = self
            .listeners
            .iter()
            .filter(|listener| listener.fault.is_some())
            .count();
        let all = self.listeners.len();
        let picked = "this unmanaged gateway has been picked up by the controller and will be processed";
        let conditions = if faulty == 0 {
            vec![
                ConditionOutcome::yes("Accepted", "Accepted", picked),
                ConditionOutcome::yes("Programmed", "Programmed", "all listeners are served"),
            ]
        } else {
            let message = format!("{faulty} of {all} listeners can't be served: their conditions say why");
            let accepted = ConditionOutcome {
                condition: "Accepted",
                status: faulty < all,
                reason: "ListenersNotValid",
                message: message.clone(),
            };
            let programmed = if faulty < all {
                ConditionOutcome::yes("Programmed", "Programmed", message)
            } else {
                ConditionOutcome::no("Programmed", "Invalid", message)
            };
            vec![accepted, programmed]
        };
        GatewayOutcome {
            observed_generation: self.owner.metadata.generation,
            conditions,
            listeners: self.listeners.into_iter().map(OurListener::finish).collect(),
        }
    }
}

/// That a listener wants certificates of clients.
struct ClientCertificates {
    /// Where that stands.
    field: String,
    /// Whether clients without are served as well.
    is_optional: bool,
}

/// What holds on the listener's port goes before what holds on all; listeners without TLS are not concerned.
fn client_certificates(gateway: &GatewaySpec, position: usize) -> Option<ClientCertificates> {
    let listener = gateway.listeners.get(position)?;
    if !matches!(listener.protocol.as_str(), "HTTPS" | "TLS") || is_passthrough(listener) {
        return None;
    }
    let own = listener.tls.as_ref().and_then(|tls| tls.frontend_validation.as_ref());
    let (field, validation) = match own {
        Some(own) => (format!("spec.listeners[{position}].tls.frontendValidation"), own),
        None => {
            let frontend = gateway.tls.as_ref()?.frontend.as_ref()?;
            let mut per_port = frontend.per_port.iter().enumerate();
            let (place, tls) = match per_port.find(|(_, of_port)| of_port.port == listener.port) {
                Some((index, of_port)) => (format!("perPort[{index}].tls"), &of_port.tls),
                None => ("default".to_owned(), &frontend.default),
            };
            (
                format!("spec.tls.frontend.{place}.validation"),
                tls.validation.as_ref()?,
            )
        }
    };
    Some(ClientCertificates {
        field,
        is_optional: validation.mode.as_deref() == Some("AllowInsecureFallback"),
    })
}

fn check(listener: &Listener, ports: &HashMap<(u16, bool), Vec<&Listener>>) -> Option<ListenerFault> {
    if !SUPPORTED.iter().any(|(protocol, _)| *protocol == listener.protocol) {
        return Some(ListenerFault::UnsupportedProtocol);
    }
    if hostname(listener).is_some_and(|name| !hostnames::is_valid(name)) {
        return Some(ListenerFault::InvalidHostname);
    }
    // TCP and UDP ports are apart from one another.
    let others = ports.get(&(listener.port, listener.protocol == "UDP"))?;
    let is_tls = |protocol: &str| matches!(protocol, "HTTPS" | "TLS");
    for other in others {
        let goes_together =
            other.protocol == listener.protocol || (is_tls(&other.protocol) && is_tls(&listener.protocol));
        if !goes_together {
            return Some(ListenerFault::ProtocolConflict(other.name.clone()));
        }
        let name = |listener| hostname(listener).map(hostnames::small);
        if name(other) == name(listener) {
            return Some(ListenerFault::HostnameConflict(other.name.clone()));
        }
    }
    None
}

impl OurListener<'_> {
    fn choose_kinds(&mut self, owner: Owner<'_>, position: usize, problems: &mut Problems) {
        let by_protocol = SUPPORTED.iter().find(|(protocol, _)| *protocol == self.spec.protocol);
        let supported = by_protocol.map_or(&[][..], |(_, kinds)| *kinds);
        let asked = self
            .spec
            .allowed_routes
            .as_ref()
            .map_or(&[][..], |allowed| &allowed.kinds);
        if asked.is_empty() {
            self.kinds = supported.to_vec();
            return;
        }
        for (index, asked) in asked.iter().enumerate() {
            let group = asked.group.as_deref().unwrap_or(Kind::Gateway.group());
            match supported
                .iter()
                .find(|kind| kind.name() == asked.kind && kind.group() == group)
            {
                Some(kind) => self.kinds.push(*kind),
                None => {
                    let message = format!(
                        "routes of kind {} can't attach to listeners with the protocol {}",
                        asked.kind, self.spec.protocol
                    );
                    self.unresolved.get_or_insert(("InvalidRouteKinds", message.clone()));
                    let names: Vec<_> = supported.iter().map(|kind| kind.name()).collect();
                    problems.report(
                        owner,
                        format!("spec.listeners[{position}].allowedRoutes.kinds[{index}].kind"),
                        Reason::InvalidField,
                        message,
                        format!("name one of {}", names.join(", ")),
                    );
                }
            }
        }
    }

    fn finish(self) -> ListenerOutcome {
        let mut conditions = match &self.fault {
            None => vec![
                ConditionOutcome::yes("Accepted", "Accepted", ""),
                ConditionOutcome::no("Conflicted", "NoConflicts", ""),
            ],
            Some(fault) => {
                let text = fault.message(self.spec);
                let conflicted = match fault.is_conflict() {
                    true => ConditionOutcome::yes("Conflicted", fault.reason(), text.clone()),
                    false => ConditionOutcome::no("Conflicted", "NoConflicts", ""),
                };
                vec![ConditionOutcome::no("Accepted", fault.reason(), text), conflicted]
            }
        };
        // The first listener of several in conflict is served, and says nothing of it.
        let reason = self.fault.as_ref().filter(|fault| fault.is_conflict());
        let reason = reason.map_or("Invalid", ListenerFault::reason);
        let is_programmed = self.fault.is_none() && self.unresolved.is_none();
        conditions.push(match self.unresolved {
            None => ConditionOutcome::yes("ResolvedRefs", "ResolvedRefs", ""),
            Some((reason, message)) => ConditionOutcome::no("ResolvedRefs", reason, message),
        });
        conditions.push(if is_programmed {
            ConditionOutcome::yes("Programmed", "Programmed", "")
        } else {
            ConditionOutcome::no("Programmed", reason, "the other conditions say why")
        });
        let kinds = self.kinds.iter().map(|kind| RouteGroupKind {
            group: Some(kind.group().to_owned()),
            kind: kind.name().to_owned(),
        });
        ListenerOutcome {
            name: self.spec.name.clone(),
            supported_kinds: kinds.collect(),
            attached_routes: self.attached,
            conditions,
        }
    }
}
