//! The log in memory, and the way of tasks to its pages.
//!
//! A log that is open for appending has a memory: its writers own it, and readers look at it. A
//! followed log has none.

use super::append::notifier::TailNotifier;
use super::frame::format::{Header, frame_bytes};
use super::read::entry::LogBytes;
use crate::base::address::Address;
use crate::base::context_pool::ContextPool;
use crate::base::wait::Told;
use crate::epoch::{Epoch, Guard, Participant};
use crate::hybrid_log::{HybridLog, LogStatus};
use crate::record::WORD;
use bytes::{Bytes, BytesMut};
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use kvick_runtime::Handle;
use std::fmt;
use std::sync::Arc;

/// The pages of a log, and the tools of the tasks that work on them.
pub(crate) struct LogMemory {
    log: HybridLog,
    notifier: TailNotifier,
    contexts: Arc<EpochContexts>,
}

/// Participants of an epoch, for tasks that have none of their own. Logs of a group share them.
#[derive(Debug)]
pub(crate) struct EpochContexts {
    epoch: Epoch,
    contexts: ContextPool<EpochContext>,
}

/// A participant, and the number of its uses since a task yielded.
#[derive(Debug)]
pub(crate) struct EpochContext {
    participant: Participant,
    used: u32,
}

/// The state of an address in memory.
pub(crate) enum MemoryRead {
    /// Complete frames.
    Bytes(LogBytes),
    /// A frame that a writer is still writing.
    Unwritten,
    /// The bytes are only on the device.
    Evicted,
}

impl LogMemory {
    pub(crate) fn new(log: HybridLog, contexts: Arc<EpochContexts>) -> Self {
        Self { log, notifier: TailNotifier::new(), contexts }
    }

    #[inline(always)]
    pub(crate) fn log(&self) -> &HybridLog {
        &self.log
    }

    #[inline(always)]
    pub(crate) fn health(&self) -> &LogStatus {
        self.log.health()
    }

    /// Runs `body` with a context that no other task uses meanwhile.
    #[inline]
    pub(crate) fn with_context<R>(&self, body: impl FnOnce(&mut EpochContext) -> R) -> R {
        self.contexts.contexts.with(body)
    }

    /// Runs `body` under a guard.
    #[inline]
    pub(crate) fn protected<R>(&self, body: impl FnOnce(&Guard<'_>) -> R) -> R {
        self.with_context(|context| context.protected(body))
    }

    /// Waits until no guard is left that was taken before.
    pub(crate) async fn drain(&self, handle: &Handle) {
        self.contexts.epoch.drain(handle).await;
    }

    /// Reports a frame that ends at `end` and was released just now.
    #[inline(always)]
    pub(crate) fn notify_written(&self, end: Address) {
        self.notifier.written(end, &self.contexts.epoch);
    }

    /// Sets the notifier for the first frame that reaches beyond `address`; see
    /// [`TailNotifier::set`].
    pub(crate) fn told_beyond(&self, address: Address) -> Told {
        self.notifier.set(address, &self.contexts.epoch)
    }

    /// Returns `wanted` bytes from `at` on, or whole frames up to the end of the last wanted frame.
    /// All of them are within the page and below the tail.
    pub(crate) fn read(&self, at: Address, wanted: usize) -> MemoryRead {
        debug_assert!(wanted > 0, "a reader is below its limit and not at the end of a page");
        self.protected(|guard| {
            if at < self.log.pages().head(guard) {
                return MemoryRead::Evicted;
            }
            debug_assert!(
                at.raw() + wanted as u64 <= self.log.tail_address().raw(),
                "readers stay below the tail: {wanted} bytes at {at:?}"
            );
            if at.raw() + wanted as u64 <= self.log.pages().immutable_below(guard).raw() {
                let bytes = self.log.pages().immutable(at, 0..wanted, guard);
                let bytes = Bytes::copy_from_slice(bytes);
                return MemoryRead::Bytes(LogBytes { start: at.raw(), bytes });
            }
            let bytes = written_frames(self.log.pages().words(at, guard), wanted);
            if bytes.is_empty() {
                return MemoryRead::Unwritten;
            }
            MemoryRead::Bytes(LogBytes { start: at.raw(), bytes })
        })
    }

    /// Returns whether the frame at `at` is complete.
    pub(crate) fn is_written(&self, at: Address) -> bool {
        self.protected(|guard| {
            at < self.log.pages().head(guard)
                || at < self.log.tail_address()
                    && Header::load(&self.log.pages().words(at, guard)[0]).is_some()
        })
    }

    /// Returns the header of the frame at `at`; `None` if memory has evicted it.
    pub(crate) fn header(&self, at: Address, guard: &Guard<'_>) -> Option<Header> {
        debug_assert!(at < self.log.tail_address(), "a frame is below the tail: {at:?}");
        let is_there = at >= self.log.pages().head(guard);
        is_there.then(|| Header::load(&self.log.pages().words(at, guard)[0])).flatten()
    }
}

impl EpochContexts {
    pub(crate) fn new(count: usize) -> Self {
        Self::on(Epoch::new(), count)
    }

    /// Creates contexts of an epoch that others use, too.
    pub(crate) fn on(epoch: Epoch, count: usize) -> Self {
        assert!(count > 0, "a task finds a context");
        let participants = epoch.clone();
        let make = move || EpochContext { participant: participants.register(), used: 0 };
        let contexts = ContextPool::new(count, make);
        Self { epoch, contexts }
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }
}

impl EpochContext {
    #[inline(always)]
    pub(crate) fn protected<R>(&mut self, body: impl FnOnce(&Guard<'_>) -> R) -> R {
        self.participant.protected(body)
    }

    /// Returns whether another task should run; true once in every `every` calls.
    #[inline(always)]
    pub(crate) fn turn_is_over(&mut self, every: u32) -> bool {
        // If `every` is 0, the count is never reset.
        self.used = self.used.wrapping_add(1);
        if self.used < every || every == 0 {
            return false;
        }
        self.used = 0;
        true
    }
}

/// Copies the complete frames at the start of `words`, up to the first frame that is being written.
fn written_frames(words: &[AtomicU64], wanted: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(wanted);
    while bytes.len() < wanted {
        let index = bytes.len() / WORD;
        let Some(header) = Header::load(&words[index]) else {
            break;
        };
        let frame = frame_bytes(header.length()) / WORD;
        for word in &words[index..(index + frame).min(words.len())] {
            // Relaxed: the Acquire of the header pairs with the Release that published them.
            bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
    }
    bytes.freeze()
}

impl fmt::Debug for LogMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogMemory").field("log", &self.log).finish_non_exhaustive()
    }
}
