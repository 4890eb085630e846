//! KongClusterPlugins for all requests: those of our class with the label `global: "true"` (`kic.md` 4.8.7). Pure.

use std::collections::HashMap;

use super::{
    Usable,
    attachment::precedence,
    closing::Closed,
    combine::{self, Scope},
    config::PluginObject,
};
use crate::{
    model::{
        Kind, Reason, Snapshot,
        kong::{KongClusterPlugin, label},
    },
    translate::{MissingPlugin, class::Class, problems::Owner, state::State},
};
use proxy_config_schema::Plugin;

/// Plugins that protect nothing: they report what happens. A gateway goes on without them.
const OBSERVING: &[&str] = &[
    "app-dynamics",
    "correlation-id",
    "datadog",
    "file-log",
    "http-log",
    "kafka-log",
    "loggly",
    "opentelemetry",
    "prometheus",
    "statsd",
    "statsd-advanced",
    "syslog",
    "tcp-log",
    "udp-log",
    "zipkin",
];

/// Whether all requests would be open without the plugin.
pub(in crate::translate) fn protects_everything(plugin: &KongClusterPlugin) -> bool {
    let fields = &plugin.plugin;
    is_global(plugin) && !fields.disabled && !OBSERVING.contains(&fields.plugin.as_str())
}

fn is_global(plugin: &KongClusterPlugin) -> bool {
    let global = plugin.metadata.labels.get(label::GLOBAL);
    global.is_some_and(|value| value == "true")
}

/// Whether a plugin is for all requests, whatever names it.
pub(super) fn is_global_object(plugin: PluginObject<'_>) -> bool {
    let global = plugin.owner.metadata.labels.get(label::GLOBAL);
    plugin.owner.kind == Kind::KongClusterPlugin && global.is_some_and(|value| value == "true")
}

/// The global plugins of our class, in order of precedence.
pub(super) fn find<'a>(snapshot: &'a Snapshot, class: &Class<'a>) -> Vec<PluginObject<'a>> {
    let plugins = snapshot.cluster_plugins.values();
    let global = plugins.filter(|plugin| is_global(plugin) && class.takes_annotated(&plugin.metadata));
    let mut found: Vec<_> = global.map(|plugin| PluginObject::cluster(plugin)).collect();
    found.sort_by_key(|plugin| precedence(*plugin));
    found
}

/// Adds the global plugins. Of two of one type the first counts; raw, none of them, as with Kong Ingress Controller.
pub(super) fn translate<'a>(
    plugins: &[PluginObject<'a>],
    usable: &mut Usable<'a>,
    closed: &mut Closed,
    state: &mut State<'a>,
) -> Vec<Plugin> {
    let raw = state.settings.raw_objects;
    let mut of_type: HashMap<&str, Vec<PluginObject<'a>>> = HashMap::new();
    for plugin in plugins {
        of_type.entry(&plugin.fields.plugin).or_default().push(*plugin);
    }
    let mut entities = Vec::new();
    for plugin in plugins {
        let same = &of_type[&*plugin.fields.plugin];
        let winner = same[0];
        if raw && same.len() > 1 {
            report_conflict(
                plugin.owner,
                &format!(
                    "there are {} global plugins of its type, so that none applies",
                    same.len()
                ),
                state,
            );
            continue;
        }
        if !std::ptr::eq(winner.owner.metadata, plugin.owner.metadata) {
            report_conflict(
                plugin.owner,
                &format!(
                    "{} is global, of the same type, and goes first; this one does not apply",
                    winner.owner
                ),
                state,
            );
            continue;
        }
        let Some(resolved) = usable.resolve(*plugin, state) else {
            let is_harmless = OBSERVING.contains(&plugin.fields.plugin.as_str());
            if state.settings.missing_plugin == MissingPlugin::FailClosed && !is_harmless && !plugin.fields.disabled {
                closed.add_everything();
                report_closed(plugin.owner, state);
            }
            continue;
        };
        let mut entity = combine::entity(*plugin, resolved, state.settings);
        let name = combine::given_name(*plugin);
        entity.instance_name = (!name.is_empty()).then(|| name.to_owned());
        entity.id = state
            .settings
            .feature_gates
            .fill_ids
            .then(|| Scope::default().id(state.settings.workspace(), &entity.name));
        state.takes_part(plugin.owner);
        entities.push(entity);
    }
    entities
}

fn report_conflict(owner: Owner<'_>, message: &str, state: &mut State<'_>) {
    state.problems.report(
        owner,
        format!("metadata.labels[{}]", label::GLOBAL),
        Reason::Conflict,
        message,
        "leave the label to one plugin of each type",
    );
}

fn report_closed(owner: Owner<'_>, state: &mut State<'_>) {
    state.problems.report(
        owner,
        format!("metadata.labels[{}]", label::GLOBAL),
        Reason::InvalidPlugin,
        "the plugin is for all requests and can't be used, so that all requests answer 503",
        "correct it: its other problem says how; or remove the label",
    );
}
