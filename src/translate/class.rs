//! Which Ingresses are ours, and what our class says (`kic.md` 2.2).

use super::{
    Settings, annotations,
    problems::{Owner, Problems},
};
use crate::model::{
    Kind, NamespacedName, Reason, Snapshot,
    kubernetes::{Ingress, IngressClass},
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

impl<'a> Class<'a> {
    pub(super) fn find(snapshot: &'a Snapshot, settings: &'a Settings) -> Self {
        let key = NamespacedName::new("", settings.ingress_class.as_str());
        let object = snapshot.ingress_classes.get(&key).map(AsRef::as_ref);
        Self {
            name: &settings.ingress_class,
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

    /// Reports parameters that can't be used; defaults apply then.
    pub(super) fn check_parameters(&self, problems: &mut Problems) {
        let Some(class) = self.object else { return };
        let Some(parameters) = &class.spec.parameters else {
            return;
        };
        let mut wrong = |field: &str, message: String, remedy: String| {
            problems.report(
                Owner::new(Kind::IngressClass, &class.metadata),
                format!("spec.parameters.{field}"),
                Reason::InvalidField,
                message,
                remedy,
            );
        };
        if parameters.api_group != PARAMETERS_GROUP {
            let given = &parameters.api_group;
            wrong(
                "apiGroup",
                format!(
                    "the API group of the parameters is {given:?}, not {PARAMETERS_GROUP}; the class has no parameters"
                ),
                format!("set it to {PARAMETERS_GROUP}"),
            );
        } else if parameters.kind != PARAMETERS_KIND {
            let given = &parameters.kind;
            wrong(
                "kind",
                format!("the kind of the parameters is {given:?}, not {PARAMETERS_KIND}; the class has no parameters"),
                format!("set it to {PARAMETERS_KIND}"),
            );
        } else if parameters.scope != "Namespace" {
            let given = &parameters.scope;
            wrong(
                "scope",
                format!("the scope of the parameters is {given:?}, not Namespace; the class has no parameters"),
                "set it to Namespace".to_owned(),
            );
        } else if parameters.namespace.is_empty() {
            wrong(
                "namespace",
                "the parameters' namespace is not named; the class has no parameters".to_owned(),
                format!("set it to the namespace of the {PARAMETERS_KIND} object"),
            );
        } else {
            problems.report(
                Owner::new(Kind::IngressClass, &class.metadata),
                "spec.parameters",
                Reason::Unsupported,
                format!("{PARAMETERS_KIND} objects are not read; the class has no parameters"),
                format!(
                    "annotate the Services with {}, if the parameters say so",
                    annotations::SERVICE_UPSTREAM
                ),
            );
        }
    }
}
