//! The requests of tasks to the drivers, and the events by which the drivers answer.

use crate::base::address::{Address, Watermark};
use crate::base::wait::Event;
use kvick_io::sync::atomic::{AtomicU32, Ordering};

/// The marks that tasks asked for, beyond the marks by the geometry.
#[derive(Debug)]
pub(crate) struct ShiftRequests {
    read_only: Watermark,
    head: Watermark,
    /// The wanted limit of pages in memory; 0 if no other than the present one is wanted.
    frames: AtomicU32,
    /// The tail turned to a new page, or a task wants a mark moved.
    pub(crate) demand: Event,
    pub(crate) events: Events,
}

/// Events for waiting tasks.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// `safe read-only` moved.
    pub(crate) read_only: Event,
    /// `flushed` moved.
    pub(crate) flushed: Event,
    /// `safe head` or the limit of frames moved, so frames are free.
    pub(crate) page_free: Event,
}

impl ShiftRequests {
    pub(crate) fn new(head: Address, tail: Address) -> Self {
        debug_assert!(head <= tail, "the head is at or below the tail: {head:?}, {tail:?}");
        Self {
            read_only: Watermark::new(tail),
            head: Watermark::new(head),
            frames: AtomicU32::new(0),
            demand: Event::new(),
            events: Events::default(),
        }
    }

    /// Asks for everything below `address` to become immutable.
    pub(crate) fn want_read_only(&self, address: Address) {
        self.read_only.raise(address);
        self.notify_demand();
    }

    /// Asks for everything below `address` to leave memory.
    pub(crate) fn want_head(&self, address: Address) {
        self.head.raise(address);
        self.notify_demand();
    }

    /// Asks for another limit of pages in memory.
    pub(crate) fn want_frames(&self, frames: u32) {
        // Relaxed: the notification orders it, and only the number counts.
        self.frames.store(frames, Ordering::Relaxed);
        self.notify_demand();
    }

    /// Returns the wanted limit of pages in memory, if any was wanted.
    pub(crate) fn frames(&self) -> Option<u32> {
        Some(self.frames.load(Ordering::Relaxed)).filter(|frames| *frames > 0)
    }

    /// Returns the wanted `read-only`.
    pub(crate) fn read_only(&self) -> Address {
        self.read_only.load()
    }

    /// Returns the wanted `head`.
    pub(crate) fn head(&self) -> Address {
        self.head.load()
    }

    /// Tells the drivers that there may be work.
    pub(crate) fn notify_demand(&self) {
        self.demand.notify(usize::MAX);
    }
}
