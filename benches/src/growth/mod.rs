//! A store that grows and shrinks under load, with an index that follows or one of a fixed size.
//!
//! ```text
//! options -> run: load, grow, shrink        -> Run: two phases -> report: tables, JSON
//!            frontier: the keys that are there      doublings      diagram: SVG
//!            worker: one task, every operation      comparison
//!            slots: the operations by time
//! ```
//!
//! The store begins with `from` keys. In the growth each task inserts new keys, up to `to` keys of
//! all tasks. In the shrink it deletes them again, the newest first. One operation on a random key
//! that is there follows each insert or delete: a read or an update, with equal probability. So
//! half of the operations are inserts or deletes, a quarter are reads, and a quarter updates.
//!
//! Every operation is timed, with one reading of the clock: the end of an operation is the start
//! of the next. So a latency includes the drawing of the key and the count of the operation before,
//! about 10 ns. It also includes the time in which the system ran another thread.

pub mod comparison;
pub mod diagram;
pub mod doublings;
pub mod frontier;
pub mod options;
pub mod phase;
pub mod report;
pub mod run;
pub mod sample;
pub mod slots;
pub mod worker;
