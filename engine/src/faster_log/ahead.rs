//! Reading a log from the device, in order, several reads ahead.

use super::source::{Chunk, Source};
use crate::address::Address;
use crate::error::Result;
use crate::hybrid_log::Strip;
use bytes::BytesMut;
use futures::stream::{self, BoxStream, StreamExt};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Reads in flight at the most, and bytes of one.
const READS: usize = 8;
const READ: usize = 512 << 10;

/// Parts of the log as they come from the device.
pub(super) struct ReadAhead {
    parts: BoxStream<'static, Result<Part>>,
    /// Where the next part begins.
    next: Address,
}

/// Whole units of one page, checked.
struct Part {
    chunk: Chunk,
    end: Address,
}

impl ReadAhead {
    /// From the unit of `from` up to the unit that ends at or behind `end`; everything there was
    /// written.
    pub(super) fn new(source: &Arc<Source>, from: Address, end: Address) -> Self {
        let units = source.framing.units;
        let next = units.unit_start(from);
        let mut at = next;
        let chunks = std::iter::from_fn(move || {
            let chunk = units.chunk([at, end], READ / units.unit_bytes())?;
            at = chunk.end;
            Some(chunk)
        });
        let source = Arc::clone(source);
        let parts = stream::iter(chunks)
            .map(move |chunk| {
                let source = Arc::clone(&source);
                async move {
                    let strip = Strip::new(&*source.device, units, Address::NONE);
                    let buffer = source.buffers.take(chunk.units * units.unit_bytes());
                    let mut stored = strip.read(chunk.start, buffer).await?;
                    let length = strip.open(chunk.start, &mut stored)?;
                    let bytes = BytesMut::from(&stored[..length]).freeze();
                    let start = chunk.start.raw();
                    Ok(Part { chunk: Chunk { start, bytes }, end: chunk.end })
                }
            })
            .buffered(READS)
            .boxed();
        Self { parts, next }
    }

    /// Whether the next part holds the byte at `at`, or begins right there.
    pub(super) fn leads_to(&self, at: Address, source: &Source) -> bool {
        self.next == source.framing.units.unit_start(at)
    }

    /// The next part, behind what is left of the part before; `None` at the end.
    pub(super) fn poll_next(
        &mut self,
        left: Chunk,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk>>> {
        let part = match std::task::ready!(self.parts.poll_next_unpin(context)) {
            Some(Ok(part)) => part,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        self.next = part.end;
        if left.bytes.is_empty() || left.end() != part.chunk.start {
            return Poll::Ready(Some(Ok(part.chunk)));
        }
        let mut bytes = BytesMut::with_capacity(left.bytes.len() + part.chunk.bytes.len());
        bytes.extend_from_slice(&left.bytes);
        bytes.extend_from_slice(&part.chunk.bytes);
        Poll::Ready(Some(Ok(Chunk { start: left.start, bytes: bytes.freeze() })))
    }
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadAhead").field("next", &self.next).finish_non_exhaustive()
    }
}
