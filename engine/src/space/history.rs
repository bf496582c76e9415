//! The history of the rounds of compaction of one store, over all of its openings.

use serde::{Deserialize, Serialize};

/// The findings of rounds. They are in the manifest, as of its last checkpoint.
///
/// All of it is an estimate: a recovery of an older checkpoint, or an opening without compaction,
/// makes it old, and never wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundHistory {
    /// No round begins before the tail is at this address.
    pub(crate) rest_until: u64,
    /// The bytes of log that recent rounds have compacted.
    pub(crate) source_bytes: u64,
    /// The records that were live among them, and their bytes.
    pub(crate) copied_records: u64,
    pub(crate) copied_bytes: u64,
    /// The bytes of the log that were live at the last round.
    pub(crate) live_bytes: u64,
}
