//! What there is to tell a person: problems of objects that came and went, proxies that are not as they shall be. Pure: each piece
//! once, not with every rendition or probe. Says nothing itself; called by who does, the log (`wiring`) and the screen of
//! `silverback demo`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    fleet::FleetView,
    model::{NamespacedName, Problem, ProxyId},
    render::Rendition,
};

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Something is wrong with an object.
    Problem(Problem),
    /// That is no longer so.
    Solved(Problem),
    /// Nothing is sent to the proxies, and why.
    Held(String),
    /// They are sent configurations again.
    Released,
    /// Something is wrong with a proxy.
    Fault {
        /// The proxy.
        proxy: NamespacedName,
        /// One word.
        reason: String,
        /// A sentence.
        message: String,
    },
    /// What was wrong with a proxy is no longer so.
    InOrder {
        /// The proxy.
        proxy: NamespacedName,
        /// What it was.
        reason: String,
    },
    /// A proxy with which something was wrong is no longer there.
    Gone {
        /// The proxy.
        proxy: NamespacedName,
        /// What it was.
        reason: String,
    },
}

/// What has been told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    problems: BTreeSet<Problem>,
    hold: Option<String>,
    /// Conditions of proxies that do not hold: the proxies' names, and why.
    faults: BTreeMap<(ProxyId, &'static str), (NamespacedName, String)>,
}

impl Told {
    /// Whether it was told last that nothing is sent to the proxies.
    pub(crate) fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// What is new in a rendition.
    pub(crate) fn rendition(&mut self, rendition: &Rendition) -> Vec<News> {
        let mut news = self.problems(&rendition.problems);
        news.extend(self.hold(rendition.hold.as_deref()));
        news
    }

    fn problems(&mut self, problems: &[Problem]) -> Vec<News> {
        let current: BTreeSet<Problem> = problems.iter().cloned().collect();
        let came = current.difference(&self.problems).cloned().map(News::Problem);
        let went = self.problems.difference(&current).cloned().map(News::Solved);
        let news = came.chain(went).collect();
        self.problems = current;
        news
    }

    fn hold(&mut self, hold: Option<&str>) -> Option<News> {
        if self.hold.as_deref() == hold {
            return None;
        }
        self.hold = hold.map(str::to_owned);
        Some(self.hold.clone().map_or(News::Released, News::Held))
    }

    /// What is new of the proxies.
    pub(crate) fn fleet(&mut self, view: &FleetView) -> Vec<News> {
        let mut news = Vec::new();
        let mut before = std::mem::take(&mut self.faults);
        for proxy in &view.proxies {
            let target = &proxy.target;
            let key = |condition| (target.id.clone(), condition);
            for (condition, found) in proxy.faults() {
                let proxy = NamespacedName::new(&*target.namespace, &*target.name);
                let reason = found.reason.to_string();
                // A message may count on; what is new is a new reason.
                if before
                    .remove(&key(condition))
                    .is_none_or(|(_, before)| before != reason)
                {
                    news.push(News::Fault {
                        proxy: proxy.clone(),
                        reason: reason.clone(),
                        message: found.message.clone(),
                    });
                }
                self.faults.insert(key(condition), (proxy, reason));
            }
            if before.is_empty() {
                continue;
            }
            let is_silent = self.faults.contains_key(&key("Reachable"));
            for condition in ["Reachable", "MutualTLS", "Synced"] {
                let Some((proxy, reason)) = before.remove(&key(condition)) else {
                    continue;
                };
                if is_silent {
                    // What else was wrong with it may still be.
                    self.faults.insert(key(condition), (proxy, reason));
                } else {
                    news.push(News::InOrder { proxy, reason });
                }
            }
        }
        let gone = before.into_values();
        news.extend(gone.map(|(proxy, reason)| News::Gone { proxy, reason }));
        news
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        fleet::{Condition, ConditionStatus, ProxyView, bare_condition, bare_proxy, bare_target},
        model::{Kind, Reason, kubernetes::Metadata},
    };

    fn problem(name: &str) -> Problem {
        Problem {
            object: Kind::Ingress.object_ref(&Metadata {
                name: name.into(),
                namespace: "shop".into(),
                ..Metadata::default()
            }),
            field: None,
            condition: None,
            reason: Reason::InvalidField,
            message: "wrong".to_owned(),
            remedy: "right it".to_owned(),
            source: None,
        }
    }

    #[test]
    fn problems_are_told_when_they_come_and_when_they_go() {
        let mut told = Told::default();
        let (one, other) = (problem("one"), problem("other"));
        assert_eq!(told.problems(std::slice::from_ref(&one)), [News::Problem(one.clone())]);
        assert_eq!(told.problems(std::slice::from_ref(&one)), []);
        assert_eq!(
            told.problems(std::slice::from_ref(&other)),
            [News::Problem(other.clone()), News::Solved(one)]
        );
        assert_eq!(told.problems(&[]), [News::Solved(other)]);
    }

    #[test]
    fn a_hold_is_told_once_and_again_for_another_reason() {
        let mut told = Told::default();
        assert_eq!(told.hold(None), None);
        for why in ["no Services", "no Secrets"] {
            assert_eq!(told.hold(Some(why)), Some(News::Held(why.to_owned())));
            assert_eq!(told.hold(Some(why)), None);
            assert!(told.is_held());
        }
        assert_eq!(told.hold(None), Some(News::Released));
        assert!(!told.is_held());
    }

    fn condition(status: ConditionStatus, reason: &'static str, message: &str) -> Condition {
        Condition {
            message: message.to_owned(),
            ..bare_condition(status, reason)
        }
    }

    /// A fleet of one proxy that is out of reach and, as follows from that, not in sync; or in order.
    fn fleet(unreachable: Option<(&'static str, &str)>) -> FleetView {
        let fine = || condition(ConditionStatus::True, "Fine", "");
        let (reachable, synced) = match unreachable {
            Some((reason, message)) => (
                condition(ConditionStatus::False, reason, message),
                condition(ConditionStatus::False, "Unreachable", ""),
            ),
            None => (fine(), fine()),
        };
        let proxy = ProxyView {
            reachable,
            mutual_tls: fine(),
            synced,
            complete: fine(),
            ready: fine(),
            ..bare_proxy(bare_target("gateway", "proxy"))
        };
        FleetView {
            proxies: vec![Arc::new(proxy)],
            ..FleetView::default()
        }
    }

    /// Of a connection without protection follows nothing; what is asked of a proxy that does not answer stays as it was told.
    #[test]
    fn each_fault_of_a_proxy_that_answers_is_told() {
        let mut told = Told::default();
        let of = |reachable: bool, synced: bool| {
            let mut fleet = fleet((!reachable).then_some(("ConnectionRefused", "")));
            let proxy = Arc::make_mut(&mut fleet.proxies[0]);
            proxy.mutual_tls = condition(ConditionStatus::False, "PlainHTTP", "");
            if !synced {
                proxy.synced = condition(ConditionStatus::False, "ConfigRejected", "");
            }
            fleet
        };
        let reasons = |news: Vec<News>| -> Vec<String> {
            let reason = |news| match news {
                News::Fault { reason, .. } => reason,
                News::InOrder { reason, .. } => format!("{reason} is over"),
                other => panic!("{other:?}"),
            };
            news.into_iter().map(reason).collect()
        };
        assert_eq!(reasons(told.fleet(&of(true, false))), ["PlainHTTP", "ConfigRejected"]);
        assert_eq!(reasons(told.fleet(&of(false, false))), ["ConnectionRefused"]);
        assert_eq!(reasons(told.fleet(&of(true, false))), ["ConnectionRefused is over"]);
        assert_eq!(reasons(told.fleet(&of(true, true))), ["ConfigRejected is over"]);
    }

    #[test]
    fn of_a_proxy_the_cause_is_told_and_a_message_that_counts_on_is_no_news() {
        let mut told = Told::default();
        let proxy = || NamespacedName::new("gateway", "proxy");
        let fault = |reason: &str, message: &str| News::Fault {
            proxy: proxy(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let refused = |message: &str| fleet(Some(("ConnectionRefused", message)));
        assert_eq!(told.fleet(&fleet(None)), []);
        assert_eq!(told.fleet(&refused("for 1 s")), [fault("ConnectionRefused", "for 1 s")]);
        assert_eq!(told.fleet(&refused("for 2 s")), []);
        let late = fleet(Some(("Timeout", "for 3 s")));
        assert_eq!(told.fleet(&late), [fault("Timeout", "for 3 s")]);
        let reason = || "Timeout".to_owned();
        let (mended, gone) = (
            News::InOrder {
                proxy: proxy(),
                reason: reason(),
            },
            News::Gone {
                proxy: proxy(),
                reason: reason(),
            },
        );
        assert_eq!(told.fleet(&fleet(None)), [mended]);
        assert_eq!(told.fleet(&late), [fault("Timeout", "for 3 s")]);
        assert_eq!(told.fleet(&FleetView::default()), [gone]);
        assert_eq!(told.fleet(&FleetView::default()), []);
    }
}
