//! The states of a proxy as a table: what tests hold the step function to, and what the documentation is made of.

use super::Phase::{
    self, Discovered, Drifted, Paced, Pushing, Rejected, Synced, Terminating, Unconfigured, Unknown, Unreachable,
    Waiting,
};
use Stimulus::{GoalChanged, ProbeAnswered, ProbeFailed, PushBegan, PushEnded, TargetChanged, TimePassed};

/// What makes a proxy go from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stimulus {
    /// A probe was answered.
    ProbeAnswered,
    /// A probe failed.
    ProbeFailed,
    /// A push began.
    PushBegan,
    /// A push ended, however.
    PushEnded,
    /// Another configuration is wanted or known to be good, or leadership or the hold on pushes changed.
    GoalChanged,
    /// Discovery sees it differently: its endpoint is terminating.
    TargetChanged,
    /// Nothing happened for a while.
    TimePassed,
}

impl Stimulus {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProbeAnswered => "probe answered",
            Self::ProbeFailed => "probe failed",
            Self::PushBegan => "push began",
            Self::PushEnded => "push ended",
            Self::GoalChanged => "goal changed",
            Self::TargetChanged => "target changed",
            Self::TimePassed => "time passed",
        }
    }
}

/// Where a proxy can go from a state.
#[derive(Debug, Clone, Copy)]
pub struct Transition {
    /// From this state.
    pub from: Phase,
    /// By this.
    pub on: Stimulus,
    /// To one of these. That it stays where it is, is always possible.
    pub to: &'static [Phase],
}

const fn row(from: Phase, on: Stimulus, to: &'static [Phase]) -> Transition {
    Transition { from, on, to }
}

/// Every transition that there is.
pub const TRANSITIONS: &[Transition] = &[
    row(Discovered, ProbeAnswered, &[Unconfigured, Synced, Waiting]),
    row(Discovered, ProbeFailed, &[Unreachable]),
    row(Discovered, TargetChanged, &[Terminating]),
    row(Unconfigured, ProbeAnswered, &[Synced, Drifted, Paced, Waiting]),
    row(Unconfigured, ProbeFailed, &[Unreachable]),
    row(Unconfigured, PushBegan, &[Pushing]),
    row(Unconfigured, GoalChanged, &[Pushing, Rejected, Drifted]),
    row(Unconfigured, TargetChanged, &[Terminating]),
    row(
        Pushing,
        PushEnded,
        &[
            Unconfigured,
            Unknown,
            Synced,
            Rejected,
            Unreachable,
            Drifted,
            Paced,
            Waiting,
        ],
    ),
    row(Pushing, ProbeAnswered, &[Unconfigured, Synced, Drifted, Paced, Waiting]),
    row(Pushing, ProbeFailed, &[Unreachable]),
    row(Pushing, GoalChanged, &[Unconfigured, Rejected, Waiting]),
    row(Pushing, TargetChanged, &[Terminating]),
    row(
        Unknown,
        ProbeAnswered,
        &[Unconfigured, Synced, Rejected, Paced, Waiting],
    ),
    row(Unknown, ProbeFailed, &[Unreachable]),
    row(Unknown, TargetChanged, &[Terminating]),
    row(
        Unknown,
        TimePassed,
        &[Unconfigured, Pushing, Synced, Rejected, Drifted, Waiting],
    ),
    row(
        Synced,
        ProbeAnswered,
        &[Unconfigured, Pushing, Rejected, Drifted, Paced, Waiting],
    ),
    row(Synced, ProbeFailed, &[Unreachable]),
    row(Synced, GoalChanged, &[Rejected, Paced, Waiting]),
    row(Synced, TargetChanged, &[Terminating]),
    row(Rejected, ProbeAnswered, &[Unconfigured, Synced, Waiting]),
    row(Rejected, ProbeFailed, &[Unreachable]),
    row(Rejected, PushBegan, &[Pushing]),
    row(
        Rejected,
        GoalChanged,
        &[Unconfigured, Pushing, Synced, Drifted, Paced, Waiting],
    ),
    row(Rejected, TargetChanged, &[Terminating]),
    row(
        Unreachable,
        ProbeAnswered,
        &[
            Unconfigured,
            Pushing,
            Unknown,
            Synced,
            Rejected,
            Drifted,
            Paced,
            Waiting,
        ],
    ),
    row(Unreachable, TargetChanged, &[Terminating]),
    row(Drifted, ProbeAnswered, &[Unconfigured, Synced, Waiting]),
    row(Drifted, ProbeFailed, &[Unreachable]),
    row(Drifted, PushBegan, &[Pushing]),
    row(Drifted, GoalChanged, &[Unconfigured, Synced, Rejected, Waiting]),
    row(Drifted, TargetChanged, &[Terminating]),
    row(Paced, ProbeAnswered, &[Unconfigured, Synced, Drifted, Waiting]),
    row(Paced, ProbeFailed, &[Waiting]),
    row(Paced, GoalChanged, &[Synced, Rejected, Waiting]),
    row(Paced, TargetChanged, &[Terminating]),
    row(Paced, TimePassed, &[Waiting]),
    row(Waiting, ProbeAnswered, &[Unconfigured, Pushing, Synced, Drifted, Paced]),
    row(Waiting, ProbeFailed, &[Unreachable]),
    row(Waiting, PushBegan, &[Pushing]),
    row(Waiting, GoalChanged, &[Pushing, Synced, Rejected, Drifted, Paced]),
    row(Waiting, TargetChanged, &[Terminating]),
    row(Waiting, TimePassed, &[Paced]),
    row(
        Terminating,
        TargetChanged,
        &[
            Discovered,
            Unconfigured,
            Pushing,
            Unknown,
            Synced,
            Rejected,
            Unreachable,
            Drifted,
            Paced,
            Waiting,
        ],
    ),
];
