//! A part of a log that is lost.

use super::LogAddress;

/// A part of a log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogDamage {
    /// Entries from here on are lost,
    pub start: LogAddress,
    /// up to the one here, which is not.
    pub end: LogAddress,
    /// The file of the first unit that is not what was written,
    pub file: String,
    /// and where in it.
    pub offset: u64,
}
