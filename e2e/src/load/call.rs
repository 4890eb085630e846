//! A gRPC client, as little of it as the tests need: one call of short messages both ways, over HTTP/2.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    Request, StatusCode,
    body::{Body, Frame, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

/// A message with its header: not compressed, five bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";
/// `UNAVAILABLE`: call again, elsewhere.
const UNAVAILABLE: &str = "14";

/// What is sent, message by message.
struct Messages(mpsc::Receiver<Bytes>);

impl Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let message = self.0.poll_recv(context);
        message.map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}

/// A call that goes on.
pub(super) struct Call {
    messages: mpsc::Sender<Bytes>,
    answers: Incoming,
    /// The connection lasts as long as it.
    _connection: http2::SendRequest<Messages>,
}

impl Call {
    pub(super) async fn open(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
    ) -> anyhow::Result<Self> {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (messages, outgoing) = mpsc::channel(1);
        let request = Request::post(format!("https://{host}/test.Echo/Both"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Messages(outgoing))?;
        let response = sender
            .send_request(request)
            .await
            .context("the call was not answered")?;
        let (parts, answers) = response.into_parts();
        ensure!(parts.status == StatusCode::OK, "{}", parts.status);
        if let Some(status) = parts.headers.get("grpc-status") {
            bail!("the call ended at once with the status {status:?}");
        }
        Ok(Self {
            messages,
            answers,
            _connection: sender,
        })
    }

    /// Sends a message and reads it back. False: the server went away in order, with the status that says so.
    pub(super) async fn echo(&mut self) -> anyhow::Result<bool> {
        // The end may have arrived meanwhile; then nobody takes the message, and reading says why.
        let sent = self.messages.send(Bytes::from_static(MESSAGE)).await;
        let mut answer = BytesMut::new();
        while answer.len() < MESSAGE.len() {
            let frame = self.answers.frame().await.context("the call ended without a status")?;
            match frame.context("the call broke off")?.into_data() {
                Ok(data) => answer.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let status = trailers.get("grpc-status");
                    ensure!(
                        status.is_some_and(|status| status == UNAVAILABLE),
                        "the call ended with the status {status:?}"
                    );
                    return Ok(false);
                }
            }
        }
        sent.context("the connection takes nothing")?;
        ensure!(answer == MESSAGE, "it echoed {answer:?}");
        Ok(true)
    }
}
