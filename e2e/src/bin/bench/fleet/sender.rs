//! The bare client: sends the same bytes to all stub proxies over connections that are kept, or asks them for their status at
//! an interval, and does nothing else. What it needs is the least that a change or a probe can cost on this machine.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tokio_rustls::TlsConnector;

use super::pki;
use crate::{
    process::cpu_seconds,
    table::{milliseconds, percentile},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The directory with the certificates.
    #[arg(long)]
    directory: PathBuf,
    /// The file with the bytes to send.
    #[arg(long)]
    body: PathBuf,
    /// The stubs.
    #[arg(long, required = true, num_args = 1..)]
    to: Vec<SocketAddr>,
    /// How many times.
    #[arg(long)]
    rounds: usize,
}

#[derive(Args)]
pub(crate) struct AskArguments {
    /// The directory with the certificates.
    #[arg(long)]
    directory: PathBuf,
    /// The stubs.
    #[arg(long, required = true, num_args = 1..)]
    to: Vec<SocketAddr>,
    /// Seconds from one question to the next.
    #[arg(long)]
    interval: u64,
    /// For how many seconds.
    #[arg(long)]
    seconds: u64,
}

/// What a round costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// From the first byte to the last answer, the median of all rounds.
    pub(super) milliseconds: f64,
    pub(super) cpu_milliseconds: f64,
}

impl Cost {
    /// As the client prints it.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_str(text).context("the bare client printed no JSON")?;
        let number = |name: &str| value[name].as_f64().with_context(|| format!("no {name}"));
        Ok(Self {
            milliseconds: number("milliseconds")?,
            cpu_milliseconds: number("cpu_milliseconds")?,
        })
    }
}

/// Prints what a round costs, as one line of JSON.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    super::runtime()?.block_on(send(arguments))
}

async fn send(arguments: &Arguments) -> anyhow::Result<()> {
    let body = Bytes::from(fs::read(&arguments.body)?);
    let connector = TlsConnector::from(pki::client_config(&arguments.directory)?);
    let mut connections = Vec::new();
    for address in &arguments.to {
        connections.push(connect(*address, &connector).await?);
    }
    let mut times = Vec::new();
    let mut cpu = 0.0;
    for round in 0..=arguments.rounds {
        let began = Instant::now();
        let mut requests = JoinSet::new();
        for connection in connections.drain(..) {
            requests.spawn(post(connection, body.clone()));
        }
        while let Some(sent) = requests.join_next().await {
            connections.push(sent??);
        }
        // The first round warms up.
        if round == 0 {
            cpu = cpu_seconds(std::process::id())?;
        } else {
            times.push(began.elapsed());
        }
    }
    let cpu = cpu_seconds(std::process::id())? - cpu;
    let cost = json!({
        "milliseconds": milliseconds(percentile(&mut times, 0.5)),
        "cpu_milliseconds": cpu * 1000.0 / arguments.rounds as f64,
    });
    println!("{cost}");
    Ok(())
}

/// Asks each stub in its own rhythm, and prints the CPU seconds that this took, as a line of its own.
pub(crate) fn ask(arguments: &AskArguments) -> anyhow::Result<()> {
    super::runtime()?.block_on(ask_all(arguments))
}

async fn ask_all(arguments: &AskArguments) -> anyhow::Result<()> {
    let connector = TlsConnector::from(pki::client_config(&arguments.directory)?);
    let interval = Duration::from_secs(arguments.interval);
    let count = u32::try_from(arguments.to.len())?;
    let mut tasks = JoinSet::new();
    for (index, address) in (0_u32..).zip(&arguments.to) {
        let mut connection = connect(*address, &connector).await?;
        tasks.spawn(async move {
            // Spread over the interval.
            let mut next = Instant::now() + interval * index / count;
            loop {
                sleep_until(next.into()).await;
                next += interval;
                connection = get_status(connection).await?;
            }
        });
    }
    let failed = async |tasks: &mut JoinSet<anyhow::Result<()>>| match tasks.join_next().await {
        Some(Ok(Err(error))) => error,
        ended => anyhow::anyhow!("a task ended: {ended:?}"),
    };
    // One interval warms up.
    let mut cpu = 0.0;
    for (part, time) in [interval, Duration::from_secs(arguments.seconds)]
        .into_iter()
        .enumerate()
    {
        tokio::select! {
            () = sleep(time) => {}
            error = failed(&mut tasks) => return Err(error),
        }
        let now = cpu_seconds(std::process::id())?;
        cpu = if part == 0 { now } else { now - cpu };
    }
    println!("{cpu}");
    Ok(())
}

async fn get_status(mut connection: SendRequest<Full<Bytes>>) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let request = Request::get("/status")
        .header(header::HOST, pki::SERVER_NAME)
        .body(Full::default())?;
    let answer = connection.send_request(request).await?;
    ensure!(answer.status() == 200, "a stub answered {}", answer.status());
    answer.into_body().collect().await?;
    Ok(connection)
}

async fn connect(address: SocketAddr, connector: &TlsConnector) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = connector
        .connect(ServerName::try_from(pki::SERVER_NAME)?, stream)
        .await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // An error shows in the request.
    tokio::spawn(connection);
    Ok(sender)
}

async fn post(mut connection: SendRequest<Full<Bytes>>, body: Bytes) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let request = Request::post("/config?check_hash=1")
        .header(header::HOST, pki::SERVER_NAME)
        .header(header::CONTENT_TYPE, "application/yaml")
        .body(Full::new(body))?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    ensure!(status == 201 || status == 304, "a stub answered {status}");
    answer.into_body().collect().await?;
    Ok(connection)
}
