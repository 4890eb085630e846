//! What flags come to.
#![allow(clippy::unwrap_used)]

use clap::FromArgMatches;

use super::*;
use crate::{
    cli,
    model::{Edition, Profile, RouterFlavor},
};

fn of(words: &[&str]) -> anyhow::Result<ControllerSettings> {
    let words = ["silverback", "run"].iter().chain(words);
    let matches = cli::command().try_get_matches_from(words)?;
    settings(RunArguments::from_arg_matches(
        matches.subcommand_matches("run").unwrap(),
    )?)
}

fn problem(words: &[&str]) -> String {
    of(words).unwrap_err().to_string()
}

const DISCOVERED: &str = "--kong-admin-svc=kong/admin";

#[test]
fn replicas_elect_a_leader_unless_each_has_its_own_proxy() {
    let sidecar = "--kong-admin-url=https://localhost:8444";
    for (words, scope) in [
        (&[DISCOVERED][..], ElectionScope::Everything),
        (&[sidecar], ElectionScope::Writing),
        (&[sidecar, "--force-leader-election=enabled"], ElectionScope::Everything),
        (
            &[DISCOVERED, "--force-leader-election=disabled"],
            ElectionScope::Nothing,
        ),
    ] {
        assert_eq!(of(words).unwrap().election, scope, "{words:?}");
    }
}

#[test]
fn readiness_checks_are_probes() {
    let settings = of(&[DISCOVERED, "--gateway-discovery-readiness-check-interval=10s"]).unwrap();
    assert_eq!(
        (settings.probe_interval.as_secs(), settings.probe_timeout.as_secs()),
        (10, 4)
    );
    let settings = of(&[DISCOVERED]).unwrap();
    assert_eq!(
        (settings.probe_interval.as_secs(), settings.probe_timeout.as_secs()),
        (5, 2)
    );
    let settings = of(&[DISCOVERED, "--probe-interval=1h"]).unwrap();
    assert_eq!(settings.probe_timeout.as_secs(), 5);
    let settings = of(&[DISCOVERED, "--gateway-discovery-readiness-check-timeout=5s"]).unwrap();
    assert_eq!(settings.probe_timeout.as_secs(), 5);
    assert!(problem(&[DISCOVERED, "--gateway-discovery-readiness-check-interval=2s"]).contains("at least 3s"));
    let equal = [
        DISCOVERED,
        "--gateway-discovery-readiness-check-interval=4s",
        "--gateway-discovery-readiness-check-timeout=4s",
    ];
    assert!(problem(&equal).contains("below"));
}

#[test]
fn what_is_assumed_of_proxies_needs_a_directory() {
    for flag in [
        "--raw-objects",
        "--router-flavor=expressions",
        "--edition=enterprise",
        "--kong-version=3.9",
    ] {
        let problem = problem(&[DISCOVERED, flag]);
        assert!(problem.contains("--directory"), "{flag}: {problem}");
    }
    let directory = tempfile::tempdir().unwrap();
    let source = format!("--directory={}", directory.path().display());
    let protected = [
        &*source,
        "--proxy=https://127.0.0.1:8444",
        "--metrics-access-filter=rbac",
    ];
    assert!(problem(&protected).contains("needs a cluster"));
    assert!(
        of(&[DISCOVERED, "--metrics-access-filter=rbac"])
            .unwrap()
            .protect_metrics
    );
    let profile = |words: &[&str]| {
        let words: Vec<&str> = [&*source, "--proxy=https://127.0.0.1:8444"]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        let reported = Profile {
            router_flavor: RouterFlavor::Traditional,
            edition: Some(Edition::OpenSource),
            version: Some((3, 9)),
            plugins: None,
        };
        of(&words).unwrap().profile.of(&reported).to_string()
    };
    assert_eq!(profile(&[]), "traditional/open-source/3.9");
    assert_eq!(profile(&["--edition=enterprise"]), "traditional/enterprise/3.9");
    assert_eq!(profile(&["--raw-objects"]), "traditional", "as golden data were made");
    assert_eq!(
        profile(&["--raw-objects", "--router-flavor=expressions", "--kong-version=3.9.1"]),
        "expressions/3.9"
    );
}

#[test]
fn refused_values_say_why() {
    assert!(problem(&[DISCOVERED, "--skip-ca-certificates"]).contains("database"));
    assert!(of(&[DISCOVERED, "--skip-ca-certificates=false"]).is_ok());
    let fallback = "--use-last-valid-config-for-fallback";
    assert!(
        problem(&[DISCOVERED, fallback, "--feature-gates=FallbackConfiguration=false"])
            .contains("FallbackConfiguration")
    );
    assert!(of(&[DISCOVERED, fallback]).unwrap().keep_last_valid);
    assert!(!of(&[DISCOVERED]).unwrap().keep_last_valid);
    assert!(problem(&[DISCOVERED, "--feature-gates=FillIDs=false"]).contains("KongCustomEntity"));
}

#[test]
fn the_webhook_takes_files_texts_or_our_own_authority() {
    let certificate = |words: &[&str]| {
        let words: Vec<&str> = [DISCOVERED].into_iter().chain(words.iter().copied()).collect();
        of(&words).unwrap().admission.map(|admission| format!("{admission:?}"))
    };
    let listen = "--admission-webhook-listen=:8080";
    assert_eq!(certificate(&[]), None);
    assert!(problem(&[DISCOVERED, listen]).contains("--admission-webhook-secret"));
    let own = [
        "--admission-webhook-secret=a/tls",
        "--admission-webhook-service=a/webhook",
    ];
    let configuration = "--admission-webhook-configuration=a";
    assert!(
        certificate(&[listen, own[0], own[1], configuration])
            .unwrap()
            .contains("Own")
    );
    let files = ["--admission-webhook-cert-file=/c", "--admission-webhook-key-file=/k"];
    assert!(certificate(&[listen, files[0], files[1]]).unwrap().contains("Files"));
    let texts = ["--admission-webhook-cert=CERT", "--admission-webhook-key=SECRET"];
    let shown = certificate(&[listen, texts[0], texts[1]]).unwrap();
    assert!(shown.contains("Inline") && !shown.contains("SECRET"), "{shown}");
}
