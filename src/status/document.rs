//! What can be written: which object, which content, and how urgent a change of it is. Pure.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::resource::{ProxyFleetStatus, ProxyInstanceSpec, ProxyInstanceStatus, StatusCondition};
use super::{
    entry::{AncestorRef, Entries},
    gateway_status::{GatewayClassStatus, GatewayStatus},
    object_condition::Programmed,
};
use crate::{
    fleet::ConditionStatus,
    model::{Kind, NamespacedName, ObjectRef, PodRef, gateway::ParentReference, kubernetes::LoadBalancerIngress},
};

/// Field manager of everything that is applied.
pub(super) const FIELD_MANAGER: &str = "silverback";
/// The condition of a Pod that says whether its proxy serves a configuration: usable as a readiness gate.
pub(super) const GATE: &str = "gateway.silverback.dev/ConfigSynced";

/// One thing that is written as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// The condition of a Pod: namespace, name and UID.
    Gate(NamespacedName, Arc<str>),
    /// A `ProxyInstance` without its status.
    Instance(NamespacedName),
    /// The status of a `ProxyInstance`.
    InstanceStatus(NamespacedName),
    /// A `ProxyFleet` without its status.
    Fleet(NamespacedName),
    /// The status of a `ProxyFleet`.
    FleetStatus(NamespacedName),
    /// The status of a user's object: kind, name and UID.
    Object(Kind, NamespacedName, Arc<str>),
    /// An event: namespace and name.
    Event(NamespacedName),
}

/// Kinds of keys: what permission is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    Gate,
    Instance,
    InstanceStatus,
    Fleet,
    FleetStatus,
    Object(Kind),
    Event,
}

impl Key {
    pub(super) fn gate(pod: &PodRef) -> Self {
        Self::Gate(
            NamespacedName::new(pod.namespace.clone(), pod.name.clone()),
            pod.uid.clone(),
        )
    }

    pub(super) fn class(&self) -> Class {
        match self {
            Self::Gate(..) => Class::Gate,
            Self::Instance(_) => Class::Instance,
            Self::InstanceStatus(_) => Class::InstanceStatus,
            Self::Fleet(_) => Class::Fleet,
            Self::FleetStatus(_) => Class::FleetStatus,
            Self::Object(kind, ..) => Class::Object(*kind),
            Self::Event(_) => Class::Event,
        }
    }

    pub(super) fn name(&self) -> &NamespacedName {
        match self {
            Self::Instance(name)
            | Self::InstanceStatus(name)
            | Self::Fleet(name)
            | Self::FleetStatus(name)
            | Self::Event(name)
            | Self::Gate(name, _)
            | Self::Object(_, name, _) => name,
        }
    }

    /// What must have been written before.
    pub(super) fn basis(&self) -> Option<Self> {
        match self {
            Self::InstanceStatus(name) => Some(Self::Instance(name.clone())),
            Self::FleetStatus(name) => Some(Self::Fleet(name.clone())),
            _ => None,
        }
    }

    /// What stands on this, and is gone when this is made anew.
    pub(super) fn dependent(&self) -> Option<Self> {
        match self {
            Self::Instance(name) => Some(Self::InstanceStatus(name.clone())),
            Self::Fleet(name) => Some(Self::FleetStatus(name.clone())),
            _ => None,
        }
    }
}

impl Class {
    /// What the controller's role must allow, for the log.
    pub(super) fn permission(self) -> Cow<'static, str> {
        let permission = match self {
            Self::Object(kind) => {
                let (plural, group) = (kind.plural(), kind.group());
                let reads = kind == Kind::KongUpstreamPolicy || group == Kind::Gateway.group();
                let get = if reads {
                    format!("get on {plural} and ")
                } else {
                    String::new()
                };
                return format!("{get}patch on {plural}/status ({group})").into();
            }
            Self::Gate => "patch on pods/status",
            Self::Instance => "list, watch, create, patch and delete on proxyinstances (gateway.silverback.dev)",
            Self::InstanceStatus => "patch on proxyinstances/status (gateway.silverback.dev)",
            Self::Fleet => "list, watch, create and patch on proxyfleets (gateway.silverback.dev)",
            Self::FleetStatus => "patch on proxyfleets/status (gateway.silverback.dev)",
            Self::Event => "create and patch on events (events.k8s.io)",
        };
        permission.into()
    }
}

/// The order in which writes share the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lane {
    /// Pods wait for it.
    Gate,
    /// Somebody waits to be told.
    Transition,
    /// Hashes, counts, events.
    Refresh,
    /// What may be missed: a few a second.
    News,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Document {
    Gate(Gate),
    Instance(ProxyInstanceSpec),
    InstanceStatus(Box<ProxyInstanceStatus>),
    Fleet(Option<FleetOwner>),
    FleetStatus(Box<ProxyFleetStatus>),
    Addresses(Arc<[LoadBalancerIngress]>),
    Programmed(Programmed),
    Ancestors(Entries<AncestorRef>),
    Parents(Entries<ParentReference>),
    GatewayClass(GatewayClassStatus),
    Gateway(Box<GatewayStatus>),
    Event(Box<EventDocument>),
}

/// The Admin Service in the namespace of its `ProxyFleet`, which goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FleetOwner {
    pub(super) name: Arc<str>,
    pub(super) uid: Arc<str>,
}

/// The condition of a Pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gate {
    pub(super) status: ConditionStatus,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) since: Timestamp,
}

/// An event on an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EventDocument {
    pub(super) regarding: ObjectRef,
    /// `Normal` instead of `Warning`.
    pub(super) normal: bool,
    pub(super) reason: &'static str,
    pub(super) action: &'static str,
    pub(super) note: String,
    /// What this is one more occurrence of; starts at 1.
    pub(super) count: u32,
    /// How long it must last before it is worth an event.
    pub(super) patience: Duration,
    /// The least time between two occurrences.
    pub(super) spacing: Duration,
    /// How urgent it is.
    pub(super) lane: Lane,
}

impl Document {
    /// Whether writing one over the other would tell nobody anything.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gate(one), Self::Gate(other)) => one.status == other.status && one.reason == other.reason,
            // Who saw it alone is no news: a new leader would write every object again.
            (Self::InstanceStatus(one), Self::InstanceStatus(other)) => {
                let observer = other.observer.clone();
                ProxyInstanceStatus {
                    observer,
                    ..(**one).clone()
                } == **other
            }
            (Self::Programmed(one), Self::Programmed(other)) => one.says_the_same(other),
            (Self::Ancestors(one), Self::Ancestors(other)) => one.says_the_same(other),
            (Self::Parents(one), Self::Parents(other)) => one.says_the_same(other),
            (Self::GatewayClass(one), Self::GatewayClass(other)) => one.says_the_same(other),
            (Self::Gateway(one), Self::Gateway(other)) => one.says_the_same(other),
            _ => self == other,
        }
    }

    /// The status of a user's object that is joined with what stands there; `None` of those that are written without a look.
    pub(super) fn joined(&self, found: &Value, namespace: &str) -> Option<Value> {
        match self {
            Self::Ancestors(ancestors) => Some(ancestors.joined(found, namespace)),
            Self::Parents(parents) => Some(parents.joined(found, namespace)),
            Self::GatewayClass(status) => Some(status.joined(found)),
            Self::Gateway(status) => Some(status.joined(found)),
            _ => None,
        }
    }

    /// How urgent it is to write this over what was written before.
    pub(super) fn lane(&self, written: Option<&Self>) -> Lane {
        match (self, written) {
            (Self::Gate(_), _) => Lane::Gate,
            (Self::Event(event), _) => event.lane,
            (Self::Addresses(_), _) | (_, None) => Lane::Transition,
            (Self::Instance(now), Some(Self::Instance(before))) if now.pod_ref == before.pod_ref => Lane::Refresh,
            (Self::InstanceStatus(now), Some(Self::InstanceStatus(before)))
                if now.error_count == before.error_count && !turned(&now.conditions, &before.conditions) =>
            {
                Lane::Refresh
            }
            (Self::FleetStatus(now), Some(Self::FleetStatus(before)))
                if !turned(&now.conditions, &before.conditions) =>
            {
                Lane::Refresh
            }
            (Self::Programmed(now), Some(Self::Programmed(before))) if !now.condition.turned(&before.condition) => {
                Lane::Refresh
            }
            (Self::Ancestors(now), Some(Self::Ancestors(before))) if !now.turned(before) => Lane::Refresh,
            (Self::Parents(now), Some(Self::Parents(before))) if !now.turned(before) => Lane::Refresh,
            (Self::GatewayClass(now), Some(Self::GatewayClass(before))) if !now.turned(before) => Lane::Refresh,
            (Self::Gateway(now), Some(Self::Gateway(before))) if !now.turned(before) => Lane::Refresh,
            _ => Lane::Transition,
        }
    }

    /// How long a change must last before it is written.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Event(event) => event.patience,
            _ => Duration::ZERO,
        }
    }

    /// The least time between two writes.
    pub(super) fn spacing(&self) -> Duration {
        match self {
            Self::Gate(_) => Duration::ZERO,
            Self::Event(event) => event.spacing,
            _ => Duration::from_secs(1),
        }
    }
}

/// Whether a condition turned, or does not hold for another reason than before.
fn turned(now: &[StatusCondition], before: &[StatusCondition]) -> bool {
    now.len() != before.len()
        || now.iter().any(|condition| {
            let former = before.iter().find(|former| former.type_ == condition.type_);
            former.is_none_or(|former| {
                former.status != condition.status
                    || (former.reason != condition.reason && !condition.is(ConditionStatus::True))
            })
        })
}
