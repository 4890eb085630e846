//! IngressClassParameters.

use super::Definition;
use crate::model::{
    Kind,
    schema::{Literal, METADATA, TEXT, Type, fields},
};

pub(super) static INGRESS_CLASS_PARAMETERS: Definition = Definition {
    kind: Kind::IngressClassParameters,
    singular: "ingressclassparameters",
    short_names: &[],
    categories: &[],
    labels: &[],
    channels: "ingress-controller",
    description: "Settings of a class: an IngressClass refers to them by spec.parameters, with scope Namespace.",
    columns: &[],
    is_deprecated: false,
    has_status: false,
    fields: &FIELDS,
};

fields!(FIELDS {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// What holds for all Ingresses of the class.
    spec: Type::Object(&SPEC),
});

fields!(SPEC {
    /// Whether paths that look like regular expressions count as such, as in Kong Ingress Controller 2.
    enableLegacyRegexDetection: Type::Boolean => Literal::Boolean(false),
    /// Whether requests go to the cluster addresses of Services instead of their pods, as with the annotation
    /// `ingress.kubernetes.io/service-upstream`.
    serviceUpstream: Type::Boolean => Literal::Boolean(false),
});
