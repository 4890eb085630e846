//! HTTP/1.1 as plain as it gets: a test that looks at every answer should hide nothing of it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail, ensure};

/// Limit of one request.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const LONGEST: usize = 1 << 20;

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends one request on a connection of its own.
pub(crate) fn get(address: SocketAddr, host: &str, path: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    read(stream)
}

/// Reads one answer, until the other side ends.
pub(crate) fn read(stream: impl Read) -> anyhow::Result<Answer> {
    let mut answer = Vec::new();
    if let Err(error) = stream.take(LONGEST as u64).read_to_end(&mut answer) {
        // TLS without a last word: whether the answer is whole its form says.
        ensure!(error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty(), error);
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no answer, but {text:?}"))?;
    let mut words = head.split_whitespace();
    let (Some(version), Some(status)) = (words.next(), words.next()) else {
        bail!("no status line: {head:?}")
    };
    if !version.starts_with("HTTP/1.") {
        bail!("not HTTP: {head:?}");
    }
    Ok(Answer {
        status: status.parse()?,
        body: body.to_owned(),
    })
}
