//! Updates without end: how much space they take and cost, with and without compaction.
//!
//! ```text
//! contest: uniform updates, one run for each budget of the disk  -> report
//! rounds: rounds of updates of all keys, then all keys deleted   -> its own table
//! ```
//!
//! The memory is smaller than the data, so that almost every update appends to the log.

pub mod contest;
pub mod report;
pub mod rounds;

use kvick::{FasterKv, Result};

use crate::payload::Payload;

/// Compacts the whole log, and takes a further checkpoint. The store keeps two of them, and the
/// older one needs the files of the time before.
async fn compact<V: Payload + ?Sized>(store: &FasterKv<u64, V>) -> Result<()> {
    store.compact().await?;
    store.checkpoint().await?;
    Ok(())
}
