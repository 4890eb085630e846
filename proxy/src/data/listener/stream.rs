//! A client's byte stream: what was read ahead comes first, a client that takes nothing is given up, and one that says nothing
//! is parted from without losing what it may just have sent.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_rustls::server::TlsStream;

use crate::data::drain::Parting;

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long what a client sends is read, and thrown away, after it was parted from: a connection that is closed over
/// unread bytes is reset, which looks like a crash (RFC 9112, section 9.6).
const LAST_WORDS: Duration = Duration::from_secs(1);
/// And how much.
const MOST_LAST_WORDS: usize = 64 * 1024;

/// A stream of which can be said whether something has arrived that nobody has read.
pub(super) trait Arrivals {
    /// Asks the operating system: what the runtime knows may be behind on a busy machine.
    fn have_come(&self) -> bool;
}

impl Arrivals for TcpStream {
    fn have_come(&self) -> bool {
        SockRef::from(self)
            .peek(&mut [MaybeUninit::uninit()])
            .is_ok_and(|length| length > 0)
    }
}

impl Arrivals for TlsStream<TcpStream> {
    fn have_come(&self) -> bool {
        self.get_ref().0.have_come()
    }
}

/// A client's stream with what was read ahead, and a bound on how long a write may stall.
///
/// Reads are bounded elsewhere: headers by hyper's header timeout, bodies where they are read.
pub(super) struct ClientStream<S> {
    inner: S,
    ahead: Bytes,
    stall_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    parting: Option<Arc<Parting>>,
    /// Since it was parted from: until when its last words are read, and how many there were.
    parted: Option<(Pin<Box<Sleep>>, usize)>,
    shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    pub(super) fn new(inner: S, stall_timeout: Duration) -> Self {
        Self {
            inner,
            ahead: Bytes::new(),
            stall_timeout,
            stalled: None,
            parting: None,
            parted: None,
            shut: false,
        }
    }

    /// It ends as if the client had, once it is asked to and nothing has arrived.
    pub(super) fn parting(self, parting: Arc<Parting>) -> Self {
        Self {
            parting: Some(parting),
            ..self
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

    /// Whether something has arrived that was not read.
    pub(super) fn has_arrivals(&self) -> bool
    where
        S: Arrivals,
    {
        self.inner.have_come()
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

impl<S: AsyncRead + Unpin> ClientStream<S> {
    /// Reads what a client still sends after the end, until it ends as well, for a while.
    fn poll_last_words(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((timer, length)) = &mut self.parted else {
            return Poll::Ready(Ok(()));
        };
        let mut words = [MaybeUninit::uninit(); 1024];
        while *length < MOST_LAST_WORDS && timer.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::uninit(&mut words);
            let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            *length += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Arrivals + Unpin> AsyncRead for ClientStream<S> {
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
        let outcome = Pin::new(&mut self.inner).poll_read(context, buffer);
        let Some(parting) = &self.parting else { return outcome };
        if outcome.is_ready() {
            parting.take_back();
        } else if parting.is_asked(context) && self.stalled.is_none() {
            if self.inner.have_come() {
                // The runtime will say so, too, and then it is read.
                parting.take_back();
            } else {
                self.parted = Some((Box::pin(tokio::time::sleep(LAST_WORDS)), 0));
                return Poll::Ready(Ok(()));
            }
        }
        outcome
    }
}

impl<S: AsyncRead + AsyncWrite + Arrivals + Unpin> AsyncWrite for ClientStream<S> {
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
        if !self.shut {
            let outcome = Pin::new(&mut self.inner).poll_shutdown(context);
            ready!(self.watch(context, outcome))?;
            self.shut = true;
        }
        self.poll_last_words(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    impl Arrivals for tokio::io::DuplexStream {
        fn have_come(&self) -> bool {
            false
        }
    }

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

    #[tokio::test]
    async fn parts_from_a_silent_client_and_not_from_one_that_has_sent_something() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (server, _)) = (client.expect("connected"), accepted.expect("accepted"));
        let parting = Arc::new(Parting::default());
        let mut stream = ClientStream::new(server, Duration::from_secs(1)).parting(Arc::clone(&parting));

        // The runtime believes that nothing has arrived: it has looked before, and not since.
        let mut byte = [0];
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut buffer = ReadBuf::new(&mut byte);
        assert!(Pin::new(&mut stream).poll_read(&mut context, &mut buffer).is_pending());
        let std_client = client.into_std().expect("a socket");
        std::io::Write::write_all(&mut &std_client, b"x").expect("sent");
        parting.ask();
        assert!(stream.inner.have_come(), "loopback delivers at once");
        assert!(Pin::new(&mut stream).poll_read(&mut context, &mut buffer).is_pending());
        client = TcpStream::from_std(std_client).expect("a socket");
        assert_eq!(stream.read(&mut byte).await.expect("read"), 1, "it was not parted from");

        let waiting = tokio::spawn(async move {
            let read = stream.read(&mut byte).await.expect("read");
            stream.shutdown().await.expect("shut down");
            (read, stream)
        });
        tokio::task::yield_now().await;
        parting.ask();
        assert_eq!(client.read(&mut [0]).await.expect("the end, and no reset"), 0);
        // What comes too late is taken, so that no reset follows.
        client.write_all(b"too late").await.expect("sent");
        assert_eq!(client.read(&mut [0]).await.expect("still no reset"), 0);
        drop(client);
        let (read, stream) = waiting.await.expect("no panic");
        assert_eq!((read, stream.parted.expect("parted").1), (0, b"too late".len()));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_a_client_that_takes_nothing() {
        let (_client, server) = duplex(16);
        let mut stream = ClientStream::new(server, Duration::from_secs(60));
        let error = stream.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
