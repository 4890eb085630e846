//! KongPlugin and KongClusterPlugin.

use super::{
    Definition,
    condition::{CONDITIONS, DEFAULT_CONDITIONS},
    definition::{AGE, CATEGORIES, Column, PROGRAMMED},
    has,
};
use crate::model::{
    Kind,
    schema::{List, METADATA, Rule, TEXT, TEXTS, Type, fields},
};

const COLUMNS: &[Column] = &[
    Column::new("Plugin-Type", ".plugin", "string"),
    AGE,
    Column::new("Disabled", ".disabled", "boolean").wide(),
    Column::new("Config", ".config", "string").wide(),
    PROGRAMMED,
];

pub(super) static KONG_PLUGIN: Definition = Definition {
    kind: Kind::KongPlugin,
    singular: "kongplugin",
    short_names: &["kp"],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller,gateway-operator",
    description: "A plugin and its configuration. Objects of the same namespace attach it by the annotation \
                  konghq.com/plugins: NAME.",
    columns: COLUMNS,
    is_deprecated: false,
    has_status: true,
    fields: &PLUGIN,
};

pub(super) static KONG_CLUSTER_PLUGIN: Definition = Definition {
    kind: Kind::KongClusterPlugin,
    singular: "kongclusterplugin",
    short_names: &["kcp"],
    categories: CATEGORIES,
    labels: &[],
    channels: "ingress-controller",
    description: "A plugin and its configuration for all namespaces. Objects attach it by the annotation \
                  konghq.com/plugins: NAME; with the label global: \"true\" it is applied to every request.",
    columns: COLUMNS,
    is_deprecated: false,
    has_status: true,
    fields: &CLUSTER_PLUGIN,
};

const PROTOCOLS: Type = Type::List(&List::of(Type::OneOf(&[
    "http", "https", "grpc", "grpcs", "tcp", "tls", "udp",
])));
const RUN_ON: Type = Type::OneOf(&["first", "second", "all"]);

const RULES: &[Rule] = &[
    Rule::new(
        "Using both config and configFrom fields is not allowed.",
        "!(has(self.config) && has(self.configFrom))",
        |plugin| !(has(plugin, "/config") && has(plugin, "/configFrom")),
    ),
    Rule::new(
        "Using both configFrom and configPatches fields is not allowed.",
        "!(has(self.configFrom) && has(self.configPatches))",
        |plugin| !(has(plugin, "/configFrom") && has(plugin, "/configPatches")),
    ),
    Rule::of_change("The plugin field is immutable", "self.plugin == oldSelf.plugin"),
];

/// Both kinds have the same fields but for the namespaces of Secrets.
macro_rules! plugin {
    ($name:ident, $config_from:ident, $config_patch:ident, $secret_key_ref:ident { $($namespace:tt)* }) => {
        fields!($name {
            apiVersion: TEXT,
            /// Configuration of the plugin, as Kong's Admin API takes it. Excludes `configFrom`.
            config: Type::AnyObject,
            /// The whole configuration from a key of a Secret, as JSON or YAML. Excludes `config` and `configPatches`.
            configFrom: Type::Object(&$config_from),
            /// Values from Secrets that are put into `config`, one by one.
            configPatches: Type::List(&List::of(Type::Object(&$config_patch))),
            /// Deprecated and without effect: the annotation `konghq.com/plugins` of a KongConsumer attaches the plugin.
            consumerRef: TEXT,
            /// Whether the plugin is switched off where it is attached.
            disabled: Type::Boolean,
            /// A name for this use of the plugin in Kong; each attachment gets a suffix of its own.
            instance_name: TEXT,
            kind: TEXT,
            metadata: METADATA,
            /// When the plugin runs, against other plugins (Kong Gateway Enterprise).
            ordering: Type::Object(&ORDERING),
            /// Type of the plugin: `key-auth`, `rate-limiting`, ... Can't be changed later.
            plugin required: TEXT,
            /// Protocols of the requests that the plugin is for; those that its type can if unset.
            protocols: PROTOCOLS,
            /// Without effect in Kong today.
            run_on: RUN_ON,
            /// What came of it.
            status: Type::Object(&STATUS),
        } rules RULES);

        fields!($config_from {
            /// A key of a Secret.
            secretKeyRef required: Type::Object(&$secret_key_ref),
        });

        fields!($config_patch {
            /// Where the value is put: a JSON pointer (RFC 6901) into the configuration.
            path required: TEXT,
            /// Where the value, as JSON text, comes from.
            valueFrom required: Type::Object(&$config_from),
        });

        fields!($secret_key_ref {
            /// Key in the Secret.
            key required: TEXT,
            /// Name of the Secret.
            name required: TEXT,
            $($namespace)*
        });
    };
}

plugin!(PLUGIN, CONFIG_FROM, CONFIG_PATCH, SECRET_KEY_REF {});
plugin!(CLUSTER_PLUGIN, CLUSTER_CONFIG_FROM, CLUSTER_CONFIG_PATCH, CLUSTER_SECRET_KEY_REF {
    /// Namespace of the Secret.
    namespace required: TEXT,
});

fields!(ORDERING {
    /// Plugins that this one runs after, by phase (`access`).
    after: Type::Map(&TEXTS),
    /// Plugins that this one runs before, by phase (`access`).
    before: Type::Map(&TEXTS),
});

fields!(STATUS {
    /// `Programmed`: whether the proxies have it.
    conditions: CONDITIONS => DEFAULT_CONDITIONS,
});
