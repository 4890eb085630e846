//! The body of an answer: the proxy's own bytes, or the upstream's as they come.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::pool::{Lease, Pools};
use crate::data::{answer::grpc_going_away, statistics::RouteCounters};

/// What a body may fail with: any error ends the client's connection or stream.
pub(in crate::data) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(in crate::data) struct Body {
    source: Source,
    counters: Option<Arc<RouteCounters>>,
    guard: Option<Box<dyn Send + Sync>>,
}

enum Source {
    Own(Option<Bytes>),
    Upstream(UpstreamBody),
}

/// An upstream's body. When it has come to its end, the connection goes back to its pool.
struct UpstreamBody {
    incoming: Incoming,
    read_timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    lease: Option<(Lease, Arc<Pools>)>,
    /// For gRPC: the end of the traffic. A call that is still going on then ends with a status.
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    is_cut: bool,
}

impl Body {
    /// No body.
    pub(in crate::data) fn empty() -> Self {
        Self::from(Source::Own(None))
    }

    /// Bytes of the proxy's own.
    pub(in crate::data) fn full(bytes: Bytes) -> Self {
        Self::from(Source::Own(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    /// An upstream's body over a connection of a pool.
    ///
    /// With `cut` it is a gRPC call's, which ends as unavailable when the traffic ends.
    pub(super) fn upstream(
        incoming: Incoming,
        read_timeout: Duration,
        lease: Lease,
        pools: Arc<Pools>,
        cut: Option<CancellationToken>,
    ) -> Self {
        let mut body = UpstreamBody {
            incoming,
            read_timeout,
            timer: None,
            waiting: false,
            lease: Some((lease, pools)),
            cut: cut.map(|cut| Box::pin(cut.cancelled_owned())),
            is_cut: false,
        };
        if body.incoming.is_end_stream() {
            body.release();
        }
        Self::from(Source::Upstream(body))
    }

    /// Keeps a value until the body has been sent or given up.
    pub(in crate::data) fn guarded(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.guard = Some(match self.guard.take() {
            Some(earlier) => Box::new((earlier, guard)),
            None => Box::new(guard),
        });
        self
    }

    /// Counts what is sent as a route's.
    pub(super) fn counted(mut self, counters: Arc<RouteCounters>) -> Self {
        self.counters = Some(counters);
        self
    }
}

impl From<Source> for Body {
    fn from(source: Source) -> Self {
        Self {
            source,
            counters: None,
            guard: None,
        }
    }
}

impl UpstreamBody {
    fn release(&mut self) {
        if let Some((lease, pools)) = self.lease.take() {
            pools.put(lease);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_cut || self.incoming.is_end_stream()
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_cut {
            return Poll::Ready(None);
        }
        if let Some(cut) = &mut self.cut
            && cut.as_mut().poll(context).is_ready()
        {
            self.is_cut = true;
            return Poll::Ready(Some(Ok(Frame::trailers(grpc_going_away()))));
        }
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                self.waiting = false;
                match &frame {
                    None => self.release(),
                    Some(Ok(_)) if self.incoming.is_end_stream() => self.release(),
                    Some(_) => {}
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let deadline = Instant::now() + self.read_timeout;
                let waiting = std::mem::replace(&mut self.waiting, true);
                let timer = self
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if !waiting {
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(context));
                Poll::Ready(Some(Err("the upstream fell silent".into())))
            }
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.source {
            Source::Own(bytes) => bytes.take().map(Frame::data).map(Ok),
            Source::Upstream(body) => ready!(body.poll_frame(context)),
        };
        if let (Some(Ok(frame)), Some(counters)) = (&frame, &self.counters) {
            counters.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Upstream(body) => body.incoming.size_hint(),
        }
    }
}
