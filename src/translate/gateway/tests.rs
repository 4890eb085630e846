//! What statuses say of the cases below `testdata/gateway` that hold a `statuses.txt`. `UPDATE_GOLDEN=1` writes them.
#![allow(clippy::unwrap_used)]

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ConditionOutcome, GatewayStatuses};
use crate::{
    manifest::{self, Limits},
    model::Snapshot,
    translate::{Settings, translate},
};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/translate/testdata/gateway")
        .join(name)
}

fn statuses(name: &str, settings: &Settings) -> Arc<GatewayStatuses> {
    let input = fs::read_to_string(case(name).join("in.yaml")).unwrap();
    let mut snapshot = Snapshot::default();
    for object in manifest::parse("in.yaml", input.as_bytes(), &Limits::default()).objects {
        snapshot.insert(object);
    }
    translate(&snapshot, settings).gateways
}

fn write(text: &mut String, indent: &str, conditions: &[ConditionOutcome]) {
    for condition in conditions {
        let ConditionOutcome {
            condition,
            status,
            reason,
            message,
        } = condition;
        writeln!(text, "{indent}{condition}={status} {reason} {message:?}").unwrap();
    }
}

fn text(statuses: &GatewayStatuses) -> String {
    let mut text = String::new();
    for (object, class) in &statuses.classes {
        writeln!(text, "{object}").unwrap();
        write(&mut text, "  ", &class.conditions);
    }
    for (object, gateway) in &statuses.gateways {
        writeln!(text, "{object}").unwrap();
        write(&mut text, "  ", &gateway.conditions);
        for listener in &gateway.listeners {
            let kinds: Vec<_> = listener.supported_kinds.iter().map(|kind| kind.kind.as_str()).collect();
            let (name, attached) = (&listener.name, listener.attached_routes);
            writeln!(text, "  {name}: {attached} attached of {}", kinds.join(", ")).unwrap();
            write(&mut text, "    ", &listener.conditions);
        }
    }
    for (object, route) in &statuses.routes {
        writeln!(text, "{object}").unwrap();
        for parent in &route.parents {
            let section = parent.parent.section_name.as_deref().unwrap_or("*");
            writeln!(text, "  {} {section}", parent.parent.name).unwrap();
            write(&mut text, "    ", &parent.conditions);
        }
        if let Some(error) = &route.translation_error {
            writeln!(text, "  {error}").unwrap();
        }
    }
    for (object, policy) in &statuses.policies {
        writeln!(text, "{object}").unwrap();
        let ancestors: Vec<_> = policy.ancestors.iter().map(ToString::to_string).collect();
        writeln!(text, "  {}", ancestors.join(", ")).unwrap();
        write(&mut text, "  ", &policy.conditions);
    }
    text
}

#[test]
fn statuses_say_what_became_of_every_object() {
    for name in [
        "attachment",
        "backend-tls-policies",
        "conflicts",
        "listener-certificates",
        "mistakes",
        "references",
        "stream-routes",
        "unsupported",
    ] {
        let got = text(&statuses(name, &Settings::default()));
        let file = case(name).join("statuses.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &got).unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), got, "{name}");
    }
}

#[test]
fn objects_of_other_controllers_are_left_alone() {
    let settings = Settings {
        gateway_controller_name: "example.com/another".to_owned(),
        ..Settings::default()
    };
    assert_eq!(*statuses("attachment", &settings), GatewayStatuses::default());
}
