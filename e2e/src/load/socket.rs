//! A WebSocket client, as little of it as the tests need: short text messages and the close frame (RFC 6455).

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A text message in one frame, masked by zeros.
const MESSAGE: &[u8] = b"\x81\x85\0\0\0\0hello";
const ECHO: &[u8] = b"\x81\x05hello";
const CLOSE: u8 = 0x88;
const GOING_AWAY: u16 = 1001;
/// Longest head of an answer.
const LONGEST_HEAD: usize = 8192;

/// An open WebSocket.
pub(super) struct Socket(TcpStream);

impl Socket {
    pub(super) async fn open(mut stream: TcpStream, host: &str) -> anyhow::Result<Self> {
        let head = format!(
            "GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            ensure!(answer.len() < LONGEST_HEAD, "the answer's head does not end");
            answer.push(stream.read_u8().await.context("the answer to the upgrade broke off")?);
        }
        let text = String::from_utf8_lossy(&answer);
        ensure!(
            text.starts_with("HTTP/1.1 101"),
            "{}",
            text.lines().next().unwrap_or_default()
        );
        Ok(Self(stream))
    }

    /// Sends a message and reads it back. False: the server went away in order, with 1001.
    pub(super) async fn echo(&mut self) -> anyhow::Result<bool> {
        // A close may have arrived meanwhile; then writing may fail, and reading says why.
        let written = self.0.write_all(MESSAGE).await;
        let mut header = [0; 2];
        self.0
            .read_exact(&mut header)
            .await
            .context("it ended without a close frame")?;
        let mut payload = vec![0; usize::from(header[1] & 0x7f)];
        self.0
            .read_exact(&mut payload)
            .await
            .context("it ended within a frame")?;
        if header[0] == CLOSE {
            let status = payload.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
            ensure!(status == Some(GOING_AWAY), "it was closed with {status:?}");
            return Ok(false);
        }
        written?;
        if [&header[..], &payload].concat() != ECHO {
            bail!("it echoed {payload:?}");
        }
        Ok(true)
    }
}
