//! What happens to a fleet. Each fault begins, lasts, and is undone, whatever came of it.

mod api_server;
mod controllers;
mod network;
mod proxies;
mod stand_ins;
mod writer;

use std::time::Duration;

use super::{bed::Bed, random::Random};

/// Ends a fault.
pub(super) type Undo<'a> = Box<dyn FnOnce() -> anyhow::Result<()> + 'a>;

/// One of the things that happen.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// From its beginning to its end.
    pub(super) lasts: Duration,
    pub(super) costs: Costs,
    /// For how long nobody may tell how proxies are, as far as this is to blame.
    pub(super) blinds: Duration,
    /// Whether a short run has it.
    pub(super) is_brief: bool,
    pub(super) begin: for<'a> fn(&'a Bed<'a>, &mut Random) -> anyhow::Result<Undo<'a>>,
}

/// What requests may fail with, since we took away what would have answered them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Costs {
    Nothing,
    /// Connections with a proxy that was killed or stopped: they end, or nobody answers. Never a wrong answer.
    Connections,
    /// Addresses: nodes that can't say for 12 s that they live are taken for dead by the test bed's Kubernetes, and all their
    /// pods for unready.
    Endpoints,
    /// Whatever goes over a cable that was cut.
    Network,
}

/// For how long nobody may tell how proxies are during what is called so: a number, and the name of a fault.
pub(super) fn blinds(during: &str) -> Duration {
    let name = during.split_once(". ").map_or(during, |(_, name)| name);
    let fault = ALL.iter().find(|fault| fault.name == name);
    fault.map_or(seconds(MISSED), |fault| fault.blinds)
}

impl Costs {
    /// Whether a failure, as the load words it, is ours.
    pub(super) fn excuse(self, failure: &str) -> bool {
        // `new connection: 404 Not Found …` is an answer.
        let said = failure.split_once(": ").map_or(failure, |(_, said)| said);
        let is_answer = said
            .get(..4)
            .is_some_and(|start| start.ends_with(' ') && start[..3].chars().all(|digit| digit.is_ascii_digit()));
        match self {
            Self::Nothing => false,
            Self::Connections => !is_answer,
            // Where Kubernetes takes nodes for dead, proxies lose addresses, and the proxies' Service loses proxies.
            Self::Endpoints => !is_answer || said.contains("failure to get a peer from the ring-balancer"),
            Self::Network => true,
        }
    }
}

/// A Lease runs out 15 s after its last renewal, and then somebody else takes it within a retry period of 2 s. The observer has
/// noticed nothing for the first 5 s of that; the rest is for machines that are busy.
const WITHOUT_LEADER: u64 = 15;
/// The API server starts again within this, and then the Lease may have run out.
const RESTARTED: u64 = 15 + WITHOUT_LEADER;
/// What the observer itself may miss when it is busy.
const MISSED: u64 = 3;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All of them.
pub(super) const ALL: &[Fault] = &[
    Fault {
        name: "the API server is down",
        lasts: seconds(12),
        costs: Costs::Endpoints,
        blinds: seconds(12 + RESTARTED),
        is_brief: false,
        begin: api_server::down,
    },
    Fault {
        name: "the API server is frozen",
        lasts: seconds(20),
        costs: Costs::Endpoints,
        blinds: seconds(20 + RESTARTED),
        is_brief: false,
        begin: api_server::frozen,
    },
    Fault {
        name: "all watches are cut",
        lasts: seconds(0),
        costs: Costs::Nothing,
        blinds: seconds(RESTARTED),
        is_brief: true,
        begin: api_server::cut_watches,
    },
    Fault {
        name: "the leader is killed",
        lasts: seconds(0),
        costs: Costs::Nothing,
        blinds: seconds(WITHOUT_LEADER),
        is_brief: true,
        begin: controllers::killed,
    },
    Fault {
        name: "the leader is frozen",
        lasts: seconds(20),
        costs: Costs::Nothing,
        blinds: seconds(WITHOUT_LEADER),
        is_brief: false,
        begin: controllers::frozen,
    },
    Fault {
        name: "the leader's node is cut off",
        lasts: seconds(25),
        costs: Costs::Network,
        blinds: seconds(WITHOUT_LEADER),
        is_brief: false,
        begin: controllers::cut_off,
    },
    Fault {
        name: "a proxy hangs",
        lasts: seconds(12),
        costs: Costs::Connections,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: proxies::hangs,
    },
    Fault {
        name: "a proxy hangs beyond a push",
        lasts: seconds(50),
        costs: Costs::Connections,
        blinds: seconds(MISSED),
        is_brief: false,
        begin: proxies::hangs,
    },
    Fault {
        name: "a proxy is killed",
        lasts: seconds(0),
        costs: Costs::Connections,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: proxies::killed,
    },
    Fault {
        name: "all proxies are killed at once",
        lasts: seconds(0),
        costs: Costs::Connections,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: proxies::all_killed,
    },
    Fault {
        name: "proxies come and go",
        lasts: seconds(8),
        costs: Costs::Nothing,
        blinds: seconds(MISSED),
        is_brief: false,
        begin: proxies::come_and_go,
    },
    Fault {
        name: "a proxy's disk is full",
        lasts: seconds(8),
        costs: Costs::Nothing,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: proxies::full_disk,
    },
    Fault {
        name: "an Admin API is half open",
        lasts: seconds(15),
        costs: Costs::Nothing,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: network::half_open,
    },
    Fault {
        name: "an Admin API is reset",
        lasts: seconds(14),
        costs: Costs::Nothing,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: network::reset,
    },
    Fault {
        name: "one packet of a hundred is lost",
        lasts: seconds(20),
        costs: Costs::Nothing,
        blinds: seconds(MISSED),
        is_brief: false,
        begin: network::loss,
    },
    Fault {
        name: "a stranger configures a proxy",
        lasts: seconds(8),
        costs: Costs::Nothing,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: writer::foreign,
    },
    Fault {
        name: "proxies hang at every stage",
        lasts: seconds(16),
        costs: Costs::Nothing,
        blinds: seconds(MISSED),
        is_brief: true,
        begin: stand_ins::hang,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_leads_and_the_api_server_keep_rows_from_being_told() {
        assert_eq!(blinds("12. the leader is killed"), seconds(WITHOUT_LEADER));
        assert_eq!(blinds("1. a proxy is killed"), seconds(MISSED));
        assert_eq!(blinds("calm"), seconds(MISSED));
        // Nothing may be excused by what takes longer than it lasts and is put right.
        for fault in ALL {
            assert!(fault.blinds <= fault.lasts + seconds(RESTARTED), "{}", fault.name);
        }
    }

    #[test]
    fn a_wrong_answer_is_never_a_lost_connection() {
        for (failure, excused) in [
            (
                "new connection: 404 Not Found {\"message\":\"no Route matched\"}",
                false,
            ),
            ("HTTP/2: 503 Service Unavailable", false),
            ("TLS: TLS handshake: tls handshake eof", true),
            ("kept connection: no answer within 10s", true),
            ("WebSocket: it ended without a close frame", true),
        ] {
            assert!(!Costs::Nothing.excuse(failure));
            assert_eq!(Costs::Connections.excuse(failure), excused, "{failure}");
            assert!(Costs::Network.excuse(failure));
            assert_eq!(Costs::Endpoints.excuse(failure), excused, "{failure}");
        }
        assert!(
            Costs::Endpoints
                .excuse("TLS: 503 Service Unavailable {\"message\":\"failure to get a peer from the ring-balancer\"")
        );
    }
}
