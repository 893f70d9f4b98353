//! A form's bytes on their way to its parser, which keeps whatever it has not understood yet.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// Bytes between the content of two fields, and before the first: a boundary and a head, and what came in one piece with them.
const HEAD: u64 = 1 << 20;

/// Counts what comes between the contents of fields.
#[derive(Debug, Clone)]
pub(super) struct Heads(Arc<AtomicU64>);

/// The counter while a field's content comes, which is counted elsewhere.
const CONTENT: u64 = u64::MAX;

impl Heads {
    /// A body whose heads are bounded.
    pub fn of(body: Body) -> (Self, Body) {
        let heads = Self(Arc::new(AtomicU64::new(0)));
        let stream = Paced { body: body.into_data_stream(), heads: heads.clone(), rests: false };
        (heads, Body::from_stream(stream))
    }

    /// A head follows.
    pub fn begin(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// A field's content follows.
    pub fn end(&self) {
        self.0.store(CONTENT, Ordering::Relaxed);
    }

    /// Counts bytes; whether they are no longer a head.
    fn count(&self, bytes: usize) -> bool {
        let sum = self.0.load(Ordering::Relaxed);
        if sum == CONTENT {
            return false;
        }
        self.0.store(sum.saturating_add(bytes as u64).min(CONTENT - 1), Ordering::Relaxed);
        sum + bytes as u64 > HEAD
    }
}

/// A body of which the parser gets a piece at a time: it would take in all that there is before it looks at any of it.
struct Paced {
    body: BodyDataStream,
    heads: Heads,
    rests: bool,
}

impl Stream for Paced {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.body.poll_next_unpin(context);
        let Poll::Ready(Some(piece)) = next else { return next.map(|_| None) };
        self.rests = true;
        Poll::Ready(Some(match piece {
            Ok(bytes) if self.heads.count(bytes.len()) => Err(io::Error::other("a head of a field has no end")),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(io::Error::other(error)),
        }))
    }
}
