//! Snapshot -> Rendition, whenever the snapshot or the set of profiles changed, or what was rendered has had its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use tokio::sync::{mpsc, watch};

use super::{
    ProfileOverride,
    entity_schemas::{Known, Schemas},
    hold::Hold,
};
use crate::{
    fleet::FleetView,
    model::{Profile, Snapshot},
    render::{Given, Lane, LastGood, Origin, Rendition},
    store::{self, References},
    translate::{GatewayStatuses, Participants, Settings, fallback::Refusals, unknown_entity_types},
};

/// What the fleet says of the profiles: what renderings depend on besides the objects.
#[derive(Clone, Default)]
struct Experience {
    refusals: BTreeMap<Profile, Arc<Refusals>>,
    last_good: BTreeMap<Profile, Arc<LastGood>>,
}

impl Experience {
    fn of(view: &FleetView) -> Self {
        Self {
            refusals: view.refusals.clone(),
            last_good: view.good.clone(),
        }
    }

    /// Whether the same was refused. What was accepted last matters only where it is rendered again: where something was
    /// refused, or is held.
    fn is_same(&self, other: &Self, renders_again: impl Fn(&Profile) -> bool) -> bool {
        let goods = |experience: &Self| -> Vec<(bool, Option<ConfigHash>)> {
            let goods = experience.last_good.iter();
            goods
                .map(|(profile, good)| {
                    (
                        good.origin == Origin::Stored,
                        renders_again(profile).then_some(good.rendered.hash),
                    )
                })
                .collect()
        };
        let of_other = |profile| other.refusals.get(profile);
        self.refusals.len() == other.refusals.len()
            && self
                .refusals
                .iter()
                .all(|(profile, refusals)| of_other(profile).is_some_and(|others| Arc::ptr_eq(refusals, others)))
            && goods(self) == goods(other)
    }
}

/// By what is translated, whatever the objects are.
pub(super) struct Rules {
    pub(super) settings: Settings,
    /// What is taken for granted of the proxies.
    pub(super) assumed: ProfileOverride,
    /// What is known of custom entities.
    pub(super) schemas: Schemas,
    /// Whether objects that proxies refuse stay as they were accepted last, rather than being left out.
    pub(super) keep: bool,
}

/// Translates and renders the latest snapshot for every profile, until a side hangs up.
///
/// Nothing is rendered before every kind has been listed once, and where the cluster lacks some, before it is known whether
/// proxies run something that was made of them; nothing for a profile before its proxies were asked about custom entities,
/// or had their time to answer. A result that says the same as the last one is not
/// published: nobody is woken for nothing. Which snapshot was translated last is told by `considered`.
pub(super) async fn run(
    Rules {
        settings,
        assumed,
        mut schemas,
        keep,
    }: Rules,
    store: mpsc::WeakSender<store::Event>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut views: watch::Receiver<Arc<FleetView>>,
    renditions: watch::Sender<Option<Arc<Rendition>>>,
    considered: watch::Sender<Option<Arc<Snapshot>>>,
) {
    let mut profiles = BTreeSet::new();
    let mut served = BTreeSet::new();
    let mut memory = Memory::default();
    let mut valid_until = None;
    let mut referred = References::default();
    loop {
        let known_schemas = schemas.known();
        let snapshot = snapshots.borrow_and_update().clone();
        let (mut experience, recalled, of_proxies) = {
            let view = views.borrow_and_update();
            profiles = wanted_profiles(&settings, &view.profiles, profiles);
            (Experience::of(&view), view.recalled, !view.profiles.is_empty())
        };
        if snapshot.is_complete() && (recalled || snapshot.absent.is_empty()) {
            let (settings, assumed) = (settings.clone(), assumed.clone());
            let last = renditions.borrow().clone();
            if of_proxies {
                serve_settled(&mut served, &profiles, &known_schemas, &snapshot, &settings);
            }
            // As long as there is none, the default one stands in, which is nobody's: nothing is known, and nobody asked.
            let stands_in = served.is_empty();
            let wanted = match stands_in {
                true => BTreeSet::from([settings.profile.clone()]),
                false => served.clone(),
            };
            let mut kept = std::mem::take(&mut memory);
            let translated = snapshot.clone();
            let known = experience.clone();
            let made = tokio::task::spawn_blocking(move || {
                let inputs = Inputs {
                    snapshot: &snapshot,
                    settings: &settings,
                    assumed: &assumed,
                    schemas: Some(&known_schemas).filter(|_| !stands_in),
                    experience: &known,
                    keep,
                };
                let made = render_all(inputs, &wanted, &mut kept, last.as_deref());
                (made, kept)
            })
            .await;
            let ((rendition, end), kept) = made.expect("translation is total: it does not panic");
            memory = kept;
            valid_until = end;
            let wanted = besides(&rendition, &experience);
            if wanted != referred {
                referred = wanted.clone();
                // Without it the store has ended, and everything with it.
                if let Some(store) = store.upgrade() {
                    let _ = store.send(store::Event::Besides(wanted)).await;
                }
            }
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
        let current = renditions.borrow().clone();
        let renders_again = |profile: &Profile| {
            let fallback = current.as_ref().and_then(|current| current.fallbacks.get(profile));
            fallback.is_some_and(|fallback| fallback.kept.is_some())
        };
        loop {
            tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                changed = views.changed() => match changed {
                    // Views change with every probe; only other profiles or refusals need another rendering.
                    Ok(()) => {
                        let view = views.borrow_and_update();
                        let now = Experience::of(&view);
                        let is_same = view.recalled == recalled
                            && wanted_profiles(&settings, &view.profiles, profiles.clone()) == profiles
                            && experience.is_same(&now, renders_again);
                        if !is_same {
                            break;
                        }
                        // What was accepted before would be held until something is rendered again.
                        experience = now;
                    }
                    Err(_) => return,
                },
                () = schemas.changed() => break,
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

/// What objects of a former moment refer to that stand in for those of now.
fn besides(rendition: &Rendition, experience: &Experience) -> References {
    let mut references = References::default();
    for (profile, fallback) in &rendition.fallbacks {
        let stands_in = fallback.kept.is_some() || fallback.old > 0;
        if let Some(good) = experience.last_good.get(profile).filter(|_| stands_in) {
            references.extend(References::of(&good.sources));
        }
    }
    references
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

/// Adds to those that are served the profiles whose proxies need not be asked about custom entities first: a profile that
/// is served stays so, whatever types come into use.
fn serve_settled(
    served: &mut BTreeSet<Profile>,
    profiles: &BTreeSet<Profile>,
    schemas: &Known,
    snapshot: &Snapshot,
    settings: &Settings,
) {
    let types = unknown_entity_types(snapshot, settings);
    served.retain(|profile| profiles.contains(profile));
    let settled = profiles.iter().filter(|profile| !schemas.awaits(&types, profile));
    served.extend(settled.cloned());
}

/// What is remembered from one rendition to the next.
#[derive(Default)]
struct Memory {
    lanes: BTreeMap<Profile, Lane>,
    hold: Hold,
}

#[derive(Clone, Copy)]
struct Inputs<'a> {
    snapshot: &'a Arc<Snapshot>,
    settings: &'a Settings,
    assumed: &'a ProfileOverride,
    /// What is known of custom entities; `None` where nothing is known of the proxies either.
    schemas: Option<&'a Known>,
    experience: &'a Experience,
    keep: bool,
}

/// Renders for each profile; with the last second in which it would come out the same.
fn render_all(
    inputs: Inputs<'_>,
    profiles: &BTreeSet<Profile>,
    memory: &mut Memory,
    last: Option<&Rendition>,
) -> (Rendition, Option<Timestamp>) {
    let began = Instant::now();
    let settings = as_of_now(inputs.settings);
    let mut valid_until = None;
    let snapshot = inputs.snapshot;
    let mut rendered = BTreeMap::new();
    let mut fallbacks = BTreeMap::new();
    let mut problems = BTreeSet::from_iter(snapshot.malformed.iter().cloned());
    let mut objects = Participants::default();
    let mut gateways: Option<Arc<GatewayStatuses>> = None;
    let settings_of = |profile: &Profile| Settings {
        profile: inputs.assumed.of(profile),
        entity_schemas: inputs
            .schemas
            .map_or_else(|| settings.entity_schemas.clone(), |schemas| schemas.of(profile)),
        ..settings.clone()
    };
    let hold = memory
        .hold
        .why(snapshot, last, profiles, &inputs.experience.last_good, settings_of);
    problems.extend(hold.as_ref().and_then(|why| why.problem.clone()));
    let nothing = Arc::new(Refusals::default());
    memory.lanes.retain(|profile, _| profiles.contains(profile));
    for profile in profiles {
        let lane = memory.lanes.entry(profile.clone()).or_default();
        let product = lane.render(Given {
            snapshot,
            settings: &settings_of(profile),
            refusals: inputs.experience.refusals.get(profile).unwrap_or(&nothing),
            last_good: inputs.experience.last_good.get(profile).map(AsRef::as_ref),
            keep: inputs.keep,
            held: hold.is_some(),
        });
        rendered.insert(profile.clone(), product.rendered);
        fallbacks.extend(product.fallback.map(|fallback| (profile.clone(), fallback)));
        problems.extend(product.problems);
        objects.extend(&product.objects);
        valid_until = valid_until.into_iter().chain(product.valid_until).min();
        match &mut gateways {
            None => gateways = Some(product.gateways),
            Some(gateways) if *gateways == product.gateways => {}
            Some(gateways) => Arc::make_mut(gateways).join(&product.gateways),
        }
    }
    let rendition = Rendition {
        generation: snapshot.generation,
        snapshot: snapshot.clone(),
        hold: hold.map(|why| why.text),
        profiles: rendered,
        fallbacks,
        problems: problems.into_iter().collect(),
        objects,
        gateways: gateways.unwrap_or_default(),
        created: Timestamp::now(),
        took: began.elapsed(),
    };
    (rendition, valid_until)
}

fn says_the_same(one: &Rendition, other: &Rendition) -> bool {
    one.profiles == other.profiles
        && one.fallbacks == other.fallbacks
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
    use crate::{
        model::{Kind, Object, Reason},
        translate::Translator,
    };

    /// With nothing known of proxies or custom entities.
    fn rules(settings: Settings) -> Rules {
        Rules {
            settings,
            assumed: ProfileOverride::default(),
            schemas: Schemas::new(Arc::default(), ProfileOverride::default(), None),
            keep: false,
        }
    }

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

    #[test]
    fn without_a_present_nothing_ends() {
        let mut snapshot = Snapshot::default();
        snapshot.insert(authority("expiring", 1, Duration::from_secs(62)));
        let until = |now| {
            let settings = Settings {
                now,
                ..Settings::default()
            };
            Translator::default().translate(&snapshot, &settings).valid_until
        };
        assert!(until(Some(Timestamp::now())).is_some());
        assert_eq!(until(None), None);
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
        let (store, _events) = mpsc::channel(1);
        let (considered, _) = watch::channel(None);
        let pipeline = run(rules(settings), store.downgrade(), snapshots, views, sender, considered);
        let pipeline = tokio::spawn(pipeline);
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

    /// Kinds that the cluster lacks may have been in use before: that is known before anything is rendered.
    #[tokio::test(start_paused = true)]
    async fn where_kinds_are_absent_nothing_is_rendered_before_it_is_known_what_was_accepted_last() {
        let plugin = json!({
            "metadata": {
                "name": "everywhere",
                "annotations": {"kubernetes.io/ingress.class": "kong"},
                "labels": {"global": "true"},
            },
            "plugin": "key-auth",
        });
        let mut sources = Snapshot::default();
        sources.insert(Object::from_json(Kind::KongClusterPlugin, plugin).expect("it fits"));
        let settings = Settings::default();
        let translation = Translator::default().translate(&sources, &settings);
        let good = LastGood {
            rendered: Arc::new(crate::render::render(&translation)),
            sources: Arc::new(sources),
            accepted_at: jiff::Timestamp::UNIX_EPOCH,
            origin: Origin::Stored,
        };
        let profile = settings.profile.clone();
        for was_in_use in [true, false] {
            let (_snapshots, snapshots) = watch::channel(Arc::new(Snapshot {
                absent: Arc::new([Kind::KongClusterPlugin].into()),
                ..Snapshot::default()
            }));
            let (view, views) = watch::channel(Arc::new(FleetView::default()));
            let (sender, mut renditions) = watch::channel(None);
            let rules = rules(settings.clone());
            let (store, _events) = mpsc::channel(1);
            let (considered, _) = watch::channel(None);
            let pipeline = run(rules, store.downgrade(), snapshots, views, sender, considered);
            let pipeline = tokio::spawn(pipeline);
            let early = tokio::time::timeout(Duration::from_secs(600), renditions.changed()).await;
            assert!(early.is_err(), "it is not known yet what was accepted last");
            let known = was_in_use.then(|| (profile.clone(), Arc::new(good.clone())));
            view.send_replace(Arc::new(FleetView {
                recalled: true,
                good: known.into_iter().collect(),
                ..FleetView::default()
            }));
            let rendered = tokio::time::timeout(Duration::from_secs(30), renditions.wait_for(Option::is_some)).await;
            let rendition = rendered
                .expect("in time")
                .expect("it runs")
                .clone()
                .expect("waited for");
            assert_eq!(rendition.hold.is_some(), was_in_use, "{:?}", rendition.hold);
            let mut problems = rendition.problems.iter();
            let is_told = problems.any(|problem| problem.reason == Reason::SourceUnavailable);
            assert_eq!(is_told, was_in_use);
            pipeline.abort();
        }
    }

    /// It is as large as all that is rendered, and there is one with each change.
    #[tokio::test(start_paused = true)]
    async fn what_was_accepted_before_is_let_go_once_something_newer_is() {
        let settings = Settings::default();
        let translation = Translator::default().translate(&Snapshot::default(), &settings);
        let accepted = || {
            Arc::new(LastGood {
                rendered: Arc::new(crate::render::render(&translation)),
                sources: Arc::default(),
                accepted_at: jiff::Timestamp::UNIX_EPOCH,
                origin: Origin::Confirmed,
            })
        };
        let view_of = |good: Arc<LastGood>| {
            Arc::new(FleetView {
                good: [(settings.profile.clone(), good)].into(),
                ..FleetView::default()
            })
        };
        let (_snapshots, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let former = accepted();
        let left = Arc::downgrade(&former);
        let (view, views) = watch::channel(view_of(former));
        let (sender, mut renditions) = watch::channel(None);
        let rules = rules(settings.clone());
        let (store, _events) = mpsc::channel(1);
        let (considered, _) = watch::channel(None);
        let pipeline = tokio::spawn(run(rules, store.downgrade(), snapshots, views, sender, considered));
        renditions.wait_for(Option::is_some).await.expect("it runs");
        view.send_replace(view_of(accepted()));
        let gone = async {
            while left.upgrade().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone)
            .await
            .expect("nobody holds it");
        pipeline.abort();
    }
}
