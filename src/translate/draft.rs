//! Kong services and routes in the making: what all source kinds are turned into before conflicts, annotations and
//! endpoints are looked at.

use std::{collections::HashMap, rc::Rc};

use super::{
    backend::{Backend, PortSelector},
    path::PathMatch,
    problems::Owner,
    route_annotations::RouteSettings,
};

/// A Kong service with its routes.
#[derive(Debug)]
pub(super) struct ServiceDraft<'a> {
    pub(super) name: String,
    /// The upstream's name.
    pub(super) host: String,
    /// The path that requests get in front.
    pub(super) path: Option<&'static str>,
    /// Where requests go.
    pub(super) backends: Vec<Backend<'a>>,
    /// The object that it was made for; its tags are the service's if there are several backends.
    pub(super) parent: Owner<'a>,
    pub(super) routes: Vec<RouteDraft<'a>>,
}

/// A Kong route.
#[derive(Debug)]
pub(super) struct RouteDraft<'a> {
    pub(super) name: String,
    pub(super) owner: Owner<'a>,
    /// Empty for any host.
    pub(super) hosts: Vec<String>,
    /// Never empty.
    pub(super) paths: Vec<PathDraft>,
    pub(super) settings: Rc<RouteSettings>,
    /// Whether it takes what no rule takes: its expression has the lowest priority.
    pub(super) is_default: bool,
}

/// A path of a route, and where it stands.
#[derive(Debug)]
pub(super) struct PathDraft {
    pub(super) matches: PathMatch,
    pub(super) place: Place,
}

/// Where a path stands in its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A path of a rule, both counted from 0.
    IngressPath(usize, usize),
    /// The default backend.
    DefaultBackend,
}

impl Place {
    /// The path's field.
    pub(super) fn field(self) -> String {
        match self {
            Self::IngressPath(rule, path) => format!("spec.rules[{rule}].http.paths[{path}].path"),
            Self::DefaultBackend => "spec.defaultBackend".to_owned(),
        }
    }

    /// The field of its backend.
    pub(super) fn backend_field(self) -> String {
        match self {
            Self::IngressPath(rule, path) => format!("spec.rules[{rule}].http.paths[{path}].backend"),
            Self::DefaultBackend => "spec.defaultBackend".to_owned(),
        }
    }
}

/// The services so far, by name.
#[derive(Debug, Default)]
pub(super) struct Drafts<'a> {
    pub(super) services: Vec<ServiceDraft<'a>>,
    index: HashMap<BackendKey<'a>, usize>,
}

type BackendKey<'a> = (&'a str, &'a str, PortSelector<'a>);

impl<'a> Drafts<'a> {
    /// The service of a Kubernetes Service and port; made on first use, with what is said here.
    pub(super) fn service(
        &mut self,
        backend: &Backend<'a>,
        parent: Owner<'a>,
        path: Option<&'static str>,
    ) -> &mut ServiceDraft<'a> {
        let key = (backend.namespace, backend.service, backend.port);
        let position = *self.index.entry(key).or_insert_with(|| {
            self.services.push(ServiceDraft {
                name: backend.service_name(),
                host: backend.upstream_name(),
                path,
                backends: vec![*backend],
                parent,
                routes: Vec::new(),
            });
            self.services.len() - 1
        });
        &mut self.services[position]
    }

    /// Gives routes of one name names of their own: names of Ingresses hold dots as hosts do, so that Ingress `a.b` with
    /// Service `c` and Ingress `a` with Service `b` and host `c.…` can come to the same, which Kong refuses as a whole.
    /// The oldest keeps the name.
    pub(super) fn separate_names(&mut self) {
        let mut routes: Vec<_> = self
            .services
            .iter_mut()
            .flat_map(|service| &mut service.routes)
            .collect();
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(routes.len());
        let is_unique = routes.iter().all(|route| seen.insert(&route.name, 1).is_none());
        if is_unique {
            return;
        }
        routes.sort_by_cached_key(|route| {
            let metadata = route.owner.metadata;
            (
                route.name.clone(),
                metadata.creation_timestamp,
                metadata.key(),
                route.hosts.clone(),
            )
        });
        for same in routes.chunk_by_mut(|a, b| a.name == b.name) {
            for (position, route) in same.iter_mut().enumerate().skip(1) {
                // Names of objects hold no tilde: nothing else has this name.
                route.name.push_str(&format!("~{}", position + 1));
            }
        }
    }
}
