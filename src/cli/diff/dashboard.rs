//! The configuration of a running controller, from its dashboard: without its secrets.

use std::time::Duration;

use proxy_config_schema::Configuration;
use serde::Deserialize;
use serde_json::Value;

use crate::{cli::failure::one_line, translate::Settings};

/// How long the controller may take.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct ShownProfile {
    profile: String,
    configuration: Option<Value>,
}

/// What the controller renders now, for the only profile that it has proxies of, or the one that the flags name.
pub(super) fn configuration(address: &str, settings: &Settings) -> Result<Configuration, String> {
    let url = format!("{}/api/v1/configuration?full=true", address.trim_end_matches('/'));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start: {error}"))?;
    let body = runtime
        .block_on(fetch(&url))
        .map_err(|error| format!("failed to get {url}: {}", one_line(&error)))?;
    let profiles: Vec<ShownProfile> =
        serde_json::from_slice(&body).map_err(|_| format!("{url} is no dashboard of silverback"))?;
    let document = pick(profiles, &settings.profile.to_string()).map_err(|problem| format!("{address}: {problem}"))?;
    Configuration::from_value(document).map_err(|_| format!("{url} showed no configuration"))
}

async fn fetch(url: &str) -> anyhow::Result<Vec<u8>> {
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let mut answer = client.get(url).send().await?.error_for_status()?;
    let limit = proxy_config_schema::Limits::default().bytes;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        anyhow::ensure!(body.len() + chunk.len() <= limit, "more than {limit} bytes");
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn pick(mut profiles: Vec<ShownProfile>, wanted: &str) -> Result<Value, String> {
    let names: Vec<String> = profiles.iter().map(|profile| profile.profile.clone()).collect();
    let at = match names.as_slice() {
        [] => return Err("nothing has been rendered yet".to_owned()),
        [_] => 0,
        several => several.iter().position(|name| name == wanted).ok_or_else(|| {
            format!(
                "there are proxies of several profiles; choose with --router-flavor, --edition and --kong-version: {}",
                several.join(", ")
            )
        })?,
    };
    let chosen = profiles.swap_remove(at).configuration;
    chosen.ok_or_else(|| "it does not show its configuration".to_owned())
}
