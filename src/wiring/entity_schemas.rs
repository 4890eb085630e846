//! Schemas of the custom entities that are in use: translation can't ask proxies what fields refer to, so it is done
//! here, for types that are not known anyway (`kic.md` 4.10).
//!
//! An entity without what its foreign fields refer to would be half of one, so translation leaves it out until its type is
//! known. That must not take one away that proxies run: after a start nothing is rendered for a profile before its proxies
//! were asked, for as long as [`TIME_TO_ANSWER`] once they can be reached.

mod ledger;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant};

use self::ledger::{Ledger, Said};
use super::{ProfileOverride, spokesmen};
use crate::{
    admission::Question,
    fleet::FleetView,
    model::{Edition, Profile, Snapshot},
    serve::admission::AskProxies,
    translate::{self, EntitySchema, EntitySchemas},
};

pub(super) use self::ledger::Answers;

/// How long a proxy may take to answer: another one can still do so before something is rendered without.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// What is known of custom entities, for those who translate.
#[derive(Clone)]
pub(super) struct Schemas {
    now: Known,
    answers: Option<watch::Receiver<Arc<Answers>>>,
}

/// What is known of custom entities at one moment.
#[derive(Clone)]
pub(super) struct Known {
    /// Without asking.
    bundled: Arc<EntitySchemas>,
    assumed: ProfileOverride,
    /// `None` where nobody is asked.
    answers: Option<Arc<Answers>>,
}

impl Schemas {
    /// Those that are known anyway, and what proxies say, if they are asked.
    pub(super) fn new(
        bundled: Arc<EntitySchemas>,
        assumed: ProfileOverride,
        answers: Option<watch::Receiver<Arc<Answers>>>,
    ) -> Self {
        let now = Known {
            bundled,
            assumed,
            answers: None,
        };
        Self { now, answers }
    }

    /// What is known now.
    pub(super) fn known(&mut self) -> Known {
        let answers = self.answers.as_mut();
        Known {
            answers: answers.map(|answers| answers.borrow_and_update().clone()),
            ..self.now.clone()
        }
    }

    /// Ends once something else is known; never where nobody is asked.
    pub(super) async fn changed(&mut self) {
        if let Some(answers) = &mut self.answers
            && answers.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

impl Known {
    /// What is known for proxies of that profile.
    pub(super) fn of(&self, profile: &Profile) -> Arc<EntitySchemas> {
        match &self.answers {
            Some(answers) => Arc::new(answers.of(&self.name(profile), &self.bundled)),
            None => self.bundled.clone(),
        }
    }

    /// Whether proxies of that profile shall be asked before anything is rendered for them.
    pub(super) fn awaits(&self, types: &BTreeSet<String>, profile: &Profile) -> bool {
        let is_settled = |answers: &Arc<Answers>| answers.is_settled(&self.name(profile));
        has_entities(profile) && !types.is_empty() && !self.answers.as_ref().is_none_or(is_settled)
    }

    fn name(&self, profile: &Profile) -> String {
        self.assumed.of(profile).to_string()
    }
}

/// Whether proxies of that profile have custom entities at all.
fn has_entities(profile: &Profile) -> bool {
    profile.edition != Some(Edition::Embedded)
}

/// Who is asked about what.
pub(super) struct Inquiry {
    pub(super) ask: AskProxies,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) views: watch::Receiver<Arc<FleetView>>,
    pub(super) assumed: ProfileOverride,
    /// By which objects are ours.
    pub(super) settings: translate::Settings,
}

/// Asks one proxy of each profile about every type that comes into use, until the snapshots end.
pub(super) async fn follow(inquiry: Inquiry, answers: watch::Sender<Arc<Answers>>) {
    let Inquiry {
        ask,
        mut snapshots,
        mut views,
        assumed,
        settings,
    } = inquiry;
    // Before that it is not known which types are in use.
    if snapshots.wait_for(|snapshot| snapshot.is_complete()).await.is_err() {
        return;
    }
    let mut ledger = Ledger::default();
    let mut rounds = FuturesUnordered::new();
    loop {
        let types = translate::unknown_entity_types(&snapshots.borrow_and_update(), &settings);
        let is_idle = types.is_empty();
        let profiles = match is_idle {
            true => BTreeSet::new(),
            false => reachable(&views.borrow_and_update(), &assumed),
        };
        ledger.update(types, &profiles, Instant::now());
        for (profile, types) in ledger.begin(Instant::now()) {
            rounds.push(round(ask.clone(), profile, types));
        }
        answers.send_if_modified(|known| {
            let is_new = **known != *ledger.answers();
            if is_new {
                *known = Arc::new(ledger.answers().clone());
            }
            is_new
        });
        let due = async {
            match ledger.deadline() {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let others = async {
            // Views change with every probe: of interest is who can be asked, if anybody is to be.
            let is_other = |view: &Arc<FleetView>| reachable(view, &assumed) != profiles;
            match is_idle {
                true => std::future::pending().await,
                false => views.wait_for(is_other).await.map(drop),
            }
        };
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            changed = others => if changed.is_err() { return },
            Some((profile, said)) = rounds.next() => ledger.end(&profile, said, Instant::now()),
            () = due => {}
        }
    }
}

/// The profiles of which a proxy can be asked.
fn reachable(view: &FleetView, assumed: &ProfileOverride) -> BTreeSet<Arc<str>> {
    let mut distinct: Vec<&Profile> = Vec::new();
    for proxy in view.proxies.iter().filter(|proxy| spokesmen::can_be_asked(proxy)) {
        let profile = proxy.profile.as_ref().filter(|profile| has_entities(profile));
        distinct.extend(profile.filter(|profile| !distinct.contains(profile)));
    }
    distinct
        .into_iter()
        .map(|profile| assumed.of(profile).to_string().into())
        .collect()
}

/// Asks a proxy of that profile about one type after the other, until it does not answer.
async fn round(ask: AskProxies, profile: Arc<str>, types: Vec<String>) -> (Arc<str>, Vec<(String, Said)>) {
    let mut said = Vec::new();
    for type_ in types {
        let question = Question::entity_schema(&type_, &profile);
        let answers = ask(question).await;
        let answer = answers.first().and_then(|(_, answer)| match answer.status {
            200 => EntitySchema::parse(&answer.body).map(Some),
            404 => Some(None),
            _ => None,
        });
        let is_silent = answer.is_none();
        said.push((type_, answer));
        if is_silent {
            break;
        }
    }
    (profile, said)
}

#[cfg(test)]
pub(super) mod tests;
