//! Plugins that objects name (`kic.md` 4.8), and what stands in for one that can't be had (DESIGN.md §3 rule 7).

use proxy_config_schema::{JsonObject, Plugin};
use serde_json::json;

use super::{
    MissingPlugin, annotations,
    problems::{Owner, Problems, annotation_field},
};
use crate::model::Reason;

/// Reports the plugins that an object names and that can't be had, and gives what closes its routes because of them.
pub(super) fn closing(owner: Owner<'_>, missing_plugin: MissingPlugin, problems: &mut Problems) -> Option<Plugin> {
    let mut names = annotations::list(owner.metadata.annotation(annotations::PLUGINS)?).peekable();
    names.peek()?;
    let consequence = match missing_plugin {
        MissingPlugin::FailClosed => "its routes answer 503",
        MissingPlugin::Omit => "its routes run without the plugin",
    };
    for name in names {
        problems.report(
            owner,
            annotation_field(annotations::PLUGINS),
            Reason::PluginNotFound,
            format!(
                "the plugin {name:?} can't be had, KongPlugin and KongClusterPlugin objects are not read; {consequence}"
            ),
            "remove the plugin from the annotation, or run with --missing-plugin=omit to serve the routes without it",
        );
    }
    (missing_plugin == MissingPlugin::FailClosed).then(termination)
}

/// Answers 503 instead of passing a request on.
fn termination() -> Plugin {
    let mut config = JsonObject::new();
    config.insert("status_code".to_owned(), json!(503));
    config.insert("message".to_owned(), json!("a plugin of this route is missing"));
    Plugin {
        name: "request-termination".to_owned(),
        config: Some(config),
        ..Plugin::default()
    }
}
