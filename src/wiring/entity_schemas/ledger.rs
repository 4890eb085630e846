//! Which types of custom entities proxies are to be asked about, when, and what they said. Pure; has time.
//!
//! Each profile is asked for itself: what one lacks another may have, and one that hangs keeps none waiting. Called by
//! [`super::follow`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::translate::{EntitySchema, EntitySchemas};

/// How long proxies that can be reached have for their first answers before something is rendered for them without.
pub(super) const TIME_TO_ANSWER: Duration = Duration::from_secs(5);
/// After which pause a question is asked again first; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause where a proxy did not answer.
const PAUSE_OF_SILENCE: Duration = Duration::from_secs(30);
/// The longest pause where a proxy does not know the type. One that learns it has another profile, and is asked at once.
const PAUSE_OF_ABSENCE: Duration = Duration::from_secs(300);
/// Most questions that one profile is asked in a row, and the pause after that many.
const MAX_QUESTIONS: usize = 32;

/// What a proxy said of a type: its schema, or that it has none; `None` if it did not answer.
pub(super) type Said = Option<Option<EntitySchema>>;

/// What proxies said, by profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::wiring) struct Answers {
    /// By type and profile; `None`: that profile does not know it.
    types: BTreeMap<String, BTreeMap<Arc<str>, Option<EntitySchema>>>,
    /// Profiles that were asked about all types in use, or had their time.
    settled: BTreeSet<Arc<str>>,
}

impl Answers {
    /// Whether what is known is what is rendered with for that profile.
    pub(super) fn is_settled(&self, profile: &str) -> bool {
        self.settled.contains(profile)
    }

    /// What is known for that profile, over what is known anyway: what it has not said itself another one may have said.
    pub(super) fn of(&self, profile: &str, bundled: &EntitySchemas) -> EntitySchemas {
        let mut schemas = bundled.clone().asked();
        for (type_, said) in &self.types {
            let own = said.get(profile).cloned();
            let others = || said.values().flatten().next().cloned().map(Some);
            if let Some(schema) = own.or_else(others) {
                schemas.answered(type_, schema);
            }
        }
        schemas
    }

    fn has(&self, type_: &str, profile: &str) -> bool {
        self.types.get(type_).is_some_and(|said| said.contains_key(profile))
    }

    fn has_schema(&self, type_: &str, profile: &str) -> bool {
        let said = self.types.get(type_).and_then(|said| said.get(profile));
        said.is_some_and(Option::is_some)
    }
}

/// What is known and what is open.
#[derive(Default)]
pub(super) struct Ledger {
    types: BTreeSet<String>,
    /// Those with proxies that can be reached.
    profiles: BTreeMap<Arc<str>, OfProfile>,
    answers: Answers,
}

struct OfProfile {
    since: Instant,
    /// Somebody is asking.
    is_asked: bool,
    rests_until: Instant,
    /// When what was asked before is asked again, and after which pause it was.
    again: BTreeMap<String, (Instant, Duration)>,
}

impl Ledger {
    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The types in use that are not known anyway, and the profiles that can be asked.
    pub(super) fn update(&mut self, types: BTreeSet<String>, profiles: &BTreeSet<Arc<str>>, now: Instant) {
        self.types = types;
        // A type that comes back is as if it had never been there, unless somebody knows it.
        for (type_, said) in &mut self.answers.types {
            if !self.types.contains(type_) {
                said.retain(|_, schema| schema.is_some());
            }
        }
        self.answers.types.retain(|_, said| !said.is_empty());
        self.profiles.retain(|profile, _| profiles.contains(profile));
        for profile in profiles {
            let known = self.profiles.entry(profile.clone()).or_insert_with(|| OfProfile {
                since: now,
                is_asked: false,
                rests_until: now,
                again: BTreeMap::new(),
            });
            known.again.retain(|type_, _| self.types.contains(type_));
        }
        self.settle(now);
    }

    /// Whom to ask about what now; each is asked until [`Self::end`].
    pub(super) fn begin(&mut self, now: Instant) -> Vec<(Arc<str>, Vec<String>)> {
        let mut rounds = Vec::new();
        for (profile, known) in &mut self.profiles {
            if known.is_asked || known.rests_until > now {
                continue;
            }
            let open = open(&self.types, &self.answers, profile, known);
            let mut due: Vec<_> = open.filter(|(at, _)| *at <= now).collect();
            due.sort();
            let types: Vec<String> = due
                .into_iter()
                .take(MAX_QUESTIONS)
                .map(|(_, type_)| type_.clone())
                .collect();
            if !types.is_empty() {
                known.is_asked = true;
                rounds.push((profile.clone(), types));
            }
        }
        rounds
    }

    /// What came of it. What was not asked after all stays open.
    pub(super) fn end(&mut self, profile: &Arc<str>, said: Vec<(String, Said)>, now: Instant) {
        let is_much = said.len() >= MAX_QUESTIONS;
        let Some(known) = self.profiles.get_mut(profile) else {
            return;
        };
        known.is_asked = false;
        for (type_, said) in said {
            let longest = if said.is_some() {
                PAUSE_OF_ABSENCE
            } else {
                PAUSE_OF_SILENCE
            };
            if said.is_none() || is_much {
                known.rests_until = now + FIRST_PAUSE;
            }
            let pause = known
                .again
                .get(&type_)
                .map_or(FIRST_PAUSE, |(_, pause)| longest.min(*pause * 2));
            known.again.insert(type_.clone(), (now + pause, pause));
            if let Some(schema) = said
                && self.types.contains(&type_)
            {
                let of_type = self.answers.types.entry(type_).or_default();
                of_type.insert(profile.clone(), schema);
            }
        }
        self.settle(now);
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let times = self.profiles.iter().flat_map(|(profile, known)| {
            let limit = (!self.answers.is_settled(profile)).then(|| known.since + TIME_TO_ANSWER);
            let open = open(&self.types, &self.answers, profile, known).map(|(at, _)| at.max(known.rests_until));
            limit.into_iter().chain(open.min().filter(|_| !known.is_asked))
        });
        times.min()
    }

    fn settle(&mut self, now: Instant) {
        for (profile, known) in &self.profiles {
            let is_answered = self.types.iter().all(|type_| self.answers.has(type_, profile));
            if is_answered || now >= known.since + TIME_TO_ANSWER {
                self.answers.settled.insert(profile.clone());
            }
        }
    }
}

/// What a profile's proxies have no schema of, each with when it is to be asked.
fn open<'a>(
    types: &'a BTreeSet<String>,
    answers: &'a Answers,
    profile: &'a str,
    known: &'a OfProfile,
) -> impl Iterator<Item = (Instant, &'a String)> {
    let open = types.iter().filter(move |type_| !answers.has_schema(type_, profile));
    open.map(|type_| (known.again.get(type_).map_or(known.since, |(at, _)| *at), type_))
}
