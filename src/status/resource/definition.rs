//! The custom resource definitions, generated: ours by kube from the types, Kong's from the tables beside the types.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::json;

use super::{GROUP, ProxyFleet, ProxyInstance};
use crate::{
    model::{
        kong::schema::{DEFINITIONS, Definition},
        schema::open_api,
    },
    upgrade::definitions::VERSION_ANNOTATION,
};

/// Groups of the kinds that have definitions.
pub const GROUPS: [&str; 3] = [
    "configuration.konghq.com",
    GROUP,
    "incubator.ingress-controller.konghq.com",
];

/// The definitions of all kinds that silverback brings: Kong's, and its own.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions: Vec<_> = DEFINITIONS.iter().copied().map(kong).collect();
    definitions.extend([ProxyFleet::crd(), ProxyInstance::crd()]);
    for definition in &mut definitions {
        let labels = definition.metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/name".to_owned(), "silverback".to_owned());
        let annotations = definition.metadata.annotations.get_or_insert_default();
        annotations.insert(VERSION_ANNOTATION.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    }
    definitions
}

/// The definition of one of Kong's kinds.
fn kong(definition: &Definition) -> CustomResourceDefinition {
    let kind = definition.kind;
    let columns = definition.columns.iter().map(|column| {
        let mut shown = json!({ "name": column.name, "jsonPath": column.json_path, "type": column.type_ });
        if column.priority > 0 {
            shown["priority"] = column.priority.into();
        }
        shown
    });
    let mut version = json!({
        "name": kind.version(),
        "served": true,
        "storage": true,
        "schema": { "openAPIV3Schema": open_api(definition.fields, definition.description) },
    });
    if !definition.columns.is_empty() {
        version["additionalPrinterColumns"] = columns.collect();
    }
    if let Some(warning) = definition.deprecation_warning() {
        version["deprecated"] = true.into();
        version["deprecationWarning"] = warning.into();
    }
    if definition.has_status {
        version["subresources"] = json!({ "status": {} });
    }
    let mut names = json!({
        "kind": kind.name(),
        "listKind": format!("{}List", kind.name()),
        "plural": kind.plural(),
        "singular": definition.singular,
    });
    for (list, of) in [
        ("categories", definition.categories),
        ("shortNames", definition.short_names),
    ] {
        if !of.is_empty() {
            names[list] = json!(of);
        }
    }
    let manifest = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": definition.name(),
            "annotations": {
                "kubernetes-configuration.konghq.com/channels": definition.channels,
                "kubernetes-configuration.konghq.com/version": Definition::COMPATIBLE_VERSION,
            },
            "labels": definition.labels.iter().copied().collect::<BTreeMap<_, _>>(),
        },
        "spec": {
            "group": kind.group(),
            "names": names,
            "scope": if kind.is_namespaced() { "Namespaced" } else { "Cluster" },
            "versions": [version],
        },
    });
    serde_json::from_value(manifest).expect("tables make definitions")
}

/// A definition as a YAML document, as in `deploy/crds`.
pub fn manifest(definition: &CustomResourceDefinition) -> String {
    serde_saphyr::to_string(definition).expect("a definition is plain data")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// `UPDATE=1 cargo test definitions` writes them.
    #[test]
    fn deploy_crds_are_the_definitions_generated() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds");
        let mut expected = Vec::new();
        for definition in definitions() {
            let plural = &definition.spec.names.plural;
            let path = directory.join(format!("{}_{plural}.yaml", definition.spec.group));
            let text = manifest(&definition);
            if std::env::var_os("UPDATE").is_some() {
                fs::create_dir_all(&directory).expect("a directory");
                fs::write(&path, &text).expect("written");
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "{} differs from the types; write it by UPDATE=1",
                path.display()
            );
            expected.push(path);
        }
        let mut found: Vec<_> = fs::read_dir(&directory)
            .expect("the directory")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "no definition that no type makes");
    }

    #[test]
    fn manifests_are_the_definitions_again_when_read() {
        for definition in definitions() {
            let read: CustomResourceDefinition = serde_saphyr::from_str(&manifest(&definition)).expect("YAML");
            assert_eq!(read, definition);
        }
    }

    /// Prose and our label are the only differences. Schemas are held to each other beside their tables.
    #[test]
    fn definitions_of_kong_s_kinds_are_those_of_kong_ingress_controller() {
        for definition in DEFINITIONS {
            let (group, plural) = (definition.kind.group(), definition.kind.plural());
            let file = format!("e2e/testdata/kic-crds/{group}_{plural}.yaml");
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect(&file);
            let mut theirs: CustomResourceDefinition = serde_saphyr::from_str(&text).expect(&file);
            let mut ours = kong(definition);
            for definition in [&mut ours, &mut theirs] {
                definition.metadata.labels.get_or_insert_default();
                definition.spec.versions[0].schema = None;
            }
            assert_eq!(ours, theirs, "{file}");
        }
    }

    #[test]
    fn columns_and_names_are_those_of_the_design() {
        let (fleet, instance) = (ProxyFleet::crd().spec, ProxyInstance::crd().spec);
        let (fleet, instance) = (&fleet, &instance);
        assert_eq!(instance.names.short_names.as_deref(), Some(&["pxi".to_owned()][..]));
        assert_eq!(fleet.names.short_names.as_deref(), Some(&["pxf".to_owned()][..]));
        for spec in [fleet, instance] {
            assert_eq!(spec.names.categories.as_deref(), Some(&["silverback".to_owned()][..]));
            let version = &spec.versions[0];
            assert_eq!(version.name, "v1alpha1");
            assert!(
                version
                    .subresources
                    .as_ref()
                    .is_some_and(|resources| resources.status.is_some())
            );
        }
        let columns = instance.versions[0]
            .additional_printer_columns
            .as_ref()
            .expect("columns");
        let shown = columns.iter().filter(|column| column.priority.unwrap_or(0) == 0);
        let names: Vec<_> = shown.map(|column| column.name.to_uppercase()).collect();
        assert_eq!(
            names,
            ["READY", "SYNCED", "CONFIG", "MTLS", "VERSION", "ERRORS", "NODE", "AGE"]
        );
    }

    /// Every text and list has a bound, so that one broken proxy can't fill etcd.
    #[test]
    fn schemas_are_bounded() {
        fn check(path: &str, schema: &serde_json::Value) {
            // The API server warns of formats that it does not know.
            if let Some(format) = schema["format"].as_str() {
                assert!(["date-time", "int32", "int64"].contains(&format), "{path}: {format}");
            }
            match schema["type"].as_str() {
                Some("string") if schema.get("enum").is_none() && schema.get("format").is_none() => {
                    assert!(schema["maxLength"].is_u64(), "{path} has no maxLength");
                }
                Some("array") => {
                    assert!(schema["maxItems"].is_u64(), "{path} has no maxItems");
                    check(&format!("{path}[]"), &schema["items"]);
                }
                _ => {}
            }
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                check(&format!("{path}.{name}"), field);
            }
        }
        for definition in [ProxyFleet::crd(), ProxyInstance::crd()] {
            let schema = definition.spec.versions[0].schema.as_ref().expect("a schema");
            let schema = serde_json::to_value(&schema.open_api_v3_schema).expect("JSON");
            for part in ["spec", "status"] {
                check(
                    &format!("{}.{part}", definition.spec.names.kind),
                    &schema["properties"][part],
                );
            }
        }
    }
}
