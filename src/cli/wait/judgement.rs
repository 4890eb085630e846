//! What an answer of the controller means to somebody who waits for an object: it is live, it is wrong, or it may still
//! come, and what there is to say of it.
//!
//! Pure: reads nothing, asks nobody and knows no time; how long to wait is the caller's. Called by `wait` for each answer.

use crate::{
    liveness::Answer,
    model::{Problem, Reason},
};

/// Hold-ups that are told.
const TOLD: usize = 20;

/// Where it stands.
pub(super) enum Standing {
    /// All that it says is; and what may come besides.
    Live(Box<Answer>, Vec<String>),
    /// It will not become live by waiting.
    Wrong(Vec<String>),
    NotYet(Vec<String>),
}

/// What a problem means to somebody who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prospect {
    /// The object has to be changed.
    Hopeless,
    /// It is not served as it says, until something else comes or changes: that may be on its way.
    MayCome,
    /// It is served as it says; what is missing is none of the configuration.
    Complete,
    /// It is served but for something that has no effect; no waiting changes that.
    Ignored,
}

fn prospect(problem: &Problem) -> Prospect {
    match problem.reason {
        _ if problem.is_consequence() => Prospect::MayCome,
        Reason::NoEndpoints => Prospect::Complete,
        Reason::Ignored => Prospect::Ignored,
        reason if reason.is_of_absence() => Prospect::MayCome,
        Reason::RefNotPermitted
        | Reason::NoMatchingParent
        | Reason::NoMatchingListenerHostname
        | Reason::NotAllowedByListeners
        | Reason::SchemaUnknown
        | Reason::SourceUnavailable => Prospect::MayCome,
        _ => Prospect::Hopeless,
    }
}

/// What is worth a word whether it is live or not: what of it has no effect, and what is wrong with what it refers to.
pub(super) fn asides(answer: &Answer) -> Vec<String> {
    let ignored = answer.problems.iter().filter(|it| prospect(it) == Prospect::Ignored);
    let faults = answer.related.iter().take(TOLD);
    let faults = faults.map(|problem| format!("{}: {}", problem.object, told(problem)));
    ignored.map(told).chain(faults).collect()
}

pub(super) fn judge(answer: Answer, behind: Vec<String>) -> Standing {
    if !behind.is_empty() {
        return Standing::NotYet(behind);
    }
    let of = |wanted: Prospect| {
        let problems = answer.problems.iter();
        let some: Vec<String> = problems.filter(|it| prospect(it) == wanted).map(told).collect();
        some
    };
    if !of(Prospect::Hopeless).is_empty() {
        let problems = answer.problems.iter();
        let others = problems.filter(|it| prospect(it) != Prospect::Ignored);
        return Standing::Wrong(others.map(told).collect());
    }
    let to_come = of(Prospect::MayCome);
    if answer.live {
        return match to_come.is_empty() {
            true => {
                let absent = of(Prospect::Complete);
                Standing::Live(Box::new(answer), absent)
            }
            false => Standing::NotYet(to_come),
        };
    }
    let mut held_back: Vec<String> = answer
        .holdups
        .iter()
        .take(TOLD)
        .map(|holdup| match &holdup.proxy {
            Some(proxy) => format!("proxy {proxy}: {}: {}", holdup.reason, holdup.message),
            None => format!("{}: {}", holdup.reason, holdup.message),
        })
        .collect();
    match answer.holdups.len() {
        0 => held_back.push("the controller has not seen all proxies run it yet".to_owned()),
        count if count > TOLD => held_back.push(format!("and {} proxies more", count - TOLD)),
        _ => {}
    }
    held_back.extend(to_come);
    Standing::NotYet(held_back)
}

fn told(problem: &Problem) -> String {
    let field = problem
        .field
        .as_deref()
        .map_or_else(String::new, |field| format!("{field}: "));
    format!("{field}{}: {}; {}", problem.reason, problem.message, problem.remedy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        liveness::Holdup,
        model::{Kind, kubernetes::Metadata},
    };

    fn answer() -> Answer {
        Answer {
            contents: Vec::new(),
            live: false,
            used: true,
            problems: Vec::new(),
            related: Vec::new(),
            holdups: Vec::new(),
            seen: None,
            effective: None,
        }
    }

    #[test]
    fn what_holds_it_back_is_told_with_the_place() {
        let late = Holdup {
            proxy: Some("gateway/kong-1".to_owned()),
            reason: "ConnectionRefused".to_owned(),
            message: "it does not answer".to_owned(),
        };
        let held = Answer {
            holdups: vec![late; 21],
            ..answer()
        };
        let Standing::NotYet(held_back) = judge(held, Vec::new()) else {
            panic!("it is not live");
        };
        assert_eq!(
            held_back[0],
            "proxy gateway/kong-1: ConnectionRefused: it does not answer"
        );
        assert_eq!(held_back.last().unwrap(), "and 1 proxies more");
        let live = Answer { live: true, ..answer() };
        assert!(matches!(judge(live.clone(), Vec::new()), Standing::Live(_, nothing) if nothing.is_empty()));
        let behind = vec!["the controller has not read the latest Secret shop/tls".to_owned()];
        assert!(matches!(judge(live, behind), Standing::NotYet(_)));
    }

    fn problem(kind: Kind, reason: Reason) -> Problem {
        let metadata = Metadata {
            namespace: "shop".into(),
            name: "web".into(),
            ..Metadata::default()
        };
        Problem {
            object: kind.object_ref(&metadata),
            field: None,
            condition: None,
            reason,
            message: "it is so".to_owned(),
            remedy: "do this".to_owned(),
            source: None,
        }
    }

    fn with(live: bool, problems: &[Reason]) -> Answer {
        Answer {
            live,
            problems: problems.iter().map(|reason| problem(Kind::Ingress, *reason)).collect(),
            ..answer()
        }
    }

    #[test]
    fn a_service_whose_pods_are_about_to_start_is_waited_for_and_live_without_them() {
        let Standing::Live(_, to_come) = judge(with(true, &[Reason::NoEndpoints]), Vec::new()) else {
            panic!("its content is what all proxies run");
        };
        assert_eq!(to_come, ["NoEndpoints: it is so; do this"]);
        let Standing::NotYet(held_back) = judge(with(false, &[Reason::NoEndpoints]), Vec::new()) else {
            panic!("no proxy runs it, with endpoints or without");
        };
        assert_eq!(held_back.len(), 1, "it is not held back by that: {held_back:?}");
    }

    #[test]
    fn what_may_still_come_is_waited_for_and_mistakes_are_told_at_once() {
        for live in [true, false] {
            for absent in [Reason::SecretNotFound, Reason::SecretKeyNotFound] {
                let Standing::NotYet(held_back) = judge(with(live, &[absent]), Vec::new()) else {
                    panic!("whoever fills Secrets may be about to make it");
                };
                assert_eq!(*held_back.last().unwrap(), format!("{absent}: it is so; do this"));
            }
            for mistake in [
                Reason::InvalidField,
                Reason::Conflict,
                Reason::ConfigRejected,
                Reason::Unsupported,
            ] {
                let Standing::Wrong(held_back) = judge(with(live, &[Reason::SecretNotFound, mistake]), Vec::new())
                else {
                    panic!("{mistake} does not pass");
                };
                assert_eq!(held_back.len(), 2, "all is told: {held_back:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_another_object_is_waited_for() {
        for (kind, reason, is_own) in [
            (Kind::Ingress, Reason::InvalidPlugin, false),
            (Kind::KongConsumer, Reason::InvalidPlugin, false),
            (Kind::KongPlugin, Reason::InvalidPlugin, true),
            (Kind::KongClusterPlugin, Reason::InvalidPlugin, true),
            (Kind::Gateway, Reason::InvalidCertificate, false),
            (Kind::KongPlugin, Reason::InvalidCertificate, false),
            (Kind::Secret, Reason::InvalidCertificate, true),
            (Kind::KongConsumer, Reason::InvalidCredential, false),
            (Kind::Secret, Reason::InvalidCredential, true),
            (Kind::ConfigMap, Reason::InvalidCertificate, true),
            (Kind::Ingress, Reason::DependsOnRejected, false),
            (Kind::KongPlugin, Reason::DependsOnRejected, false),
        ] {
            let answer = Answer {
                live: true,
                problems: vec![problem(kind, reason)],
                ..answer()
            };
            let (held_back, is_over) = match judge(answer, Vec::new()) {
                Standing::Wrong(held_back) => (held_back, true),
                Standing::NotYet(held_back) => (held_back, false),
                Standing::Live(..) => panic!("{} {reason}: it is not served as it says", kind.name()),
            };
            assert_eq!(is_over, is_own, "{} {reason}", kind.name());
            assert_eq!(held_back, [format!("{reason}: it is so; do this")]);
        }
    }

    #[test]
    fn what_has_no_effect_is_a_note_and_neither_waited_for_nor_a_fault() {
        let live = with(true, &[Reason::Ignored]);
        assert_eq!(asides(&live), ["Ignored: it is so; do this"]);
        assert!(matches!(judge(live, Vec::new()), Standing::Live(_, to_come) if to_come.is_empty()));
        let Standing::NotYet(held_back) = judge(with(false, &[Reason::Ignored]), Vec::new()) else {
            panic!("no proxy runs it yet");
        };
        assert_eq!(held_back.len(), 1, "it is not held back by that: {held_back:?}");
        let Standing::Wrong(held_back) = judge(with(true, &[Reason::Ignored, Reason::Conflict]), Vec::new()) else {
            panic!("another one wins");
        };
        assert_eq!(held_back, ["Conflict: it is so; do this"]);
    }
}
