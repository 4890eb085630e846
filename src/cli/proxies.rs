//! `silverback proxies`: single proxies, as the controller sees them.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use proxy_config_schema::Configuration;
use serde::Deserialize;
use serde_json::Value;

use super::{
    cluster::ClusterArguments,
    controller::ControllerArguments,
    offline::{PROBLEMS, usage_error},
    run::block_on,
};
use crate::diff;

/// Flags of `silverback proxies`.
#[derive(Debug, Args)]
pub(super) struct ProxiesArguments {
    #[command(subcommand)]
    verb: ProxiesVerb,
}

#[derive(Debug, Subcommand)]
enum ProxiesVerb {
    /// Print what one proxy runs, without secrets, or how that differs from what it shall run
    Config(ConfigArguments),
}

/// Flags of `silverback proxies config`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A proxy whose hash is that of what it shall run is not asked: that is what it runs. Any other is asked (GET /config), through
the controller, which alone holds the certificate for it. Secrets are not shown; of settings of plugins that differ it is only
said that they do. Kong fills in default settings of plugins: fields that it alone sets are counted, --output shows them.

Needs list on pods and create on pods/portforward in the controller's namespace, list on proxyfleets; or --controller URL.
Exit code: 0 printed, and the same; 1 it differs (with --diff), or failed; 2 usage.

Examples:
  silverback proxies config shop-kong-7c9f-2xkqp --diff
  silverback proxies config shop-kong-7c9f-2xkqp --output json | jq .services[].name")]
struct ConfigArguments {
    /// The proxy: name of its ProxyInstance and Pod
    #[arg(value_name = "NAME")]
    name: String,
    /// Its namespace; needed only where two have the same name
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Print how it differs from what it shall run
    #[arg(long)]
    diff: bool,
    /// How the configuration is printed
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "yaml")]
    output: Format,
    #[command(flatten)]
    controller: ControllerArguments,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// `--output`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Yaml,
    /// For programs.
    Json,
}

/// What the controller says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    reason: String,
    configuration: Value,
    desired: Option<Value>,
    desired_hash: Option<String>,
}

/// Carries the verb out.
pub(super) fn run(arguments: ProxiesArguments) -> ExitCode {
    let ProxiesVerb::Config(arguments) = arguments.verb;
    let is_name = |text: &str| {
        text.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-.:[]".contains(letter))
    };
    if !is_name(&arguments.name) || !arguments.namespace.as_deref().is_none_or(is_name) {
        return usage_error(
            "proxies config",
            "that is no name of a proxy; kubectl get proxyinstances -A lists them",
        );
    }
    let mut differs = false;
    let outcome = block_on(async {
        let told = told(&arguments).await?;
        let text = match arguments.diff {
            true => {
                let (text, is_other) = differences(&arguments.name, told)?;
                differs = is_other;
                text
            }
            false => match arguments.output {
                Format::Yaml => serde_saphyr::to_string(&told.configuration)?,
                Format::Json => serde_json::to_string(&told.configuration)? + "\n",
            },
        };
        // A reader that has seen enough is no mistake of ours.
        let _ = io::stdout().lock().write_all(text.as_bytes());
        Ok(())
    });
    if differs { ExitCode::from(PROBLEMS) } else { outcome }
}

async fn told(arguments: &ConfigArguments) -> anyhow::Result<Told> {
    let client = match arguments.controller.is_given() {
        true => None,
        false => Some(arguments.cluster.client().await?),
    };
    let mut controller = arguments.controller.find(client.as_ref()).await?;
    let mut path = format!("/api/v1/proxies/{}/configuration", arguments.name);
    if let Some(namespace) = &arguments.namespace {
        path = format!("{path}?namespace={namespace}");
    }
    let body = controller.get(&path).await?;
    let place = controller.place();
    serde_json::from_slice(&body).with_context(|| format!("{place} is of another version, or no silverback"))
}

fn differences(name: &str, told: Told) -> anyhow::Result<(String, bool)> {
    let Some(mut desired) = told.desired else {
        return Ok(match told.desired_hash {
            Some(hash) if told.reason == "Synced" => (format!("{name} runs what it shall: {hash}\n"), false),
            _ => (
                format!("what {name} shall run is not at hand ({})\n", told.reason),
                true,
            ),
        });
    };
    let read =
        |document: Value| Configuration::from_value(document).map_err(|_| anyhow::anyhow!("it is no configuration"));
    let mut runs = told.configuration;
    diff::without_additions(&mut runs, &mut desired);
    let (runs, desired) = (read(runs)?, read(desired)?);
    let mut changes = diff::diff(&runs, &desired, &std::collections::BTreeSet::new());
    let filled_in = changes.forget_filled_in();
    let head = format!(
        "{name} does not run what it shall ({}); from what it runs to what it shall run:\n",
        told.reason
    );
    let is_empty = changes.is_empty();
    let rest = if is_empty {
        "nothing that is shown differs: secrets, or order\n".to_owned()
    } else {
        changes.to_string()
    };
    let more = match filled_in {
        0 => String::new(),
        count => {
            format!("{count} fields are set by the proxy alone: default values, unless somebody else wrote them\n")
        }
    };
    Ok((head + &rest + &more, true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::render;

    /// A Kong 3.9.3 was sent this, and told that: with default values, times, identifiers (random ones where it was given
    /// none), and references by them.
    #[test]
    fn what_kong_fills_in_is_no_difference() {
        let recorded: Value = serde_json::from_str(include_str!("proxies/kong-3.9.3-config.json")).unwrap();
        let sent = Configuration::from_value(recorded["sent"].clone()).unwrap();
        let rendered = |configuration: &Configuration| {
            let bytes = configuration.to_bytes();
            render::Rendered {
                hash: proxy_config_schema::ConfigHash::of(&bytes),
                bytes,
                confidential: std::sync::Arc::default(),
            }
        };
        let told = |desired: &Configuration| {
            let answer = serde_json::json!({ "config": recorded["told"] }).to_string();
            let desired = rendered(desired);
            Told {
                reason: "Drifted".to_owned(),
                configuration: render::told(answer.as_bytes(), Some(&desired)).unwrap(),
                desired: Some(render::redacted(&desired)),
                desired_hash: None,
            }
        };
        let (text, _) = differences("kong-1", told(&sent)).unwrap();
        assert!(text.contains("nothing that is shown differs"), "{text}");
        assert!(text.contains("fields are set by the proxy alone"), "{text}");
        // What does differ is not lost among it.
        let mut other = sent;
        let mut services = other.services.iter_mut();
        let service = services.find(|service| service.name.as_deref() == Some("echo"));
        std::sync::Arc::make_mut(service.unwrap()).port = Some(9999);
        let (text, _) = differences("kong-1", told(&other)).unwrap();
        assert!(text.contains("9000") && text.contains("9999"), "{text}");
        assert!(text.lines().count() < 10, "{text}");
    }

    fn of(host: &str) -> Value {
        json!({ "_format_version": "3.0", "services": [{ "name": "web", "host": host }] })
    }

    #[test]
    fn differences_go_from_what_it_runs_to_what_it_shall_run() {
        let told = |desired: Option<Value>, reason: &str| Told {
            reason: reason.to_owned(),
            configuration: of("old"),
            desired,
            desired_hash: Some("9f2c".to_owned()),
        };
        let (text, differs) = differences("kong-1", told(Some(of("new")), "Drifted")).unwrap();
        assert!(
            differs && text.contains("Drifted") && text.contains("old") && text.contains("new"),
            "{text}"
        );
        let (text, differs) = differences("kong-1", told(None, "Synced")).unwrap();
        assert!(!differs && text.contains("runs what it shall: 9f2c"), "{text}");
        let (_, differs) = differences("kong-1", told(None, "Pending")).unwrap();
        assert!(differs);
    }

    #[test]
    fn what_a_proxy_adds_is_no_difference() {
        let id = "24b7278c-bf6b-539d-bd6b-7c83220ed5b6";
        let given = json!({
            "_format_version": "3.0",
            "services": [{
                "id": id, "name": "web", "host": "web.80", "port": 80, "retries": 5, "protocol": "http",
                "routes": [{ "id": "6ad4a5c2-5d6c-5c1e-8c5f-3a6f0f0d2f11", "name": "web", "paths": ["/"], "strip_path": false }],
            }],
            "upstreams": [{ "name": "web.80", "algorithm": "round-robin", "targets": [{ "target": "10.0.0.1:80" }] }],
        });
        let runs = |path: &str| {
            json!({
                "_format_version": "3.0",
                "routes": [{
                    "id": "6ad4a5c2-5d6c-5c1e-8c5f-3a6f0f0d2f11", "name": "web", "paths": [path], "strip_path": false,
                    "service": id, "created_at": 1, "updated_at": 1, "preserve_host": false, "methods": null,
                    "protocols": ["http", "https"],
                }],
                "services": [{
                    "id": id, "name": "web", "host": "web.80", "port": 80, "retries": 5, "protocol": "http",
                    "connect_timeout": 60000, "created_at": 1, "updated_at": 1,
                }],
                "targets": [{
                    "id": "11111111-2222-4333-8444-555555555555", "target": "10.0.0.1:80", "weight": 100,
                    "upstream": "99999999-2222-4333-8444-555555555555", "created_at": 1.5,
                }],
                "upstreams": [{ "id": "99999999-2222-4333-8444-555555555555", "name": "web.80", "slots": 10000, "created_at": 1 }],
            })
        };
        let told = |path: &str| Told {
            reason: "Pending".to_owned(),
            configuration: runs(path),
            desired: Some(given.clone()),
            desired_hash: None,
        };
        let (text, _) = differences("kong-1", told("/")).unwrap();
        assert!(text.contains("nothing that is shown differs"), "{text}");
        let (text, _) = differences("kong-1", told("/old")).unwrap();
        assert!(text.contains("/old") && text.contains("route web"), "{text}");
        assert!(text.contains("0 added, 1 changed, 0 removed"), "{text}");
    }
}
