//! A client's byte stream: what was read ahead comes first, and a client that takes nothing is given up.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's stream with what was read ahead, and a bound on how long a write may stall.
///
/// Reads are bounded elsewhere: headers by hyper's header timeout, bodies where they are read.
pub(super) struct ClientStream<S> {
    inner: S,
    ahead: Bytes,
    stall_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    pub(super) fn new(inner: S, stall_timeout: Duration) -> Self {
        Self {
            inner,
            ahead: Bytes::new(),
            stall_timeout,
            stalled: None,
        }
    }

    /// Reads until it is clear whether the client speaks HTTP/2 by prior knowledge. What was read is kept.
    ///
    /// The caller bounds the time: a client may send a few bytes and fall silent.
    pub(super) async fn speaks_http2(&mut self) -> io::Result<bool> {
        let mut buffer = [0; PREFACE.len()];
        let mut length = 0;
        while length < PREFACE.len() {
            let read = self.inner.read(&mut buffer[length..]).await?;
            length += read;
            if read == 0 || buffer[..length] != PREFACE[..length] {
                break;
            }
        }
        self.ahead = Bytes::copy_from_slice(&buffer[..length]);
        Ok(length == PREFACE.len() && buffer == PREFACE)
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let timeout = self.stall_timeout;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + timeout)));
        timer
            .as_mut()
            .poll(context)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no data")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.has_remaining() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(context, data);
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn keeps_what_it_read_to_tell_the_protocol() {
        let (mut client, server) = duplex(1024);
        client.write_all(b"PUT / HTTP/1.1\r\n\r\n").await.expect("write");
        drop(client);
        let mut stream = ClientStream::new(server, Duration::from_secs(1));
        assert!(!stream.speaks_http2().await.expect("read"));
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        assert_eq!(text, "PUT / HTTP/1.1\r\n\r\n");
    }

    #[tokio::test]
    async fn knows_the_preface_when_it_comes_in_pieces() {
        let (mut client, server) = duplex(1024);
        let mut stream = ClientStream::new(server, Duration::from_secs(1));
        let writer = async {
            for piece in PREFACE.chunks(5) {
                client.write_all(piece).await.expect("write");
                tokio::task::yield_now().await;
            }
        };
        let (http2, ()) = tokio::join!(stream.speaks_http2(), writer);
        assert!(http2.expect("read"));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_a_client_that_takes_nothing() {
        let (_client, server) = duplex(16);
        let mut stream = ClientStream::new(server, Duration::from_secs(60));
        let error = stream.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
