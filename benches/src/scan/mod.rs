//! Scans of a table: in memory, from the device, and beside a writer.
//!
//! ```text
//! load -> in memory: some scans of each form
//!      -> beside: a writer that updates, alone and during a scan, in turns
//!      -> cold: the store is opened again with little memory, for each scan;
//!               before it a plain sequential read of the files of the log
//! ```

pub mod options;
pub mod pass;
pub mod report;
pub mod run;
