//! The log as readers see it, in memory and on the device.
//!
//! A log that is open for appending has both. A followed log has only the device. Truncations, the
//! driver of commits and followers move the watermarks; readers only load them.

use super::append::notifier::Alarm;
use super::frame::format::{Framing, Header, frame_bytes};
use super::read::last::LastEntry;
use super::truncate::holes::Voids;
use crate::address::{Address, Watermark};
use crate::epoch::{Epoch, Guard, Participant};
use crate::error::{Error, Result};
use crate::hybrid_log::HybridLog;
use crate::record::WORD;
use crate::stripes::Stripes;
use bytes::{Bytes, BytesMut};
use event_listener::Event;
use kvick_io::sync::atomic::{AtomicBool, Ordering};
use kvick_io::{BufPool, Device};
use std::fmt;
use std::sync::Arc;

/// The bytes that a reader copies from memory at once, if there are so many.
const CHUNK: u64 = 64 << 10;

/// Bytes of the log that a reader owns. A frame may begin anywhere in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

/// A log for readers.
pub(crate) struct Source {
    // Fixed after opening.
    pub(crate) framing: Framing,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) buffers: BufPool,
    pub(crate) live: Option<Live>,
    // Changed by the log or its follower, read by all readers.
    pub(crate) begin: Watermark,
    /// The end of the newest commit.
    pub(crate) durable: Watermark,
    /// Whether the newest commit is the last one.
    pub(crate) completed: AtomicBool,
    pub(crate) voids: Voids,
    pub(crate) last_entry: LastEntry,
    /// Notified when a field above has changed.
    pub(crate) moved: Event,
}

/// The log in memory.
pub(crate) struct Live {
    pub(crate) log: HybridLog,
    pub(crate) alarm: Alarm,
    pub(crate) seats: Arc<Seats>,
}

/// Seats in an epoch table, for tasks that have none of their own.
#[derive(Debug)]
pub(crate) struct Seats {
    pub(crate) epoch: Epoch,
    pub(crate) stripes: Stripes<Seat>,
}

/// A seat, and the number of its uses since a task yielded.
#[derive(Debug)]
pub(crate) struct Seat {
    participant: Participant,
    used: u32,
}

/// The state of an address in memory.
pub(crate) enum InMemory {
    /// Complete frames.
    Chunk(Chunk),
    /// A frame that a writer is still writing.
    Unwritten,
    /// The bytes are only on the device.
    Evicted,
}

impl Seats {
    pub(crate) fn new(count: usize) -> Self {
        let epoch = Epoch::new();
        let places = epoch.clone();
        let make = move || Seat { participant: places.register(), used: 0 };
        let stripes = Stripes::new(count, make);
        Self { epoch, stripes }
    }

    /// Runs `body` under a guard.
    #[inline]
    pub(crate) fn protected<R>(&self, body: impl FnOnce(&Guard<'_>) -> R) -> R {
        self.stripes.with(|seat| seat.participant.protected(body))
    }
}

impl Seat {
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

impl Source {
    /// Returns the address up to which readers may read.
    pub(crate) fn limit(&self, uncommitted: bool) -> Address {
        match &self.live {
            Some(live) if uncommitted => live.log.tail_address(),
            _ => self.durable.load(),
        }
    }

    /// Returns the known end of the log. Later entries are at this address or after it.
    pub(crate) fn end(&self) -> Address {
        self.limit(true)
    }

    /// Returns the limit of the bytes below `limit` that are certainly on the device: committed
    /// bytes, and bytes that memory has evicted. Readers of uncommitted entries may have a higher
    /// limit.
    pub(crate) fn written_below(&self, limit: Address) -> Address {
        let Some(live) = &self.live else {
            return limit;
        };
        let [_, head, ..] = live.log.pages().addresses();
        limit.min(head.max(self.durable.load()))
    }

    /// Returns whether the log is completed.
    ///
    /// Acquire: pairs with the Release stores in `Core::settle` and in `show` of a follower. A
    /// reader that sees the flag also sees the end of the last commit.
    pub(crate) fn is_completed(&self) -> bool {
        self.completed.load(Ordering::Acquire)
    }

    /// Returns whether the alignment of `address` allows a frame there.
    pub(crate) fn can_begin(&self, address: Address) -> bool {
        address.raw().is_multiple_of(WORD as u64) && self.framing.units.left_of_page(address) > 0
    }

    /// Returns whether entries begin at `address`, or may begin there later, without a look at its
    /// bytes.
    pub(crate) fn is_boundary(&self, address: Address) -> bool {
        address == self.begin.load()
            || address == self.durable.load()
            || self.voids.clip(address).0 != address
    }

    /// Refuses readers that would wait for ever.
    pub(crate) fn check_wait(&self) -> Result<()> {
        let Some(live) = &self.live else {
            return Ok(());
        };
        live.log.health().check_process()?;
        live.log.health().check_write()
    }

    /// Refuses readers of a closed log.
    pub(crate) fn check(&self) -> Result<()> {
        self.live.as_ref().map_or(Ok(()), |live| live.log.health().check_read())
    }

    /// Returns bytes from `at` on, below `limit` and within a page. They are at least `needed`
    /// bytes if there are so many.
    pub(crate) fn in_memory(&self, at: Address, limit: Address, needed: usize) -> InMemory {
        let Some(live) = &self.live else {
            return InMemory::Evicted;
        };
        live.seats.protected(|guard| {
            if at < live.log.pages().head(guard) {
                return InMemory::Evicted;
            }
            let page_end = at.raw() + self.framing.units.left_of_page(at);
            let most = limit.raw().min(page_end) - at.raw();
            let wanted = most.min(CHUNK.max(needed as u64));
            let wanted = usize::try_from(wanted).expect("within a page");
            if at.raw() + wanted as u64 <= live.log.pages().immutable_below(guard).raw() {
                let bytes = live.log.pages().immutable(at, 0..wanted, guard);
                let bytes = Bytes::copy_from_slice(bytes);
                return InMemory::Chunk(Chunk { start: at.raw(), bytes });
            }
            self.written_frames(live, at, wanted, guard)
        })
    }

    /// Returns whether the frame at `at` is complete.
    pub(crate) fn is_written(&self, at: Address) -> bool {
        let Some(live) = &self.live else {
            return at < self.durable.load();
        };
        live.seats.protected(|guard| {
            at < live.log.pages().head(guard)
                || at < live.log.tail_address()
                    && Header::load(&live.log.pages().words(at, guard)[0]).is_some()
        })
    }

    /// Copies the complete frames from `at` on, up to the first frame that is being written.
    fn written_frames(
        &self,
        live: &Live,
        at: Address,
        wanted: usize,
        guard: &Guard<'_>,
    ) -> InMemory {
        let words = live.log.pages().words(at, guard);
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
        if bytes.is_empty() {
            return InMemory::Unwritten;
        }
        InMemory::Chunk(Chunk { start: at.raw(), bytes: bytes.freeze() })
    }

    /// Returns the error for a damaged frame at `address`.
    #[cold]
    pub(crate) fn damage(&self, address: Address) -> Error {
        let offset = self.framing.units.device_offset(address);
        let (file, offset) = self.device.locate(offset);
        let what = format!("the entry at address {} of the log is damaged", address.raw());
        Error::damaged(&what, &file, offset)
    }
}

impl Chunk {
    /// Returns the address after the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Returns the bytes from `at` on, if the chunk has any.
    pub(crate) fn from(&self, at: Address) -> Option<&[u8]> {
        let skipped = usize::try_from(at.raw().checked_sub(self.start)?).ok()?;
        self.bytes.get(skipped..).filter(|rest| !rest.is_empty())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { begin, durable, device, .. } = self;
        formatter
            .debug_struct("Source")
            .field("begin", &begin.load())
            .field("durable", &durable.load())
            .field("device", device)
            .finish_non_exhaustive()
    }
}
