//! Definitions of kinds that are older or newer than the controllers: an upgrade brings them before these, and a rollback
//! leaves them there.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    super::release::{CHANGE, SHOP, condition},
    run::Run,
};
use crate::poll::eventually;

const THEIRS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/kic-crds");
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds");
/// What a later version has that this one does not know.
const LATER_FIELD: &str = "laterField";
const VERSION: &str = "gateway.silverback.dev/definitions-version";

impl Run<'_> {
    /// Those of Kong Ingress Controller, and ours over them, as an upgrade of definitions does.
    pub(super) fn apply_definitions(&self) -> anyhow::Result<()> {
        for definitions in [THEIRS, OURS] {
            self.put_definitions(definitions)?;
            self.in_sync(None)?;
        }
        Ok(())
    }

    /// An upgrade brought the definitions of a later version and came no further: the controllers of before start on them, drive
    /// proxies that start, and take objects that use what they do not know.
    pub(super) fn roll_back_on_newer_definitions(&self) -> anyhow::Result<()> {
        let path = std::env::temp_dir().join(format!("silverback-definitions-{}.json", std::process::id()));
        fs::write(&path, later()?).with_context(|| path.display().to_string())?;
        let outcome = self.put_definitions(path.to_str().context("a path of text")?);
        fs::remove_file(&path)?;
        outcome?;
        eventually("the API server goes by the later definitions", CHANGE, || {
            let plugin = self.cluster.get(&["kongplugin", "-n", SHOP, "edge"])?;
            ensure!(plugin[LATER_FIELD] == "default", "{plugin}");
            Ok(())
        })?;
        let outcome = self.live_with_them();
        self.put_definitions(OURS)?;
        outcome?;
        self.in_sync(None)
    }

    fn live_with_them(&self) -> anyhow::Result<()> {
        self.roll_back_one()?;
        self.restart_controllers()?;
        self.restart_proxies()?;
        let patch = json!({(LATER_FIELD): "set"}).to_string();
        self.cluster
            .kubectl(&["patch", "kongplugin", "-n", SHOP, "edge", "--type=merge", "-p", &patch])?;
        eventually("the plugin with a field of later is programmed", CHANGE, || {
            let plugin = self.cluster.get(&["kongplugin", "-n", SHOP, "edge"])?;
            let programmed = condition(&plugin, "Programmed")?;
            let is_seen = programmed["observedGeneration"] == plugin["metadata"]["generation"];
            ensure!(is_seen && programmed["status"] == "True", "{plugin}");
            Ok(())
        })
    }

    fn put_definitions(&self, path: &str) -> anyhow::Result<()> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", path];
        self.cluster.kubectl(&arguments).map(drop)
    }
}

/// Ours as a later version may have them: with a field more that has a default, which the API server puts into every object,
/// and served in a version more.
fn later() -> anyhow::Result<String> {
    let mut items = Vec::new();
    for file in fs::read_dir(OURS).context(OURS)? {
        let text = fs::read_to_string(file?.path())?;
        let mut definition: Value = serde_saphyr::from_str(&text)?;
        definition["metadata"]["annotations"][VERSION] = json!("99.0.0");
        let versions = definition["spec"]["versions"].as_array_mut().context("no versions")?;
        for version in versions.iter_mut() {
            let properties = &mut version["schema"]["openAPIV3Schema"]["properties"];
            let field = json!({"type": "string", "default": "default"});
            if properties["spec"]["properties"].is_object() {
                properties["spec"]["properties"][LATER_FIELD] = field.clone();
            }
            properties[LATER_FIELD] = field;
        }
        let mut further = versions.last().context("no version")?.clone();
        further["name"] = json!("v9");
        further["storage"] = json!(false);
        versions.push(further);
        items.push(definition);
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_has_more_and_keeps_the_version_that_is_stored() {
        let later: Value = serde_json::from_str(&later().unwrap()).unwrap();
        let items = later["items"].as_array().unwrap();
        assert!(items.len() >= 15, "{}", items.len());
        for definition in items {
            assert_eq!(definition["metadata"]["annotations"][VERSION], "99.0.0");
            let versions = definition["spec"]["versions"].as_array().unwrap();
            let stored: Vec<_> = versions.iter().filter(|version| version["storage"] == true).collect();
            assert_eq!(stored.len(), 1, "{definition}");
            assert_ne!(stored[0]["name"], "v9");
            for version in versions {
                assert!(version["schema"]["openAPIV3Schema"]["properties"][LATER_FIELD].is_object());
            }
        }
    }
}
