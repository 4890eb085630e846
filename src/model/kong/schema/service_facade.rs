//! KongServiceFacade.

use super::{
    Definition,
    condition::{CONDITIONS, DEFAULT_CONDITIONS},
};
use crate::model::{
    Kind,
    schema::{METADATA, Range, TEXT, Type, fields},
};

pub(super) static KONG_SERVICE_FACADE: Definition = Definition {
    kind: Kind::KongServiceFacade,
    singular: "kongservicefacade",
    short_names: &[],
    categories: &["kong-ingress-controller"],
    labels: &[],
    channels: "ingress-controller-incubator",
    description: "A second face of a Service, with annotations of its own: paths of an Ingress refer to it as \
                  backend.resource. Needs the feature gate KongServiceFacade.",
    columns: &[],
    is_deprecated: false,
    has_status: true,
    fields: &FIELDS,
};

fields!(FIELDS {
    apiVersion: TEXT,
    kind: TEXT,
    metadata: METADATA,
    /// Wanted state.
    spec required: Type::Object(&SPEC),
    /// What came of it.
    status: Type::Object(&STATUS),
});

fields!(SPEC {
    /// The Service behind it.
    backendRef required: Type::Object(&BACKEND_REF),
});

fields!(BACKEND_REF {
    /// Name of a Service of the same namespace.
    name required: TEXT,
    /// Number of one of its ports.
    port required: Type::Integer(Range::ANY.format("int32")),
});

fields!(STATUS {
    /// `Programmed`: whether the proxies have it.
    conditions: CONDITIONS => DEFAULT_CONDITIONS,
});
