//! KongConsumers, their credentials and groups (`kic.md` 4.9). Pure.
//!
//! What two claim goes to the older object, then to the first by name, and the other gets a problem. Raw, all who claim
//! a credential are left out, and consumers of one name stand side by side, as with Kong Ingress Controller.

pub(super) mod credential;
pub(super) mod group;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use proxy_config_schema as kong;

use self::{
    credential::{Credential, Entity, Unique},
    group::Groups,
};
use super::{
    MissingPlugin, Settings,
    class::Class,
    plugin::{Attachments, Closed, Members, Target},
    problems::{Owner, Problems},
    state::State,
    tags,
};
use crate::model::{
    Kind, NamespacedName, Reason, Snapshot,
    kong::{ControlPlaneRef, KongConsumer},
    kubernetes::Secret,
};

/// Whether a consumer is ours.
pub(super) fn is_ours(consumer: &KongConsumer, class: &Class<'_>) -> bool {
    let control_plane = consumer.spec.control_plane_ref.as_ref();
    class.takes_annotated(&consumer.metadata) && control_plane.is_none_or(ControlPlaneRef::is_ours)
}

/// The consumers of our class, in order of precedence.
pub(super) fn ours<'a>(snapshot: &'a Snapshot, class: &Class<'_>) -> Vec<&'a KongConsumer> {
    let mut ours: Vec<&KongConsumer> = snapshot.consumers.values().map(AsRef::as_ref).collect();
    ours.retain(|consumer| is_ours(consumer, class));
    ours.sort_by_key(|consumer| {
        let metadata = &consumer.metadata;
        (metadata.creation_timestamp, &metadata.namespace, &metadata.name)
    });
    ours
}

/// A consumer with what can be used of its credentials.
pub(super) struct Draft<'a> {
    pub(super) consumer: &'a KongConsumer,
    pub(super) credentials: Vec<Held<'a>>,
}

/// A credential of a consumer.
pub(super) struct Held<'a> {
    /// Where it stands in the consumer's list.
    position: usize,
    secret: &'a Secret,
    credential: Credential,
}

impl<'a> Draft<'a> {
    pub(super) fn owner(&self) -> Owner<'a> {
        Owner::new(Kind::KongConsumer, &self.consumer.metadata)
    }
}

/// Adds groups and consumers of our class, with what is attached to them. Gives the consumers of each group.
pub(super) fn translate<'a>(
    snapshot: &'a Snapshot,
    class: &Class<'a>,
    configuration: &mut kong::Configuration,
    attachments: &mut Attachments<'a>,
    closed: &mut Closed,
    state: &mut State<'a>,
) -> Members {
    let groups = group::translate(snapshot, class, configuration, attachments, state);
    let authorities = configuration.ca_certificates.iter();
    let authorities = authorities.filter_map(|authority| authority.id.clone()).collect();
    let ours = ours(snapshot, class);
    let mut drafts = read(snapshot, &ours, &authorities, state.settings, &mut state.problems);
    resolve_clashes(&mut drafts, state.settings.raw_objects, &mut state.problems);
    let mut members = Members::new();
    for draft in drafts {
        let owner = draft.owner();
        state.takes_part(owner);
        for held in &draft.credentials {
            state.takes_part(Owner::new(Kind::Secret, &held.secret.metadata));
        }
        let consumer = draft.consumer;
        let id = identifier(consumer, state.settings);
        let named = Some(&consumer.username).filter(|name| !name.is_empty());
        let reference = named.or(id.as_ref()).unwrap_or(&consumer.custom_id).clone();
        attachments.add(owner, || Target::Consumer(reference.as_str().into()));
        join(
            consumer,
            &reference,
            &groups,
            configuration,
            &mut members,
            closed,
            state,
        );
        configuration.consumers.push(entity(&draft, id).into());
    }
    members
}

/// Reads consumers, given in order of precedence; those that can't be had are reported and left out. `authorities` are the
/// identifiers of the CA certificates that there are.
pub(super) fn read<'a>(
    snapshot: &'a Snapshot,
    consumers: &[&'a KongConsumer],
    authorities: &BTreeSet<String>,
    settings: &Settings,
    problems: &mut Problems,
) -> Vec<Draft<'a>> {
    let mut names = Names::default();
    let mut secrets = HashMap::new();
    let mut drafts = Vec::with_capacity(consumers.len());
    for &consumer in consumers {
        let owner = Owner::new(Kind::KongConsumer, &consumer.metadata);
        tags::check(owner, problems);
        if names.claim(consumer, settings, problems) {
            drafts.push(Draft {
                consumer,
                credentials: credentials(snapshot, consumer, authorities, settings, &mut secrets, problems),
            });
        }
    }
    drafts
}

/// Names in Kong, and who has them.
#[derive(Default)]
struct Names<'a> {
    usernames: HashMap<&'a str, Owner<'a>>,
    custom_ids: HashMap<&'a str, Owner<'a>>,
}

impl<'a> Names<'a> {
    /// False, with a problem, if the consumer has no name or one that another has.
    fn claim(&mut self, consumer: &'a KongConsumer, settings: &Settings, problems: &mut Problems) -> bool {
        let owner = Owner::new(Kind::KongConsumer, &consumer.metadata);
        if consumer.username.is_empty() && consumer.custom_id.is_empty() {
            problems.report(
                owner,
                "username",
                Reason::InvalidField,
                "neither username nor custom_id is set; the consumer is left out",
                "set one of the two, or both",
            );
            return false;
        }
        let fields = [
            ("username", consumer.username.as_str(), &mut self.usernames),
            ("custom_id", consumer.custom_id.as_str(), &mut self.custom_ids),
        ];
        if !settings.raw_objects {
            for (field, value, names) in &fields {
                if let Some(winner) = names.get(value).filter(|_| !value.is_empty()) {
                    problems.report(
                        owner,
                        *field,
                        Reason::Conflict,
                        format!("{winner} goes first and has the same {field}; this consumer is left out"),
                        format!("give each consumer a {field} of its own"),
                    );
                    return false;
                }
            }
        }
        for (_, value, names) in fields {
            if !value.is_empty() {
                names.insert(value, owner);
            }
        }
        true
    }
}

/// What was read of Secrets, by namespace and name.
type Secrets<'a> = HashMap<(&'a str, &'a str), Option<Credential>>;

fn credentials<'a>(
    snapshot: &'a Snapshot,
    consumer: &'a KongConsumer,
    authorities: &BTreeSet<String>,
    settings: &Settings,
    known: &mut Secrets<'a>,
    problems: &mut Problems,
) -> Vec<Held<'a>> {
    let owner = Owner::new(Kind::KongConsumer, &consumer.metadata);
    let namespace: &'a str = &consumer.metadata.namespace;
    let mut seen = HashSet::new();
    let mut acls = HashSet::new();
    let mut held = Vec::with_capacity(consumer.credentials.len());
    for (position, name) in consumer.credentials.iter().enumerate() {
        if !seen.insert(name) {
            continue;
        }
        let field = format!("credentials[{position}]");
        let key = NamespacedName::new(namespace, name.as_str());
        let Some(secret) = snapshot.secrets.get(&key) else {
            problems.report(
                owner,
                field,
                Reason::SecretNotFound,
                format!("there is no Secret {name} in namespace {namespace}; the credential is left out"),
                "create the Secret, or correct the name",
            );
            continue;
        };
        let credential = known
            .entry((namespace, name))
            .or_insert_with(|| credential::read(secret, authorities, settings, problems));
        let Some(credential) = credential.clone() else {
            problems.report(
                owner,
                field,
                Reason::InvalidCredential,
                format!("the Secret {name} holds no usable credential, which is left out"),
                format!("correct the Secret {name}: its own problem says how"),
            );
            continue;
        };
        if let Some(Entity::Acl(acl)) = &credential.entity
            && !acls.insert(acl.group.clone())
            && !settings.raw_objects
        {
            problems.report(
                owner,
                field,
                Reason::Conflict,
                format!("another credential puts the consumer in the group of the Secret {name} already"),
                "remove one of the two",
            );
            continue;
        }
        held.push(Held {
            position,
            secret,
            credential,
        });
    }
    held
}

/// No two credentials of a type may be for the same. The first consumer keeps it; raw, nobody who has it is left.
pub(super) fn resolve_clashes(drafts: &mut Vec<Draft<'_>>, raw_objects: bool, problems: &mut Problems) {
    let mut holders: BTreeMap<Unique, Vec<(usize, usize)>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for (place, held) in draft.credentials.iter().enumerate() {
            if let Some(unique) = &held.credential.unique {
                holders.entry(unique.clone()).or_default().push((index, place));
            }
        }
    }
    let mut lost: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (unique, holders) in &holders {
        let Some((&first, others)) = holders.split_first().filter(|(_, others)| !others.is_empty()) else {
            continue;
        };
        let winner = &drafts[first.0];
        for &(index, place) in others.iter().chain(raw_objects.then_some(&first)) {
            let draft = &drafts[index];
            let held = &draft.credentials[place];
            let (other, consequence) = match raw_objects {
                true if (index, place) == first => (&drafts[others[0].0], "; all consumers that have it are left out"),
                true => (winner, "; all consumers that have it are left out"),
                false => (winner, ", goes first and keeps it; the credential is left out here"),
            };
            let message = format!(
                "{} has a credential of the same type with the same {} as well{consequence}",
                other.owner(),
                unique.key
            );
            let remedy = format!("give each consumer a {} of its own", unique.key);
            let secret = Owner::new(Kind::Secret, &held.secret.metadata);
            // A Secret that both name is no conflict of the Secret with itself.
            if !std::ptr::eq(held.secret, winner.credentials[first.1].secret) {
                problems.report(
                    secret,
                    format!("data[{}]", unique.key),
                    Reason::Conflict,
                    message.clone(),
                    remedy.clone(),
                );
            }
            problems.report(
                draft.owner(),
                format!("credentials[{}]", held.position),
                Reason::Conflict,
                message,
                remedy,
            );
            lost.insert((index, place));
        }
    }
    if raw_objects {
        let mut index = 0..;
        drafts.retain(|_| {
            let index = index.next().expect("endless");
            lost.range((index, 0)..(index + 1, 0)).next().is_none()
        });
    } else {
        for (index, place) in lost.into_iter().rev() {
            drafts[index].credentials.remove(place);
        }
    }
}

/// The identifier: of the username. Kong can't refer to a consumer by custom_id, so that one without a username needs an
/// identifier as well; Kong Ingress Controller gives it none.
pub(super) fn identifier(consumer: &KongConsumer, settings: &Settings) -> Option<String> {
    if !settings.feature_gates.fill_ids {
        return None;
    }
    if !consumer.username.is_empty() {
        return Some(kong::id::consumer(settings.workspace(), &consumer.username).to_string());
    }
    let key = format!("custom_id/{}", consumer.custom_id);
    (!settings.raw_objects).then(|| kong::id::entity("consumers", settings.workspace(), &key).to_string())
}

/// A consumer with its credentials.
pub(super) fn entity(draft: &Draft<'_>, id: Option<String>) -> kong::Consumer {
    let set = |text: &String| (!text.is_empty()).then(|| text.clone());
    let mut consumer = kong::Consumer {
        id,
        username: set(&draft.consumer.username),
        custom_id: set(&draft.consumer.custom_id),
        tags: Some(tags::object_tags(draft.owner())),
        ..kong::Consumer::default()
    };
    for held in &draft.credentials {
        match held.credential.entity.clone() {
            Some(Entity::KeyAuth(credential)) => consumer.keyauth_credentials.push(credential),
            Some(Entity::BasicAuth(credential)) => consumer.basicauth_credentials.push(credential),
            Some(Entity::HmacAuth(credential)) => consumer.hmacauth_credentials.push(credential),
            Some(Entity::Jwt(credential)) => consumer.jwt_secrets.push(credential),
            Some(Entity::Oauth2(credential)) => consumer.oauth2_credentials.push(credential),
            Some(Entity::Acl(credential)) => consumer.acls.push(credential),
            Some(Entity::MtlsAuth(credential)) => consumer.mtls_auth_credentials.push(credential),
            None => {}
        }
    }
    consumer
}

/// Makes a consumer a member of its groups. One whose group can't be had, and with it the group's plugins, is closed.
fn join<'a>(
    consumer: &'a KongConsumer,
    reference: &str,
    groups: &Groups<'a>,
    configuration: &mut kong::Configuration,
    members: &mut Members,
    closed: &mut Closed,
    state: &mut State<'a>,
) {
    let owner = Owner::new(Kind::KongConsumer, &consumer.metadata);
    let mut seen = HashSet::new();
    for (position, name) in consumer.consumer_groups.iter().enumerate() {
        if !seen.insert(name) {
            continue;
        }
        let field = format!("consumerGroups[{position}]");
        let Some(group) = groups.get(&(&*consumer.metadata.namespace, name.as_str())) else {
            state.problems.report(
                owner,
                field,
                Reason::ConsumerGroupNotFound,
                format!(
                    "there is no KongConsumerGroup {name} of our class in namespace {}; the consumer is not in it",
                    consumer.metadata.namespace
                ),
                "create the group, or correct the name",
            );
            continue;
        };
        let Some(reason) = group.left_out else {
            members.entry(name.as_str().into()).or_default().push(reference.into());
            let entity = kong::ConsumerGroupConsumer {
                consumer_group: name.as_str().into(),
                consumer: reference.into(),
            };
            configuration.consumer_group_consumers.push(entity.into());
            continue;
        };
        let has_plugins = group.has_plugins();
        let consequence = match state.settings.missing_plugin {
            MissingPlugin::FailClosed if has_plugins => {
                "its plugins are missing, so that requests of the consumer answer 503"
            }
            _ if has_plugins => "the consumer goes without its plugins",
            _ => "the consumer is not in it",
        };
        if has_plugins {
            closed.add(Target::Consumer(reference.into()));
        }
        state.problems.report(
            owner,
            field,
            reason,
            format!("{} is left out; {consequence}", group.owner),
            "correct the group: its own problem says how",
        );
    }
}
