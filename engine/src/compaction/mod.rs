//! Compaction frees the space of records that are no longer needed.
//!
//! The log of a store only grows at its end. What is deleted, overwritten or expired stays until
//! compaction takes the oldest part of the log: it copies what is still needed to the end, and the
//! log begins after that part. The files of the part are deleted once no kept checkpoint needs
//! them.
//!
//! [`FasterKv::compact`](crate::FasterKv::compact) compacts the whole log. With
//! [`Config::disk`](crate::Config::disk) the store compacts by itself, an eighth of the log at a
//! time, and writers wait if they are faster. With
//! [`Config::space_ratio`](crate::Config::space_ratio) it does so without a limit. A store that is
//! a [cache](crate::Config::cache) drops the oldest part, and compacts nothing, not even on demand.
//! [`Stats::space`](crate::stats::Stats::space) shows what came of it.

mod cache;
mod driver;
mod hold_back;
mod looks;
mod pace;
mod policy;
mod relief;
mod request;
mod rounds;
mod wish;

pub(crate) use driver::Compaction;
pub use request::{CompactionRequest as Request, DatabaseRequest};

use crate::store::Round;

/// The result of a compaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// The bytes of log that were compacted: the log begins so much later.
    pub log_bytes: u64,
    /// The number of records that were still needed, and so were copied to the end of the log.
    pub copied_records: u64,
    /// The bytes of these records.
    pub copied_bytes: u64,
    /// The number of records that are gone: deletions, older values, expired values, records of
    /// dropped tables.
    pub dropped_records: u64,
    /// The number of keys that [`Request::keep`] removed. Their records count as dropped.
    pub removed_keys: u64,
}

impl Compacted {
    fn of(round: Round) -> Self {
        let Round { source_bytes: log_bytes, copied_records, copied_bytes, dropped_records } =
            round;
        Self { log_bytes, copied_records, copied_bytes, dropped_records, removed_keys: 0 }
    }
}
