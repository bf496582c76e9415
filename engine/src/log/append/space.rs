//! The space that entries need in memory, and the wait for it.

use super::frame_writer::FrameWriter;
use crate::base::error::{Error, Result};
use crate::config::ByteSize;
use crate::hybrid_log::{Claim, Need, Room};
use crate::log::frame::format::{HEADER, frame_bytes};
use crate::log::frame::layout::EntryLayout;
use crate::log::memory::LogMemory;
use std::sync::Arc;

/// The reason why an attempt has appended nothing.
#[derive(Debug)]
pub(crate) enum NotAppended {
    /// There is no space now.
    NoSpace(Space),
    /// The log refuses the entry.
    Refused(Error),
}

/// The space that an append waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Space {
    /// Space for a frame of this many bytes.
    Frame(u64),
    /// Free pages after the page of the tail, this many.
    Pages(u64),
}

/// The space for entries of one log.
#[derive(Debug)]
pub(crate) struct EntrySpace {
    memory: Arc<LogMemory>,
    layout: EntryLayout,
    memory_size: ByteSize,
}

impl EntrySpace {
    pub(crate) fn new(frames: &FrameWriter, memory_size: ByteSize) -> Self {
        let pages = frames.memory().log().pages().limit();
        assert!(pages >= 2, "half of the pages take an entry at once: {pages}");
        Self { memory: Arc::clone(frames.memory()), layout: frames.layout(), memory_size }
    }

    /// Returns the space that an entry of `bytes` bytes needs.
    ///
    /// # Errors
    /// `InvalidArgument` if memory could never take it.
    pub(crate) fn of_entry(&self, bytes: usize) -> Result<Space> {
        if bytes as u64 > self.memory_size.bytes() {
            self.check_pages(u64::MAX, bytes)?;
        }
        let frame = frame_bytes(bytes) as u64;
        if frame <= self.layout.inline {
            return Ok(Space::Frame(frame));
        }
        let pages = self.layout.pages_behind([bytes]);
        debug_assert!(pages > 0, "an entry that may be split may need a further page");
        self.check_pages(pages, bytes)?;
        Ok(Space::Pages(pages))
    }

    /// Returns the bytes of an entry that memory takes wherever it begins. It may take a somewhat
    /// longer one.
    pub(crate) fn longest(&self) -> u64 {
        let piece = self.layout.capacity - HEADER as u64;
        u64::from(self.memory.log().pages().limit()) / 2 * piece
    }

    /// Waits until there is space.
    pub(crate) async fn wait_for(&self, space: Space) -> Result<()> {
        match space {
            Space::Frame(bytes) => {
                debug_assert!(bytes <= self.layout.capacity, "a frame fits in a page");
                self.memory.log().allocator().wait_for_space(Room::new(bytes, Claim::Value)).await
            }
            Space::Pages(pages) => {
                self.memory.log().allocator().wait_for_pages(Need::records(pages)).await
            }
        }
    }

    /// Returns the error of an attempt that does not wait. Requests the pages that it needs.
    #[cold]
    pub(crate) fn busy(&self, space: Space) -> Error {
        let need = match space {
            Space::Frame(_) => Need::records(1),
            Space::Pages(pages) => Need::records(pages),
        };
        if let Err(error) = self.memory.log().allocator().check_room(need) {
            return error;
        }
        self.memory.log().allocator().want_pages(need);
        Error::busy("memory is full of entries to be written")
    }

    /// Refuses entries that memory could never take in one step.
    pub(crate) fn check_pages(&self, pages: u64, bytes: usize) -> Result<()> {
        let most = u64::from(self.memory.log().pages().limit()) / 2;
        if pages <= most {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{bytes} bytes in one step: with memory = {} at most about {}",
            self.memory_size,
            most.saturating_sub(1) * self.layout.capacity
        )))
    }
}

impl NotAppended {
    /// Returns the space to wait for.
    ///
    /// # Errors
    /// The log refuses the entries.
    #[cold]
    pub(crate) fn into_space(self) -> Result<Box<Space>> {
        match self {
            Self::NoSpace(space) => Ok(Box::new(space)),
            Self::Refused(error) => Err(error),
        }
    }
}

impl From<Error> for NotAppended {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}
