//! A lost range of a log.

use crate::log::Address;

/// A range of a log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The start of the lost range.
    pub start: Address,
    /// The end of the lost range. An entry at this address is not lost.
    pub end: Address,
    /// The file of the first unit that differs from the written bytes.
    pub file: String,
    /// The offset of the first damaged unit in `file`.
    pub offset: u64,
}
