//! Both authorities, and how far their replacement is. Pure.
//!
//! | stage | signs for proxies | proxies trust | signs for controllers | controllers trust |
//! |---|---|---|---|---|
//! | steady | current | current | current | current |
//! | prepared | next, once every controller has taken note | current and next | current | current and next |
//! | switched | current (the former next) | current and old, then current | current | current and old |
//!
//! From prepared to switched it goes when every proxy shows a certificate of the next authority: then each has also read
//! whom it is to trust, since both come in one Secret, or since a proxy that asks for a certificate of its own gets one of
//! the next authority only when it says that it trusts the next controllers. So at no moment does anybody show what the
//! other side does not trust.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{Authority, Error, KeyPairPem, Validity};

/// Until every replica of the controller has taken note of a change of the Secret, with a wide margin.
const NOTICE: Duration = Duration::from_secs(30);
/// Until every replica shows a certificate of the new authority.
const OVERLAP: Duration = Duration::from_secs(300);

/// The authority of the controllers' certificates and that of the proxies'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) controller: KeyPairPem,
    pub(super) proxy: KeyPairPem,
}

impl Pair {
    fn generate(now: Timestamp) -> Result<Self, Error> {
        // A name of its own: whoever looks at a certificate sees which authority it is of.
        let mut random = [0; 4];
        aws_lc_rs::rand::fill(&mut random).expect("the system gives random bytes");
        let serial = u32::from_be_bytes(random);
        let generate = |of: &str| Authority::generate(&format!("silverback {of} CA {serial:08x}"), now);
        Ok(Self {
            controller: generate("controller")?.pem().clone(),
            proxy: generate("proxy")?.pem().clone(),
        })
    }

    fn read(prefix: &str, text: &impl Fn(&str) -> Option<String>) -> Option<Self> {
        let pair = |of: &str| {
            Some(KeyPairPem {
                certificate: text(&format!("{prefix}{of}-ca.crt"))?,
                key: text(&format!("{prefix}{of}-ca.key"))?,
            })
        };
        Some(Self {
            controller: pair("controller")?,
            proxy: pair("proxy")?,
        })
    }

    fn write(&self, prefix: &str, data: &mut BTreeMap<String, String>) {
        for (of, pair) in [("controller", &self.controller), ("proxy", &self.proxy)] {
            data.insert(format!("{prefix}{of}-ca.crt"), pair.certificate.clone());
            data.insert(format!("{prefix}{of}-ca.key"), pair.key.clone());
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    Steady,
    Prepared {
        next: Pair,
        since: Timestamp,
    },
    Switched {
        old_controller: String,
        old_proxy: String,
        since: Timestamp,
    },
}

/// What somebody asks for, as the annotation says: `authorities …` or `leaves …`, and something that makes it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Authorities,
    Leaves,
}

fn asked(request: &str) -> Option<Asked> {
    match request.split_whitespace().next()? {
        "authorities" => Some(Asked::Authorities),
        "leaves" => Some(Asked::Leaves),
        _ => None,
    }
}

/// Both authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorities {
    pub(super) current: Pair,
    pub(super) stage: Stage,
    /// The last request that was carried out or begun.
    pub(super) handled: String,
    /// The last one that asked for new certificates of the proxies alone.
    pub(super) leaves: String,
}

/// What proxies are given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForProxies<'a> {
    /// Who signs their certificate.
    pub(super) signer: &'a KeyPairPem,
    /// Authorities that they shall trust, PEM.
    pub(super) trusted: String,
}

impl Authorities {
    /// New ones.
    pub(super) fn generate(now: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            current: Pair::generate(now)?,
            stage: Stage::Steady,
            handled: String::new(),
            leaves: String::new(),
        })
    }

    /// From the Secret's keys; `None` where there are none.
    pub(super) fn read(text: &impl Fn(&str) -> Option<String>) -> Option<Self> {
        let since = |key: &str| text(key)?.parse().ok();
        let prepared = || {
            Some(Stage::Prepared {
                next: Pair::read("next-", text)?,
                since: since("next-since")?,
            })
        };
        let switched = || {
            Some(Stage::Switched {
                old_controller: text("old-controller-ca.crt")?,
                old_proxy: text("old-proxy-ca.crt")?,
                since: since("old-since")?,
            })
        };
        Some(Self {
            current: Pair::read("", text)?,
            stage: prepared().or_else(switched).unwrap_or(Stage::Steady),
            handled: text("handled").unwrap_or_default(),
            leaves: text("leaves").unwrap_or_default(),
        })
    }

    /// The Secret's keys.
    pub(super) fn write(&self) -> BTreeMap<String, String> {
        let mut data = BTreeMap::new();
        self.current.write("", &mut data);
        match &self.stage {
            Stage::Steady => {}
            Stage::Prepared { next, since } => {
                next.write("next-", &mut data);
                data.insert("next-since".to_owned(), since.to_string());
            }
            Stage::Switched {
                old_controller,
                old_proxy,
                since,
            } => {
                data.insert("old-controller-ca.crt".to_owned(), old_controller.clone());
                data.insert("old-proxy-ca.crt".to_owned(), old_proxy.clone());
                data.insert("old-since".to_owned(), since.to_string());
            }
        }
        for (key, request) in [("handled", &self.handled), ("leaves", &self.leaves)] {
            if !request.is_empty() {
                data.insert(key.to_owned(), request.clone());
            }
        }
        data
    }

    /// What comes next, if it is time for it. `request` is what somebody asks for; `all_show_next` whether this replica
    /// knows that every proxy shows a certificate of the next authority.
    ///
    /// # Errors
    /// When an authority can't be made, or what is there is none.
    pub(super) fn step(
        &self,
        now: Timestamp,
        request: Option<&str>,
        all_show_next: bool,
    ) -> Result<Option<Self>, Error> {
        let is_new = |request: &&str| *request != self.handled;
        let request = request.filter(is_new).and_then(|text| Some((text, asked(text)?)));
        match &self.stage {
            Stage::Steady => {
                let due = [&self.current.controller, &self.current.proxy]
                    .into_iter()
                    .map(|pair| Validity::of_pem(&pair.certificate))
                    .collect::<Result<Vec<_>, _>>()?
                    .iter()
                    .any(|validity| now >= validity.renew_at);
                let stage = match request {
                    Some((_, Asked::Authorities)) => Some(()),
                    _ => due.then_some(()),
                };
                let stage = match stage {
                    Some(()) => Stage::Prepared {
                        next: Pair::generate(now)?,
                        since: now,
                    },
                    None if request.is_none() => return Ok(None),
                    None => Stage::Steady,
                };
                let leaves = request.filter(|(_, asked)| *asked == Asked::Leaves);
                let said = |request: Option<(&str, Asked)>, former: &String| {
                    request.map_or_else(|| former.clone(), |(text, _)| text.to_owned())
                };
                Ok(Some(Self {
                    current: self.current.clone(),
                    stage,
                    handled: said(request, &self.handled),
                    leaves: said(leaves, &self.leaves),
                }))
            }
            Stage::Prepared { next, since } if all_show_next && now >= *since + NOTICE => Ok(Some(Self {
                current: next.clone(),
                stage: Stage::Switched {
                    old_controller: self.current.controller.certificate.clone(),
                    old_proxy: self.current.proxy.certificate.clone(),
                    since: now,
                },
                handled: self.handled.clone(),
                leaves: self.leaves.clone(),
            })),
            Stage::Switched { since, .. } if now >= *since + OVERLAP => Ok(Some(Self {
                current: self.current.clone(),
                stage: Stage::Steady,
                handled: self.handled.clone(),
                leaves: self.leaves.clone(),
            })),
            // What is asked for meanwhile waits.
            Stage::Prepared { .. } | Stage::Switched { .. } => Ok(None),
        }
    }

    /// What proxies are given now.
    pub(super) fn for_proxies(&self, now: Timestamp) -> ForProxies<'_> {
        let current = &self.current;
        let (signer, trusted) = match &self.stage {
            Stage::Prepared { next, since } if now >= *since + NOTICE => (
                &next.proxy,
                [&*current.controller.certificate, &next.controller.certificate].concat(),
            ),
            Stage::Steady | Stage::Prepared { .. } => (&current.proxy, current.controller.certificate.clone()),
            Stage::Switched { old_controller, .. } => (
                &current.proxy,
                [&*current.controller.certificate, old_controller].concat(),
            ),
        };
        ForProxies { signer, trusted }
    }

    /// The authorities that are to come, if some are: also before proxies are told.
    pub(super) fn next(&self) -> Option<&Pair> {
        match &self.stage {
            Stage::Prepared { next, .. } => Some(next),
            _ => None,
        }
    }

    /// Authorities of proxies that controllers trust, PEM.
    pub(super) fn trusted_by_controllers(&self) -> String {
        let current = &self.current.proxy.certificate;
        match &self.stage {
            Stage::Steady => current.clone(),
            Stage::Prepared { next, .. } => [&**current, &next.proxy.certificate].concat(),
            Stage::Switched { old_proxy, .. } => [&**current, old_proxy].concat(),
        }
    }

    /// The certificate of the proxies' authority that is to come, if one is and proxies are given its certificates.
    pub(super) fn awaited(&self, now: Timestamp) -> Option<&str> {
        match &self.stage {
            Stage::Prepared { next, since } if now >= *since + NOTICE => Some(&next.proxy.certificate),
            _ => None,
        }
    }

    /// When time alone changes something.
    ///
    /// # Errors
    /// When what is there is no certificate.
    pub(super) fn changes_at(&self) -> Result<Timestamp, Error> {
        Ok(match &self.stage {
            Stage::Steady => {
                let of = |pair: &KeyPairPem| Validity::of_pem(&pair.certificate).map(|validity| validity.renew_at);
                of(&self.current.controller)?.min(of(&self.current.proxy)?)
            }
            Stage::Prepared { since, .. } => *since + NOTICE,
            Stage::Switched { since, .. } => *since + OVERLAP,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a time")
    }

    fn count(bundle: &str) -> usize {
        bundle.matches("BEGIN CERTIFICATE").count()
    }

    /// What somebody shows is trusted by the other side, whoever of them has taken note of what so far.
    fn fits(before: &Authorities, after: &Authorities, now: Timestamp) {
        for (one, other) in [(before, after), (after, before), (before, before), (after, after)] {
            let shown_by_proxies = &one.for_proxies(now).signer.certificate;
            assert!(
                other.trusted_by_controllers().contains(&**shown_by_proxies),
                "controllers trust proxies"
            );
            let shown_by_controllers = &one.current.controller.certificate;
            assert!(
                other.for_proxies(now).trusted.contains(&**shown_by_controllers),
                "proxies trust controllers"
            );
        }
    }

    #[test]
    fn at_no_moment_does_anybody_show_what_the_other_side_does_not_trust() {
        let steady = Authorities::generate(now()).expect("made");
        assert_eq!(steady.step(now(), None, true).expect("good"), None);
        let request = "authorities 2026-01-01";
        let prepared = steady.step(now(), Some(request), true).expect("good").expect("a step");
        fits(&steady, &prepared, now());
        assert_eq!(count(&prepared.trusted_by_controllers()), 2);
        // Until every controller trusts it, no proxy shows it.
        assert_eq!(prepared.for_proxies(now()).signer, &steady.current.proxy);
        let noticed = now() + NOTICE;
        assert_ne!(prepared.for_proxies(noticed).signer, &steady.current.proxy);
        assert_eq!(count(&prepared.for_proxies(noticed).trusted), 2);
        fits(&prepared, &prepared, noticed);

        assert_eq!(
            prepared.step(noticed, Some(request), false).expect("good"),
            None,
            "not before all show it"
        );
        assert_eq!(
            prepared.step(now(), Some(request), true).expect("good"),
            None,
            "not before all took note"
        );
        let switched = prepared
            .step(noticed, Some(request), true)
            .expect("good")
            .expect("a step");
        fits(&prepared, &switched, noticed);
        assert_eq!(
            switched.for_proxies(noticed).signer,
            prepared.for_proxies(noticed).signer,
            "no new leaf"
        );

        assert_eq!(switched.step(noticed, Some(request), true).expect("good"), None);
        let later = noticed + OVERLAP;
        let after = switched
            .step(later, Some(request), false)
            .expect("good")
            .expect("a step");
        fits(&switched, &after, later);
        assert_eq!(after.stage, Stage::Steady);
        assert_eq!(count(&after.trusted_by_controllers()), 1);
        assert_eq!(
            after.step(later, Some(request), true).expect("good"),
            None,
            "once is enough"
        );
        assert_ne!(after.current, steady.current);
    }

    #[test]
    fn it_begins_by_itself_at_two_thirds_of_an_authoritys_life() {
        let steady = Authorities::generate(now()).expect("made");
        let due = steady.changes_at().expect("valid");
        assert_eq!(
            steady.step(due - Duration::from_secs(1), None, true).expect("good"),
            None
        );
        let prepared = steady.step(due, None, true).expect("good").expect("a step");
        assert!(matches!(prepared.stage, Stage::Prepared { .. }));
    }

    #[test]
    fn leaves_alone_are_asked_for_without_new_authorities() {
        let steady = Authorities::generate(now()).expect("made");
        let asked = steady
            .step(now(), Some("leaves x"), true)
            .expect("good")
            .expect("a step");
        assert_eq!((&asked.current, &asked.stage), (&steady.current, &Stage::Steady));
        assert_eq!((&*asked.handled, &*asked.leaves), ("leaves x", "leaves x"));
        assert_eq!(steady.step(now(), Some("whatever"), true).expect("good"), None);
        assert_eq!(steady.step(now(), Some(""), true).expect("good"), None);
    }

    #[test]
    fn every_stage_is_read_as_it_was_written() {
        let steady = Authorities::generate(now()).expect("made");
        let prepared = steady
            .step(now(), Some("authorities 1"), false)
            .expect("good")
            .expect("a step");
        let switched = prepared
            .step(now() + NOTICE, None, true)
            .expect("good")
            .expect("a step");
        for authorities in [steady, prepared, switched] {
            let data = authorities.write();
            assert_eq!(Authorities::read(&|key| data.get(key).cloned()), Some(authorities));
        }
        assert_eq!(Authorities::read(&|_| None), None);
    }
}
