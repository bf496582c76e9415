//! The benchmark harness of kvick: YCSB mixes against a store, with every value verified.
//!
//! ```text
//! options -> steps (drawn before)  -> load -> run: workers on a runtime -> report: table, SVG, ..
//!            keys.rs, workload.rs     load.rs   worker.rs, runtimes.rs     report.rs, timeline.rs
//! ```
//!
//! A *step* is one operation of the mix on one key, drawn before the clock starts. A *worker* is
//! one task with its own session that walks along the steps. Another thread reads the clock, the
//! processor time and the resident memory. A worker reads only the clock, for the latency samples
//! that the report counts.
//!
//! `kvbench grow` inserts and deletes keys, and measures each operation and the index (growth/).
//! `kvbench churn` inserts many different keys, of which few are there at once (churn/).
//!
//! `kvbench scan` scans a table in memory, beside a writer, and from the device (scan/).
//! `kvbench overwrite` and `kvbench rounds` update the same keys for long, and measure the space of
//! the store and the cost of its compaction (overwrite/, space.rs).
//!
//! `recoverbench` measures a checkpoint of an idle store and the recovery from it, and plain
//! transfers of as many bytes (recovery.rs, sequential.rs).
//!
//! `logbench` does the same as `kvbench` for the log, with entries in place of values (log/).
//!
//! Other stores are in `benches/versus`, a separate workspace, so that no build here needs RocksDB.

#![forbid(unsafe_code)]

pub mod checkpoints;
pub mod churn;
pub mod clock;
pub mod growth;
pub mod keys;
pub mod latency;
pub mod load;
pub mod log;
pub mod options;
pub mod output;
pub mod overwrite;
pub mod panels;
pub mod payload;
pub mod process;
pub mod recovery;
pub mod report;
pub mod run;
pub mod runtimes;
pub mod scan;
pub mod scratch;
pub mod sequential;
pub mod space;
pub mod timeline;
pub mod worker;
pub mod workload;
