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
}
