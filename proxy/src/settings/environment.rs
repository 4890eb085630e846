//! Which variables of the environment look like Kong's and mean nothing here.

use std::collections::HashSet;

use clap::{Args as _, Command};

use super::ProxyArguments;

/// Names of variables that begin with `KONG_` and that no setting reads, sorted.
///
/// Variables that Kubernetes makes for a Service called `kong…` are left out: nobody set them.
pub fn meaningless_variables(environment: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let command = ProxyArguments::augment_args(Command::new("proxy"));
    let known: HashSet<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
        .collect();
    let mut names: Vec<String> = environment
        .filter(|(name, value)| name.starts_with("KONG_") && !known.contains(name) && !is_service_link(name, value))
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    names
}

/// `KONG_PROXY_SERVICE_HOST`, `KONG_PROXY_SERVICE_PORT_HTTP`, `KONG_PROXY_PORT=tcp://…`, `KONG_PROXY_PORT_80_TCP_ADDR`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_port = |name: &str| {
        name.split_once("_PORT_").is_some_and(|(_, rest)| {
            let mut parts = rest.split('_');
            parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
                && parts
                    .next()
                    .is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
        })
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || is_port(name)
        || (name.ends_with("_PORT") && value.contains("://"))
}
