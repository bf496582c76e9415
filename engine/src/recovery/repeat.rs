//! Repeats the changes in the write-ahead log that the recovered checkpoint does not have.

use super::report::RecoveryReport;
use crate::base::error::Result;
use crate::checkpoint::Checkpoints;
use crate::checkpoint::files::manifest::{StoreFormat, TableFormat};
use crate::config::Geometry;
use crate::record::TableNumber;
use crate::store::{Limits, StoreInner, TableInner};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Repeats the changes, and reports them. The drivers of the store must run.
///
/// # Errors
/// `Corrupt` if an entry is damaged. The errors of writes: `StorageFull`, `ReadOnly` and others.
pub(crate) async fn repeat_logged(
    checkpoints: &Checkpoints,
    report: &mut Option<RecoveryReport>,
) -> Result<()> {
    let core = checkpoints.core();
    if core.wal.is_none() {
        return Ok(());
    }
    let tables = replayed_tables(core, &checkpoints.checkpoint_files().manifest().store)?;
    let replayed = core.replay(&tables).await?;
    if let Some(report) = report {
        report.sessions = core.sessions.waiting();
        report.repeated = replayed.changes;
        report.wal_bytes = replayed.bytes;
    }
    Ok(())
}

/// Returns the tables of a store whose changes can be repeated.
///
/// # Errors
/// `InvalidArgument` if no page holds a record of a table.
fn replayed_tables(
    core: &Arc<StoreInner>,
    store: &StoreFormat,
) -> Result<BTreeMap<TableNumber, TableInner>> {
    let geometry = Geometry::of(&core.config)?;
    let replayed = |table: &TableFormat| {
        let layout = table.layout();
        let limits = Limits::of(&geometry, (layout, [table.key_width, table.value_width]))?;
        let name = (table.number(), &*table.name);
        Ok((table.number(), TableInner::new(Arc::clone(core), name, layout, limits)))
    };
    store.live_tables().map(replayed).collect()
}
