//! The flags against Kong Ingress Controller's command line, and their combinations.

use clap::{ArgMatches, FromArgMatches};

use super::{kong_flags::KONG_FLAGS, *};
use crate::cli;

fn matches(words: &[&str]) -> Result<ArgMatches, String> {
    let words = ["silverback", "run"].iter().chain(words);
    let matches = cli::command()
        .try_get_matches_from(words)
        .map_err(|error| error.to_string())?;
    Ok(matches.subcommand_matches("run").expect("that is the verb").clone())
}

fn parse(words: &[&str]) -> Result<RunArguments, String> {
    RunArguments::from_arg_matches(&matches(words)?).map_err(|error| error.to_string())
}

/// What a flag can't do without.
fn partner(flag: &str) -> Option<String> {
    let flag = format!("--{flag}=x");
    let other = if flag.contains("-cert") && !flag.contains("-ca-cert") && !flag.starts_with("--konnect") {
        flag.replace("-cert", "-key")
    } else if flag.contains("-key") && !flag.starts_with("--konnect") {
        flag.replace("-key", "-cert")
    } else {
        return None;
    };
    Some(other)
}

#[test]
fn every_flag_of_kong_ingress_controller_is_accepted() {
    for (flag, value) in KONG_FLAGS {
        let given = format!("--{flag}={value}");
        let partner = partner(flag);
        let words: Vec<&str> = std::iter::once(&*given).chain(partner.as_deref()).collect();
        let arguments = parse(&words).unwrap_or_else(|problem| panic!("{given}: {problem}"));
        let warnings: Vec<_> = arguments.inert.warnings().collect();
        let inert = INERT.iter().any(|inert| inert.flag == *flag);
        assert_eq!(warnings.len(), usize::from(inert), "{given}: {warnings:?}");
        assert!(
            warnings
                .iter()
                .all(|warning| warning.starts_with(&format!("--{flag} has no effect: ")))
        );
    }
    assert!(
        parse(&[])
            .expect("nothing is required here")
            .inert
            .warnings()
            .next()
            .is_none()
    );
}

#[test]
fn flags_without_effect_are_those_of_kong_ingress_controller() {
    for inert in INERT {
        assert!(KONG_FLAGS.iter().any(|(flag, _)| *flag == inert.flag), "{}", inert.flag);
        assert!(inert.why.contains("remove it"), "{}: what is to be done?", inert.flag);
    }
}

#[test]
fn values_are_read_as_kong_ingress_controller_reads_them() {
    let arguments = parse(&[
        "--update-status=F",
        "--watch-namespace=a,b",
        "--watch-namespace",
        "c",
        "--ingress-class=first",
        "--ingress-class=second",
        "--log-format=console",
        "--cache-sync-timeout=1h0m0s",
        "--anonymous-reports",
    ])
    .expect("all are right");
    assert!(!arguments.status.update_status);
    assert_eq!(arguments.source.watch_namespace, ["a", "b", "c"]);
    assert_eq!(arguments.translation.ingress_class, "second", "the last one counts");
    assert_eq!(arguments.serving.log_format, LogFormat::Text);
    assert_eq!(arguments.source.cache_sync_timeout.as_secs(), 3600);
}

#[test]
fn a_switch_leaves_its_kinds_unread() {
    let unread = |words: &[&str]| parse(words).expect("they are right").translation.kinds.unread;
    assert!(unread(&["--enable-controller-kongplugin"]).is_empty());
    let kinds = unread(&[
        "--enable-controller-kongconsumer=false",
        "--enable-controller-service=0",
    ]);
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    assert_eq!(names, ["Service", "KongConsumer", "KongConsumerGroup"]);
    for flag in crate::cli::kinds::flags() {
        assert!(
            !unread(&[&format!("--{flag}=false")]).is_empty(),
            "--{flag} is about no kind"
        );
    }
}

#[test]
fn what_excludes_each_other_is_refused_before_anything_is_contacted() {
    for words in [
        &["--kong-admin-url=https://a:1", "--kong-admin-svc=a/b"][..],
        &["--kong-admin-token=x", "--kong-admin-token-file=/x"],
        &["--kong-admin-ca-cert=x", "--kong-admin-ca-cert-file=/x"],
        &["--kong-admin-tls-client-cert=x"],
        &["--kong-admin-tls-client-key-file=/x"],
        &[
            "--kong-admin-tls-client-cert=x",
            "--kong-admin-tls-client-key=x",
            "--kong-admin-tls-client-cert-file=/x",
            "--kong-admin-tls-client-key-file=/x",
        ],
        &["--publish-service=name-alone"],
        &["--gateway-to-reconcile=a/b/c"],
        &["--feature-gates=Knative=true"],
        &["--probe-interval=4s", "--gateway-discovery-readiness-check-interval=4s"],
        &["--diagnostic-server-port=1", "--dashboard-bind-address=127.0.0.1:2"],
        &["--kong-admin-svc-dns-strategy=ip"],
        &["--update-status", "false"],
        &["--log-level=chatty"],
    ] {
        assert!(parse(words).is_err(), "{words:?}");
    }
}
