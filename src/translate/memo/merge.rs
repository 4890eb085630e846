//! Parts -> one translation. Pure.

use std::{collections::BTreeMap, sync::Arc};

use proxy_config_schema as kong;

use super::{
    super::{
        Translation,
        participants::Participants,
        problems::{Owner, Problems},
        state::Common,
        tls::Issue,
    },
    part::Part,
    rest::Rest,
};
use crate::model::Kind;

/// The services, upstreams and certificates of all parts, in canonical order.
pub(super) fn routes(parts: &[Arc<Part>]) -> Translation {
    let mut configuration = kong::Configuration::new();
    let mut gateways = Arc::default();
    for part in parts {
        configuration.services.extend(part.services.iter().cloned());
        configuration.upstreams.extend(part.upstreams.iter().cloned());
        if !part.gateways.is_empty() {
            gateways = part.gateways.clone();
        }
    }
    add_certificates(parts, &mut configuration);
    configuration.certificates = arranged(configuration.certificates);
    configuration.sort();
    Translation {
        configuration,
        problems: Vec::new(),
        objects: Participants::default(),
        gateways,
        confidential: Default::default(),
        valid_until: None,
    }
}

/// With their own lists in canonical order, as those of services and upstreams are.
fn arranged(certificates: kong::List<kong::Certificate>) -> kong::List<kong::Certificate> {
    let mut alone = kong::Configuration {
        certificates,
        ..kong::Configuration::default()
    };
    alone.canonicalize();
    alone.certificates
}

/// Adds certificates. Secrets with the same certificate and key become one: the oldest, then by identifier.
fn add_certificates(parts: &[Arc<Part>], configuration: &mut kong::Configuration) {
    let mut pairs: BTreeMap<&[u8; 32], Vec<&Issue>> = BTreeMap::new();
    for issue in parts.iter().flat_map(|part| &part.issues) {
        pairs.entry(&issue.digest).or_default().push(issue);
    }
    let mut renamed: BTreeMap<&str, &str> = BTreeMap::new();
    for issues in pairs.values() {
        let first = issues
            .iter()
            .min_by_key(|issue| issue.precedence())
            .expect("a pair has an issue");
        let others = issues.iter().filter(|issue| issue.id() != first.id());
        renamed.extend(others.map(|issue| (issue.id(), first.id())));
        configuration.certificates.push(match issues.as_slice() {
            [only] => only.certificate.clone(),
            issues => Arc::new(first.joined(issues)),
        });
    }
    if renamed.is_empty() {
        return;
    }
    for service in &mut configuration.services {
        let Some(kong::Reference::Key(id)) = &service.client_certificate else {
            continue;
        };
        if let Some(renamed) = renamed.get(id.as_str()) {
            Arc::make_mut(service).client_certificate = Some(kong::Reference::Key((*renamed).to_owned()));
        }
    }
}

/// Adds what is said of the objects.
pub(super) fn finish(
    translation: &mut Translation,
    parts: &[Arc<Part>],
    rest: &Rest,
    common: &Common<'_>,
    mut problems: Problems,
) {
    let mut own = Vec::new();
    if let Some(object) = common.class.object {
        own.push(Owner::new(Kind::IngressClass, &object.metadata));
    }
    if let Some(object) = common.parameters.object {
        own.push(Owner::new(Kind::IngressClassParameters, &object.metadata));
    }
    translation.objects = own
        .into_iter()
        .map(|owner| owner.kind.object_ref(owner.metadata))
        .collect();
    for part in parts {
        translation.objects.add(part.objects.clone());
        problems.extend(part.problems.iter().cloned());
    }
    translation.objects.add(rest.objects.clone());
    problems.extend(rest.problems.iter().cloned());
    translation.problems = problems.finish();
    translation.confidential = rest.confidential.clone();
    if translation.configuration.is_empty() {
        translation.configuration = kong::Configuration::stub();
    }
}
