//! Frames that a WebSocket's server sends (RFC 6455, section 5.2), as far as it takes to end them in order.
//!
//! A tunnel carries bytes and knows nothing of them. Its end must come between two frames, and say why: close 1001,
//! "going away". So what the upstream sends is followed from header to header.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// An unmasked close frame with status 1001.
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];
/// Longest header: two bytes, eight of length, four of mask (which servers don't send).
const LONGEST_HEADER: usize = 14;

/// Where in a stream of frames one is.
#[derive(Debug, Default)]
struct Position {
    header: [u8; LONGEST_HEADER],
    filled: usize,
    payload: u64,
}

impl Position {
    fn between_frames(&self) -> bool {
        self.filled == 0 && self.payload == 0
    }

    /// How much may be read without crossing the end of this frame.
    fn safe(&self) -> usize {
        match self.payload {
            0 => 1,
            payload => usize::try_from(payload).unwrap_or(usize::MAX),
        }
    }

    fn advance(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            if self.payload > 0 {
                let taken = bytes.len().min(usize::try_from(self.payload).unwrap_or(usize::MAX));
                self.payload -= taken as u64;
                bytes = &bytes[taken..];
                continue;
            }
            self.header[self.filled] = byte;
            self.filled += 1;
            bytes = &bytes[1..];
            if self.filled >= 2 && self.filled == self.header_length() {
                self.payload = self.payload_length();
                self.filled = 0;
            }
        }
    }

    fn header_length(&self) -> usize {
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        mask + match self.header[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn payload_length(&self) -> u64 {
        match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => u64::from_be_bytes(self.header[2..10].try_into().expect("eight bytes")),
            short => u64::from(short),
        }
    }
}

/// The upstream's side of a tunnel. When it is cut, it ends after the frame that is under way, with a close frame.
pub(super) struct Frames<S> {
    inner: S,
    position: Position,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    is_cut: bool,
    /// What is left of the close frame.
    farewell: Option<&'static [u8]>,
}

impl<S> Frames<S> {
    pub(super) fn new(inner: S, cut: CancellationToken) -> Self {
        Self {
            inner,
            position: Position::default(),
            cut: Box::pin(cut.cancelled_owned()),
            is_cut: false,
            farewell: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_cut {
            this.is_cut = this.cut.as_mut().poll(context).is_ready();
        }
        if this.is_cut && (this.farewell.is_some() || this.position.between_frames()) {
            let farewell = this.farewell.get_or_insert(&GOING_AWAY);
            let length = farewell.len().min(buffer.remaining());
            let (now, later) = farewell.split_at(length);
            buffer.put_slice(now);
            *farewell = later;
            return Poll::Ready(Ok(()));
        }
        let limit = if this.is_cut { this.position.safe() } else { usize::MAX };
        let room = buffer.remaining().min(limit);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let outcome = Pin::new(&mut this.inner).poll_read(context, &mut part);
        let read = part.filled().len();
        this.position.advance(part.filled());
        buffer.advance(read);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x82];
        match payload.len() {
            short @ 0..126 => frame.push(u8::try_from(short).unwrap()),
            middle @ 126..65536 => {
                frame.push(126);
                frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    #[tokio::test]
    async fn a_cut_comes_between_frames() {
        for size in [0, 5, 126, 70_000] {
            let whole = frame(&vec![7; size]);
            // Of a frame that is under way something has been read.
            for held_back in [1, 2, whole.len() - 1]
                .into_iter()
                .filter(|held_back| *held_back < whole.len())
            {
                let (mut upstream, ours) = duplex(1 << 20);
                let cut = CancellationToken::new();
                let mut frames = Frames::new(ours, cut.clone());
                let (first, rest) = whole.split_at(whole.len() - held_back);
                upstream.write_all(first).await.unwrap();
                let mut got = vec![0; first.len()];
                frames.read_exact(&mut got).await.unwrap();
                cut.cancel();
                upstream.write_all(rest).await.unwrap();
                upstream.write_all(&frame(b"too late")).await.unwrap();
                frames.read_to_end(&mut got).await.unwrap();
                assert_eq!(
                    got,
                    [whole.as_slice(), &GOING_AWAY].concat(),
                    "{size} bytes, {held_back} held back"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_silent_stream_is_woken_by_the_cut() {
        let (_upstream, ours) = duplex(64);
        let cut = CancellationToken::new();
        let mut frames = Frames::new(ours, cut.clone());
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            frames.read_to_end(&mut got).await.map(|_| got)
        });
        tokio::task::yield_now().await;
        cut.cancel();
        assert_eq!(reader.await.unwrap().unwrap(), GOING_AWAY);
    }

    #[tokio::test]
    async fn without_a_cut_bytes_pass_as_they_are() {
        let (mut upstream, ours) = duplex(1 << 20);
        let mut frames = Frames::new(ours, CancellationToken::new());
        let text = [frame(b"a"), frame(&[1; 300]), frame(b"")].concat();
        upstream.write_all(&text).await.unwrap();
        drop(upstream);
        let mut got = Vec::new();
        frames.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, text);
    }
}
