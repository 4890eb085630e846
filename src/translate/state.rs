//! What the steps of a translation hand on, and look-ups that several of them make.

use std::collections::{BTreeSet, HashMap};

use super::{
    Settings,
    class::Parameters,
    draft::Drafts,
    gateway::Grants,
    path::Regexes,
    plugin::Attachments,
    problems::{Owner, Problems},
    tls::Certificates,
    upstream_settings, zone,
};
use crate::model::{
    NamespacedName, ObjectRef, Snapshot,
    kong::{KongIngress, KongServiceFacade, KongUpstreamPolicy},
    kubernetes::{EndpointSlice, Secret, Service},
};

/// A translation under way.
pub(super) struct State<'a> {
    pub(super) settings: &'a Settings,
    pub(super) index: Index<'a>,
    /// What holds for our class as a whole.
    pub(super) class: Parameters<'a>,
    /// The zone that all proxies are in.
    pub(super) zone: Option<&'a str>,
    pub(super) drafts: Drafts<'a>,
    pub(super) certificates: Certificates<'a>,
    /// What objects say about upstreams.
    pub(super) upstream_settings: upstream_settings::Settings<'a>,
    /// Which objects name which plugins.
    pub(super) attachments: Attachments<'a>,
    pub(super) regexes: Regexes,
    pub(super) problems: Problems,
    /// The objects that took part.
    pub(super) objects: BTreeSet<ObjectRef>,
    /// Values that settings of plugins have from Secrets.
    pub(super) confidential: BTreeSet<String>,
}

impl<'a> State<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, settings: &'a Settings) -> Self {
        let index = Index::new(snapshot);
        Self {
            settings,
            zone: zone::of_proxies(settings, &index),
            index,
            class: Parameters::default(),
            certificates: Certificates::default(),
            upstream_settings: upstream_settings::Settings::default(),
            drafts: Drafts::default(),
            attachments: Attachments::default(),
            regexes: Regexes::default(),
            problems: Problems::default(),
            objects: BTreeSet::new(),
            confidential: BTreeSet::new(),
        }
    }

    /// Notes that an object took part.
    pub(super) fn takes_part(&mut self, owner: Owner<'_>) {
        self.objects.insert(owner.kind.object_ref(owner.metadata));
    }
}

/// Objects by namespace and name, without a key to be made for each look-up.
pub(super) struct Index<'a> {
    snapshot: &'a Snapshot,
    services: HashMap<(&'a str, &'a str), &'a Service>,
    slices: HashMap<(&'a str, &'a str), Vec<&'a EndpointSlice>>,
    secrets: HashMap<(&'a str, &'a str), &'a Secret>,
    facades: HashMap<(&'a str, &'a str), &'a KongServiceFacade>,
    /// Who may refer to objects of another namespace.
    pub(super) grants: Grants<'a>,
}

impl<'a> Index<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let mut slices: HashMap<_, Vec<_>> = HashMap::new();
        for (key, slice) in &*snapshot.endpoint_slices {
            if let Some(service) = slice.service_name() {
                slices.entry((&*key.namespace, service)).or_default().push(&**slice);
            }
        }
        let services = snapshot.services.iter();
        let secrets = snapshot.secrets.iter();
        let facades = snapshot.service_facades.iter();
        Self {
            snapshot,
            services: services
                .map(|(key, object)| ((&*key.namespace, &*key.name), &**object))
                .collect(),
            secrets: secrets
                .map(|(key, object)| ((&*key.namespace, &*key.name), &**object))
                .collect(),
            facades: facades
                .map(|(key, object)| ((&*key.namespace, &*key.name), &**object))
                .collect(),
            slices,
            grants: Grants::new(snapshot),
        }
    }

    pub(super) fn facade(&self, namespace: &str, name: &str) -> Option<&'a KongServiceFacade> {
        self.facades.get(&(namespace, name)).copied()
    }

    pub(super) fn upstream_policy(&self, namespace: &str, name: &str) -> Option<&'a KongUpstreamPolicy> {
        let found = self
            .snapshot
            .upstream_policies
            .get(&NamespacedName::new(namespace, name));
        found.map(AsRef::as_ref)
    }

    pub(super) fn kong_ingress(&self, namespace: &str, name: &str) -> Option<&'a KongIngress> {
        let found = self.snapshot.kong_ingresses.get(&NamespacedName::new(namespace, name));
        found.map(AsRef::as_ref)
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&'a Service> {
        self.services.get(&(namespace, name)).copied()
    }

    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<&'a Secret> {
        self.secrets.get(&(namespace, name)).copied()
    }

    /// The slices of a Service, in order of their names.
    pub(super) fn slices(&self, namespace: &'a str, service: &'a str) -> &[&'a EndpointSlice] {
        self.slices.get(&(namespace, service)).map_or(&[], Vec::as_slice)
    }
}
