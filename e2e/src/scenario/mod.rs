//! The scenarios, in order. Each begins and ends with the state that the installation left.

mod bad_input;
mod bad_proxies;
mod certificates;
mod chaos;
mod conditions;
mod crds;
mod disaster;
mod fleet;
mod foreign_writer;
mod gateway;
mod idle;
mod install;
mod leadership;
mod node;
mod pause;
mod policies;
mod readiness_gate;
pub(crate) mod release;
mod source;
mod strangers;
mod takeover;
mod told;
mod upgrade;
mod verbs;
mod webhook;

use crate::{Arguments, cluster::Cluster};

pub(crate) use bad_proxies::pod as bad_proxy;
pub(crate) use release::clean_up;

/// One story.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What a user does and sees.
    pub(crate) story: &'static str,
    /// Without it no other can run.
    pub(crate) first: bool,
    /// Whether it runs only when it is named: it takes longer than all others together.
    pub(crate) by_name_only: bool,
    pub(crate) run: fn(&Cluster, &Arguments) -> anyhow::Result<()>,
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "install",
        story: "helm install brings up two controllers, one of them leader, and proxies that serve",
        first: true,
        by_name_only: false,
        run: install::run,
    },
    Scenario {
        name: "idle",
        story: "for a minute in which nothing happens, the API server is asked for nothing but the Lease",
        first: false,
        by_name_only: false,
        run: idle::run,
    },
    // Before `rotation`: minutes later, when the old authorities are forgotten, all proxies are looked at once more.
    Scenario {
        name: "chaos-can-fail",
        story: "with probes an hour apart nobody notices a foreign configuration, and the observer says so",
        first: false,
        by_name_only: false,
        run: chaos::can_fail,
    },
    // Long before `identities`: the next replacement waits until the old authorities are forgotten.
    Scenario {
        name: "rotation",
        story: "both authorities are replaced: no proxy is untrusted for a moment, nothing is restarted, no request is lost",
        first: false,
        by_name_only: false,
        run: certificates::rotation,
    },
    Scenario {
        name: "scale",
        story: "new pods are Ready only with the configuration; pods that go take their rows along; no request is lost",
        first: false,
        by_name_only: false,
        run: fleet::scale,
    },
    Scenario {
        name: "delete",
        story: "a deleted Ingress is gone from all proxies, and its status tells the address while it is there",
        first: false,
        by_name_only: false,
        run: fleet::delete,
    },
    Scenario {
        name: "restart",
        story: "a proxy whose container restarts is Ready with the configuration that it had, also without any controller",
        first: false,
        by_name_only: false,
        run: fleet::restart,
    },
    Scenario {
        name: "readiness-gate",
        story: "with proxy.readinessGate a proxy gets requests only once the controller has confirmed its configuration, whatever its own \
                probe says; no request is lost",
        first: false,
        by_name_only: false,
        run: readiness_gate::run,
    },
    Scenario {
        name: "leader",
        story: "when the leader goes, the other controller takes over, sends nothing to proxies that are in sync, and changes go on",
        first: false,
        by_name_only: false,
        run: takeover::run,
    },
    Scenario {
        name: "leader-faults",
        story: "the leader is asked to end, killed, stopped, cut off: the other takes over, and nothing older comes after \
                something newer; what a deposed leader has sent to a Kong is put right within one probe; one that reaches no proxy makes room",
        first: false,
        by_name_only: true,
        run: leadership::faults,
    },
    Scenario {
        name: "no-api-server",
        story: "the API server hangs, and a proxy that restarts without its disk gets its configuration back",
        first: false,
        by_name_only: false,
        run: leadership::without_api_server,
    },
    Scenario {
        name: "no-api-server-long",
        story: "the same for five minutes",
        first: false,
        by_name_only: true,
        run: leadership::long_without_api_server,
    },
    Scenario {
        name: "node",
        story: "a node loses its network: its proxy's row says so, changes go live on the others, and it comes back in sync",
        first: false,
        by_name_only: false,
        run: node::run,
    },
    Scenario {
        name: "bad-proxies",
        story: "proxies that are broken in every way: each row says how, and changes go live on the good ones",
        first: false,
        by_name_only: false,
        run: bad_proxies::run,
    },
    Scenario {
        name: "chaos",
        story: "one fault after another under load and changes: an observer of its own finds no row that is wrong for long, and \
                no request is lost but those of proxies that were killed",
        first: false,
        by_name_only: false,
        run: chaos::short,
    },
    Scenario {
        name: "chaos-long",
        story: "all faults, again and again",
        first: false,
        by_name_only: true,
        run: chaos::long,
    },
    Scenario {
        name: "mistakes",
        story: "mistakes are told with field and remedy in events, in the log, on the dashboard and in rows; an unrelated change made afterwards goes live",
        first: false,
        by_name_only: false,
        run: bad_input::mistakes,
    },
    Scenario {
        name: "webhook",
        story: "bad objects are denied with the reason and good ones pass; unrelated Secrets are none of its business; without a controller everything is admitted",
        first: false,
        by_name_only: false,
        run: webhook::run,
    },
    Scenario {
        name: "conditions",
        story: "statuses of Kong's objects say what became of them; what others say there stays",
        first: false,
        by_name_only: false,
        run: conditions::run,
    },
    Scenario {
        name: "gateway",
        story: "objects of the Gateway API are served, and their statuses say what became of them; what others say there stays",
        first: false,
        by_name_only: false,
        run: gateway::run,
    },
    Scenario {
        name: "crds",
        story: "definitions of Kong's kinds go over those of Kong Ingress Controller and back: no object loses a field",
        first: false,
        by_name_only: false,
        run: crds::run,
    },
    Scenario {
        name: "verbs",
        story: "what users run by hand: definitions are applied once, preflight tells what is in the way, wait returns when a changed annotation or Secret is everywhere, one proxy's configuration and how it differs, a bundle, all without the key that a consumer uses",
        first: false,
        by_name_only: false,
        run: verbs::run,
    },
    Scenario {
        name: "policies",
        story: "with NetworkPolicies enforced, the Admin API is for the controllers alone, and all else goes on",
        first: false,
        by_name_only: false,
        run: policies::run,
    },
    Scenario {
        name: "many",
        story: "a namespace of 500 objects comes and goes",
        first: false,
        by_name_only: false,
        run: bad_input::many,
    },
    Scenario {
        name: "admin-service",
        story: "the Admin Service loses its endpoints, is deleted and made again, and leaves out pods that are not ready",
        first: false,
        by_name_only: false,
        run: source::admin_service,
    },
    Scenario {
        name: "foreign-writer",
        story: "somebody else configures a proxy three times: it is repaired, and then told in its row and by an event",
        first: false,
        by_name_only: false,
        run: foreign_writer::run,
    },
    Scenario {
        name: "pause",
        story: "a paused fleet keeps what it runs, but for proxies without configuration; traffic goes on",
        first: false,
        by_name_only: false,
        run: pause::run,
    },
    Scenario {
        name: "forbidden",
        story: "a kind is forbidden: nothing is sent, a newcomer gets the last accepted configuration, traffic goes on",
        first: false,
        by_name_only: false,
        run: source::forbidden,
    },
    Scenario {
        name: "fail-closed",
        story: "a plugin that is missing or can't work closes its route; a CRD that is deleted takes nothing with it",
        first: false,
        by_name_only: false,
        run: source::fail_closed,
    },
    Scenario {
        name: "disaster",
        story: "all controllers and proxies go at once while the cluster holds what proxies refuse: they come back with what was \
                accepted last, and all else as it is now",
        first: false,
        by_name_only: false,
        run: disaster::run,
    },
    Scenario {
        name: "identities",
        story: "proxies get certificates in their pods' names, whose keys never leave them; others get none; these certificates \
                and the authorities are replaced in place; and back",
        first: false,
        by_name_only: false,
        run: certificates::identities,
    },
    Scenario {
        name: "upgrade",
        story: "a release of the kong chart becomes one controller for all, goes back and forth, and no request is lost",
        first: false,
        by_name_only: false,
        run: upgrade::short,
    },
    Scenario {
        name: "upgrade-can-fail",
        story: "without readiness, and without a drain, the same load sees failures",
        first: false,
        by_name_only: false,
        run: upgrade::can_fail,
    },
    Scenario {
        name: "upgrade-long",
        story: "everything that happens to a release in its life, and no request is lost",
        first: false,
        by_name_only: true,
        run: upgrade::long,
    },
    Scenario {
        name: "upgrade-helm4",
        story: "the same by Helm 4, from a release with names, ports and a strategy of its own",
        first: false,
        by_name_only: true,
        run: upgrade::by_helm4,
    },
    Scenario {
        name: "upgrade-sidecar",
        story: "our own sidecar mode becomes one controller for all, and goes back and forth",
        first: false,
        by_name_only: true,
        run: upgrade::from_sidecar,
    },
    Scenario {
        name: "upgrade-ingress",
        story: "the ingress chart's one controller is replaced, and goes back and forth; one alone pushes and writes statuses",
        first: false,
        by_name_only: true,
        run: upgrade::from_ingress,
    },
    Scenario {
        name: "upgrade-values",
        story: "a release of the kong chart with what larger users set, there and back",
        first: false,
        by_name_only: true,
        run: upgrade::grown,
    },
    Scenario {
        name: "upgrade-edited",
        story: "a release that was scaled and edited by hand, upgraded and rolled back by Helm 3 and by Helm 4",
        first: false,
        by_name_only: true,
        run: upgrade::edited,
    },
    Scenario {
        name: "upgrade-refused",
        story: "upgrades that can't be meant or done fail before anything has changed, with a remedy, and the old state serves on",
        first: false,
        by_name_only: true,
        run: upgrade::refused,
    },
];
