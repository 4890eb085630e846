//! `KongPlugin` and `KongClusterPlugin`: translated as if a route used them, and shown to the proxies. Pure.

use proxy_config_schema::{Configuration, JsonObject, Plugin, Secrets};
use serde_json::{Value, json};

use super::{
    Change, Question, Review, View,
    translation::{self, Translated},
    verdict::{self, Gravity},
};
use crate::{
    model::{Kind, NamespacedName, Object, Reason, Snapshot, kong::PluginFields, kubernetes::Metadata},
    translate::Settings,
};

/// Name of the route that uses the plugin under review, and namespace of that of a cluster plugin.
const REFERRER: &str = "silverback-admission-review";
/// Most plugins that are looked at because of one Secret.
const MAX_USERS: usize = 16;

/// The Secrets that a plugin's configuration comes from.
pub(super) fn secrets(metadata: &Metadata, plugin: &PluginFields) -> Vec<NamespacedName> {
    let patches = plugin.config_patches.iter().map(|patch| &patch.value_from);
    let references = plugin
        .config_from
        .iter()
        .chain(patches)
        .map(|from| &from.secret_key_ref);
    references
        .filter(|reference| !reference.name.is_empty())
        .map(|reference| {
            // A KongPlugin takes from its own namespace only, whatever it says.
            let namespace = match metadata.namespace.as_ref() {
                "" => reference.namespace.as_str().into(),
                _ => metadata.namespace.clone(),
            };
            NamespacedName::new(namespace, reference.name.as_str())
        })
        .collect()
}

/// Lets a route use the plugin that changes, so that translation says what becomes of it.
pub(super) fn use_plugins(change: &Change, settings: &Settings, part: &mut Snapshot) {
    if !matches!(change.kind, Kind::KongPlugin | Kind::KongClusterPlugin) {
        return;
    }
    let namespace = match change.key.namespace.as_ref() {
        "" => REFERRER,
        namespace => namespace,
    };
    let service = json!({
        "metadata": {"name": REFERRER, "namespace": namespace},
        "spec": {"ports": [{"port": 80}]},
    });
    let ingress = json!({
        "metadata": {
            "name": REFERRER, "namespace": namespace,
            "annotations": {"konghq.com/plugins": change.key.name},
        },
        "spec": {
            "ingressClassName": settings.ingress_class,
            "defaultBackend": {"service": {"name": REFERRER, "port": {"number": 80}}},
        },
    });
    for (kind, value) in [(Kind::Service, service), (Kind::Ingress, ingress)] {
        part.insert(Object::from_json(kind, value).expect("made here, it has the right fields"));
    }
}

/// Judges by the problems that the change brings to the plugin, and asks the proxies about its configuration.
pub(super) fn check(change: &Change, translations: &[Translated], view: View<'_>, review: &mut Review) {
    let needed = fields(&change.new).map(|(metadata, fields)| secrets(metadata, fields));
    for key in needed.into_iter().flatten().filter(|key| view.absent.contains(key)) {
        review.verdict.deny(format!(
            "could not load secret plugin configuration: Secret {key} does not exist; create it first"
        ));
    }
    check_as(change, translations, "", review);
}

/// `refusal` stands before each reason.
fn check_as(change: &Change, translations: &[Translated], refusal: &str, review: &mut Review) {
    for (problem, is_everywhere) in translation::problems_of(translations, change.kind, &change.key) {
        let text = verdict::text(&problem);
        let is_secret = |field: &str| field.contains("configFrom") || field.contains("configPatches");
        let of_secret = problem.reason == Reason::SecretNotFound || problem.field.as_deref().is_some_and(is_secret);
        let what = if of_secret {
            "could not load secret plugin configuration"
        } else {
            "could not parse plugin configuration"
        };
        match verdict::gravity(change.kind, &problem) {
            Gravity::Denial if is_everywhere => review.verdict.deny(format!("{refusal}{what}: {text}")),
            Gravity::Denial | Gravity::Warning => review.verdict.warn(format!("{refusal}{text}")),
            Gravity::None => {}
        }
    }
    if !review.verdict.is_allowed() {
        return;
    }
    for translated in translations {
        if let Some(plugin) = find(&translated.configuration, &change.new) {
            let refusal = format!("{refusal}plugin failed schema validation: ");
            let mut question = Question::schema("plugins", entity(plugin), refusal, secrets_of(plugin, &change.new));
            question.profile = Some(translated.profile.to_string());
            question.subject = format!("{} {}", change.kind.name(), change.key);
            review.questions.push(question);
        }
    }
}

/// Judges a Secret by what becomes of the plugins whose configuration comes from it.
pub(super) fn check_users(change: &Change, view: View<'_>, review: &mut Review) {
    let Object::Secret(secret) = &change.new else { return };
    let mut snapshot = view.snapshot.clone();
    let uses = |metadata: &Metadata, plugin: &PluginFields| secrets(metadata, plugin).contains(&change.key);
    let of_namespace = view.snapshot.plugins.values();
    let of_namespace = of_namespace.filter(|object| uses(&object.metadata, &object.plugin));
    let of_cluster = view.snapshot.cluster_plugins.values();
    let of_cluster = of_cluster.filter(|object| uses(&object.metadata, &object.plugin));
    let users: Vec<Object> = of_namespace
        .map(|object| Object::KongPlugin(object.clone()))
        .chain(of_cluster.map(|object| Object::KongClusterPlugin(object.clone())))
        .take(MAX_USERS)
        .collect();
    if users.is_empty() {
        return;
    }
    snapshot.insert(Object::Secret(secret.clone()));
    let with_secret = View {
        snapshot: &snapshot,
        ..view
    };
    for user in users {
        let former = former_problems(&user, view);
        let mut own = Review::default();
        let change = Change {
            kind: user.kind(),
            key: user.key(),
            old: None,
            new: user,
        };
        let refusal = format!(
            "Change on secret will generate invalid configuration for {} {}: ",
            change.kind.name(),
            change.key
        );
        let mut translations = translation::translate(&change, with_secret);
        for translated in &mut translations {
            translated.problems.retain(|problem| !former.contains(&problem.message));
        }
        check_as(&change, &translations, &refusal, &mut own);
        review.verdict.extend(own.verdict);
        review.questions.extend(own.questions);
    }
}

/// What is wrong with a plugin already, before the Secret changes.
fn former_problems(plugin: &Object, view: View<'_>) -> Vec<String> {
    let change = Change {
        kind: plugin.kind(),
        key: plugin.key(),
        old: None,
        new: plugin.clone(),
    };
    let translations = translation::translate(&change, view);
    let problems = translation::problems_of(&translations, change.kind, &change.key);
    problems.into_iter().map(|(problem, _)| problem.message).collect()
}

/// The plugin's entity, wherever the configuration has it.
fn find<'a>(configuration: &'a Configuration, object: &Object) -> Option<&'a Plugin> {
    let services = &configuration.services;
    let of_routes = services.iter().flat_map(|service| &service.routes);
    let of_routes = of_routes.flat_map(|route| &route.plugins);
    let nested = services.iter().flat_map(|service| &service.plugins).chain(of_routes);
    let mut plugins = configuration.plugins.iter().map(AsRef::as_ref).chain(nested);
    plugins.find(|plugin| translation::comes_from(plugin.tags.as_ref(), object))
}

/// What is asked: what does not depend on where the plugin is attached.
fn entity(plugin: &Plugin) -> Value {
    let plugin = Plugin {
        id: None,
        service: None,
        route: None,
        consumer: None,
        consumer_group: None,
        tags: None,
        instance_name: None,
        ..plugin.clone()
    };
    serde_json::to_value(plugin).expect("entities have string keys only")
}

/// What must not be repeated of a proxy's answer.
fn secrets_of(plugin: &Plugin, object: &Object) -> Secrets {
    let empty = JsonObject::new();
    let config = plugin.config.as_deref().unwrap_or(&empty);
    match fields(object) {
        Some((metadata, fields)) if !secrets(metadata, fields).is_empty() => Secrets::of_all_texts(config),
        _ => Secrets::of_settings(config),
    }
}

fn fields(object: &Object) -> Option<(&Metadata, &PluginFields)> {
    match object {
        Object::KongPlugin(object) => Some((&object.metadata, &object.plugin)),
        Object::KongClusterPlugin(object) => Some((&object.metadata, &object.plugin)),
        _ => None,
    }
}
