//! The store, which joins the index and the log.
//!
//! # Modules
//! * `inner`: [`StoreInner`], the state that all operations share, in terms of bytes.
//! * `table`: [`TableInner`], the state that all operations of one table share, with the turns of
//!   tasks that compute the value of an absent key.
//! * `operation`: `read`, `upsert`, `modify`, `delete` are one *synchronous attempt* each, a
//!   `match` over the region of the newest record. An attempt runs under one guard and ends done
//!   or blocked. It leaves nothing half done: no lock, no reserved space, no borrowed memory.
//!   `future` makes attempts, and waits in between until they are no longer blocked. `batch` makes
//!   many under one guard, with prefetching. `modify/removal` removes the very value that a
//!   modification saw.
//! * `record`: `trace` is the only walk along a chain of records; `link` puts a record in front of
//!   it; `pieces` keeps values that do not fit in a page.
//! * `scan`: the live records of a table as of one moment, while operations continue.
//! * `feed`: the records of the log in its order, and as they become immutable.
//! * `compaction`: copies what is live in the oldest part of the log to the tail, so that its space
//!   comes back.
//! * `index_driver`: makes a sparse index smaller.
//! * `moment`: the time of an attempt, for records that expire. `expiry`: the expiry of a key.
//! * `sessions`: their identities, accounts and commit points.
//! * `wal`: the write-ahead log, which makes single operations durable.
//! * `whole`: batches that are recovered whole or not at all.
//! * `phase`: the version of the store, and the barrier between two versions.
//!
//! # State across a wait
//! An operation keeps addresses and owned bytes (`PendingState`) across a wait, never a reference.
//! After a wait an attempt starts again from the index entry. It uses bytes read from the device
//! only if the chain still leads to the address of that read. Records on the device never change,
//! so the rest of the chain is still as it was read.

pub(crate) mod answers;
mod compaction;
pub(crate) mod context;
pub(crate) mod expiry;
pub(crate) mod feed;
mod index_driver;
mod inner;
mod limits;
mod memory;
mod moment;
pub(crate) mod operation;
mod record;
pub(crate) mod scan;
pub(crate) mod sessions;
pub(crate) mod system_state;
mod table;
mod tables;
pub(crate) mod wal;
mod whole;

pub(crate) use compaction::{Filter, RemovalWatch, Round};
pub(crate) use inner::{StoreInner, StoreParts};
pub(crate) use limits::Limits;
pub(crate) use operation::attempt::{Types, layout};
pub(crate) use record::encoding;
pub(crate) use table::{ComputationTurn, TableInner};
pub(crate) use tables::Tables;
pub(crate) use wal::{ReplayedTables, WriteAheadLog, append_change};
pub(crate) use whole::WriteWhole;
