//! What changed, for people who read the log; and that an Admin Service has no proxies, for the dashboard as well.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    fleet::{FleetView, ProxyView, discovery},
    model::{
        Kind, NamespacedName, Objects, Problem, Reason, Snapshot,
        kubernetes::{EndpointSlice, Metadata},
    },
    news::{News, Told},
    render::Rendition,
};

/// How long an Admin Service may be without proxies, as while something starts, before it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows these values until one of their senders is gone. Each of those Admin Services should have proxies, or share them
/// with another one, as snapshots show: of those that have none `problems` holds one each.
pub(super) async fn follow(
    mut renditions: watch::Receiver<Option<Arc<Rendition>>>,
    mut views: watch::Receiver<Arc<FleetView>>,
    (services, mut snapshots): (Vec<NamespacedName>, watch::Receiver<Arc<Snapshot>>),
    problems: watch::Sender<Arc<[Problem]>>,
) {
    let mut deserted: Vec<_> = services.into_iter().map(Deserted::new).collect();
    let mut told = Told::default();
    let mut is_new = true;
    loop {
        // Views change often, and there may be many problems.
        if is_new && let Some(rendition) = renditions.borrow_and_update().clone() {
            told.rendition(&rendition).iter().for_each(log);
        }
        let view = views.borrow_and_update().clone();
        told.fleet(&view).iter().for_each(log);
        let slices = snapshots.borrow_and_update().endpoint_slices.clone();
        let mut look_again = None;
        // Before there is something for them, proxies are not looked for yet.
        if renditions.borrow().is_some() {
            let now = Instant::now();
            let looked = deserted.iter_mut();
            let news = looked.filter_map(|service| service.look(&view, &slices, now));
            let news: Vec<News> = news.collect();
            if !news.is_empty() {
                let told = deserted.iter().filter(|service| service.is_told);
                problems.send_replace(told.map(Deserted::problem).collect());
            }
            news.iter().for_each(log);
            look_again = deserted.iter().filter_map(Deserted::due).min();
        }
        let changed;
        (is_new, changed) = tokio::select! {
            changed = renditions.changed() => (true, changed),
            changed = views.changed() => (false, changed),
            changed = snapshots.changed() => (false, changed),
            () = sleep_until(look_again.unwrap_or_else(Instant::now)), if look_again.is_some() => (false, Ok(())),
        };
        if changed.is_err() {
            return;
        }
    }
}

fn log(news: &News) {
    match news {
        News::Problem(problem) => tracing::warn!(
            object = %problem.object,
            field = problem.field.as_deref(),
            reason = %problem.reason,
            place = problem.source.as_ref().map(tracing::field::display),
            "{}; {}",
            problem.message,
            problem.remedy
        ),
        News::Solved(problem) => {
            tracing::info!(object = %problem.object, field = problem.field.as_deref(), reason = %problem.reason, "solved");
        }
        News::Held(why) => tracing::warn!("nothing is sent to the proxies: {why}"),
        News::Released => tracing::info!("the proxies are sent configurations again"),
        News::Fault { proxy, reason, message } => tracing::warn!(%proxy, %reason, "{message}"),
        News::InOrder { proxy, reason } => tracing::info!(%proxy, %reason, "in order again"),
        News::Gone { proxy, reason } => tracing::info!(%proxy, %reason, "the proxy is gone"),
    }
}

/// An Admin Service, and since when it has no proxy.
struct Deserted {
    service: NamespacedName,
    since: Option<Instant>,
    is_told: bool,
}

impl Deserted {
    fn new(service: NamespacedName) -> Self {
        Self {
            service,
            since: None,
            is_told: false,
        }
    }

    /// When it has lasted long enough to be told.
    fn due(&self) -> Option<Instant> {
        self.since.filter(|_| !self.is_told).map(|since| since + PATIENCE)
    }

    /// Notes how it is; says whether it is to be told now that there are none (`true`), or some again.
    fn news(&mut self, has_proxies: bool, now: Instant) -> Option<bool> {
        if has_proxies {
            self.since = None;
            return std::mem::take(&mut self.is_told).then_some(false);
        }
        self.since.get_or_insert(now);
        let is_due = self.due().is_some_and(|due| now >= due);
        self.is_told |= is_due;
        is_due.then_some(true)
    }

    /// Looks for its proxies, and says what is to be told.
    fn look(&mut self, view: &FleetView, slices: &Objects<EndpointSlice>, now: Instant) -> Option<News> {
        let is_of_it = |proxy: &Arc<ProxyView>| proxy.target.service.as_ref() == Some(&self.service);
        let has_proxies = view.proxies.iter().any(is_of_it)
            || discovery::counted_with(&self.service, slices, &view.proxies).is_some();
        Some(match self.news(has_proxies, now)? {
            true => News::Problem(self.problem()),
            false => News::Solved(self.problem()),
        })
    }

    /// As the event and the condition of the fleet say it.
    fn problem(&self) -> Problem {
        Problem {
            object: Kind::Service.object_ref(&Metadata {
                namespace: self.service.namespace.clone(),
                name: self.service.name.clone(),
                ..Metadata::default()
            }),
            field: None,
            condition: None,
            reason: Reason::NoProxies,
            message: "the Admin Service has no endpoints with an Admin API port, so there is no proxy to configure"
                .to_owned(),
            remedy: "check that it exists, its selector, its port names (--kong-admin-svc-port-names) and its Pods"
                .to_owned(),
            source: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::{
        fleet::{bare_proxy, bare_target},
        model::{Generation, Object, ProxyTarget},
    };

    #[test]
    fn a_service_without_proxies_is_told_once_when_it_lasts_and_once_when_it_is_over() {
        let mut service = Deserted::new(NamespacedName::new("gateway", "admin"));
        let start = Instant::now();
        let second = |second| start + Duration::from_secs(second);
        assert_eq!(service.news(false, second(0)), None);
        assert_eq!(service.due(), Some(start + PATIENCE));
        assert_eq!(service.news(true, second(5)), None);
        assert_eq!(service.due(), None);
        assert_eq!(service.news(false, second(6)), None);
        assert_eq!(service.news(false, second(15)), None);
        assert_eq!(service.news(false, second(16)), Some(true));
        assert_eq!(service.due(), None);
        assert_eq!(service.news(false, second(60)), None);
        assert_eq!(service.news(true, second(61)), Some(false));
        assert_eq!(service.news(true, second(62)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_without_proxies_is_a_problem_as_long_as_it_lasts() {
        let (renditions, rendition) = watch::channel(None);
        let (views, view) = watch::channel(Arc::new(FleetView::default()));
        let (sender, mut problems) = watch::channel(Arc::default());
        let (_snapshots, snapshot) = watch::channel(Arc::default());
        let service = NamespacedName::new("gateway", "admin");
        let services = (vec![service.clone()], snapshot);
        let following = tokio::spawn(follow(rendition, view, services, sender));
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(problems.borrow().is_empty(), "nothing is there for proxies yet");

        let began = Instant::now();
        renditions.send_replace(Some(Arc::new(empty())));
        let found = problems
            .wait_for(|found| !found.is_empty())
            .await
            .expect("it goes on")
            .clone();
        assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
        let [problem] = &*found else { panic!("{found:?}") };
        assert_eq!(problem.object.to_string(), "Service gateway/admin");
        assert_eq!(problem.reason.as_str(), "NoProxies");
        assert!(problem.remedy.contains("--kong-admin-svc-port-names"), "{problem}");

        let mut has_one = FleetView::default();
        has_one.proxies.push(Arc::new(proxy_of(&service)));
        views.send_replace(Arc::new(has_one));
        problems.wait_for(|found| found.is_empty()).await.expect("it goes on");
        drop(views);
        following.await.expect("it ends");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_whose_pods_were_found_by_another_one_has_proxies() {
        let [first, second] = ["first", "second"].map(|name| NamespacedName::new("gateway", name));
        let mut has_one = FleetView::default();
        has_one.proxies.push(Arc::new(proxy_of(&first)));
        let slice = |service: &NamespacedName| {
            serde_json::json!({
                "metadata": {
                    "name": service.name, "namespace": service.namespace,
                    "labels": {"kubernetes.io/service-name": service.name},
                },
                "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "proxy", "uid": "proxy"}}],
            })
        };
        let mut snapshot = Snapshot::default();
        for service in [&first, &second] {
            snapshot.insert(Object::from_json(Kind::EndpointSlice, slice(service)).expect("it is one"));
        }
        let (_snapshots, snapshot) = watch::channel(Arc::new(snapshot));
        let (_renditions, rendition) = watch::channel(Some(Arc::new(empty())));
        let (_views, view) = watch::channel(Arc::new(has_one));
        let (sender, problems) = watch::channel(Arc::default());
        let deserted = NamespacedName::new("gateway", "deserted");
        let services = vec![first, second, deserted];
        tokio::spawn(follow(rendition, view, (services, snapshot), sender));
        tokio::time::sleep(PATIENCE * 2).await;
        let problems = problems.borrow();
        let told = problems.iter().map(|problem| problem.object.to_string());
        assert_eq!(told.collect::<Vec<_>>(), ["Service gateway/deserted"]);
    }

    fn empty() -> Rendition {
        Rendition {
            generation: Generation(1),
            snapshot: Arc::default(),
            profiles: BTreeMap::new(),
            fallbacks: BTreeMap::new(),
            problems: Arc::default(),
            objects: crate::translate::Participants::default(),
            gateways: Arc::default(),
            hold: None,
            created: Timestamp::UNIX_EPOCH,
            took: Duration::ZERO,
        }
    }

    fn proxy_of(service: &NamespacedName) -> ProxyView {
        bare_proxy(ProxyTarget {
            service: Some(service.clone()),
            ..bare_target(&service.namespace, "proxy")
        })
    }
}
