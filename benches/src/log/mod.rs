//! The log under load: appenders, readers beside them, a scan afterwards, and what all of it is
//! measured against.
//!
//! ```text
//! options -> measure -> run: lanes and tails on a crew -> figures -> report, table
//!                       scan: the log, opened again
//!                       ceilings: the same entries, copied; as many bytes, plainly moved
//! ```
//!
//! An entry has the numbers of its task and itself, so a reader knows all of its bytes, its place
//! in the order of its appender, and in the end whether all were there.

pub mod ceilings;
pub mod course;
pub mod entries;
pub mod figures;
pub mod idle;
pub mod lane;
pub mod measure;
pub mod options;
pub mod report;
pub mod run;
pub mod scan;
mod table;
pub mod tail;
