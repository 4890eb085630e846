//! Three electors, one store, and a network that loses, delays and repeats: never two leaders.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{
    lease::{
        LeaseSettings, ReplicaPod, Timing,
        election::{Answer, Election, Event, Request},
    },
    model::{Epoch, Leadership, NamespacedName},
};

const ELECTORS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Time goes on by milliseconds; electors act on time.
    Pass(u64),
    /// The store carries out the request of an elector.
    Arrive(usize),
    /// The answer reaches the elector.
    Return(usize),
    /// The elector gives up waiting; what it sent may still arrive.
    Lose(usize),
    /// A lost request arrives after all.
    Late(usize),
    /// The elector's watch shows one of the latest states.
    Watch(usize, usize),
    /// The elector leaves it to the others.
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let elector = 0..ELECTORS;
    prop_oneof![
        3 => (1..4000_u64).prop_map(Step::Pass),
        4 => elector.clone().prop_map(Step::Arrive),
        4 => elector.clone().prop_map(Step::Return),
        1 => elector.clone().prop_map(Step::Lose),
        1 => (0..8_usize).prop_map(Step::Late),
        1 => elector.clone().prop_map(Step::GiveUp),
        2 => (elector, 0..3_usize).prop_map(|(elector, back)| Step::Watch(elector, back)),
    ]
}

struct World {
    began: Instant,
    now: Instant,
    electors: Vec<Election>,
    sent: Vec<Option<Request>>,
    answers: Vec<Option<Answer>>,
    lost: Vec<Request>,
    store: Vec<Lease>,
    won: Vec<(usize, Epoch)>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let settings = |index: usize| LeaseSettings {
            lease: NamespacedName::new("silverback", "lease"),
            identity: format!("elector-{index}").into(),
            pod: ReplicaPod {
                name: format!("elector-{index}").into(),
                uid: None,
            },
            timing: Timing::default(),
        };
        Self {
            began: now,
            now,
            electors: (0..ELECTORS).map(|index| Election::new(settings(index), now)).collect(),
            sent: vec![None; ELECTORS],
            answers: vec![None; ELECTORS],
            lost: Vec::new(),
            store: Vec::new(),
            won: Vec::new(),
        }
    }

    /// The store: optimistic locking by resource version.
    fn carry_out(&mut self, request: Request) -> Answer {
        let stored = self.store.last().cloned();
        let mut written = match (request, stored) {
            (Request::Read, Some(lease)) => return Answer::Lease(Box::new(lease)),
            (Request::Read | Request::Replace(_), None) => return Answer::Absent,
            (Request::Create(_), Some(_)) => return Answer::Conflict,
            (Request::Create(lease), None) => *lease,
            (Request::Replace(lease), Some(stored)) => {
                if lease.metadata.resource_version != stored.metadata.resource_version {
                    return Answer::Conflict;
                }
                *lease
            }
        };
        written.metadata.uid = Some("uid".to_owned());
        written.metadata.resource_version = Some((self.store.len() + 1).to_string());
        self.store.push(written.clone());
        Answer::Lease(Box::new(written))
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Pass(milliseconds) => {
                let end = self.now + Duration::from_millis(milliseconds);
                while let Some(at) = self
                    .electors
                    .iter()
                    .filter_map(Election::wake_at)
                    .min()
                    .filter(|at| *at <= end)
                {
                    self.now = self.now.max(at);
                    self.act();
                }
                self.now = end;
            }
            Step::Arrive(index) => {
                if let Some(request) = self.sent[index].take() {
                    self.answers[index] = Some(self.carry_out(request));
                }
            }
            Step::Return(index) => {
                if let Some(answer) = self.answers[index].take() {
                    self.electors[index].step(self.now, Event::Answered(answer));
                }
            }
            Step::Lose(index) => {
                let sent = self.sent[index].take();
                if sent.is_some() || self.answers[index].take().is_some() {
                    self.lost.extend(sent);
                    self.electors[index].step(self.now, Event::Answered(Answer::Failed));
                }
            }
            Step::Late(index) => {
                if index < self.lost.len() {
                    let request = self.lost.swap_remove(index);
                    self.carry_out(request);
                }
            }
            Step::Watch(index, back) => {
                let event = match self.store.len().checked_sub(back + 1) {
                    Some(at) => Event::Seen(Box::new(self.store[at].clone())),
                    None => Event::Gone,
                };
                self.electors[index].step(self.now, event);
            }
            Step::GiveUp(index) => self.electors[index].step(self.now, Event::GiveUp),
        }
        self.act();
    }

    /// Lets every elector take note of the time and send what is due.
    fn act(&mut self) {
        let wall = Timestamp::UNIX_EPOCH + (self.now - self.began);
        for (index, elector) in self.electors.iter_mut().enumerate() {
            elector.step(self.now, Event::Tick);
            if let Some(request) = elector.request(self.now, wall) {
                assert!(
                    self.sent[index].is_none() && self.answers[index].is_none(),
                    "one request at a time"
                );
                self.sent[index] = Some(request);
            }
        }
    }

    fn check(&mut self) {
        let leaders: Vec<_> = self
            .electors
            .iter()
            .enumerate()
            .filter(|(_, elector)| elector.leadership().is_leader())
            .collect();
        assert!(leaders.len() <= 1, "{leaders:#?}");
        if let Some((index, elector)) = leaders.first() {
            let epoch = elector.leadership().epoch().expect("a leader has one").clone();
            if let Some((former, last)) = self.won.last() {
                if former == index {
                    assert!(epoch.transitions >= last.transitions);
                } else {
                    assert!(epoch.transitions > last.transitions, "{epoch} after {last}");
                }
            }
            self.won.push((*index, epoch));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn there_are_never_two_leaders_and_peace_brings_one(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
            world.check();
        }
        for _ in 0..400 {
            for index in 0..ELECTORS {
                world.apply(Step::Arrive(index));
                world.apply(Step::Return(index));
                world.apply(Step::Watch(index, 0));
            }
            world.apply(Step::Pass(100));
            world.check();
        }
        let leaders = world.electors.iter().filter(|elector| elector.leadership().is_leader()).count();
        prop_assert_eq!(leaders, 1);
        let followers = world.electors.iter().filter(|elector| {
            matches!(elector.leadership(), Leadership::Follower { holder: Some(_) })
        });
        prop_assert_eq!(followers.count(), ELECTORS - 1);
    }
}
