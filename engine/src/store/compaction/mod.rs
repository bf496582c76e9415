//! Compaction: what is live in the oldest part of the log is copied to the tail, and the log begins
//! after that part.
//!
//! # Terms
//! A *round* compacts the *source*, the range from the begin of the log up to an address. A record
//! of the source is *copied* if it is live: its chain leads to it, and to no newer record of its
//! key. All other records of the source are dropped with it: older values, deletions, records that
//! have expired or whose table was dropped, records that were never linked, pieces that no list
//! names, and live ones that the caller does not keep (`filter.rs`). Whatever a deletion hides is
//! older, so it is in the source too.
//!
//! # A round
//! ```text
//!   retire -> read pages, find what is live, copy it -> evict -> move the begin
//! ```
//! 1. The source is retired (`hybrid_log/shift/begin.rs`): no operation links a piece of it any
//!    more.
//! 2. Each page is read, and its live records are found. Most dead ones are known, since a newer
//!    record was seen in memory (`superseded/`). Memory shows most others (`scan/liveness/`). The
//!    rest is gathered over many pages, and looked up on the device in one sweep
//!    (`uncertain.rs`).
//! 3. A copy is appended, and linked by a CAS on the very entry that was found before the chain was
//!    walked. An entry that is unchanged leads to an unchanged chain, so the record is still live.
//!    If the entry has changed, the record is looked at again.
//! 4. The begin moves after all copies are linked, and after a drain: a reader may have found an
//!    entry before its copy was linked.
//!
//! # Invariants
//! 1. Every key that is present, and that the caller keeps, has its newest record at or above the
//!    begin of the log.
//! 2. A copy is linked only under the entry that its proof began with.
//! 3. The begin moves over whole pages whose copies are linked, and of which no scan in progress
//!    needs a record.
//! 4. Compaction deletes no file. A checkpoint that has the new begin does (`checkpoint_files.rs`),
//!    after it is durable, and with it the copies.
//! 5. Nothing is held while a round waits: no guard, no lock, no frame.
//!
//! A cache drops the source instead (`dropping.rs`). There only invariants 3 to 5 hold: a key whose
//! newest record is below the begin is absent.
//!
//! Source: FASTER's lookup-based log compaction; F2, PVLDB 2025, section 5.2.

mod copies;
mod counts;
mod dropping;
mod filter;
mod long_values;
mod page;
mod removals;
mod round;
mod sample;
mod superseded;
mod uncertain;

pub(in crate::store) use copies::{Copied, chain_behind, link_copy};
pub(crate) use counts::Round;
pub(crate) use filter::Filter;
pub(crate) use removals::RemovalWatch;
pub(in crate::store) use superseded::Superseded;
