//! The body of a request on its way to an upstream: streamed, timed, bounded, and kept as far as a retry may need it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::body::BodyError;
use crate::data::answer::Failure;

/// Bytes kept for a retry: a longer body is sent once.
const MAX_KEPT: usize = 64 * 1024;

/// A client's body, of which attempts are made.
#[derive(Clone)]
pub(super) struct RequestBody(Option<Arc<Mutex<State>>>);

/// The body as one attempt sends it. It ends with an error when a later attempt has begun.
pub(super) struct Attempt {
    shared: Option<Arc<Mutex<State>>>,
    number: u32,
    /// How many of the kept pieces were sent.
    sent: usize,
}

struct State {
    source: Incoming,
    attempt: u32,
    /// Pieces so far, while a retry may need them.
    kept: Option<Vec<Bytes>>,
    received: u64,
    limit: Option<u64>,
    phase: Phase,
    since: Instant,
    failure: Option<Failure>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The client has to send.
    Client,
    /// The upstream has to take what there is.
    Upstream,
    /// All is sent.
    Done,
}

/// How long each party may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The client, between two pieces.
    pub client: Duration,
    /// The upstream, to take a piece.
    pub write: Duration,
    /// The upstream, to answer once it has all.
    pub read: Duration,
}

impl RequestBody {
    pub(super) fn new(source: Incoming, limit: Option<u64>) -> Self {
        if source.is_end_stream() {
            return Self(None);
        }
        Self(Some(Arc::new(Mutex::new(State {
            source,
            attempt: 0,
            kept: Some(Vec::new()),
            received: 0,
            limit,
            phase: Phase::Upstream,
            since: Instant::now(),
            failure: None,
        }))))
    }

    /// The body for one more attempt; whatever an earlier one still does with it fails.
    pub(super) fn attempt(&self) -> Attempt {
        let number = self.state().map_or(0, |mut state| {
            state.attempt += 1;
            state.phase = Phase::Upstream;
            state.since = Instant::now();
            state.attempt
        });
        Attempt {
            shared: self.0.clone(),
            number,
            sent: 0,
        }
    }

    /// Whether all that was sent could be sent again.
    pub(super) fn is_repeatable(&self) -> bool {
        self.state().is_none_or(|state| state.kept.is_some())
    }

    /// What the client did wrong while it sent, if anything.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.state().and_then(|state| state.failure)
    }

    /// Bytes received from the client.
    pub(super) fn received(&self) -> u64 {
        self.state().map_or(0, |state| state.received)
    }

    /// Returns when a party has taken too long.
    pub(super) async fn watch(&self, patience: Patience) -> Failure {
        let begun = Instant::now();
        // The turn may pass to a party with less patience left; its time can't be up before this.
        let shortest = patience.client.min(patience.write).min(patience.read);
        loop {
            let (deadline, failure) = self.deadline(begun, patience);
            let now = Instant::now();
            if now >= deadline {
                return failure;
            }
            tokio::time::sleep_until(deadline.min(now + shortest)).await;
        }
    }

    fn deadline(&self, begun: Instant, patience: Patience) -> (Instant, Failure) {
        let Some(state) = self.state() else {
            return (begun + patience.read, Failure::GatewayTimeout);
        };
        match state.phase {
            Phase::Client => (state.since + patience.client, Failure::RequestTimeout),
            Phase::Upstream => (state.since + patience.write, Failure::GatewayTimeout),
            Phase::Done => (state.since + patience.read, Failure::GatewayTimeout),
        }
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let shared = self.0.as_ref()?;
        Some(shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn turn(&mut self, phase: Phase) {
        if self.phase != phase || phase == Phase::Upstream {
            self.phase = phase;
            self.since = Instant::now();
        }
    }

    fn take(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        match frame.data_ref() {
            None => self.kept = None,
            Some(data) => {
                self.received += data.len() as u64;
                if self.limit.is_some_and(|limit| self.received > limit) {
                    self.failure = Some(Failure::PayloadTooLarge);
                    return Err("the body is larger than allowed".into());
                }
                match &mut self.kept {
                    Some(kept) if self.received <= MAX_KEPT as u64 => kept.push(data.clone()),
                    kept => *kept = None,
                }
            }
        }
        let phase = if self.source.is_end_stream() {
            Phase::Done
        } else {
            Phase::Upstream
        };
        self.turn(phase);
        Ok(())
    }
}

impl Body for Attempt {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(shared) = self.shared.clone() else {
            return Poll::Ready(None);
        };
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if state.attempt != self.number {
            return Poll::Ready(Some(Err("another attempt has begun".into())));
        }
        if let Some(piece) = state.kept.as_ref().and_then(|kept| kept.get(self.sent)).cloned() {
            self.sent += 1;
            let all = state.source.is_end_stream() && state.kept.as_ref().is_some_and(|kept| kept.len() == self.sent);
            state.turn(if all { Phase::Done } else { Phase::Upstream });
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match Pin::new(&mut state.source).poll_frame(context) {
            Poll::Pending => {
                state.turn(Phase::Client);
                Poll::Pending
            }
            Poll::Ready(None) => {
                state.turn(Phase::Done);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                state.failure = Some(Failure::BadRequest);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let taken = state.take(&frame);
                self.sent += 1;
                Poll::Ready(Some(taken.map(|()| frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let Some(shared) = &self.shared else { return true };
        let state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = state.kept.as_ref().is_some_and(|kept| kept.len() > self.sent);
        !pending && state.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let Some(shared) = &self.shared else {
            return SizeHint::with_exact(0);
        };
        let state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = state.kept.iter().flatten().skip(self.sent);
        let kept: u64 = kept.map(|piece| piece.len() as u64).sum();
        let rest = state.source.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + kept);
        }
        hint.set_lower(rest.lower() + kept);
        hint
    }
}
