//! Every annotation with a value that can't be used: a problem on the object names it, and nothing else is harmed.

use std::collections::BTreeMap;

use super::{
    Kind,
    coverage::{Part, Run, table},
};
use crate::model::annotations::ANNOTATIONS;

/// A value that can't be used, and what comes of it.
enum Bad {
    /// It counts as if the annotation were not there.
    Ignored(&'static str),
    /// What it stands for is closed: nothing goes on without it.
    Closes(&'static str),
    /// Any text can be used, or what it says is no matter of translation.
    Never,
}

fn bad(annotation: &str) -> Bad {
    match annotation {
        "konghq.com/plugins" => Bad::Closes("gone"),
        "konghq.com/rewrite" => Bad::Closes("/$x"),
        "konghq.com/upstream-policy"
        | "konghq.com/override"
        | "konghq.com/client-cert"
        | "konghq.com/ca-certificates-secrets"
        | "konghq.com/ca-certificates-configmaps" => Bad::Ignored("gone"),
        "konghq.com/path" => Bad::Ignored("relative"),
        "konghq.com/host-header" | "konghq.com/snis" | "konghq.com/host-aliases" => Bad::Ignored("no host"),
        "konghq.com/protocol" | "konghq.com/protocols" => Bad::Ignored("gopher"),
        "konghq.com/https-redirect-status-code" => Bad::Ignored("200"),
        "konghq.com/path-handling" => Bad::Ignored("v9"),
        "konghq.com/methods" => Bad::Ignored("P U T"),
        "konghq.com/headers." => Bad::Ignored("~*("),
        "konghq.com/tags" => Bad::Ignored("a/b"),
        "konghq.com/tls-verify"
        | "konghq.com/tls-verify-depth"
        | "konghq.com/connect-timeout"
        | "konghq.com/write-timeout"
        | "konghq.com/read-timeout"
        | "konghq.com/retries"
        | "konghq.com/strip-path"
        | "konghq.com/preserve-host"
        | "konghq.com/request-buffering"
        | "konghq.com/response-buffering"
        | "konghq.com/regex-priority"
        | "ingress.kubernetes.io/force-ssl-redirect"
        | "ingress.kubernetes.io/service-upstream"
        | "ingressclass.kubernetes.io/is-default-class" => Bad::Ignored("perhaps"),
        "konghq.com/headers-separator"
        | "konghq.com/regex-prefix"
        | "konghq.com/gatewayclass-unmanaged"
        | "konghq.com/publish-service"
        | "service.kubernetes.io/topology-mode"
        | "service.kubernetes.io/topology-aware-hints"
        | "kubernetes.io/ingress.class" => Bad::Never,
        other => panic!("{other}: say what value can't be used"),
    }
}

#[test]
fn each_annotation_with_a_bad_value_is_told() {
    let runs: BTreeMap<String, Run> = Run::all().into_iter().map(|run| (run.name.clone(), run)).collect();
    let cases = table();
    let mut wrong = Vec::new();
    for annotation in ANNOTATIONS {
        let (value, is_ignored) = match bad(annotation.name) {
            Bad::Ignored(value) => (value, true),
            Bad::Closes(value) => (value, false),
            Bad::Never => continue,
        };
        for kind in annotation.kinds {
            let part = Part::Annotation(annotation.name);
            let case = &cases[&(kind.name().to_owned(), part.text())];
            let run = &runs[case];
            let without = run.changed(kind.name(), |object| part.take_from(object));
            let got = run.changed(kind.name(), |object| part.put_into(object, value));
            let told = got[1].as_array().unwrap().iter().any(|problem| {
                let field = problem["field"].as_str().unwrap_or_default();
                let remedy = problem["remedy"].as_str().unwrap_or_default();
                problem["object"]["kind"] == kind.name() && field.contains(annotation.name) && !remedy.is_empty()
            });
            let name = format!("{} {} in {case}", kind.name(), annotation.name);
            if !told {
                wrong.push(format!("{name} is not told"));
            }
            // A facade goes before its Service, also with a name that leads nowhere.
            let hides = *kind == Kind::KongServiceFacade && value == "gone";
            if is_ignored && !hides && got[0] != without[0] {
                wrong.push(format!("{name} is not ignored"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
