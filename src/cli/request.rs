//! `silverback request`: asks until the answer is the expected one. The chart's `helm test` sends a request through with it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Client, Url, header::HOST, redirect::Policy};

use super::{failure::one_line, value::positive_duration};

/// Limit of one request.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two.
const PAUSE: Duration = Duration::from_millis(500);

/// Flags of `silverback request`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 the status was answered, 1 it was not in time, 2 usage.")]
pub(super) struct RequestArguments {
    /// What to ask, such as http://gateway-kong-proxy.gateway.svc/
    url: Url,
    /// Host header, where it is not the URL's host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Status that is expected
    #[arg(long, value_name = "CODE", default_value_t = 200)]
    status: u16,
    /// How long to go on asking
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = positive_duration)]
    timeout: Duration,
}

/// Carries the verb out.
pub(super) async fn run(arguments: RequestArguments) -> anyhow::Result<()> {
    let client = Client::builder()
        .timeout(LIMIT)
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .context("failed to make a client")?;
    let began = Instant::now();
    loop {
        let mut request = client.get(arguments.url.clone());
        if let Some(host) = &arguments.host {
            request = request.header(HOST, host);
        }
        let outcome = match request.send().await {
            Ok(answer) if answer.status() == arguments.status => {
                println!(
                    "{} from {} after {:.1} s",
                    answer.status(),
                    arguments.url,
                    began.elapsed().as_secs_f64()
                );
                return Ok(());
            }
            Ok(answer) => format!("it answers {}", answer.status()),
            Err(error) => one_line(&error.into()),
        };
        if began.elapsed() + PAUSE > arguments.timeout {
            bail!(
                "{} did not answer {} within {:?}: {outcome}",
                arguments.url,
                arguments.status,
                arguments.timeout
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}
