//! May this object be stored? What the validating webhook answers, and why.
//!
//! Pure: an [`AdmissionReview`](Request), a snapshot and settings give a [`Review`], which may have [`Question`]s for
//! proxies, and with their answers a [`Verdict`]. Most of it is what translation itself says of the object: the objects
//! that it has to do with are translated once without and once with the change, and the problems that are new and its
//! own count. So the webhook and the controller can't disagree. The rest are the checks of Kong Ingress Controller that
//! translation has no use for, with its messages (`kic.md` 9). Called by `serve::admission` with a limit of time.

mod class;
mod consumer;
mod credential;
mod custom_entity;
mod deprecation;
mod needs;
mod neighbourhood;
mod plugin;
mod question;
mod route;
mod secret;
mod translation;
mod vault;
mod verdict;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use question::{Answer, Method, Question};
pub use verdict::Verdict;
pub use wire::{Malformed, Operation, Request};

use question::Outcome;

use crate::{
    model::{Kind, NamespacedName, Object, Snapshot, kubernetes::Secret},
    translate,
};

/// What shapes a review besides the objects.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How objects are translated, once for each profile of the proxies; the default profile as long as there are none.
    pub translations: Vec<translate::Settings>,
}

/// A review under way: a verdict so far, and what proxies are to be asked.
#[derive(Debug, Default)]
pub struct Review {
    verdict: Verdict,
    questions: Vec<Question>,
    answers: BTreeMap<String, Answers>,
}

/// What the proxies said about one subject.
#[derive(Debug, Default)]
struct Answers {
    count: usize,
    /// Profile and reason.
    refusals: Vec<(String, String)>,
}

impl Review {
    /// What is to be asked next; nothing once the object is denied.
    pub fn take_questions(&mut self) -> Vec<Question> {
        let questions = std::mem::take(&mut self.questions);
        if self.verdict.is_allowed() {
            questions
        } else {
            Vec::new()
        }
    }

    /// Takes in what proxies answered, each with its profile. An answer may lead to further questions.
    pub fn answer(&mut self, question: &Question, answers: &[(String, Answer)]) {
        for (profile, answer) in answers {
            match question.read(answer) {
                Outcome::Further(mut further) => {
                    further.profile = Some(profile.clone());
                    self.questions.push(*further);
                }
                outcome => {
                    let answers = self.answers.entry(question.subject.clone()).or_default();
                    answers.count += 1;
                    if let Outcome::Refused(reason) = outcome {
                        answers.refusals.push((profile.clone(), reason));
                    }
                }
            }
        }
    }

    /// The verdict: what all proxies refuse is denied, what some refuse is warned of.
    pub fn conclude(self) -> Verdict {
        let mut verdict = self.verdict;
        for answers in self.answers.into_values() {
            let by_all = answers.refusals.len() == answers.count;
            for (profile, reason) in answers.refusals {
                if by_all {
                    verdict.deny(reason);
                } else {
                    verdict.warn(format!("proxies of profile {profile} can't take it: {reason}"));
                }
            }
        }
        verdict
    }
}

/// The objects at the time of a review, and what was looked up for it.
#[derive(Clone, Copy)]
struct View<'a> {
    snapshot: &'a Snapshot,
    absent: &'a BTreeSet<NamespacedName>,
    settings: &'a Settings,
}

/// What is known of a Secret.
enum Known<'a> {
    Here(&'a Secret),
    /// The API server has none of that name.
    Absent,
    /// It is not known whether there is one.
    Unknown,
}

impl<'a> View<'a> {
    fn secret(&self, key: &NamespacedName) -> Known<'a> {
        match self.snapshot.secrets.get(key) {
            Some(secret) => Known::Here(secret),
            None if self.absent.contains(key) => Known::Absent,
            None => Known::Unknown,
        }
    }

    fn class(&self) -> &'a str {
        self.settings
            .translations
            .first()
            .map_or("", |settings| &settings.ingress_class)
    }
}

/// A change of one object.
struct Change {
    kind: Kind,
    key: NamespacedName,
    old: Option<Object>,
    new: Object,
}

/// The Secrets that a review needs and the snapshot lacks: Secrets are kept only as far as they are used, and a new
/// object may be the first to use one. They are to be looked up, put into the snapshot or named absent.
pub fn missing_secrets(request: &Request, snapshot: &Snapshot) -> Vec<NamespacedName> {
    match change(request) {
        Some(Ok(change)) => needs::missing_secrets(&change, snapshot),
        _ => Vec::new(),
    }
}

/// Reviews a request. `absent` are Secrets that are known not to exist.
pub fn review(
    request: &Request,
    snapshot: &Snapshot,
    absent: &BTreeSet<NamespacedName>,
    settings: &Settings,
) -> Review {
    let mut review = Review::default();
    let change = match change(request) {
        None => return review,
        Some(Ok(change)) => change,
        Some(Err(message)) => {
            review.verdict.deny(message);
            return review;
        }
    };
    let view = View {
        snapshot,
        absent,
        settings,
    };
    judge(&change, view, &mut review);
    review
}

fn judge(change: &Change, view: View<'_>, review: &mut Review) {
    match &change.new {
        Object::KongConsumer(consumer) => consumer::check(consumer, change.old.as_ref(), view, &mut review.verdict),
        Object::KongConsumerGroup(group) => consumer::check_group(group, view, review),
        Object::KongVault(vault) => vault::check(vault, view, review),
        Object::KongCustomEntity(entity) => custom_entity::check(entity, view, review),
        Object::KongIngress(ingress) => deprecation::of_kong_ingress(ingress, &mut review.verdict),
        Object::Service(service) => deprecation::of_service(service, &mut review.verdict),
        Object::Secret(secret) => secret::check(secret, change, view, review),
        _ => {}
    }
    if !review.verdict.is_allowed() || !neighbourhood::is_translated(change.kind) {
        return;
    }
    let translations = translation::translate(change, view);
    match &change.new {
        Object::KongPlugin(_) | Object::KongClusterPlugin(_) => plugin::check(change, &translations, view, review),
        _ => route::check(change, &translations, &needs::Unknown::of(change, view), review),
    }
}

/// Reads the objects of a request; `None` if there is nothing to review.
fn change(request: &Request) -> Option<Result<Change, String>> {
    let kind = request.kind?;
    if request.operation == Operation::Other {
        return None;
    }
    let read = |value: &serde_json::Value| {
        Object::from_json(kind, value.clone()).map(|mut object| {
            complete(&mut object, &request.key);
            object
        })
    };
    let old = request.old_object.as_ref().and_then(|value| read(value).ok());
    let new = match read(request.object.as_ref()?) {
        Ok(new) => new,
        // What could not be read before is not made worse.
        Err(_) if request.old_object.is_some() && old.is_none() => return None,
        // The message could quote the Secret.
        Err(_) if kind == Kind::Secret => return Some(Err("the Secret has a field that can't be read".to_owned())),
        Err(error) => return Some(Err(format!("the {} can't be read: {error}", kind.name()))),
    };
    // Whoever cleans up must not be held up, and what changes nothing that is read here needs no review.
    if new.metadata().deletion_timestamp.is_some() || old.as_ref() == Some(&new) {
        return None;
    }
    Some(Ok(Change {
        kind,
        key: new.key(),
        old,
        new,
    }))
}

/// Gives an object that is about to be made the identity that the API server will give it.
fn complete(object: &mut Object, key: &NamespacedName) {
    let metadata = object.metadata_mut();
    if metadata.namespace.is_empty() {
        metadata.namespace = key.namespace.clone();
    }
    if metadata.name.is_empty() {
        // The name is made up later (`metadata.generateName`).
        metadata.name = match key.name.as_ref() {
            "" => "generated-name".into(),
            _ => key.name.clone(),
        };
    }
    // The newest object gives way to those that are there. Years from now everything else is older.
    metadata.creation_timestamp.get_or_insert(jiff::Timestamp::MAX);
}
