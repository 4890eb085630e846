//! The body of an answer: the proxy's own bytes, or the upstream's as they come.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// What a body may fail with: any error ends the client's connection or stream.
pub(in crate::data) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(in crate::data) struct Body {
    source: Source,
    guard: Option<Box<dyn Send + Sync>>,
}

enum Source {
    Own(Option<Bytes>),
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

    /// Keeps a value until the body has been sent or given up.
    pub(in crate::data) fn guarded(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.guard = Some(match self.guard.take() {
            Some(earlier) => Box::new((earlier, guard)),
            None => Box::new(guard),
        });
        self
    }
}

impl From<Source> for Body {
    fn from(source: Source) -> Self {
        Self { source, guard: None }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.source {
            Source::Own(bytes) => Poll::Ready(bytes.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
