//! `run` and its variables, as a deployment made for Kong Ingress Controller gives them.

use std::process::Stdio;

use crate::harness::silverback;

/// Exit code and standard error of `run` with these variables, none of which names a proxy.
fn run_with(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = silverback()
        .arg("run")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_variable_without_effect_is_warned_of_once() {
    let (code, errors) = run_with(&[
        ("CONTROLLER_PROXY_SYNC_SECONDS", "3"),
        ("CONTROLLER_ANONYMOUS_REPORTS", "false"),
        ("CONTROLLER_KONNECT_TLS_CLIENT_KEY", "SECRET"),
    ]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("no proxies to drive"), "{errors}");
    for variable in ["PROXY_SYNC_SECONDS", "ANONYMOUS_REPORTS", "KONNECT_TLS_CLIENT_KEY"] {
        let warning = format!("CONTROLLER_{variable} has no effect: ");
        assert_eq!(errors.matches(&warning).count(), 1, "{errors}");
    }
    assert!(!errors.contains("SECRET"), "{errors}");
}

#[test]
fn an_unknown_variable_is_an_error_with_the_nearest_name() {
    let (code, errors) = run_with(&[("CONTROLLER_INGRES_CLASS", "kong"), ("CONTROLLER_LOG_LEVEL", "info")]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("did you mean CONTROLLER_INGRESS_CLASS?"), "{errors}");
}

#[test]
fn empty_variables_and_those_of_services_are_none() {
    let (_, errors) = run_with(&[
        ("CONTROLLER_PUBLISH_SERVICE", ""),
        ("CONTROLLER_GATEWAY_TO_RECONCILE", ""),
        ("CONTROLLER_NO_SUCH_THING", ""),
        ("CONTROLLER_SERVICE_HOST", "10.0.0.1"),
        ("CONTROLLER_PORT", "tcp://10.0.0.1:80"),
    ]);
    assert!(errors.contains("no proxies to drive"), "{errors}");
}

#[test]
fn a_flag_wins_over_its_variable() {
    let output = silverback()
        .args(["run", "--kong-admin-svc=kong/admin", "--feature-gates=FillIDs=false"])
        .env("CONTROLLER_FEATURE_GATES", "Knative=true")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("KongCustomEntity needs FillIDs"), "{errors}");
}

#[test]
fn gates_that_are_no_more_say_what_takes_their_place() {
    let (code, errors) = run_with(&[("CONTROLLER_FEATURE_GATES", "GatewayAlpha=true,ExpressionRoutes=true")]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("router flavor"), "{errors}");
    let (_, errors) = run_with(&[("CONTROLLER_FEATURE_GATES", "GatewayAlpha=true")]);
    assert!(errors.contains("no proxies to drive"), "{errors}");
}

#[test]
fn variables_are_for_run_alone() {
    let output = silverback()
        .args(["render", "-f", "-"])
        .env("CONTROLLER_KONG_VERSION", "three")
        .env("CONTROLLER_NO_SUCH_THING", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
