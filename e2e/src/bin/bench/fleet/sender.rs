//! The bare client: sends the same bytes to all stub proxies over connections that are kept, and does nothing else. What
//! it needs is the least that a change can cost on this machine.

use std::{fs, net::SocketAddr, path::PathBuf, time::Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};
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
