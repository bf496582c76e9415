//! The sizes of a log, and the addresses at which an opening finds it.

use super::allocate::end::LogEnd;
use super::pages::life::Life;
use crate::base::address::Address;

/// The sizes of one log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogGeometry {
    /// A page has `2^page_bits` bytes.
    pub(crate) page_bits: u32,
    /// Pages in memory.
    pub(crate) frames: u32,
    /// Pages that are updated in place, without the tail page.
    pub(crate) mutable_pages: u32,
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
    pub(crate) huge_pages: bool,
    /// The owner of the log in messages: "store", "log".
    pub(crate) owner: &'static str,
    pub(crate) end: LogEnd,
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
