//! Flags of Kong Ingress Controller that have no effect here: accepted, so that nobody's deployment breaks, with a
//! warning that says why and what to do.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};

use super::lasting_variable_of;
use crate::cli::{switch::boolean, variable_of};

/// A flag without effect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inert {
    /// Its name, without dashes in front.
    pub(crate) flag: &'static str,
    /// Whether it is on or off; else it takes any value.
    switch: bool,
    /// Why it has no effect, and what to do.
    pub(crate) why: &'static str,
}

const fn switch(flag: &'static str, why: &'static str) -> Inert {
    Inert {
        flag,
        switch: true,
        why,
    }
}

const fn value(flag: &'static str, why: &'static str) -> Inert {
    Inert {
        flag,
        switch: false,
        why,
    }
}

const KONNECT: &str = "silverback does not speak to Konnect; remove it, and give licenses as KongLicense objects";
const DATABASE: &str = "the proxies have no database; remove it";
const AS_THEY_COME: &str = "changes are pushed as they come, 50 ms after the last of them; remove it";
const NO_PROXY_NEEDED: &str =
    "the controller starts with no proxy in reach, and configures each as soon as it answers; remove it";
const BY_REFERENCE: &str =
    "only what objects refer to is read, and credentials and CA certificates by their labels; remove it";

/// All of them, in alphabetical order.
pub(crate) const INERT: &[Inert] = &[
    switch("anonymous-reports", "silverback sends no reports; remove it"),
    value("configmap-label-selector", BY_REFERENCE),
    switch(
        "dump-config",
        "the dashboard always shows the configuration without its secrets, at /api/v1/configuration?full=true; remove it",
    ),
    switch(
        "dump-sensitive-config",
        "secrets are never shown; remove it, and see them with silverback render",
    ),
    switch(
        "enable-reverse-sync",
        "a proxy that was changed by hand is always configured again; remove it",
    ),
    value(
        "gateway-discovery-dns-strategy",
        "proxies are reached by their addresses, as with Kong Ingress Controller since 3.0; remove it",
    ),
    value(
        "init-cache-sync-duration",
        "the first configuration waits until every kind is listed; remove it",
    ),
    value(
        "kong-admin-concurrency",
        "that is for databases; remove it, or give --max-concurrent-pushes",
    ),
    value("kong-admin-filter-tag", DATABASE),
    value("kong-admin-init-retries", NO_PROXY_NEEDED),
    value("kong-admin-init-retry-delay", NO_PROXY_NEEDED),
    value("konnect-address", KONNECT),
    value("konnect-config-sync-concurrency", KONNECT),
    value("konnect-control-plane-id", KONNECT),
    switch("konnect-disable-consumers-sync", KONNECT),
    value("konnect-initial-license-polling-period", KONNECT),
    value("konnect-license-polling-period", KONNECT),
    switch("konnect-license-storage-enabled", KONNECT),
    switch("konnect-licensing-enabled", KONNECT),
    value("konnect-refresh-node-period", KONNECT),
    value("konnect-runtime-group-id", KONNECT),
    switch("konnect-sync-enabled", KONNECT),
    value("konnect-tls-client-cert", KONNECT),
    value("konnect-tls-client-cert-file", KONNECT),
    value("konnect-tls-client-key", KONNECT),
    value("konnect-tls-client-key-file", KONNECT),
    value("konnect-upload-config-period", KONNECT),
    switch(
        "profiling",
        "there is no profiler inside; remove it, and use perf on the process",
    ),
    value("proxy-sync-seconds", AS_THEY_COME),
    value("secret-label-selector", BY_REFERENCE),
    value(
        "sync-period",
        "watches are kept up and never listed anew on a timer; remove it",
    ),
    value(
        "update-status-queue-buffer-size",
        "statuses are written from the latest state, without a queue; remove it, or see --status-qps and --status-burst",
    ),
];

/// Values that are refused since going on without them would do less than what was asked for: flag, value, and why.
pub(crate) const REFUSED: &[(&str, &str, &str)] = &[(
    "skip-ca-certificates",
    "true",
    "that is for workspaces of a database, and the proxies have none; remove it",
)];

/// What is said to a refused value.
pub(crate) fn refusal(flag: &str) -> String {
    let (flag, value, why) = REFUSED
        .iter()
        .find(|(refused, ..)| *refused == flag)
        .expect("only flags of the table are refused");
    format!("--{flag}={value} is refused: {why}")
}

/// The flags without effect that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct InertArguments {
    given: Vec<(&'static Inert, bool)>,
}

impl InertArguments {
    /// One sentence for each, by the name under which it was given.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.given.iter().map(|(inert, by_variable)| {
            let name = if *by_variable {
                variable_of(inert.flag)
            } else {
                format!("--{}", inert.flag)
            };
            format!("{name} has no effect: {}", inert.why)
        })
    }
}

impl Args for InertArguments {
    fn augment_args(command: Command) -> Command {
        command.args(INERT.iter().map(|inert| {
            let argument = Arg::new(inert.flag)
                .long(inert.flag)
                .env(lasting_variable_of(inert.flag))
                .help(inert.why)
                .action(ArgAction::Set)
                // Some are secrets, and none is worth showing.
                .hide_env_values(true)
                .hide(true);
            if inert.switch {
                argument
                    .value_name("BOOL")
                    .value_parser(boolean)
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
            } else {
                argument.value_name("VALUE")
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for InertArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut arguments = Self::default();
        arguments.update_from_arg_matches(matches)?;
        Ok(arguments)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let given = INERT
            .iter()
            .filter_map(|inert| match matches.value_source(inert.flag)? {
                ValueSource::DefaultValue => None,
                source => Some((inert, source == ValueSource::EnvVariable)),
            });
        self.given = given.collect();
        Ok(())
    }
}
