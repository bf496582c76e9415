//! The sizes of a log, and the addresses at which an opening finds it.

use super::allocate::end::LogEnd;
use super::pages::life::Life;
use crate::base::address::Address;

/// The sizes of one log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogGeometry {
    /// A page has `2^page_bits` bytes.
    pub(crate) page_bits: u32,
    /// The limit of pages in memory at first.
    pub(crate) frames: u32,
    /// The highest limit of pages in memory.
    pub(crate) reserved_frames: u32,
    /// The share of the pages in memory that are updated in place.
    pub(crate) mutable_fraction: f64,
    /// Bytes of a unit on the device.
    pub(crate) unit_bytes: usize,
    /// Bytes of a physical block of the medium.
    pub(crate) block_bytes: u64,
    /// The salt that begins the input of each checksum of this store.
    pub(crate) salt: u64,
    /// The life that this opening begins.
    pub(crate) life: Life,
    /// The manifest already names that life.
    pub(crate) is_announced: bool,
    /// Bytes of buffers that flushing may use.
    pub(crate) flush_bytes: usize,
    /// Whether the log is flushed often, in small parts: then flushes prepare blocks.
    pub(crate) prepares: bool,
    pub(crate) huge_pages: bool,
    /// The owner of the log in messages: "store", "log".
    pub(crate) owner: &'static str,
    pub(crate) end: LogEnd,
}

impl LogGeometry {
    /// Returns the number of pages that are updated in place, without the tail page, if `frames`
    /// pages are in memory. The tail page and a sixteenth of the pages are not among them, so that
    /// the tail rarely waits for a flush.
    pub(crate) fn mutable_pages(&self, frames: u32) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of at most 0.95 of a u32"
        )]
        let share = (f64::from(frames) * self.mutable_fraction) as u32;
        let pages = share.min(frames.saturating_sub(1 + (frames / 16).max(1)));
        debug_assert!(pages < frames, "a page is flushed before its frame is used again");
        pages
    }
}

/// The addresses at which an opened log begins and continues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogExtent {
    /// The first address that has a record.
    pub(crate) begin: Address,
    /// The first address whose record is in memory.
    pub(crate) head: Address,
    /// The first address whose record is only in memory and will be flushed.
    pub(crate) flushed: Address,
    /// The address of the next record.
    pub(crate) tail: Address,
}

impl LogExtent {
    /// A log that has no record yet.
    pub(crate) const EMPTY: Self = Self {
        begin: Address::FIRST,
        head: Address::FIRST,
        flushed: Address::FIRST,
        tail: Address::FIRST,
    };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn geometry(mutable_fraction: f64) -> LogGeometry {
        LogGeometry {
            page_bits: 12,
            frames: 2,
            reserved_frames: 2,
            mutable_fraction,
            unit_bytes: 512,
            block_bytes: 512,
            salt: 0,
            life: Life::FIRST,
            is_announced: true,
            flush_bytes: 4096,
            prepares: false,
            huge_pages: false,
            owner: "log",
            end: LogEnd::of_store(12),
        }
    }

    #[test]
    fn a_page_is_left_to_be_flushed() {
        for (frames, fraction, mutable) in [
            (2, 0.95, 0),
            (3, 0.95, 1),
            (3, 0.0, 0),
            (16, 0.9, 14),
            (16, 0.5, 8),
            (64, 0.95, 59),
            (64, 0.9, 57),
        ] {
            let pages = geometry(fraction).mutable_pages(frames);
            assert_eq!(pages, mutable, "{fraction} of {frames}");
            assert!(pages <= frames - 2);
        }
    }
}
