//! What the steps of a translation hand on, and look-ups that several of them make.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use jiff::Timestamp;

use super::{
    Settings,
    ca_certificate::{Claim, Source},
    class::{Class, Parameters},
    draft::Drafts,
    gateway::{Gateways, Grants, RouteOutcome, TlsPolicies},
    plugin::Attachments,
    problems::{Owner, Problems},
    regexes::Regexes,
    tls::Certificates,
    upstream_settings, zone,
};
use crate::model::{
    Kind, NameKey, ObjectRef, Snapshot,
    kong::{KongIngress, KongServiceFacade, KongUpstreamPolicy},
    kubernetes::{EndpointSlice, Secret, Service},
};

/// What all parts of a translation have in common.
pub(super) struct Common<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) settings: &'a Settings,
    pub(super) index: Rc<Index<'a>>,
    pub(super) class: Class<'a>,
    /// What holds for our class as a whole.
    pub(super) parameters: Parameters<'a>,
    /// The zone that all proxies are in.
    pub(super) zone: Option<&'a str>,
    pub(super) policies: &'a TlsPolicies,
}

impl<'a> Common<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        settings: &'a Settings,
        policies: &'a TlsPolicies,
        problems: &mut Problems,
    ) -> Self {
        let index = Rc::new(Index::new(snapshot, &policies.services));
        let class = Class::find(snapshot, settings);
        Self {
            snapshot,
            settings,
            parameters: class.parameters(snapshot, problems),
            zone: zone::of_proxies(settings, &index),
            class,
            index,
            policies,
        }
    }
}

/// A translation under way.
pub(super) struct State<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) settings: &'a Settings,
    pub(super) index: Rc<Index<'a>>,
    /// What holds for our class as a whole.
    pub(super) class: Parameters<'a>,
    /// The zone that all proxies are in.
    pub(super) zone: Option<&'a str>,
    pub(super) drafts: Drafts<'a>,
    pub(super) certificates: Certificates<'a>,
    /// CA certificates that services verify upstreams by.
    pub(super) claims: Vec<Claim>,
    /// What objects say about upstreams.
    pub(super) upstream_settings: upstream_settings::Settings<'a>,
    /// Those that routes can be attached to.
    pub(super) gateways: Gateways<'a>,
    /// What came of attaching routes to them.
    pub(super) route_outcomes: BTreeMap<ObjectRef, RouteOutcome>,
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
    pub(super) fn new(common: &Common<'a>) -> Self {
        Self {
            snapshot: common.snapshot,
            settings: common.settings,
            zone: common.zone,
            index: common.index.clone(),
            gateways: Gateways::default(),
            route_outcomes: BTreeMap::new(),
            class: common.parameters,
            certificates: Certificates::default(),
            claims: Vec::new(),
            upstream_settings: upstream_settings::Settings::default(),
            drafts: Drafts::default(),
            attachments: Attachments::default(),
            regexes: Regexes::with(common.settings),
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

/// The earlier one of two ends, `None` being none.
pub(super) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// Something that was looked up, found or not: a hash of kind and name.
pub(super) type Lookup = u64;

/// The look-up of an object; of an EndpointSlice, that of all slices of the Service with the name.
pub(super) fn lookup(kind: Kind, namespace: &str, name: &str) -> Lookup {
    let mut hasher = DefaultHasher::new();
    (kind, namespace, name).hash(&mut hasher);
    hasher.finish()
}

/// Objects by namespace and name. Remembers what was looked up: if none of that changes, nothing made of it does.
pub(super) struct Index<'a> {
    snapshot: &'a Snapshot,
    /// Services in place of the snapshot's.
    replaced: HashMap<(&'a str, &'a str), &'a Service>,
    slices: HashMap<(&'a str, &'a str), Vec<&'a EndpointSlice>>,
    lookups: RefCell<Vec<Lookup>>,
    /// Until when all of it holds.
    end: Cell<Option<Timestamp>>,
    /// Who may refer to objects of another namespace.
    pub(super) grants: Grants<'a>,
}

impl<'a> Index<'a> {
    fn new(snapshot: &'a Snapshot, replaced: &'a [Service]) -> Self {
        let mut slices: HashMap<_, Vec<_>> = HashMap::with_capacity(snapshot.endpoint_slices.len());
        for (key, slice) in &*snapshot.endpoint_slices {
            if let Some(service) = slice.service_name() {
                slices.entry((&*key.namespace, service)).or_default().push(&**slice);
            }
        }
        let named = |service: &'a Service| ((&*service.metadata.namespace, &*service.metadata.name), service);
        Self {
            snapshot,
            replaced: replaced.iter().map(named).collect(),
            slices,
            lookups: RefCell::default(),
            end: Cell::default(),
            grants: Grants::new(snapshot),
        }
    }

    /// What was looked up since this was asked last.
    pub(super) fn take_lookups(&self) -> Vec<Lookup> {
        let mut lookups = self.lookups.take();
        lookups.sort_unstable();
        lookups.dedup();
        lookups
    }

    /// Notes that something holds until then.
    pub(super) fn note_end(&self, end: Timestamp) {
        self.end.set(earliest(self.end.get(), Some(end)));
    }

    /// Until when all holds that was made so far.
    pub(super) fn end(&self) -> Option<Timestamp> {
        self.end.get()
    }

    fn note(&self, kind: Kind, namespace: &str, name: &str) {
        self.lookups.borrow_mut().push(lookup(kind, namespace, name));
    }

    pub(super) fn facade(&self, namespace: &str, name: &str) -> Option<&'a KongServiceFacade> {
        self.note(Kind::KongServiceFacade, namespace, name);
        let found = self.snapshot.service_facades.get(&(namespace, name) as &dyn NameKey);
        found.map(AsRef::as_ref)
    }

    pub(super) fn upstream_policy(&self, namespace: &str, name: &str) -> Option<&'a KongUpstreamPolicy> {
        self.note(Kind::KongUpstreamPolicy, namespace, name);
        let found = self.snapshot.upstream_policies.get(&(namespace, name) as &dyn NameKey);
        found.map(AsRef::as_ref)
    }

    pub(super) fn kong_ingress(&self, namespace: &str, name: &str) -> Option<&'a KongIngress> {
        self.note(Kind::KongIngress, namespace, name);
        let found = self.snapshot.kong_ingresses.get(&(namespace, name) as &dyn NameKey);
        found.map(AsRef::as_ref)
    }

    /// The Secret or ConfigMap that may hold a CA certificate.
    pub(super) fn ca_certificate(&self, kind: Kind, namespace: &str, name: &str) -> Option<Source<'a>> {
        if kind == Kind::Secret {
            return self.secret(namespace, name).map(Source::Secret);
        }
        self.note(Kind::ConfigMap, namespace, name);
        let found = self.snapshot.config_maps.get(&(namespace, name) as &dyn NameKey);
        found.map(|map| Source::ConfigMap(map))
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&'a Service> {
        self.note(Kind::Service, namespace, name);
        let replaced = self.replaced.get(&(namespace, name)).copied();
        replaced.or_else(|| {
            let found = self.snapshot.services.get(&(namespace, name) as &dyn NameKey);
            found.map(AsRef::as_ref)
        })
    }

    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<&'a Secret> {
        self.note(Kind::Secret, namespace, name);
        let found = self.snapshot.secrets.get(&(namespace, name) as &dyn NameKey);
        found.map(AsRef::as_ref)
    }

    /// The slices of a Service, in order of their names.
    pub(super) fn slices(&self, namespace: &'a str, service: &'a str) -> &[&'a EndpointSlice] {
        self.note(Kind::EndpointSlice, namespace, service);
        self.slices.get(&(namespace, service)).map_or(&[], Vec::as_slice)
    }
}
