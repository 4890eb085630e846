//! Snapshot -> Rendition, whenever the snapshot or the set of profiles changed, or what was rendered has had its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::ProfileOverride;
use crate::{
    fleet::FleetView,
    model::{Profile, Snapshot},
    render::{Renderer, Rendition},
    translate::{GatewayStatuses, Participants, Settings, Translator},
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
/// published: nobody is woken for nothing. Which snapshot was translated last is told by `considered`.
pub(super) async fn run(
    settings: Settings,
    assumed: ProfileOverride,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut views: watch::Receiver<Arc<FleetView>>,
    renditions: watch::Sender<Option<Arc<Rendition>>>,
    considered: watch::Sender<Option<Arc<Snapshot>>>,
) {
    let mut profiles = BTreeSet::new();
    let mut lanes = BTreeMap::new();
    let mut valid_until = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        profiles = wanted_profiles(&settings, &views.borrow_and_update().profiles, profiles);
        if snapshot.is_complete() {
            let (settings, assumed) = (settings.clone(), assumed.clone());
            let (wanted, last) = (profiles.clone(), renditions.borrow().clone());
            let mut kept = std::mem::take(&mut lanes);
            let translated = snapshot.clone();
            let made = tokio::task::spawn_blocking(move || {
                let made = render_all(&snapshot, &settings, &assumed, &wanted, &mut kept, last.as_deref());
                (made, kept)
            })
            .await;
            let ((rendition, end), kept) = made.expect("translation is total: it does not panic");
            lanes = kept;
            valid_until = end;
            renditions.send_if_modified(|current| {
                let changed = current
                    .as_ref()
                    .is_none_or(|current| !says_the_same(current, &rendition));
                if changed {
                    *current = Some(Arc::new(rendition));
                }
                changed
            });
            // After what came of it: the rendition of now stands for this snapshot.
            considered.send_replace(Some(translated));
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
                () = ends(valid_until) => break,
            }
        }
    }
}

/// Ends once a time is over, as far as translations go.
async fn ends(time: Option<Timestamp>) {
    /// Clocks are set, and machines sleep: the time is looked at anew after that long.
    const LONGEST: Duration = Duration::from_secs(60);
    let Some(time) = time else {
        return std::future::pending().await;
    };
    loop {
        let now = present();
        if now > time {
            return;
        }
        let left = Duration::try_from(time.duration_since(now)).unwrap_or_default();
        tokio::time::sleep(left.min(LONGEST) + Duration::from_millis(1)).await;
    }
}

/// The present, as far as translations depend on it: a minute ahead. What is sent now is still on its way then, and
/// clocks of proxies differ from ours.
pub(super) fn present() -> Timestamp {
    const AHEAD: Duration = Duration::from_secs(60);
    Timestamp::now().saturating_add(AHEAD).unwrap_or(Timestamp::MAX)
}

/// Settings as they are now: those of a comparison (`--raw-objects`) have no time.
pub(super) fn as_of_now(settings: &Settings) -> Settings {
    Settings {
        now: settings.now.map(|_| present()),
        ..settings.clone()
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

/// Renders for each profile; with the last second in which it would come out the same.
fn render_all(
    snapshot: &Arc<Snapshot>,
    settings: &Settings,
    assumed: &ProfileOverride,
    profiles: &BTreeSet<Profile>,
    lanes: &mut BTreeMap<Profile, Lane>,
    last: Option<&Rendition>,
) -> (Rendition, Option<Timestamp>) {
    let began = Instant::now();
    let settings = as_of_now(settings);
    let mut valid_until = None;
    let mut rendered = BTreeMap::new();
    let mut problems = BTreeSet::from_iter(snapshot.malformed.iter().cloned());
    let mut objects = Participants::default();
    let mut gateways: Option<Arc<GatewayStatuses>> = None;
    lanes.retain(|profile, _| profiles.contains(profile));
    for profile in profiles {
        let lane = lanes.entry(profile.clone()).or_default();
        let translation = lane.translator.translate(
            snapshot,
            &Settings {
                profile: assumed.of(profile),
                ..settings.clone()
            },
        );
        rendered.insert(profile.clone(), Arc::new(lane.renderer.render(&translation)));
        problems.extend(translation.problems);
        objects.extend(&translation.objects);
        valid_until = valid_until.into_iter().chain(translation.valid_until).min();
        match &mut gateways {
            None => gateways = Some(translation.gateways),
            Some(gateways) if *gateways == translation.gateways => {}
            Some(gateways) => Arc::make_mut(gateways).join(&translation.gateways),
        }
    }
    let rendition = Rendition {
        generation: snapshot.generation,
        snapshot: snapshot.clone(),
        hold: hold(snapshot, last),
        profiles: rendered,
        problems: problems.into_iter().collect(),
        objects,
        gateways: gateways.unwrap_or_default(),
        created: Timestamp::now(),
        took: began.elapsed(),
    };
    (rendition, valid_until)
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
        && one.gateways == other.gateways
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
    use serde_json::json;

    use super::*;
    use crate::model::{Kind, Object, ObjectRef};

    /// A CA certificate in a Secret, good for that long.
    fn authority(name: &str, id: u8, good_for: Duration) -> Object {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.not_after = (std::time::SystemTime::now() + good_for).into();
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let secret = json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"konghq.com/ca-cert": "true"}},
            "stringData": {"id": format!("11111111-2222-4333-8444-5555555555{id:02}"), "cert": certificate.pem()},
        });
        Object::from_json(Kind::Secret, secret).expect("it fits")
    }

    #[tokio::test]
    async fn what_expires_is_left_out_without_any_change_of_objects() {
        let mut snapshot = Snapshot::default();
        snapshot.insert(authority("lasting", 1, Duration::from_secs(3_600)));
        // Two seconds after the minute that is allowed for clocks and pushes.
        snapshot.insert(authority("expiring", 2, Duration::from_secs(62)));
        let settings = Settings {
            now: Some(Timestamp::UNIX_EPOCH),
            ..Settings::default()
        };
        let (_snapshots, snapshots) = watch::channel(Arc::new(snapshot));
        let (_views, views) = watch::channel(Arc::new(FleetView::default()));
        let (sender, mut renditions) = watch::channel(None);
        let pipeline = tokio::spawn(run(settings, ProfileOverride::default(), snapshots, views, sender));
        let mut counts = Vec::new();
        let seen = tokio::time::timeout(Duration::from_secs(30), async {
            while counts.last() != Some(&1) {
                renditions.changed().await.expect("it runs");
                let rendition = renditions.borrow_and_update().clone().expect("something was rendered");
                let rendered = rendition.profiles.values().next().expect("there is a profile");
                let configuration: serde_json::Value = serde_json::from_slice(&rendered.bytes).expect("JSON");
                counts.push(configuration["ca_certificates"].as_array().map_or(0, Vec::len));
            }
        });
        seen.await.expect("it is rendered anew");
        assert_eq!(counts, [2, 1]);
        pipeline.abort();
    }

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
            gateways: Arc::default(),
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
