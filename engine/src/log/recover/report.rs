//! The report of a log's recovery.

use crate::base::human::{count, duration, size};
use crate::log::commit::state::Commit;
use std::fmt;
use std::time::Duration;

#[cfg(feature = "serde")]
use crate::base::serialized::seconds;

/// The report of the recovery of a log when it was opened. The text is for people. With the feature
/// `serde` it can be serialized.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Recovery {
    /// The recovered commit. Everything below its end was recovered.
    pub commit: Commit,
    /// The bytes of the log that the walk passed to find the commit.
    pub walked_bytes: u64,
    /// The number of entries in the walked bytes.
    pub walked_entries: u64,
    /// The removed bytes after the commit. Their entries were never reported as durable, unless an
    /// older commit was requested.
    pub dropped_bytes: u64,
    /// The duration of the recovery.
    #[cfg_attr(feature = "serde", serde(rename = "took_seconds", serialize_with = "seconds"))]
    pub took: Duration,
}

impl fmt::Display for Recovery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Commit { number, until, .. } = &self.commit;
        let (took, walked) = (duration(self.took), size(self.walked_bytes));
        let entries = count(self.walked_entries);
        write!(formatter, "recovered commit {number}, which ends at {until}, in {took}")?;
        write!(formatter, ": read {walked} with {entries} entries")?;
        match self.dropped_bytes {
            0 => Ok(()),
            dropped => write!(formatter, "\nremoved {} after the commit", size(dropped)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::log::Address;

    #[test]
    fn a_text_has_a_line_for_a_removed_tail() {
        let until = Address::new(4096);
        let mut recovery = Recovery {
            commit: Commit { number: 9, until, cookie: Vec::new() },
            walked_bytes: 2048,
            walked_entries: 1500,
            dropped_bytes: 0,
            took: Duration::from_micros(1500),
        };
        let line =
            "recovered commit 9, which ends at 4096, in 1.5 ms: read 2.0 KiB with 1,500 entries";
        assert_eq!(recovery.to_string(), line);
        recovery.dropped_bytes = 100;
        assert_eq!(recovery.to_string(), format!("{line}\nremoved 100 B after the commit"));
    }
}
