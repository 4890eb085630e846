//! Certificates of our Gateways' listeners (`kic.md` 4.11).

use super::listeners;
use crate::{
    model::{Kind, Reason, gateway::SecretObjectReference},
    translate::{problems::Owner, state::State},
};

/// The server name of listeners for any host.
const ANY_HOST: &str = "*";

/// Claims the certificates of all listeners, in order of the Gateways' names, after those of Ingresses. Raw objects have
/// none: no class is ours then.
pub(super) fn claim(state: &mut State<'_>) {
    if state.settings.raw_objects {
        return;
    }
    let mut wanted = Vec::new();
    for gateway in state.gateways.all_mut() {
        for (position, listener) in gateway.listeners.iter().enumerate() {
            let spec = listener.spec;
            let terminates = matches!(spec.protocol.as_str(), "HTTPS" | "TLS") && !listeners::is_passthrough(spec);
            if terminates && listener.fault.is_none() {
                wanted.push((gateway.owner, position, spec));
            }
        }
    }
    for (owner, position, spec) in wanted {
        let references = spec.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
        let field = format!("spec.listeners[{position}].tls.certificateRefs");
        let host = listeners::hostname(spec).unwrap_or(ANY_HOST);
        if references.len() > 1 {
            state.problems.report(
                owner,
                format!("{field}[1]"),
                Reason::Ignored,
                "a listener can have one certificate only; the first one is served",
                "keep one reference, or give each certificate a listener with a host name of its own",
            );
        }
        let fault = match references.first() {
            None => {
                let message = "the listener has no certificate".to_owned();
                let remedy = "name a Secret of type kubernetes.io/tls";
                state
                    .problems
                    .report(owner, field, Reason::SecretNotFound, message.clone(), remedy);
                Some(("InvalidCertificateRef", message))
            }
            Some(reference) => claim_one(owner, &format!("{field}[0]"), host, reference, state).err(),
        };
        let (namespace, name) = (&*owner.metadata.namespace, &*owner.metadata.name);
        if let (Some(fault), Some(gateway)) = (fault, state.gateways.get_mut(namespace, name)) {
            gateway.listeners[position].unresolved.get_or_insert(fault);
        }
    }
}

type Fault = (&'static str, String);

fn claim_one<'a>(
    owner: Owner<'a>,
    field: &str,
    host: &'a str,
    reference: &'a SecretObjectReference,
    state: &mut State<'a>,
) -> Result<(), Fault> {
    let kind = reference.kind.as_deref().unwrap_or(Kind::Secret.name());
    let group = reference.group.as_deref().unwrap_or_default();
    if kind != Kind::Secret.name() || !matches!(group, "" | "core") {
        let message = format!("certificates of kind {kind} are not supported; none is served");
        state.problems.report(
            owner,
            format!("{field}.kind"),
            Reason::Unsupported,
            message.clone(),
            "name a Secret of type kubernetes.io/tls",
        );
        return Err(("InvalidCertificateRef", message));
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&owner.metadata.namespace);
    let name = reference.name.as_str();
    if !state.index.grants.permits(owner, Kind::Secret, namespace, name) {
        let message = format!("no ReferenceGrant in namespace {namespace} lets {owner} refer to Secret {name}");
        state.problems.report(
            owner,
            format!("{field}.namespace"),
            Reason::RefNotPermitted,
            format!("{message}; no certificate is served"),
            "create the ReferenceGrant there, or use a Secret of the Gateway's own namespace",
        );
        return Err(("RefNotPermitted", message));
    }
    let secret = (namespace, name);
    let State {
        certificates,
        index,
        problems,
        ..
    } = state;
    if !certificates.require(owner, format!("{field}.name"), secret, index, problems) {
        let message = format!("Secret {name} in namespace {namespace} holds no usable certificate, or does not exist");
        return Err(("InvalidCertificateRef", message));
    }
    certificates.claim_name(owner, format!("{field}.name"), host, secret, problems);
    Ok(())
}
