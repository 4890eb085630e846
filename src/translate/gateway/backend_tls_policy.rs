//! BackendTLSPolicy: TLS towards the pods of a Service (`kic.md` 4.7.5, 6.5).
//!
//! A policy acts as annotations of its Services would, on copies that are made before anything else is translated. One that
//! can't be had in full still turns TLS and verification on: requests fail then instead of going out unprotected. Of raw
//! objects it is passed over, as in Kong Ingress Controller.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    hostnames,
    status::{ConditionOutcome, PolicyOutcome},
};
use crate::{
    model::{
        Kind, NamespacedName, ObjectRef, Reason, Snapshot,
        gateway::{BackendTLSPolicy, PolicyTargetReference},
        kubernetes::Service,
    },
    translate::{
        Settings, annotations,
        draft::Drafts,
        problems::{Owner, Problems},
        state::State,
    },
};

/// What the option with the greatest depth of verification is called.
const DEPTH_OPTION: &str = "tls-verify-depth";
/// How many ancestors a status can have.
const MOST_ANCESTORS: usize = 16;

/// What all policies come to.
#[derive(Debug, Default, PartialEq)]
pub(in crate::translate) struct TlsPolicies {
    /// Services with the policies' annotations, in place of those of the snapshot.
    pub(in crate::translate) services: Vec<Service>,
    policies: Vec<Policy>,
}

#[derive(Debug, PartialEq)]
struct Policy {
    object: ObjectRef,
    outcome: PolicyOutcome,
    /// The Services that it is for, also those that it does not act on.
    services: Vec<NamespacedName>,
}

/// What a policy asks of its Services, as annotations.
type Annotations = BTreeMap<&'static str, String>;

impl TlsPolicies {
    /// Reads all policies. The oldest one of a Service counts.
    pub(in crate::translate) fn find(snapshot: &Snapshot, settings: &Settings, problems: &mut Problems) -> Self {
        let mut found = Self::default();
        let mut policies: Vec<&BackendTLSPolicy> = snapshot.backend_tls_policies.values().map(AsRef::as_ref).collect();
        policies.sort_by_key(|policy| policy.metadata.creation_timestamp);
        let mut taken: BTreeMap<NamespacedName, Owner<'_>> = BTreeMap::new();
        for policy in policies {
            let owner = Owner::new(Kind::BackendTLSPolicy, &policy.metadata);
            let mut reader = Reader {
                owner,
                policy,
                snapshot,
                accepted: None,
                resolved: None,
                problems,
            };
            let annotations = reader.annotations();
            let is_whole = reader.accepted.is_none() && reader.resolved.is_none();
            let mut services = Vec::new();
            for (position, target) in policy.spec.target_refs.iter().enumerate() {
                let Some(service) = reader.service(position, target) else {
                    continue;
                };
                let key = service.metadata.key();
                services.push(key.clone());
                if !reader.is_for_all_of(position, target, service) {
                    continue;
                }
                if let Some(winner) = taken.get(&key) {
                    reader.conflict(position, &key, *winner);
                    continue;
                }
                taken.insert(key, owner);
                if is_whole || !settings.raw_objects {
                    found.services.push(with(service, &annotations));
                }
            }
            found.policies.push(reader.finish(services));
        }
        found
    }

    /// The statuses of the policies, with the Gateways through which their Services are reached.
    pub(in crate::translate) fn outcomes(
        &self,
        drafts: &Drafts<'_>,
        state: &State<'_>,
    ) -> BTreeMap<ObjectRef, PolicyOutcome> {
        if self.policies.is_empty() {
            return BTreeMap::new();
        }
        let mut users: BTreeMap<NamespacedName, BTreeSet<ObjectRef>> = BTreeMap::new();
        for service in &drafts.services {
            let owners = service.routes.iter().map(|route| route.owner);
            let gateways: BTreeSet<_> = owners.flat_map(|owner| super::gateways_of(owner, state)).collect();
            for backend in &service.backends {
                let key = NamespacedName::new(backend.namespace, backend.service);
                users.entry(key).or_default().extend(gateways.iter().cloned());
            }
        }
        let policies = self.policies.iter().map(|policy| {
            let gateways = policy
                .services
                .iter()
                .flat_map(|service| users.get(service).into_iter().flatten());
            let ancestors: BTreeSet<_> = gateways.cloned().collect();
            let outcome = PolicyOutcome {
                ancestors: ancestors.into_iter().take(MOST_ANCESTORS).collect(),
                ..policy.outcome.clone()
            };
            (policy.object.clone(), outcome)
        });
        policies.filter(|(_, outcome)| !outcome.ancestors.is_empty()).collect()
    }
}

fn with(service: &Service, annotations: &Annotations) -> Service {
    let mut service = service.clone();
    // Kong verifies certificates with two protocols only: of these, the one that the user chose stays.
    let keeps_protocol = service.metadata.annotation(annotations::PROTOCOL).map(str::trim) == Some("tls");
    for name in [
        annotations::CA_CERTIFICATES_SECRETS,
        annotations::CA_CERTIFICATES_CONFIG_MAPS,
    ] {
        service.metadata.annotations.remove(name);
    }
    for (name, value) in annotations {
        if *name != annotations::PROTOCOL || !keeps_protocol {
            service.metadata.annotations.insert((*name).to_owned(), value.clone());
        }
    }
    service
}

/// Reads one policy.
struct Reader<'a, 'p> {
    owner: Owner<'a>,
    policy: &'a BackendTLSPolicy,
    snapshot: &'a Snapshot,
    /// Why it is not accepted.
    accepted: Option<(&'static str, String)>,
    /// What does not resolve.
    resolved: Option<(&'static str, String)>,
    problems: &'p mut Problems,
}

impl<'a> Reader<'a, '_> {
    fn annotations(&mut self) -> Annotations {
        let validation = &self.policy.spec.validation;
        let mut annotations = Annotations::from([
            (annotations::PROTOCOL, "https".to_owned()),
            (annotations::TLS_VERIFY, "true".to_owned()),
        ]);
        if hostnames::is_valid(&validation.hostname) && !validation.hostname.starts_with('*') {
            annotations.insert(annotations::HOST_HEADER, validation.hostname.clone());
        } else {
            let message = format!("{:?} is not a host name", validation.hostname);
            self.refuse(
                "validation.hostname",
                Reason::InvalidField,
                message,
                "give the name in the certificate",
            );
        }
        if !validation.subject_alt_names.is_empty() {
            self.refuse(
                "validation.subjectAltNames",
                Reason::Unsupported,
                "Kong verifies the host name only, not other names of the certificate".to_owned(),
                "remove the names, and give that of the certificate as validation.hostname",
            );
        }
        if let Some(depth) = self.policy.spec.options.get(DEPTH_OPTION) {
            if depth.parse::<u8>().is_ok_and(|depth| depth <= 64) {
                annotations.insert(annotations::TLS_VERIFY_DEPTH, depth.clone());
            } else {
                let message = format!("{depth:?} is not a depth from 0 to 64");
                self.refuse(
                    "options[tls-verify-depth]",
                    Reason::InvalidField,
                    message,
                    "give a number from 0 to 64",
                );
            }
        }
        self.add_authorities(&mut annotations);
        annotations
    }

    fn add_authorities(&mut self, annotations: &mut Annotations) {
        let validation = &self.policy.spec.validation;
        match validation.well_known_ca_certificates.as_deref() {
            // The authorities that the proxies trust by their own settings.
            Some("System") | None => {}
            Some(other) => {
                let message = format!("{other:?} is no known set of authorities");
                self.refuse(
                    "validation.wellKnownCACertificates",
                    Reason::Unsupported,
                    message,
                    "use System, or refer to CA certificates",
                );
            }
        }
        if validation.well_known_ca_certificates.is_none() && validation.ca_certificate_refs.is_empty() {
            self.refuse(
                "validation.caCertificateRefs",
                Reason::InvalidField,
                "no authorities are named".to_owned(),
                "refer to a ConfigMap with a CA certificate",
            );
        }
        let mut names: BTreeMap<&'static str, Vec<&str>> = BTreeMap::new();
        for (position, reference) in validation.ca_certificate_refs.iter().enumerate() {
            let field = format!("validation.caCertificateRefs[{position}]");
            let key = NamespacedName::new(self.policy.metadata.namespace.clone(), reference.name.as_str());
            let (annotation, exists) = match reference.kind.as_str() {
                "ConfigMap" if reference.group.is_empty() => (
                    annotations::CA_CERTIFICATES_CONFIG_MAPS,
                    self.snapshot.config_maps.contains_key(&key),
                ),
                "Secret" if reference.group.is_empty() => (
                    annotations::CA_CERTIFICATES_SECRETS,
                    self.snapshot.secrets.contains_key(&key),
                ),
                kind => {
                    let message = format!("authorities of kind {kind} are not supported");
                    self.resolved.get_or_insert(("InvalidKind", message.clone()));
                    let remedy = "refer to a ConfigMap or Secret";
                    self.refuse(&format!("{field}.kind"), Reason::Unsupported, message, remedy);
                    continue;
                }
            };
            if !exists {
                let message = format!("there is no {} {key}", reference.kind);
                self.resolved
                    .get_or_insert(("InvalidCACertificateRef", message.clone()));
                let remedy = "create it, or correct the name";
                self.refuse(&format!("{field}.name"), Reason::ReferenceNotFound, message, remedy);
                continue;
            }
            names.entry(annotation).or_default().push(&reference.name);
        }
        for (annotation, names) in names {
            annotations.insert(annotation, names.join(","));
        }
    }

    fn service(&mut self, position: usize, target: &PolicyTargetReference) -> Option<&'a Service> {
        let field = format!("targetRefs[{position}]");
        if !matches!(target.group.as_str(), "" | "core") || target.kind != Kind::Service.name() {
            let message = format!("policies for objects of kind {} are not supported", target.kind);
            self.report(&format!("{field}.kind"), Reason::Unsupported, message, "name a Service");
            return None;
        }
        let key = NamespacedName::new(self.policy.metadata.namespace.clone(), target.name.as_str());
        let Some(service) = self.snapshot.services.get(&key) else {
            let message = format!("there is no Service {key}");
            let remedy = "create the Service, or correct the name";
            self.report(
                &format!("{field}.name"),
                Reason::ServiceNotFound,
                message.clone(),
                remedy,
            );
            self.accepted.get_or_insert(("TargetNotFound", message));
            return None;
        };
        Some(service)
    }

    /// Whether a target is a Service as a whole.
    fn is_for_all_of(&mut self, position: usize, target: &PolicyTargetReference, service: &Service) -> bool {
        let ports = &service.spec.ports;
        let section = target.section_name.as_deref().filter(|name| !name.is_empty());
        if let Some(name) = section.filter(|name| ports.len() != 1 || ports[0].name != *name) {
            let key = service.metadata.key();
            let message = format!("a policy for the port {name} alone is not supported: Service {key} has others");
            let remedy = "let the policy be for the Service as a whole, or split the Service";
            let field = format!("targetRefs[{position}].sectionName");
            self.report(&field, Reason::Unsupported, message.clone(), remedy);
            self.accepted.get_or_insert(("Invalid", message));
            return false;
        }
        true
    }

    fn conflict(&mut self, position: usize, service: &NamespacedName, winner: Owner<'_>) {
        let message =
            format!("{winner} is for Service {service} as well, and goes first: it is older, or the first by name");
        let field = format!("targetRefs[{position}]");
        let remedy = "keep one policy for each Service";
        self.report(&field, Reason::Conflict, message.clone(), remedy);
        self.accepted.get_or_insert(("Conflicted", message));
    }

    /// Notes what keeps the policy from being had in full.
    fn refuse(&mut self, field: &str, reason: Reason, message: String, remedy: &str) {
        self.accepted.get_or_insert(("Invalid", message.clone()));
        let message = message + "; requests to the Service fail if its certificate can't be verified without";
        self.report(field, reason, message, remedy);
    }

    fn report(&mut self, field: &str, reason: Reason, message: String, remedy: &str) {
        self.problems
            .report(self.owner, format!("spec.{field}"), reason, message, remedy);
    }

    fn finish(self, services: Vec<NamespacedName>) -> Policy {
        let conditions = vec![
            match self.accepted {
                None => ConditionOutcome::yes("Accepted", "Accepted", "the policy is in force"),
                Some((reason, message)) => ConditionOutcome::no("Accepted", reason, message),
            },
            match self.resolved {
                None => ConditionOutcome::yes("ResolvedRefs", "ResolvedRefs", "all references lead somewhere"),
                Some((reason, message)) => ConditionOutcome::no("ResolvedRefs", reason, message),
            },
        ];
        Policy {
            object: Kind::BackendTLSPolicy.object_ref(&self.policy.metadata),
            outcome: PolicyOutcome {
                observed_generation: self.policy.metadata.generation,
                ancestors: Vec::new(),
                conditions,
            },
            services,
        }
    }
}
