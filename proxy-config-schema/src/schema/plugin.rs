//! Schemas of plugins, vaults, licences. Settings of plugins are left to the proxy's
//! [`EntityCheck`](crate::EntityCheck).

use serde_json::Value;

use super::{
    Entity, Field, Kind, Presence, Scope,
    service::{SECONDS, TAG},
    text, unchecked,
};
use crate::PluginRules;

static PROTOCOL: Kind = Kind::FreeText;
static PLUGIN_TYPE: Kind = Kind::Text;
static PLUGIN_TYPES: Kind = Kind::Array(&PLUGIN_TYPE);
const PHASES: Kind = Kind::Map(text::any, &PLUGIN_TYPES);

const ORDERING: Kind = Kind::Record(&[Field::optional("before", PHASES), Field::optional("after", PHASES)]);

pub(crate) static PLUGIN: Entity = Entity {
    singular: "plugin",
    plural: "plugins",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("name", Kind::Text),
        Field::optional("instance_name", Kind::TextBy(text::name)),
        Field::optional("config", Kind::Object),
        Field::optional("enabled", Kind::Boolean),
        Field::optional("protocols", Kind::Set(&PROTOCOL, 1)),
        Field::with("ordering", ORDERING, Presence::Enterprise),
        Field::optional("service", Kind::Reference("services")),
        Field::optional("route", Kind::Reference("routes")),
        Field::optional("consumer", Kind::Reference("consumers")),
        Field::with(
            "consumer_group",
            Kind::Reference("consumer_groups"),
            Presence::Enterprise,
        ),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[],
    endpoint_key: Some("instance_name"),
    unique: &[],
    identity: &["name", "route", "service", "consumer", "consumer_group"],
    enterprise: false,
    check,
};

fn check(scope: &mut Scope<'_>) {
    let Some(name) = scope
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
    else {
        return;
    };
    let mut rules = PluginRules {
        protocols: PluginRules::ANY,
        consumer: true,
    };
    if let Some(plugins) = &scope.options.plugins {
        let Some(known) = plugins.get(name) else {
            let message = format!("plugin '{name}' not enabled; add it to the 'plugins' configuration property");
            scope.field("name", message);
            return;
        };
        rules = *known;
    }
    let protocols = scope
        .get("protocols")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let foreign = |protocol: &Value| {
        protocol
            .as_str()
            .is_some_and(|protocol| !rules.protocols.contains(&protocol))
    };
    let bad: Vec<usize> = (0..protocols.len())
        .filter(|&index| foreign(&protocols[index]))
        .collect();
    for index in bad {
        let message = format!("expected one of: {}", rules.protocols.join(", "));
        scope.field(&format!("protocols.{}", index + 1), message);
    }
    if !rules.consumer && scope.get("consumer").is_some() {
        scope.field("consumer", "value must be null");
    }
}

pub(crate) static VAULT: Entity = Entity {
    singular: "vault",
    plural: "vaults",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("name", Kind::Text),
        Field::required("prefix", Kind::TextBy(text::vault_prefix)),
        Field::optional("description", Kind::FreeText),
        Field::optional("config", Kind::Object),
        Field::optional("tags", Kind::Set(&TAG, 0)),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[],
    endpoint_key: Some("prefix"),
    unique: &[],
    identity: &[],
    enterprise: false,
    check: check_vault,
};

fn check_vault(scope: &mut Scope<'_>) {
    let Some(vaults) = &scope.options.vaults else { return };
    let known = vaults.iter().map(String::as_str).collect::<Vec<_>>();
    let name = scope.text_or("name", "");
    if !name.is_empty() && !known.contains(&name) {
        let message = format!("vault '{name}' is not installed");
        scope.field("name", message);
    }
    // A prefix that is a backend's name would hide the references that go to the backend without an entity.
    if known.contains(&scope.text_or("prefix", "")) {
        scope.field("prefix", format!("must not be one of: {}", known.join(", ")));
    }
}

pub(crate) static LICENSE: Entity = Entity {
    singular: "license",
    plural: "licenses",
    fields: &[
        Field::optional("id", Kind::Uuid),
        Field::required("payload", Kind::Text),
        Field::optional("created_at", SECONDS),
        Field::optional("updated_at", SECONDS),
    ],
    children: &[],
    endpoint_key: None,
    unique: &[],
    identity: &[],
    enterprise: true,
    check: unchecked,
};
