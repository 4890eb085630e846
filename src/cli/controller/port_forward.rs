//! A connection to a port of a pod, through the API server: `kubectl port-forward` without kubectl.
//!
//! Speaks the WebSocket form of it (`v4.channel.k8s.io`): binary messages of which the first byte is a channel, 0 for data
//! and 1 for an error. So much of RFC 6455 as a client needs is here: kube's own client of it (its feature `ws`) brings
//! second versions of half a dozen crates, which deny.toml forbids.

use anyhow::{Context, bail, ensure};
use aws_lc_rs::{digest, rand};
use axum::http::{Request, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::Client;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};

const PROTOCOL: &str = "v4.channel.k8s.io";
/// What RFC 6455 has both sides hash with the key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The largest message that is taken; API servers send at most 32 KiB at once.
const MAX_MESSAGE: u64 = 1 << 20;
/// What is on its way in one direction.
const BUFFER: usize = 64 << 10;

const DATA: u8 = 0;
const ERROR: u8 = 1;

const CONTINUATION: u8 = 0x0;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Opens a connection to a port of a pod, loopback included.
///
/// # Errors
/// The API server refuses, or speaks no WebSockets.
pub(super) async fn open(client: &Client, namespace: &str, pod: &str, port: u16) -> anyhow::Result<DuplexStream> {
    let mut key = [0; 16];
    rand::fill(&mut key).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    let key = STANDARD.encode(key);
    let request = Request::get(format!(
        "/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}"
    ))
    .header(header::CONNECTION, "Upgrade")
    .header(header::UPGRADE, "websocket")
    .header(header::SEC_WEBSOCKET_VERSION, "13")
    .header(header::SEC_WEBSOCKET_KEY, &key)
    .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
    .body(kube::client::Body::from(Vec::new()))?;
    let answer = client.send(request).await?;
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::FORBIDDEN => bail!(
            "not allowed to reach pod {namespace}/{pod}: give the account create and get on pods/portforward there, or give \
             --controller URL"
        ),
        status => bail!("the API server answers {status} to a port-forward"),
    }
    let accepted = answer
        .headers()
        .get(header::SEC_WEBSOCKET_ACCEPT)
        .map(|value| value.as_bytes().to_vec());
    ensure!(
        accepted.as_deref() == Some(accept(&key).as_bytes()),
        "the API server speaks no WebSockets"
    );
    let upgraded = hyper::upgrade::on(answer)
        .await
        .context("the connection was not upgraded")?;
    let (ours, theirs) = duplex(BUFFER);
    tokio::spawn(carry(TokioIo::new(upgraded), theirs));
    Ok(ours)
}

fn accept(key: &str) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    STANDARD.encode(hash)
}

/// Carries both directions until one of them ends.
async fn carry(socket: TokioIo<Upgraded>, stream: DuplexStream) {
    let (from_server, to_server) = split(socket);
    let (from_client, to_client) = split(stream);
    let (answers, pings) = tokio::sync::mpsc::channel(4);
    let ended = tokio::select! {
        ended = receive(from_server, to_client, answers) => ended,
        ended = send(to_server, from_client, pings) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!("port-forward: {error:#}");
    }
}

async fn send(
    mut to_server: WriteHalf<TokioIo<Upgraded>>,
    mut from_client: ReadHalf<DuplexStream>,
    mut pings: tokio::sync::mpsc::Receiver<Vec<u8>>,
) -> anyhow::Result<()> {
    let mut data = vec![DATA; 16 << 10];
    loop {
        tokio::select! {
            read = from_client.read(&mut data[1..]) => match read? {
                0 => {
                    write(&mut to_server, CLOSE, &[]).await?;
                    return Ok(());
                }
                count => write(&mut to_server, BINARY, &data[..=count]).await?,
            },
            Some(ping) = pings.recv() => write(&mut to_server, PONG, &ping).await?,
        }
    }
}

/// Writes one message. A client has to mask what it sends, so that nothing on the way takes it for something else.
async fn write(to_server: &mut (impl AsyncWrite + Unpin), kind: u8, payload: &[u8]) -> anyhow::Result<()> {
    let mut mask = [0; 4];
    rand::fill(&mut mask).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    to_server.write_all(&frame).await?;
    to_server.flush().await?;
    Ok(())
}

async fn receive(
    mut from_server: impl AsyncRead + Unpin,
    mut to_client: impl AsyncWrite + Unpin,
    answers: tokio::sync::mpsc::Sender<Vec<u8>>,
) -> anyhow::Result<()> {
    let mut message = Vec::new();
    // The first message of each channel is the port.
    let mut announced = [false; 2];
    loop {
        let (is_last, kind, payload) = read(&mut from_server).await?;
        match kind {
            PING => {
                let _ = answers.try_send(payload);
                continue;
            }
            PONG => continue,
            CLOSE => return Ok(()),
            BINARY | CONTINUATION => message.extend(payload),
            kind => bail!("a message of kind {kind}"),
        }
        ensure!(
            message.len() as u64 <= MAX_MESSAGE,
            "a message of more than {MAX_MESSAGE} bytes"
        );
        if !is_last {
            continue;
        }
        let whole = std::mem::take(&mut message);
        let Some((&channel @ (DATA | ERROR), payload)) = whole.split_first() else {
            bail!("a message of no channel of ours");
        };
        if !std::mem::replace(&mut announced[usize::from(channel)], true) {
            continue;
        }
        if channel == ERROR {
            bail!("the node says: {}", String::from_utf8_lossy(payload).trim());
        }
        to_client.write_all(payload).await?;
    }
}

/// One frame: whether it is the last of its message, its kind, its payload.
async fn read(from_server: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<(bool, u8, Vec<u8>)> {
    let [first, second] = {
        let mut head = [0; 2];
        from_server.read_exact(&mut head).await?;
        head
    };
    ensure!(second & 0x80 == 0, "servers do not mask");
    let length = match second {
        126 => u64::from(from_server.read_u16().await?),
        127 => from_server.read_u64().await?,
        length => u64::from(length),
    };
    ensure!(length <= MAX_MESSAGE, "a message of {length} bytes");
    let mut payload = vec![0; length as usize];
    from_server.read_exact(&mut payload).await?;
    Ok((first & 0x80 != 0, first & 0x0F, payload))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A frame as a server sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(length as u8),
            length => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    #[tokio::test]
    async fn data_comes_through_in_parts_and_pings_are_answered() {
        let large = vec![7; 300];
        let sent = [
            frame(0x82, &[DATA, 0x10, 0x28]),
            frame(0x82, &[ERROR, 0x10, 0x28]),
            frame(0x02, &[DATA, b'a']),
            frame(0x89, b"still there?"),
            frame(0x80, b"b"),
            frame(0x82, &[&[DATA][..], large.as_slice()].concat()),
            frame(0x88, &[]),
        ]
        .concat();
        let (answers, mut pings) = tokio::sync::mpsc::channel(4);
        let mut received = Vec::new();
        receive(&*sent, &mut received, answers).await.unwrap();
        assert_eq!(received, [b"ab".as_slice(), large.as_slice()].concat());
        assert_eq!(pings.recv().await.unwrap(), b"still there?");
    }

    #[tokio::test]
    async fn errors_and_nonsense_end_it() {
        for (sent, says) in [
            (
                [frame(0x82, &[ERROR, 0, 0]), frame(0x82, b"\x01no such port")].concat(),
                "no such port",
            ),
            (frame(0x82, &[9, 0]), "channel"),
            (vec![0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0], "bytes"),
        ] {
            let (answers, _pings) = tokio::sync::mpsc::channel(1);
            let error = receive(&*sent, Vec::<u8>::new(), answers).await.unwrap_err();
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_is_masked() {
        for length in [1, 300, 70_000] {
            let payload = vec![b'x'; length];
            let mut written = Vec::new();
            write(&mut written, BINARY, &payload).await.unwrap();
            assert_eq!(written[0], 0x82);
            let header = written.len() - length;
            let mask = written[header - 4..header].to_vec();
            let unmasked: Vec<u8> = written[header..]
                .iter()
                .zip(mask.iter().cycle())
                .map(|(a, b)| a ^ b)
                .collect();
            assert_eq!(unmasked, payload);
        }
    }

    #[test]
    fn the_answer_to_a_key_is_that_of_the_standard() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
