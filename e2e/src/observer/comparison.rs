//! What proxies were seen to be, beside what their rows say: a state machine over moments. Pure.
//!
//! A row follows what it tells of, so it is never asked whether it is true now, but how long ago it was true last
//! (`trace`). What is older than the tolerance is a mismatch; it counts once, with its length.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    content::{Contents, Contradiction, Shown},
    trace::Trace,
};

/// How long the stretch that the budget of writes showed last counts.
const STRETCH_COUNTS: Duration = Duration::from_secs(30);

/// How late the observer may be itself: it waits a second for an answer, and then connects anew.
const OWN_DELAY: Duration = Duration::from_secs(2);

/// How far rows may be behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerances {
    /// What a proxy runs, and whether there is a row at all.
    pub(crate) hash: Duration,
    /// `Ready` and `Reachable`: two probe intervals and a second.
    pub(crate) conditions: Duration,
    /// `Synced`: a change may take 10 s to arrive; then that is written, rows once a second, and read.
    pub(crate) synced: Duration,
}

/// What the Admin API of a proxy did when it was asked, from where the leader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Answers,
    /// No connection, or one that ends.
    Refuses,
    /// A connection, and nothing on it.
    Hangs,
}

/// A proxy at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The name of its pod.
    pub(crate) name: String,
    /// Whether there is a pod; `None` where that is not decided, such as at its start and end.
    pub(crate) exists: Option<bool>,
    /// How it answers the leader.
    pub(crate) answer: Option<Answer>,
    /// What it runs, by its own word.
    pub(crate) hash: Option<String>,
    pub(crate) row: Option<Row>,
}

/// What a `ProxyInstance` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) reachable: String,
    pub(crate) ready: String,
    pub(crate) synced: String,
    pub(crate) hash: String,
    /// What the fleet calls that, where the proxy has names of its own (`hashMode: learned`): the first digits.
    pub(crate) learned: Option<String>,
    /// What the `ProxyFleet` says that proxies of its profile shall run.
    pub(crate) desired: Option<String>,
}

/// All that was seen at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// Why nothing can be expected of rows now.
    pub(crate) excluded: Option<&'static str>,
    /// By how much the budget of writes delays what waits.
    pub(crate) stretch: Duration,
    /// What is being done to the fleet.
    pub(crate) during: String,
    /// By the uid of the pod.
    pub(crate) proxies: BTreeMap<String, Sighting>,
    /// What proxies showed of what they run, since the moment before.
    pub(crate) shown: Vec<Shown>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aspect {
    Row,
    Hash,
    Reachable,
    Ready,
    /// Whether it runs what its fleet wants it to run.
    Synced,
    /// Whether it runs what its hash stands for. Not what rows claim, but what they rely on.
    Content,
}

impl Aspect {
    pub(crate) const ALL: [Self; 6] = [
        Self::Row,
        Self::Hash,
        Self::Reachable,
        Self::Ready,
        Self::Synced,
        Self::Content,
    ];
    /// What is claimed of a proxy all the time.
    const CLAIMS: [Self; 5] = [Self::Row, Self::Hash, Self::Reachable, Self::Ready, Self::Synced];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Hash => "hash",
            Self::Reachable => "Reachable",
            Self::Ready => "Ready",
            Self::Synced => "Synced",
            Self::Content => "content",
        }
    }
}

/// A row that was wrong for longer than it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) aspect: Aspect,
    pub(crate) proxy: String,
    /// When the row was right last.
    pub(crate) since: Duration,
    pub(crate) length: Duration,
    pub(crate) said: String,
    pub(crate) was: String,
    pub(crate) during: String,
}

/// A time in which nothing is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excluded {
    pub(crate) why: &'static str,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) during: String,
}

/// What there is to say of one aspect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) compared: u64,
    /// The furthest that a row was behind, and what it might have been then.
    pub(crate) longest: Duration,
    pub(crate) tolerance: Duration,
}

/// What there is to say of all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub(crate) moments: u64,
    pub(crate) duration: Duration,
    pub(crate) tallies: BTreeMap<Aspect, Tally>,
    pub(crate) mismatches: Vec<Mismatch>,
    pub(crate) excluded: Vec<Excluded>,
    pub(crate) longest_stretch: Duration,
    pub(crate) most_proxies: usize,
}

#[derive(Debug, Default)]
struct Watched {
    traces: BTreeMap<Aspect, Trace<String>>,
    /// Places in the list of mismatches of those that go on.
    open: BTreeMap<Aspect, usize>,
    /// Since when claims that have just been made contradict what was seen: the observer may be the one who is late.
    doubts: BTreeMap<Aspect, Duration>,
}

/// Compares moment after moment.
#[derive(Debug)]
pub(crate) struct Comparison {
    tolerances: Tolerances,
    proxies: BTreeMap<String, Watched>,
    contents: Contents,
    stretches: VecDeque<(Duration, Duration)>,
    was_excluded: bool,
    findings: Findings,
}

impl Comparison {
    pub(crate) fn new(tolerances: Tolerances) -> Self {
        Self {
            tolerances,
            proxies: BTreeMap::new(),
            contents: Contents::default(),
            stretches: VecDeque::new(),
            was_excluded: false,
            findings: Findings::default(),
        }
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Takes in a moment. They come in order.
    pub(crate) fn look(&mut self, moment: &Moment) {
        self.findings.moments += 1;
        self.findings.duration = moment.at;
        self.note_exclusion(moment);
        let stretch = self.stretch(moment);
        let there = moment.proxies.values().filter(|seen| seen.exists == Some(true)).count();
        self.findings.most_proxies = self.findings.most_proxies.max(there);
        self.proxies.retain(|uid, _| moment.proxies.contains_key(uid));
        for (uid, seen) in &moment.proxies {
            let mut watched = self.proxies.remove(uid).unwrap_or_default();
            for aspect in Aspect::CLAIMS {
                self.compare(&mut watched, aspect, seen, moment, stretch);
            }
            self.proxies.insert(uid.clone(), watched);
        }
        for shown in &moment.shown {
            self.compare_content(shown, moment);
        }
    }

    /// Proxies are what they are, also when nobody tells of them: nothing is excluded here.
    fn compare_content(&mut self, shown: &Shown, moment: &Moment) {
        let found = self.contents.look(shown);
        if found == Contradiction::Unknown {
            return;
        }
        self.findings.tallies.entry(Aspect::Content).or_default().compared += 1;
        if let Contradiction::Found(was) = found {
            self.findings.mismatches.push(Mismatch {
                aspect: Aspect::Content,
                proxy: shown.proxy.clone(),
                since: moment.at,
                length: Duration::ZERO,
                said: shown.hash.clone(),
                was,
                during: moment.during.clone(),
            });
        }
    }

    fn compare(&mut self, watched: &mut Watched, aspect: Aspect, seen: &Sighting, moment: &Moment, stretch: Duration) {
        let (truth, claim) = match moment.excluded {
            Some(_) => (None, None),
            None => (truth(aspect, seen), claim(aspect, seen)),
        };
        let trace = watched.traces.entry(aspect).or_default();
        let standing = trace.look(moment.at, truth.clone(), claim.clone());
        let (Some(standing), Some(was), Some(said)) = (standing, truth, claim) else {
            watched.open.remove(&aspect);
            watched.doubts.remove(&aspect);
            return;
        };
        let lag = standing.behind;
        let tolerance = self.tolerance(aspect, stretch);
        let tally = self.findings.tallies.entry(aspect).or_default();
        tally.compared += 1;
        if lag > tolerance && standing.claimed_for < OWN_DELAY {
            let since = *watched.doubts.entry(aspect).or_insert(moment.at);
            if moment.at.saturating_sub(since) < OWN_DELAY {
                return;
            }
        } else {
            watched.doubts.remove(&aspect);
        }
        if lag >= tally.longest {
            tally.longest = lag;
            tally.tolerance = tolerance;
        }
        if lag <= tolerance {
            watched.open.remove(&aspect);
            return;
        }
        match watched.open.get(&aspect) {
            Some(&place) => self.findings.mismatches[place].length = lag,
            None => {
                watched.open.insert(aspect, self.findings.mismatches.len());
                let (said, was) = match aspect {
                    Aspect::Synced => (was, said),
                    _ => (said, was),
                };
                self.findings.mismatches.push(Mismatch {
                    aspect,
                    proxy: seen.name.clone(),
                    since: moment.at.saturating_sub(lag),
                    length: lag,
                    said,
                    was,
                    during: moment.during.clone(),
                });
            }
        }
    }

    /// Only hashes wait for what is more urgent, those that a fleet wants too: conditions are transitions, and so is a row that
    /// comes or goes.
    fn tolerance(&self, aspect: Aspect, stretch: Duration) -> Duration {
        match aspect {
            Aspect::Row => self.tolerances.hash,
            Aspect::Hash => self.tolerances.hash + stretch,
            Aspect::Reachable | Aspect::Ready => self.tolerances.conditions,
            Aspect::Synced => self.tolerances.synced + stretch,
            Aspect::Content => Duration::ZERO,
        }
    }

    fn note_exclusion(&mut self, moment: &Moment) {
        let went_on = std::mem::replace(&mut self.was_excluded, moment.excluded.is_some());
        let Some(why) = moment.excluded else {
            if went_on && let Some(last) = self.findings.excluded.last_mut() {
                last.until = moment.at;
            }
            return;
        };
        if let Some(last) = self.findings.excluded.last_mut().filter(|_| went_on) {
            last.until = moment.at;
            if last.why == why {
                return;
            }
        }
        self.findings.excluded.push(Excluded {
            why,
            from: moment.at,
            until: moment.at,
            during: moment.during.clone(),
        });
    }

    /// The longest stretch of late.
    fn stretch(&mut self, moment: &Moment) -> Duration {
        self.stretches.push_back((moment.at, moment.stretch));
        while let Some((at, _)) = self.stretches.front()
            && moment.at.saturating_sub(*at) > STRETCH_COUNTS
        {
            self.stretches.pop_front();
        }
        let longest = self.stretches.iter().map(|(_, stretch)| *stretch).max();
        let longest = longest.unwrap_or_default();
        self.findings.longest_stretch = self.findings.longest_stretch.max(longest);
        longest
    }
}

/// There is a pod, or a row.
const THERE: &str = "there";
const NONE: &str = "none";
/// What a proxy reports that has no configuration.
const UNCONFIGURED: &str = "00000000000000000000000000000000";

fn truth(aspect: Aspect, seen: &Sighting) -> Option<String> {
    let word = |is: bool| Some(if is { "True" } else { "False" }.to_owned());
    match aspect {
        Aspect::Row => seen.exists.map(|there| if there { THERE } else { NONE }.to_owned()),
        Aspect::Hash => seen.hash.clone(),
        Aspect::Reachable => word(seen.answer? == Answer::Answers),
        Aspect::Ready if seen.answer? != Answer::Answers => word(false),
        Aspect::Ready => word(seen.hash.as_deref()? != UNCONFIGURED),
        Aspect::Synced => {
            let desired = seen.row.as_ref()?.desired.as_deref();
            Some(desired.map_or(NONE, short).to_owned())
        }
        Aspect::Content => None,
    }
}

/// The digits of a hash by which those that the fleet names are known.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// What a proxy runs, as its fleet calls it. A name of its own that the row does not know is nobody's.
fn runs(row: &Row, reported: Option<&str>) -> Option<String> {
    let reported = reported?;
    let ours = row.learned.as_deref().filter(|_| row.hash == reported);
    Some(short(ours.unwrap_or(reported)).to_owned())
}

fn claim(aspect: Aspect, seen: &Sighting) -> Option<String> {
    if aspect == Aspect::Row {
        return Some(if seen.row.is_some() { THERE } else { NONE }.to_owned());
    }
    let row = seen.row.as_ref()?;
    match aspect {
        Aspect::Row | Aspect::Content => None,
        // Of a proxy that is out of reach it tells what it ran last, and says that it is out of reach.
        Aspect::Hash => (row.reachable == "True").then(|| row.hash.clone()),
        Aspect::Reachable => Some(row.reachable.clone()),
        Aspect::Ready => Some(row.ready.clone()),
        // The other way round: it is the proxy that follows what is wanted of it. How long ago what it runs was wanted last is
        // how far it is behind, also where something else is wanted every second. One that is going away counts in no fleet.
        Aspect::Synced => {
            (row.synced == "True" && seen.exists == Some(true)).then(|| runs(row, seen.hash.as_deref()))?
        }
    }
}

#[cfg(test)]
mod tests;
