//! The benchmark harness of kvick: YCSB mixes against a store, with every value verified.
//!
//! ```text
//! options -> steps (pre-generated)  -> load -> run: lanes on a runtime -> report: table, JSON, SVG
//!            keys.rs, workload.rs      load.rs   lane.rs, runtimes.rs      report.rs, timeline.rs
//! ```
//!
//! A *step* is one operation of the mix on one key, drawn before the clock starts. A *lane* is one
//! task with its own session that walks a stretch of the steps. The clock, the processor time and
//! the resident memory are read by one thread beside the lanes, never by a lane, except for the
//! latency samples that the report counts.
//!
//! `recoverbench` is the other end: a checkpoint of a store at rest, and the recovery from it, next
//! to plain transfers of as many bytes (recovery.rs, sequential.rs).
//!
//! `logbench` does the same for the log, with entries in place of values (log/).
//!
//! Rivals live in `benches/versus`, a workspace of its own, so that no build here meets RocksDB.

#![forbid(unsafe_code)]

pub mod checkpoints;
pub mod clock;
pub mod keys;
pub mod lane;
pub mod latency;
pub mod load;
pub mod log;
pub mod options;
pub mod payload;
pub mod process;
pub mod recovery;
pub mod report;
pub mod run;
pub mod runtimes;
pub mod scratch;
pub mod sequential;
pub mod timeline;
pub mod workload;
