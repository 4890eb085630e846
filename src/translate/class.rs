//! Which Ingresses are ours, and what our class says (`kic.md` 2.2).

use super::{
    Settings,
    annotations::{self, Reader},
    problems::{Owner, Problems},
};
use crate::model::{
    Kind, NamespacedName, Reason, Snapshot,
    kong::IngressClassParameters,
    kubernetes::{Ingress, IngressClass, IngressClassParametersReference, Metadata},
};

const PARAMETERS_GROUP: &str = "configuration.konghq.com";
const PARAMETERS_KIND: &str = "IngressClassParameters";

/// Our class.
pub(super) struct Class<'a> {
    name: &'a str,
    /// The object, if it exists: names alone decide, its controller field is not asked, as in Kong Ingress Controller.
    pub(super) object: Option<&'a IngressClass>,
    is_default: bool,
}

/// Whether what names that class is ours, which is called `ours`; what names none goes to the default class.
pub fn is_of_class(named: &str, ours: &str, snapshot: &Snapshot) -> bool {
    Class::called(ours, snapshot).takes_named(named)
}

impl<'a> Class<'a> {
    pub(super) fn find(snapshot: &'a Snapshot, settings: &'a Settings) -> Self {
        Self::called(&settings.ingress_class, snapshot)
    }

    fn called(name: &'a str, snapshot: &'a Snapshot) -> Self {
        let object = snapshot.ingress_classes.get(&NamespacedName::new("", name));
        let object = object.map(AsRef::as_ref);
        Self {
            name,
            object,
            is_default: object
                .is_some_and(|class| class.metadata.annotation(annotations::DEFAULT_CLASS) == Some("true")),
        }
    }

    /// Whether the Ingress is ours: by its annotation, else by its class name; one with neither goes to the default.
    pub(super) fn takes(&self, ingress: &Ingress) -> bool {
        match ingress.metadata.annotation(annotations::INGRESS_CLASS) {
            Some(class) if !class.is_empty() => class == self.name,
            _ => match &ingress.spec.ingress_class_name {
                Some(class) => class == self.name,
                None => self.is_default,
            },
        }
    }

    /// Whether a resource of Kong's is ours: by its annotation; one without goes to the default class.
    pub(super) fn takes_annotated(&self, metadata: &Metadata) -> bool {
        self.takes_named(metadata.annotation(annotations::INGRESS_CLASS).unwrap_or_default())
    }

    /// Whether what names that class is ours; what names none goes to the default class.
    pub(super) fn takes_named(&self, class: &str) -> bool {
        if class.is_empty() {
            self.is_default
        } else {
            class == self.name
        }
    }

    /// What the class's parameters say. Those that can't be had are reported; defaults apply then.
    pub(super) fn parameters(&self, snapshot: &'a Snapshot, problems: &mut Problems) -> Parameters<'a> {
        let Some(class) = self.object else {
            return Parameters::default();
        };
        let owner = Owner::new(Kind::IngressClass, &class.metadata);
        Reader { owner, problems }.is_true(annotations::DEFAULT_CLASS);
        let Some(reference) = &class.spec.parameters else {
            return Parameters::default();
        };
        let found = check(reference).and_then(|()| {
            let key = NamespacedName::new(reference.namespace.as_str(), reference.name.as_str());
            snapshot.ingress_class_parameters.get(&key).ok_or_else(|| Fault {
                field: "name",
                reason: Reason::ReferenceNotFound,
                message: format!("there is no {PARAMETERS_KIND} {key}"),
                remedy: "create it, or correct name and namespace".to_owned(),
            })
        });
        match found {
            Ok(object) => Parameters {
                object: Some(object),
                service_upstream: object.spec.service_upstream,
                legacy_regex_detection: object.spec.enable_legacy_regex_detection,
            },
            Err(fault) => {
                problems.report(
                    owner,
                    format!("spec.parameters.{}", fault.field),
                    fault.reason,
                    fault.message + "; the class has no parameters",
                    fault.remedy,
                );
                Parameters::default()
            }
        }
    }
}

/// What holds for a class as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parameters<'a> {
    /// Where it stands.
    pub(super) object: Option<&'a IngressClassParameters>,
    /// Whether every Service is one target, its DNS name.
    pub(super) service_upstream: bool,
    /// Whether paths that look like regular expressions are taken for such without a marker.
    pub(super) legacy_regex_detection: bool,
}

/// Why a reference to parameters can't be followed.
struct Fault {
    field: &'static str,
    reason: Reason,
    message: String,
    remedy: String,
}

fn check(reference: &IngressClassParametersReference) -> Result<(), Fault> {
    let wanted = [
        ("apiGroup", "API group", &reference.api_group, PARAMETERS_GROUP),
        ("kind", "kind", &reference.kind, PARAMETERS_KIND),
        ("scope", "scope", &reference.scope, "Namespace"),
    ];
    for (field, what, given, wanted) in wanted {
        if given != wanted {
            return Err(Fault {
                field,
                reason: Reason::InvalidField,
                message: format!("the {what} of the parameters is {given:?}, not {wanted}"),
                remedy: format!("set it to {wanted}"),
            });
        }
    }
    if reference.namespace.is_empty() {
        return Err(Fault {
            field: "namespace",
            reason: Reason::InvalidField,
            message: "the parameters' namespace is not named".to_owned(),
            remedy: format!("set it to the namespace of the {PARAMETERS_KIND} object"),
        });
    }
    Ok(())
}
