//! The log under load: appending tasks, concurrent readers, a later scan, and the baselines of all
//! these.
//!
//! ```text
//! options -> measure -> run: workers and tails on an executor -> figures -> report, table
//!                       scan: the log, opened again
//!                       ceilings: the same entries, copied; as many bytes, plainly moved
//! ```
//!
//! An entry has the number of its task and its own number. So a reader knows all its bytes and its
//! place in the order of the task, and notices missing entries.

pub mod ceilings;
pub mod entries;
pub mod figures;
pub mod idle;
pub mod measure;
pub mod options;
pub mod report;
pub mod run;
pub mod scan;
pub mod shared;
mod table;
pub mod tail;
pub mod worker;
