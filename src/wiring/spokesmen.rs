//! Asks one proxy of each profile: what one says holds for all of the same kind.
//!
//! One that does not answer must not speak for the others for ever, so the next question goes to another one. Called by
//! [`super::admission`] and for [`super::entity_schemas`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use tokio::sync::watch;

use super::{ControllerSettings, ProfileOverride};
use crate::{
    admission::{Answer, Question},
    fleet::{ConditionStatus, FleetView, ProxyView},
    pki::client::AdminTls,
    push::Inquirer,
    serve::admission::AskProxies,
};

/// Whether a proxy can be asked something.
pub(super) fn can_be_asked(proxy: &ProxyView) -> bool {
    proxy.reachable.status == ConditionStatus::True && !proxy.target.terminating
}

/// Asks one proxy of each profile that the question concerns; each has that long to answer.
pub(super) fn ask_proxies(
    settings: &ControllerSettings,
    view: watch::Receiver<Arc<FleetView>>,
    tls: watch::Receiver<Option<Arc<AdminTls>>>,
    limit: Duration,
) -> AskProxies {
    let inquirer = Arc::new(Inquirer::new(tls, limit));
    let assumed = settings.profile.clone();
    let silences = Arc::new(AtomicUsize::new(0));
    Arc::new(move |question: Question| {
        let chosen = chosen(
            &view.borrow(),
            &assumed,
            question.profile.as_deref(),
            silences.load(Relaxed),
        );
        let inquirer = inquirer.clone();
        let silences = silences.clone();
        async move {
            let asked = chosen.into_iter().map(|(profile, proxy)| {
                let (inquirer, question) = (&inquirer, &question);
                async move { (profile, inquirer.ask(&proxy.target, question).await) }
            });
            let answers: Vec<(String, Option<Answer>)> = join_all(asked).await;
            if answers.iter().any(|(_, answer)| is_silence(answer.as_ref())) {
                silences.fetch_add(1, Relaxed);
            }
            let told = |(profile, answer): (String, Option<Answer>)| answer.map(|answer| (profile, answer));
            answers.into_iter().filter_map(told).collect()
        }
        .boxed()
    })
}

/// Whether another proxy may know more: this one does not answer, or is out of order.
fn is_silence(answer: Option<&Answer>) -> bool {
    answer.is_none_or(|answer| answer.status >= 500)
}

/// One proxy of each profile that can be asked, or of the wanted one alone; another one after each silence.
fn chosen(
    view: &FleetView,
    assumed: &ProfileOverride,
    wanted: Option<&str>,
    silences: usize,
) -> Vec<(String, Arc<ProxyView>)> {
    let mut by_profile: BTreeMap<String, Vec<&Arc<ProxyView>>> = BTreeMap::new();
    for proxy in view.proxies.iter().filter(|proxy| can_be_asked(proxy)) {
        let Some(profile) = &proxy.profile else {
            continue;
        };
        let profile = assumed.of(profile).to_string();
        if wanted.is_none_or(|wanted| *wanted == profile) {
            by_profile.entry(profile).or_default().push(proxy);
        }
    }
    let one = |(profile, proxies): (String, Vec<&Arc<ProxyView>>)| {
        let proxy = proxies[silences % proxies.len()].clone();
        (profile, proxy)
    };
    by_profile.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::entity_schemas::tests::{profile, proxy};

    fn names(view: &FleetView, wanted: Option<&str>, silences: usize) -> Vec<(String, String)> {
        let chosen = chosen(view, &ProfileOverride::default(), wanted, silences);
        let name = |(profile, proxy): (String, Arc<ProxyView>)| (profile, proxy.target.name.to_string());
        chosen.into_iter().map(name).collect()
    }

    fn named(name: &str, minor: u16, is_reachable: bool) -> Arc<ProxyView> {
        let mut view = (*proxy(&profile(minor), is_reachable)).clone();
        let mut target = (*view.target).clone();
        target.name = name.into();
        view.target = Arc::new(target);
        Arc::new(view)
    }

    #[test]
    fn after_a_silence_another_proxy_of_the_profile_is_asked() {
        let view = FleetView {
            proxies: vec![
                named("away", 9, false),
                named("hangs", 9, true),
                named("older", 8, true),
                named("well", 9, true),
            ],
            ..FleetView::default()
        };
        let (new, old) = (profile(9).to_string(), profile(8).to_string());
        let both = |name: &str| vec![(old.clone(), "older".to_owned()), (new.clone(), name.to_owned())];
        assert_eq!(names(&view, None, 0), both("hangs"));
        assert_eq!(names(&view, None, 1), both("well"));
        assert_eq!(names(&view, None, 2), both("hangs"));
        assert_eq!(names(&view, Some(&new), 3), [(new.clone(), "well".to_owned())]);
        assert_eq!(names(&view, Some(&old), 3), [(old, "older".to_owned())]);
    }

    #[test]
    fn a_proxy_out_of_order_is_as_good_as_silent() {
        let answer = |status| Answer {
            status,
            body: Vec::new(),
        };
        assert!(is_silence(None));
        assert!(is_silence(Some(&answer(503))));
        assert!(!is_silence(Some(&answer(404))));
        assert!(!is_silence(Some(&answer(200))));
    }
}
