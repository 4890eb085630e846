//! The table of transitions is what the step function does: no more, no less.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use proxy_config_schema::ConfigHash;
use tokio::time::Instant;

use super::world::{rendered, target};
use crate::{
    fleet::{
        ConnectionSecurity, Observation, Phase, ProbeFault, ProxyReport, PushOutcome, PushResult, Settings, Stimulus,
        TRANSITIONS, TransportFault, TransportFaultKind,
        configuration::{Configuration, Goal, Permission, RestoreReason},
        decision::Want,
        state::{Moment, ProxyState},
        step::{Event, step},
    },
    model::{Edition, RouterFlavor},
};

#[derive(Debug, Clone)]
enum Input {
    Answers { runs: u8, process: u8 },
    Fails,
    Begin,
    End(u8),
    Goal { permission: u8, desired: u8, last_good: u8 },
    Terminating(bool),
    Pass(u64),
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = prop_oneof![
        6 => (0u8..6, 0u8..8).prop_map(|(runs, process)| Input::Answers { runs, process: process / 7 }),
        3 => Just(Input::Fails),
        6 => Just(Input::Begin),
        5 => (0u8..6).prop_map(Input::End),
        4 => (0u8..6, 0u8..4, 0u8..4).prop_map(|(permission, desired, last_good)| Input::Goal { permission, desired, last_good }),
        1 => any::<bool>().prop_map(Input::Terminating),
        5 => (1u64..70_000).prop_map(Input::Pass),
    ];
    prop::collection::vec(input, 1..50)
}

/// One proxy, and what it shall run.
struct Single {
    state: ProxyState,
    goal: Goal,
    want: Want,
    phase: Phase,
    began: Instant,
    elapsed: Duration,
}

fn configuration(which: u8) -> Option<Configuration> {
    (which > 0).then(|| Configuration {
        rendered: rendered(&which.to_string()),
        sequence: which.into(),
        sources: Default::default(),
        incomplete: None,
    })
}

fn fault() -> TransportFault {
    TransportFault {
        kind: TransportFaultKind::Timeout,
        message: String::new(),
    }
}

impl Single {
    fn new() -> Self {
        let began = Instant::now();
        let now = Moment {
            instant: began,
            timestamp: Timestamp::UNIX_EPOCH,
        };
        let mut single = Self {
            state: ProxyState::new(target("a").into(), now),
            goal: Goal {
                permission: Permission::Free,
                profile_served: true,
                ..Goal::none()
            },
            want: Want::Nothing,
            phase: Phase::Discovered,
            began,
            elapsed: Duration::ZERO,
        };
        single.step(Event::Tick);
        single
    }

    fn now(&self) -> Moment {
        Moment {
            instant: self.began + self.elapsed,
            timestamp: Timestamp::UNIX_EPOCH,
        }
    }

    fn step(&mut self, event: Event) {
        let now = self.now();
        let step = step(&mut self.state, event, &self.goal, &Settings::default(), now);
        (self.want, self.phase) = (step.want, step.phase);
    }

    /// What it was that happened, if it could happen now.
    fn perform(&mut self, input: &Input) -> Option<Stimulus> {
        match *input {
            Input::Answers { runs, process } => {
                let hash = match runs {
                    0 => ConfigHash::NONE,
                    runs => configuration(runs)?.hash(),
                };
                let report = ProxyReport {
                    version: "3.9.1".to_owned(),
                    plugins: None,
                    edition: Edition::OpenSource,
                    router_flavor: RouterFlavor::Traditional,
                    database: "off".to_owned(),
                    node_id: Some(process.to_string()),
                    restarted: false,
                    started_at: None,
                    body_limit: None,
                    hash,
                    security: ConnectionSecurity::Mutual,
                    certificate: None,
                };
                self.observe(Ok(report));
                Some(Stimulus::ProbeAnswered)
            }
            Input::Fails => {
                self.observe(Err(ProbeFault { fault: fault() }));
                Some(Stimulus::ProbeFailed)
            }
            Input::Begin => {
                let Want::Push(configuration) = self.want.clone() else {
                    return None;
                };
                self.step(Event::Began(configuration));
                Some(Stimulus::PushBegan)
            }
            Input::End(how) => {
                let hash = self.state.in_flight.as_ref()?.configuration.hash();
                let result = match how {
                    0 | 1 => PushResult::Accepted,
                    2 => PushResult::Rejected {
                        message: String::new(),
                        entities: Vec::new(),
                        count: 1,
                    },
                    3 => PushResult::Busy { retry_after: None },
                    4 => PushResult::NotSent(fault()),
                    _ => PushResult::Unknown(fault()),
                };
                self.step(Event::Pushed(PushOutcome {
                    hash,
                    started: Timestamp::UNIX_EPOCH,
                    took: Duration::from_secs(1),
                    result,
                }));
                Some(Stimulus::PushEnded)
            }
            Input::Goal {
                permission,
                desired,
                last_good,
            } => {
                self.goal = Goal {
                    permission: match permission {
                        0 => Permission::Nothing,
                        1 => Permission::Restore(RestoreReason::Cut),
                        2 => Permission::Restore(RestoreReason::Hold("why".into())),
                        _ => Permission::Free,
                    },
                    desired: configuration(desired),
                    whole: None,
                    kept: None,
                    last_good: configuration(last_good),
                    last_good_first: last_good > desired,
                    profile_served: true,
                };
                self.step(Event::Tick);
                Some(Stimulus::GoalChanged)
            }
            Input::Terminating(terminating) => {
                let mut target = target("a");
                target.terminating = terminating;
                self.step(Event::Target(target.into()));
                Some(Stimulus::TargetChanged)
            }
            Input::Pass(millis) => {
                self.elapsed += Duration::from_millis(millis);
                self.step(Event::Tick);
                Some(Stimulus::TimePassed)
            }
        }
    }

    fn observe(&mut self, result: Result<ProxyReport, ProbeFault>) {
        let observation = Observation {
            started: self.now().instant,
            at: Timestamp::UNIX_EPOCH,
            result,
        };
        self.step(Event::Observed(observation));
    }
}

#[test]
fn the_table_is_what_happens() {
    let mut seen = BTreeSet::new();
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let table: BTreeSet<_> = TRANSITIONS
        .iter()
        .flat_map(|row| {
            row.to
                .iter()
                .map(|to| (row.from.as_str(), row.on.as_str(), to.as_str()))
        })
        .collect();
    let strategy = inputs();
    // Some transitions need much to come together: they are waited for, within bounds.
    for count in 0..400_000 {
        if count >= 50_000 && table.is_subset(&seen) {
            break;
        }
        let inputs = strategy
            .new_tree(&mut runner)
            .expect("the strategy filters nothing")
            .current();
        let mut single = Single::new();
        for input in &inputs {
            let before = single.phase;
            if let Some(stimulus) = single.perform(input) {
                let after = single.phase;
                if before != after {
                    seen.insert((before.as_str(), stimulus.as_str(), after.as_str()));
                }
            }
        }
    }
    let missing: Vec<_> = seen.difference(&table).collect();
    let idle: Vec<_> = table.difference(&seen).collect();
    assert!(
        missing.is_empty() && idle.is_empty(),
        "not in the table: {missing:#?}; never seen: {idle:#?}"
    );
}
