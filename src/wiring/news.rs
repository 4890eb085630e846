//! What changed, for people who read the log; there alone it is told that an Admin Service has no proxies.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    fleet::{FleetView, ProxyView},
    model::NamespacedName,
    news::{News, Told},
    render::Rendition,
};

/// As the event and the condition of the fleet say it.
const NO_PROXIES: &str = "NoProxies";
/// How long an Admin Service may be without proxies, as while something starts, before it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows both values until one of their senders is gone. Each of those Admin Services should have proxies.
pub(super) async fn follow(
    mut renditions: watch::Receiver<Option<Arc<Rendition>>>,
    mut views: watch::Receiver<Arc<FleetView>>,
    services: Vec<NamespacedName>,
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
        let mut look_again = None;
        // Before there is something for them, proxies are not looked for yet.
        if renditions.borrow().is_some() {
            let now = Instant::now();
            deserted.iter_mut().for_each(|service| service.tell(&view, now));
            look_again = deserted.iter().filter_map(Deserted::due).min();
        }
        let changed;
        (is_new, changed) = tokio::select! {
            changed = renditions.changed() => (true, changed),
            changed = views.changed() => (false, changed),
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

    fn tell(&mut self, view: &FleetView, now: Instant) {
        let is_of_it = |proxy: &Arc<ProxyView>| proxy.target.service.as_ref() == Some(&self.service);
        let news = self.news(view.proxies.iter().any(is_of_it), now);
        let Some(is_deserted) = news else { return };
        let object = format!("Service {}", self.service);
        match is_deserted {
            true => tracing::warn!(
                %object,
                reason = %NO_PROXIES,
                "the Admin Service has no endpoints with an Admin API port, so there is no proxy to configure; check that it \
                 exists, its selector, its port names (--kong-admin-svc-port-names) and its Pods"
            ),
            false => tracing::info!(%object, reason = %NO_PROXIES, "solved"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
