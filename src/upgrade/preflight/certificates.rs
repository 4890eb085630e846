//! Checks of certificates: what the proxies will show, and who may call the gateways that are there.

use jiff::Timestamp;
use x509_parser::{
    pem::Pem,
    prelude::{FromDer, GeneralName, X509Certificate},
};

use super::{
    facts::{Facts, Plan},
    report::Finding,
    workload::Controller,
};
use crate::upgrade::release::Release;

/// The certificate that new proxies will show, where the Secret is filled already.
pub(super) fn proxies(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "certificates";
    let Some(found) = &facts.proxy_certificate else {
        return Vec::new();
    };
    let secret = &found.secret;
    let Some(der) = der(&found.pem) else {
        return vec![Finding::failure(
            CHECK,
            format!("Secret {secret} holds no certificate that can be read in tls.crt"),
            "delete it, so that the controller fills it anew; or put certificate and key there",
        )];
    };
    let Some(certificate) = parsed(&der) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let expires = certificate.validity().not_after.timestamp();
    let shown = Timestamp::from_second(expires).map_or_else(|_| "long ago".to_owned(), |time| time.to_string());
    if expires <= facts.now.as_second() {
        findings.push(Finding::warning(
            CHECK,
            format!("the proxies' certificate in Secret {secret} expired {shown}"),
            "one of ours is renewed when the controller starts; renew one of yours",
        ));
    }
    let service = format!("{}.{}.svc", plan.admin_service, plan.namespace);
    let names = names(&certificate);
    let fits = names
        .iter()
        .any(|name| *name == format!("pod.{service}") || *name == format!("*.{service}"));
    if !fits {
        findings.push(Finding::failure(
            CHECK,
            format!(
                "the proxies' certificate in Secret {secret} is for {}, not for *.{service}",
                listed(&names)
            ),
            "delete the Secret, so that the controller fills it anew; or issue the certificate for that name",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            CHECK,
            format!("Secret {secret} is for the right names, until {shown}"),
        ));
    }
    findings
}

/// Whoever holds a certificate of an authority that gateways trust for clients may configure them.
pub(super) fn clients(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "client-authority";
    let mut findings = Vec::new();
    for (place, pem) in &facts.client_authorities {
        let Some(authority_der) = der(pem) else {
            findings.push(Finding::warning(
                CHECK,
                format!("{place} holds no certificate that can be read"),
                "see what the gateways verify their clients by",
            ));
            continue;
        };
        let Some(authority) = parsed(&authority_der) else {
            continue;
        };
        let mut issued = Vec::new();
        for certificate in &facts.certificates {
            let Some(der) = der(&certificate.pem) else { continue };
            let Some(leaf) = parsed(&der) else { continue };
            let is_authority = leaf.is_ca() || der == authority_der;
            if !is_authority && leaf.issuer().as_raw() == authority.subject().as_raw() {
                let serves = usage(&leaf, |usage| usage.server_auth);
                let expired = leaf.validity().not_after.timestamp() <= facts.now.as_second();
                issued.push((certificate.secret.as_str(), serves, expired));
            }
        }
        let valid: Vec<&str> = issued
            .iter()
            .filter(|(.., expired)| !expired)
            .map(|(secret, ..)| *secret)
            .collect();
        let serving: Vec<&str> = issued
            .iter()
            .filter(|(_, serves, expired)| *serves && !expired)
            .map(|(secret, ..)| *secret)
            .collect();
        findings.push(if valid.is_empty() {
            Finding::warning(
                CHECK,
                format!("of the authority in {place}, which the gateways trust, no valid certificate was found here"),
                "give the controller one (--kong-admin-tls-client-cert-file), or the gateways refuse it",
            )
        } else if serving.is_empty() {
            Finding::good(CHECK, format!("the authority in {place} issued {}", valid.join(", ")))
        } else {
            Finding::warning(
                CHECK,
                format!(
                    "the authority in {place}, which the gateways trust for clients, issued certificates for servers too: {}; \
                     whoever holds one can configure every gateway",
                    serving.join(", ")
                ),
                "after the upgrade, let the controller's own authorities take its place: clients and servers have one each",
            )
        });
    }
    findings
}

/// Controllers that believe whoever answers: those of the release that is there, and of the one that is to come.
pub(super) fn verification(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "verification";
    const FLAG: &str = "--kong-admin-tls-skip-verify or CONTROLLER_KONG_ADMIN_TLS_SKIP_VERIFY";
    const LEAVE: &str = "give every proxy the certificate that the controller makes for it (Secret of the chart, mounted as \
                         KONG_ADMIN_SSL_CERT, KONG_ADMIN_SSL_CERT_KEY and KONG_NGINX_ADMIN_SSL_CLIENT_CERTIFICATE, with \
                         KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT=on), or one of your own authority, which the controller then \
                         trusts by --kong-admin-ca-cert-file; then take the flag away (docs/guide/certificates.md)";
    let skipping = |release: &Release| {
        let workloads = ["Deployment", "DaemonSet"]
            .into_iter()
            .flat_map(|kind| release.of_kind(kind));
        let mut controllers = workloads.filter_map(|object| Controller::of(&object.content));
        controllers
            .find(|controller| controller.skips_verification)
            .map(|controller| controller.workload)
    };
    let live = facts.controllers.iter().find(|controller| {
        let is_of_release =
            controller.release.as_ref() == Some(&plan.release) && controller.namespace == plan.namespace;
        controller.skips_verification && is_of_release
    });
    let old = facts.deployed.as_ref().and_then(skipping);
    let old = old.or_else(|| live.map(|controller| controller.workload.clone()));
    let new = facts.pending.as_ref().and_then(skipping);
    let is_ours = facts
        .deployed
        .as_ref()
        .is_some_and(|deployed| deployed.chart == "silverback");
    match (old, new) {
        (_, Some(workload)) => vec![Finding::warning(
            CHECK,
            format!(
                "the controller in {workload} will not verify its proxies ({FLAG}): it believes the first key that a pod shows, \
                 and rows say MutualTLS False, VerificationDisabled"
            ),
            LEAVE,
        )],
        // What is upgraded by hand, without the new manifest, keeps its arguments.
        (Some(workload), None) if is_ours && facts.pending.is_none() => vec![Finding::warning(
            CHECK,
            format!("the controller in {workload} does not verify its proxies ({FLAG})"),
            LEAVE,
        )],
        (Some(workload), None) if is_ours => vec![Finding::good(
            CHECK,
            format!("the controller in {workload} did not verify its proxies; the new one does"),
        )],
        (Some(workload), None) => vec![Finding::warning(
            CHECK,
            format!(
                "the controller in {workload} does not verify its proxies ({FLAG}), so that they may show self-signed certificates; \
                 the chart does not take that over: new proxies show a certificate that the new controller makes, and each \
                 verifies the other. It can't configure old pods: they keep what they run until they end"
            ),
            "nothing, unless proxies keep a certificate of their own (KONG_ADMIN_SSL_CERT): let the controller trust its \
             authority (--kong-admin-ca-cert-file in controller.args); for a self-signed one, as a last resort and for a while, \
             add --kong-admin-tls-skip-verify there",
        )],
        (None, None) => Vec::new(),
    }
}

fn der(pem: &str) -> Option<Vec<u8>> {
    let first = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
    parsed(&first.contents)?;
    Some(first.contents)
}

fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn usage(
    certificate: &X509Certificate<'_>,
    of: impl Fn(&x509_parser::extensions::ExtendedKeyUsage<'_>) -> bool,
) -> bool {
    match certificate.extended_key_usage() {
        Ok(Some(usage)) => of(usage.value) || usage.value.any,
        // Without the extension it is good for everything.
        _ => true,
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.collect()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "no name".to_owned()
    } else {
        names.join(", ")
    }
}
