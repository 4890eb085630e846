//! What happens to a fleet. Each fault begins, lasts, and is undone, whatever came of it.

mod api_server;
mod controllers;
mod network;
mod proxies;
mod stand_ins;
mod writer;

use std::time::Duration;

use super::{
    bed::{Bed, Taken},
    random::Random,
};
use crate::load::Lost;

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

/// How a proxy says that it did not reach the application.
const GATEWAY_ERRORS: [&str; 3] = ["502 ", "503 ", "504 "];

/// What requests may fail with, since we took away what would have answered them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Costs {
    Nothing,
    /// Connections with the proxies that were killed or stopped, and no others: they end, or nobody answers. Never a wrong answer.
    Connections,
    /// Addresses, if it comes to that, and once the API server is back, for nobody learns of it before: nodes that could not say for
    /// 12 s that they live are taken for dead by the test bed's Kubernetes, and all their pods for unready. What is open goes on.
    Endpoints,
    /// Whatever goes over a cable that was cut: also what a proxy has sent to the application, of which it tells its client.
    Network,
}

/// For how long nobody may tell how proxies are during what is called so: a number, and the name of a fault.
pub(super) fn blinds(during: &str) -> Duration {
    let name = during.split_once(". ").map_or(during, |(_, name)| name);
    let fault = ALL.iter().find(|fault| fault.name == name);
    fault.map_or(seconds(MISSED), |fault| fault.blinds)
}

impl Costs {
    /// What it costs before the fault is undone.
    pub(super) fn meanwhile(self) -> Self {
        match self {
            Self::Endpoints => Self::Nothing,
            other => other,
        }
    }

    /// Whether a failed request is ours, where this was taken away.
    pub(super) fn excuse(self, lost: &Lost, taken: &Taken) -> bool {
        let failure = lost.what.as_str();
        // `new connection: 404 Not Found …` is an answer.
        let said = failure.split_once(": ").map_or(failure, |(_, said)| said);
        let is_answer = said
            .get(..4)
            .is_some_and(|start| start.ends_with(' ') && start[..3].chars().all(|digit| digit.is_ascii_digit()));
        // One that was not made is not among those that the request went over.
        let is_known = !said.starts_with("connect: ") && lost.over.last().is_some_and(|over| over.led_to.is_some());
        match self {
            Self::Nothing => false,
            // Of one that was refused at once, or forgotten before it was looked up, nobody knows where it led; what a request
            // waited for before that does not matter then.
            Self::Connections => {
                !is_answer && (!is_known || lost.led_to().any(|address| taken.proxies.contains(address)))
            }
            // A connection that is refused has led nowhere. Where Kubernetes takes nodes for dead, proxies lose addresses, and
            // the proxies' Service loses proxies.
            Self::Endpoints => {
                let is_refused = !is_answer && !said.contains("no answer within") && !is_known;
                let has_no_addresses = said.contains("failure to get a peer from the ring-balancer");
                taken.nodes && (is_refused || has_no_addresses)
            }
            Self::Network => !is_answer || GATEWAY_ERRORS.iter().any(|status| said.starts_with(status)),
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
    use std::time::Instant;

    use super::*;
    use crate::load::{Backend, Connection};

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
        let nothing = Taken::default();
        let taken = Taken {
            nodes: true,
            ..Taken::default()
        };
        for (failure, is_lost) in [
            (
                "new connection: 404 Not Found {\"message\":\"no Route matched\"}",
                false,
            ),
            ("HTTP/2: 500 Internal Server Error", false),
            ("TLS: TLS handshake: tls handshake eof", true),
            ("kept connection: no answer within 10s", true),
            ("WebSocket: it ended without a close frame", true),
        ] {
            let lost = Lost::new(failure.to_owned(), Vec::new());
            assert!(!Costs::Nothing.excuse(&lost, &taken));
            assert_eq!(Costs::Connections.excuse(&lost, &taken), is_lost, "{failure}");
            assert_eq!(Costs::Network.excuse(&lost, &taken), is_lost, "{failure}");
            let is_refused = is_lost && !failure.contains("no answer");
            assert_eq!(Costs::Endpoints.excuse(&lost, &taken), is_refused, "{failure}");
            assert!(!Costs::Endpoints.excuse(&lost, &nothing), "{failure}");
        }
        let unreachable = Lost::new("HTTP/2: 504 Gateway Timeout {}".to_owned(), Vec::new());
        assert!(Costs::Network.excuse(&unreachable, &taken));
        assert!(!Costs::Endpoints.excuse(&unreachable, &taken));
        let without_addresses =
            "TLS: 503 Service Unavailable {\"message\":\"failure to get a peer from the ring-balancer\"";
        let without_addresses = Lost::new(without_addresses.to_owned(), Vec::new());
        assert!(Costs::Endpoints.excuse(&without_addresses, &taken));
        assert!(!Costs::Endpoints.excuse(&without_addresses, &nothing));
        assert_eq!(Costs::Endpoints.meanwhile(), Costs::Nothing);
    }

    #[test]
    fn a_connection_to_another_proxy_is_nobodys_to_lose() {
        let taken = Taken {
            proxies: ["10.244.1.3".to_owned()].into(),
            ..Taken::default()
        };
        let lost = |address: &str| {
            let connection = Connection {
                port: 5000,
                is_tls: true,
                made: Instant::now(),
            };
            Lost::new("TLS: no answer within 10s".to_owned(), vec![connection])
                .followed(&[((5000, true), Backend::at(address))].into())
        };
        assert!(Costs::Connections.excuse(&lost("10.244.1.3"), &taken));
        assert!(!Costs::Connections.excuse(&lost("10.244.1.4"), &taken));
        // A shared connection was replaced, and the new one refused.
        let mut refused = lost("10.244.1.4");
        refused.over.extend(lost("10.244.1.5").over);
        refused.over[1].led_to = None;
        assert!(Costs::Connections.excuse(&refused, &taken));
        let mut refused = lost("10.244.1.4");
        refused.what = "HTTP/2: connect: Connection reset by peer (os error 104)".to_owned();
        assert!(Costs::Connections.excuse(&refused, &taken));
    }
}
