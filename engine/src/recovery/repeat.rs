//! Repeats the changes in the write-ahead log that the recovered checkpoint does not have.

use super::report::RecoveryReport;
use crate::base::error::Result;
use crate::checkpoint::files::manifest::{CheckpointEntry, StoreFormat, TableFormat};
use crate::checkpoint::{CheckpointPlan, Checkpoints, RemovalJob};
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
    let manifest = checkpoints.checkpoint_files().manifest().clone();
    let tables = replayed_tables(core, &manifest.store)?;
    let replayed = core.replay(&tables).await?;
    let is_unfit = |record: &CheckpointEntry| record.wal.is_none() || record.is_partial;
    if checkpoints.checkpoint_files().manifest().checkpoints.iter().any(is_unfit) {
        // Checkpoints that are older than the write-ahead log differ by changes that it does not
        // have, and one from the replay is of no single moment. So the first operation comes after
        // a checkpoint that is fit to be recovered alone, and the only one.
        checkpoints.start_in_turn(CheckpointPlan::full(checkpoints.kind())).await?;
        checkpoints.remove_checkpoints(RemovalJob::AllBut(1)).await?;
    }
    if let Some(report) = report {
        report.note_repeated(core.sessions.waiting());
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
