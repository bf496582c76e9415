//! A lost range of a log.

use crate::log::LogAddress;

/// A range of a log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogDamage {
    /// The start of the lost range.
    pub start: LogAddress,
    /// The end of the lost range. An entry at this address is not lost.
    pub end: LogAddress,
    /// The file of the first unit that differs from the written bytes.
    pub file: String,
    /// The offset of the first damaged unit in `file`.
    pub offset: u64,
}
