//! What was rendered lately, in order, and how far along that a proxy has got. Pure; holds no bytes.
//!
//! Proxies take changes at their own pace. While changes come faster than the slowest one takes them, what all have got to
//! is never the latest configuration but an earlier one, and no two need to run the same. Used by `silverback wait`'s
//! answers and by the conditions that `status` writes, each with its own idea of which proxies count.

use std::collections::{HashMap, VecDeque};

use proxy_config_schema::ConfigHash;

use crate::{fleet::ProxyView, model::Profile, render::Rendition};

/// How many configurations are remembered that not all proxies have got to. A proxy that needs 10 s to apply one rests for
/// 30 s: at two changes a second it passes over 80. Snapshots share what did not change.
const REMEMBERED: usize = 128;

/// Where on a trail something stands; what comes later is greater.
pub type Milestone = u64;

/// Configurations from what all proxies have got to, to the latest; with each what it was made of.
#[derive(Debug, Clone)]
pub struct Trail<T> {
    steps: VecDeque<Step<T>>,
    /// Where the first of them stands.
    first: Milestone,
    /// The latest step in which a profile has that configuration: the same bytes may come earlier or later for another one.
    by_hash: HashMap<ConfigHash, Vec<(Profile, Milestone)>>,
}

#[derive(Debug, Clone)]
struct Step<T> {
    hashes: Vec<(Profile, ConfigHash)>,
    content: T,
}

impl<T> Default for Trail<T> {
    fn default() -> Self {
        Self {
            steps: VecDeque::new(),
            first: 0,
            by_hash: HashMap::new(),
        }
    }
}

impl<T> Trail<T> {
    /// There is another latest configuration. If it says the same as the one before, that takes its content. What is held
    /// goes to no proxy, also where it happens to say what they run: it counts for nobody.
    pub fn add(&mut self, rendition: &Rendition, content: T) {
        if rendition.hold.is_some() {
            return;
        }
        let of = |profile: &Profile| {
            let hashes = rendition.up_to_date(profile);
            hashes.map(|hash| (profile.clone(), hash)).collect::<Vec<_>>()
        };
        let hashes: Vec<_> = rendition.profiles.keys().flat_map(of).collect();
        match self.steps.back_mut() {
            Some(last) if last.hashes == hashes => last.content = content,
            _ => {
                let milestone = self.first + self.steps.len() as Milestone;
                for (profile, hash) in &hashes {
                    let known = self.by_hash.entry(*hash).or_default();
                    known.retain(|(other, _)| other != profile);
                    known.push((profile.clone(), milestone));
                }
                self.steps.push_back(Step { hashes, content });
            }
        }
        while self.steps.len() > REMEMBERED {
            self.forget_first();
        }
    }

    /// The latest one.
    pub fn latest(&self) -> Option<&T> {
        self.steps.back().map(|step| &step.content)
    }

    /// What stands there, if it is remembered.
    pub fn at(&self, milestone: Milestone) -> Option<&T> {
        let index = milestone.checked_sub(self.first)?;
        let step = self.steps.get(usize::try_from(index).ok()?)?;
        Some(&step.content)
    }

    /// How far a proxy has got for sure: to the latest one that says what it was seen to run, or what it may run instead.
    pub fn reached_by(&self, proxy: &ProxyView) -> Option<Milestone> {
        let profile = proxy.profile.as_ref()?;
        let latest = |hash: ConfigHash| {
            let known = self.by_hash.get(&hash)?;
            let known = known.iter().find(|(of, _)| of == profile);
            known.map(|(_, milestone)| *milestone)
        };
        let observed = latest(proxy.observed?)?;
        match proxy.pending {
            Some(pending) => Some(observed.min(latest(pending)?)),
            None => Some(observed),
        }
    }

    /// Nobody asks for what came before that any more.
    pub fn forget_before(&mut self, milestone: Milestone) {
        while self.first < milestone && !self.steps.is_empty() {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(step) = self.steps.pop_front() {
            for (profile, hash) in step.hashes {
                if let Some(known) = self.by_hash.get_mut(&hash) {
                    known.retain(|(of, milestone)| *of != profile || *milestone != self.first);
                    if known.is_empty() {
                        self.by_hash.remove(&hash);
                    }
                }
            }
            self.first += 1;
        }
    }
}
