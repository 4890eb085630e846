//! Snapshot -> Rendition, whenever the snapshot or the set of profiles changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::ProfileOverride;
use crate::{
    fleet::FleetView,
    model::{Profile, Snapshot},
    render::{Renderer, Rendition},
    translate::{Participants, Settings, Translator},
};

/// What is remembered of a profile from one snapshot to the next.
#[derive(Default)]
struct Lane {
    translator: Translator,
    renderer: Renderer,
}

/// Translates and renders the latest snapshot for every profile, until a side hangs up.
///
/// Nothing is rendered before every kind has been listed once. A result that says the same as the last one is not
/// published: nobody is woken for nothing.
pub(super) async fn run(
    settings: Settings,
    assumed: ProfileOverride,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut views: watch::Receiver<Arc<FleetView>>,
    renditions: watch::Sender<Option<Arc<Rendition>>>,
) {
    let mut profiles = BTreeSet::new();
    let mut lanes = BTreeMap::new();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        profiles = wanted_profiles(&settings, &views.borrow_and_update().profiles, profiles);
        if snapshot.is_complete() {
            let (settings, assumed) = (settings.clone(), assumed.clone());
            let (wanted, last) = (profiles.clone(), renditions.borrow().clone());
            let mut kept = std::mem::take(&mut lanes);
            let made = tokio::task::spawn_blocking(move || {
                let rendition = render_all(&snapshot, &settings, &assumed, &wanted, &mut kept, last.as_deref());
                (rendition, kept)
            })
            .await;
            let (rendition, kept) = made.expect("translation is total: it does not panic");
            lanes = kept;
            renditions.send_if_modified(|current| {
                let changed = current
                    .as_ref()
                    .is_none_or(|current| !says_the_same(current, &rendition));
                if changed {
                    *current = Some(Arc::new(rendition));
                }
                changed
            });
        }
        loop {
            tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                changed = views.changed() => match changed {
                    // Views change with every probe; only another set of profiles needs another rendering.
                    Ok(()) if wanted_profiles(&settings, &views.borrow_and_update().profiles, profiles.clone()) == profiles => {}
                    Ok(()) => break,
                    Err(_) => return,
                },
            }
        }
    }
}

/// The profiles to render: those of the proxies, at most [`Profile::MAX`]; the default one as long as there are none.
pub(super) fn wanted_profiles(
    settings: &Settings,
    present: &BTreeSet<Profile>,
    before: BTreeSet<Profile>,
) -> BTreeSet<Profile> {
    if present.is_empty() {
        return if before.is_empty() {
            BTreeSet::from([settings.profile.clone()])
        } else {
            before
        };
    }
    present.iter().take(Profile::MAX).cloned().collect()
}

fn render_all(
    snapshot: &Arc<Snapshot>,
    settings: &Settings,
    assumed: &ProfileOverride,
    profiles: &BTreeSet<Profile>,
    lanes: &mut BTreeMap<Profile, Lane>,
    last: Option<&Rendition>,
) -> Rendition {
    let began = Instant::now();
    let now = this_hour();
    let mut rendered = BTreeMap::new();
    let mut problems = BTreeSet::from_iter(snapshot.malformed.iter().cloned());
    let mut objects = Participants::default();
    lanes.retain(|profile, _| profiles.contains(profile));
    for profile in profiles {
        let lane = lanes.entry(profile.clone()).or_default();
        let translation = lane.translator.translate(
            snapshot,
            &Settings {
                profile: assumed.of(profile),
                now: Some(now),
                ..settings.clone()
            },
        );
        rendered.insert(profile.clone(), Arc::new(lane.renderer.render(&translation)));
        problems.extend(translation.problems);
        objects.extend(&translation.objects);
    }
    Rendition {
        generation: snapshot.generation,
        snapshot: snapshot.clone(),
        hold: hold(snapshot, last),
        profiles: rendered,
        problems: problems.into_iter().collect(),
        objects,
        created: Timestamp::now(),
        took: began.elapsed(),
    }
}

/// The present, as far as translations depend on it: what is remembered of one holds as long as this is the same.
fn this_hour() -> Timestamp {
    const HOUR: i64 = 3_600;
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second() / HOUR * HOUR).unwrap_or(now)
}

/// Why nothing may be sent now: a kind can't be read of which the last configuration used an object (rule 7).
fn hold(snapshot: &Snapshot, last: Option<&Rendition>) -> Option<String> {
    let last = last?;
    let used = snapshot
        .unavailable
        .iter()
        .find(|(kind, _)| last.objects.iter().any(|object| *object.kind == *kind.name()));
    used.map(|(kind, reason)| format!("{} can't be read: {reason}", kind.name()))
}

fn says_the_same(one: &Rendition, other: &Rendition) -> bool {
    one.profiles == other.profiles
        && one.problems == other.problems
        && one.objects == other.objects
        && one.hold == other.hold
        && have_the_same_generations(&one.snapshot, &other.snapshot)
}

/// Whether no object has another generation whose status says of which one it speaks.
fn have_the_same_generations(one: &Snapshot, other: &Snapshot) -> bool {
    let mut same = true;
    other.changes_since(one, |kind, key| {
        let generation = |snapshot: &Snapshot| Some(snapshot.get(kind, key)?.metadata().generation);
        same &= !kind.has_conditions() || generation(one) == generation(other);
    });
    same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, ObjectRef};

    /// A rendition that used objects of these kinds.
    fn used(kinds: &[Kind]) -> Rendition {
        let objects = kinds.iter().map(|kind| ObjectRef {
            group: kind.group().into(),
            version: "v1".into(),
            kind: kind.name().into(),
            namespace: "shop".into(),
            name: "one".into(),
            uid: "uid".into(),
        });
        Rendition {
            generation: Default::default(),
            snapshot: Arc::default(),
            hold: None,
            profiles: BTreeMap::new(),
            problems: Vec::new().into(),
            objects: objects.collect(),
            created: Timestamp::UNIX_EPOCH,
            took: Default::default(),
        }
    }

    #[test]
    fn what_can_not_be_read_holds_everything_if_it_was_used_and_nothing_if_not() {
        let mut snapshot = Snapshot::default();
        Arc::make_mut(&mut snapshot.unavailable).insert(Kind::KongPlugin, "its CRD is gone".to_owned());
        let last = used(&[Kind::Ingress, Kind::KongPlugin]);
        let why = hold(&snapshot, Some(&last)).expect("a hold");
        assert_eq!(why, "KongPlugin can't be read: its CRD is gone");
        assert_eq!(hold(&snapshot, Some(&used(&[Kind::Ingress]))), None, "nobody used it");
        assert_eq!(
            hold(&snapshot, None),
            None,
            "a first rendition waits for all kinds anyway"
        );
        assert_eq!(hold(&Snapshot::default(), Some(&last)), None, "it can be read again");
    }
}
