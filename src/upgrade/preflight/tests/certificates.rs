//! Whom the certificates of now are for, and who may configure the proxies.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::{Value, json};

use super::*;

/// A certificate of an authority, or the authority itself.
fn certificate(names: &[&str], purposes: &[ExtendedKeyUsagePurpose], issuer: &Issuer<'_, KeyPair>) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.extended_key_usages = purposes.to_vec();
    let key = KeyPair::generate().unwrap();
    parameters.signed_by(&key, issuer).unwrap().pem()
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(parameters, key))
}

#[test]
fn certificates_for_other_names_are_refused() {
    let (_, issuer) = authority("ours");
    let of = |name: &str| {
        let mut facts = facts();
        facts.proxy_certificate = Some(IssuedCertificate {
            secret: "gateway/shop-kong-proxy-tls".to_owned(),
            pem: certificate(&[name], &[ExtendedKeyUsagePurpose::ServerAuth], &issuer),
        });
        facts
    };
    assert_eq!(failures(&plan(), &of("*.shop-kong-gateway-admin.gateway.svc")), []);
    fails(
        &plan(),
        &of("*.other.gateway.svc"),
        "certificates",
        "*.other.gateway.svc",
    );
    let mut broken = of("x");
    broken.proxy_certificate.as_mut().unwrap().pem = "nothing".to_owned();
    fails(&plan(), &broken, "certificates", "no certificate");
}

/// The release, with these words for the controller.
fn with_controller(release: Release, arguments: Value, environment: Value) -> Release {
    let mut deployment = sidecar();
    let controller = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    controller["args"] = arguments;
    controller["env"] = environment;
    Release {
        objects: manifest(&deployment.to_string(), "gateway").unwrap(),
        ..release
    }
}

#[test]
fn whoever_does_not_verify_its_proxies_is_told_how_to_leave_that() {
    let said = |facts: &Facts, plan: &Plan| {
        let report = judge(plan, facts);
        assert_eq!(report.failures(), 0, "{report}");
        let mut findings = report.findings.into_iter();
        let found = findings.find(|finding| finding.check == "verification");
        found.map(|finding| (finding.level, finding.message, finding.remedy.unwrap_or_default()))
    };
    let with = |chart: &str, arguments: Value, environment: Value| {
        let deployed = facts().deployed.unwrap();
        let deployed = Release {
            chart: chart.to_owned(),
            ..with_controller(deployed, arguments, environment)
        };
        Facts {
            deployed: Some(deployed),
            ..facts()
        }
    };
    assert_eq!(said(&facts(), &plan()), None);
    let variable = |value: &str| json!([{ "name": "CONTROLLER_KONG_ADMIN_TLS_SKIP_VERIFY", "value": value }]);
    assert_eq!(said(&with("kong", json!([]), variable("false")), &plan()), None);
    assert_eq!(
        said(
            &with("kong", json!(["--kong-admin-tls-skip-verify=false"]), variable("true")),
            &plan()
        ),
        None,
        "the command line goes first"
    );
    for (arguments, environment) in [
        (json!([]), variable("true")),
        (json!(["--kong-admin-tls-skip-verify", "--log-level=debug"]), json!([])),
        (json!(["--kong-admin-tls-skip-verify=true"]), json!([])),
    ] {
        let (level, message, remedy) = said(&with("kong", arguments, environment), &plan()).unwrap();
        assert_eq!(level, Level::Warning);
        assert!(
            message.contains("Deployment gateway/shop-kong does not verify"),
            "{message}"
        );
        assert!(
            message.contains("self-signed") && message.contains("old pods"),
            "{message}"
        );
        assert!(remedy.contains("--kong-admin-ca-cert-file"), "{remedy}");
    }
    // Ours, with the flag before and after, and without it after.
    let flag = || json!(["--kong-admin-tls-skip-verify"]);
    let mut ours = with("silverback", flag(), json!([]));
    let (level, _, remedy) = said(&ours, &plan()).unwrap();
    assert_eq!(level, Level::Warning);
    assert!(remedy.contains("KONG_NGINX_ADMIN_SSL_VERIFY_CLIENT"), "{remedy}");
    let hook = Plan {
        is_hook: true,
        ..plan()
    };
    ours.pending = ours.deployed.clone();
    let (level, message, _) = said(&ours, &hook).unwrap();
    assert!(
        level == Level::Warning && message.contains("VerificationDisabled"),
        "{message}"
    );
    ours.pending = Some(with_controller(ours.deployed.clone().unwrap(), json!([]), json!([])));
    assert_eq!(said(&ours, &hook).unwrap().0, Level::Good);
}

#[test]
fn whoever_may_configure_the_gateways_is_told() {
    let (pem, issuer) = authority("admin-api-ca");
    let (_, stranger) = authority("stranger");
    let mut other = facts();
    other.client_authorities = vec![("ConfigMap shop-gateway-admin-client-ca".to_owned(), pem)];
    assert!(
        judge(&plan(), &other)
            .to_string()
            .contains("no valid certificate was found")
    );
    let issued = |secret: &str, purposes: &[ExtendedKeyUsagePurpose], issuer| IssuedCertificate {
        secret: secret.to_owned(),
        pem: certificate(&["admin"], purposes, issuer),
    };
    let (client, server) = (ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth);
    other.certificates = vec![
        issued("gateway/controller", std::slice::from_ref(&client), &issuer),
        issued("gateway/other", std::slice::from_ref(&client), &stranger),
    ];
    let text = judge(&plan(), &other).to_string();
    assert!(
        text.contains("issued gateway/controller") && !text.contains("gateway/other"),
        "{text}"
    );
    other
        .certificates
        .push(issued("gateway/both", &[client, server], &issuer));
    let text = judge(&plan(), &other).to_string();
    assert!(text.contains("for servers too: gateway/both"), "{text}");
}
