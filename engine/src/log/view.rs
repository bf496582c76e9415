//! The log as readers see it, in memory and on the device.
//!
//! A log that is open for appending has both. A followed log has only the device. Truncations, the
//! driver of commits and followers move the range of entries; readers only look at it.

use super::frame::format::Framing;
use super::memory::{LogMemory, MemoryRead};
use super::read::range::ReadableRange;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::hybrid_log::Units;
use crate::record::WORD;
use kvick_io::{BufPool, Device};
use std::fmt;
use std::sync::Arc;

/// The bytes that a reader copies from memory at once, if there are so many.
const COPY_BYTES: u64 = 64 << 10;

/// A log for readers.
pub(crate) struct LogView {
    // Fixed after opening.
    framing: Framing,
    device: Arc<dyn Device>,
    buffers: BufPool,
    memory: Option<Arc<LogMemory>>,
    /// The entries that exist; moved by the log or its follower.
    range: ReadableRange,
}

impl LogView {
    /// Creates the view of a log that is only on the device.
    pub(crate) fn new(
        framing: Framing,
        device: Arc<dyn Device>,
        buffers: BufPool,
        range: ReadableRange,
    ) -> Self {
        Self { framing, device, buffers, memory: None, range }
    }

    /// Adds the memory of a log that is open for appending.
    pub(crate) fn with_memory(self, memory: Arc<LogMemory>) -> Self {
        assert!(self.memory.is_none(), "a log has one memory");
        Self { memory: Some(memory), ..self }
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    pub(crate) fn units(&self) -> Units {
        self.framing.units
    }

    pub(crate) fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    pub(crate) fn buffers(&self) -> &BufPool {
        &self.buffers
    }

    pub(crate) fn memory(&self) -> Option<&LogMemory> {
        self.memory.as_deref()
    }

    pub(crate) fn range(&self) -> &ReadableRange {
        &self.range
    }

    /// Returns the address up to which readers may read.
    pub(crate) fn limit(&self, uncommitted: bool) -> Address {
        match &self.memory {
            Some(memory) if uncommitted => memory.log().tail_address(),
            _ => self.range.committed().until(),
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
        let Some(memory) = &self.memory else {
            return limit;
        };
        let [_, head, ..] = memory.log().pages().addresses();
        limit.min(head.max(self.range.committed().until()))
    }

    /// Returns whether the alignment of `address` allows a frame there.
    pub(crate) fn can_begin(&self, address: Address) -> bool {
        address.raw().is_multiple_of(WORD as u64) && self.framing.units.left_of_page(address) > 0
    }

    /// Returns whether entries begin at `address`, or may begin there later, without a look at its
    /// bytes.
    pub(crate) fn is_boundary(&self, address: Address) -> bool {
        address == self.range.begin()
            || address == self.range.committed().until()
            || self.range.holes().clip(address).0 != address
    }

    /// Returns the start of the first frame in the page of `at`: no frame crosses into a page.
    pub(crate) fn first_in_page(&self, at: Address) -> Address {
        let page_bits = self.framing.units.page_bits();
        let page = Address::at(at.page(page_bits), 0, page_bits);
        // In its first page, the log begins after some bytes; after a truncation, it begins at an
        // entry.
        page.max(self.range.begin()).max(Address::FIRST)
    }

    /// Refuses readers that would wait for ever.
    pub(crate) fn check_wait(&self) -> Result<()> {
        let Some(memory) = &self.memory else {
            return Ok(());
        };
        memory.health().check_process()?;
        memory.health().check_write()
    }

    /// Refuses readers of a closed log.
    pub(crate) fn check(&self) -> Result<()> {
        self.memory.as_ref().map_or(Ok(()), |memory| memory.health().check_read())
    }

    /// Returns bytes from `at` on, below `limit` and within a page. They are at least `needed`
    /// bytes if there are so many.
    pub(crate) fn read_memory(&self, at: Address, limit: Address, needed: usize) -> MemoryRead {
        let Some(memory) = &self.memory else {
            return MemoryRead::Evicted;
        };
        debug_assert!(at < limit, "a reader reads below its limit: {at:?}, {limit:?}");
        let most = limit.raw().min(at.raw() + self.framing.units.left_of_page(at)) - at.raw();
        let wanted = most.min(COPY_BYTES.max(needed as u64));
        memory.read(at, usize::try_from(wanted).expect("within a page"))
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

impl fmt::Debug for LogView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { range, device, .. } = self;
        formatter
            .debug_struct("LogView")
            .field("range", range)
            .field("device", device)
            .finish_non_exhaustive()
    }
}
