//! `--enable-controller-*`: kinds that can be left unread.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::{switch::boolean, variable_of};
use crate::{manifest::Manifests, model::Kind};

const KINDS: &str = "Kinds that are read";

const CONFIGURATION: &str = "configuration.konghq.com";
const INCUBATOR: &str = "incubator.ingress-controller.konghq.com";
const NETWORKING: &str = "networking.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// A switch and the kinds that it leaves unread when off.
struct KindSwitch {
    flag: &'static str,
    group: &'static str,
    kinds: &'static [&'static str],
    help: &'static str,
}

macro_rules! switches {
    ($($flag:literal: $group:ident $($kind:literal),+;)*) => {
        &[$(KindSwitch {
            flag: concat!("enable-controller-", $flag),
            group: $group,
            kinds: &[$($kind),+],
            help: concat!("Read objects of kind ", switches!(@names $($kind),+)),
        }),*]
    };
    (@names $one:literal) => { $one };
    (@names $one:literal, $other:literal) => { concat!($one, " and ", $other) };
}

const CORE: &str = "";

const SWITCHES: &[KindSwitch] = switches! {
    "ingress-networkingv1": NETWORKING "Ingress";
    "ingress-class-networkingv1": NETWORKING "IngressClass";
    "ingress-class-parameters": CONFIGURATION "IngressClassParameters";
    "service": CORE "Service";
    "kongplugin": CONFIGURATION "KongPlugin";
    "kongclusterplugin": CONFIGURATION "KongClusterPlugin";
    "kongconsumer": CONFIGURATION "KongConsumer", "KongConsumerGroup";
    "kong-upstream-policy": CONFIGURATION "KongUpstreamPolicy";
    "kong-vault": CONFIGURATION "KongVault";
    "kong-license": CONFIGURATION "KongLicense";
    "kong-custom-entity": CONFIGURATION "KongCustomEntity";
    "kong-service-facade": INCUBATOR "KongServiceFacade";
    "kongingress": CONFIGURATION "KongIngress";
    "tcpingress": CONFIGURATION "TCPIngress";
    "udpingress": CONFIGURATION "UDPIngress";
    "gwapi-gateway": GATEWAY "Gateway", "GatewayClass";
    "gwapi-httproute": GATEWAY "HTTPRoute";
    "gwapi-grpcroute": GATEWAY "GRPCRoute";
    "gwapi-reference-grant": GATEWAY "ReferenceGrant";
};

/// Their names.
#[cfg(all(test, feature = "controller"))]
pub(super) fn flags() -> impl Iterator<Item = &'static str> {
    SWITCHES.iter().map(|switch| switch.flag)
}

/// Their variables: clap keeps names for as long as the process lives.
static VARIABLES: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    SWITCHES
        .iter()
        .map(|switch| (switch.flag, variable_of(switch.flag)))
        .collect()
});

/// What the switches come to.
#[derive(Debug, Clone, Default)]
pub(crate) struct KindArguments {
    /// Kinds that are not read.
    pub(crate) unread: BTreeSet<Kind>,
}

impl KindArguments {
    /// Leaves out of manifests what is not read, and what is wrong with it.
    pub(super) fn leave_out(&self, manifests: &mut Manifests) {
        if self.unread.is_empty() {
            return;
        }
        manifests.objects.retain(|object| !self.unread.contains(&object.kind()));
        manifests.problems.retain(|problem| {
            let kind = Kind::find(&problem.object.group, &problem.object.kind);
            !kind.is_some_and(|kind| self.unread.contains(&kind))
        });
    }
}

impl Args for KindArguments {
    fn augment_args(command: Command) -> Command {
        command.args(SWITCHES.iter().map(|switch| {
            Arg::new(switch.flag)
                .long(switch.flag)
                .env(VARIABLES[switch.flag].as_str())
                .help(switch.help)
                .help_heading(KINDS)
                .value_name("BOOL")
                .value_parser(boolean)
                .default_value("true")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .action(ArgAction::Set)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for KindArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut arguments = Self::default();
        arguments.update_from_arg_matches(matches)?;
        Ok(arguments)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let off = SWITCHES
            .iter()
            .filter(|switch| matches.get_one::<bool>(switch.flag) == Some(&false));
        let kinds = off.flat_map(|switch| switch.kinds.iter().filter_map(|kind| Kind::find(switch.group, kind)));
        self.unread = kinds.collect();
        Ok(())
    }
}
