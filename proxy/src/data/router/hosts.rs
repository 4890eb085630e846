//! The first step of the index: candidates by their hosts.

use std::{collections::HashMap, sync::Arc};

use super::{bucket::Bucket, criteria::HostRule};

/// A part of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place<'a> {
    /// By the whole name.
    Exact(&'a str),
    /// By what follows the `*`, dot included.
    Suffix(&'a str),
    /// By what precedes the `*`, dot included.
    Prefix(&'a str),
    /// Looked at for every host.
    Any,
}

impl<'a> Place<'a> {
    /// Where candidates with this host rule are.
    pub(super) fn of(rule: &'a HostRule) -> Self {
        match rule {
            HostRule::Exact { name, .. } => Self::Exact(name),
            HostRule::Suffix { rest, .. } if rest.starts_with('.') => Self::Suffix(rest),
            HostRule::Prefix { rest, .. } if rest.ends_with('.') => Self::Prefix(rest),
            HostRule::Suffix { .. } | HostRule::Prefix { .. } => Self::Any,
        }
    }
}

type Buckets = HashMap<Arc<str>, Arc<Bucket>>;

/// All candidates.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    exact: Buckets,
    suffixes: Buckets,
    prefixes: Buckets,
    any: Arc<Bucket>,
}

impl Hosts {
    pub(super) fn get(&self, place: Place<'_>) -> Option<&Bucket> {
        let found = match place {
            Place::Exact(name) => self.exact.get(name),
            Place::Suffix(rest) => self.suffixes.get(rest),
            Place::Prefix(rest) => self.prefixes.get(rest),
            Place::Any => Some(&self.any),
        };
        found.map(|bucket| &**bucket)
    }

    pub(super) fn set(&mut self, place: Place<'_>, bucket: Bucket) {
        let (buckets, name) = match place {
            Place::Exact(name) => (&mut self.exact, name),
            Place::Suffix(rest) => (&mut self.suffixes, rest),
            Place::Prefix(rest) => (&mut self.prefixes, rest),
            Place::Any => {
                self.any = Arc::new(bucket);
                return;
            }
        };
        if bucket.candidates().is_empty() {
            buckets.remove(name);
        } else if let Some(known) = buckets.get_mut(name) {
            *known = Arc::new(bucket);
        } else {
            buckets.insert(name.into(), Arc::new(bucket));
        }
    }

    /// Visits every part of the index whose hosts may fit.
    pub(super) fn visit(&self, host: &str, mut visit: impl FnMut(&Bucket)) {
        if let Some(bucket) = self.exact.get(host) {
            visit(bucket);
        }
        if !self.suffixes.is_empty() || !self.prefixes.is_empty() {
            for (position, _) in host.match_indices('.') {
                if let Some(bucket) = self.suffixes.get(&host[position..]) {
                    visit(bucket);
                }
                if let Some(bucket) = self.prefixes.get(&host[..=position]) {
                    visit(bucket);
                }
            }
        }
        visit(&self.any);
    }
}
