//! Repeats the changes in the write-ahead log that the recovered checkpoint does not have.

use super::report::RecoveryReport;
use super::stored::limits_of;
use super::{OnProgress, RecoveryPhase, RecoveryProgress};
use crate::base::error::Result;
use crate::checkpoint::files::manifest::{CheckpointEntry, StoreFormat, TableFormat};
use crate::checkpoint::{CheckpointPlan, Checkpoints, RemovalJob};
use crate::config::Geometry;
use crate::store::{ReplayedTables, StoreInner, TableInner};
use std::sync::Arc;

/// Repeats the changes, and reports them. The drivers of the store must run.
///
/// # Errors
/// `Corrupt` if an entry is damaged. The errors of writes: `StorageFull`, `ReadOnly` and others.
pub(crate) async fn repeat_logged(
    checkpoints: &Checkpoints,
    report: &mut Option<RecoveryReport>,
    on_progress: Option<&OnProgress>,
) -> Result<()> {
    let core = checkpoints.core();
    if core.wal.is_none() {
        return Ok(());
    }
    let manifest = checkpoints.checkpoint_files().manifest().clone();
    let tables = replayed_tables(core, &manifest.store)?;
    let tell = |bytes, total| {
        if let Some(on_progress) = on_progress {
            let phase = RecoveryPhase::WriteAheadLog;
            on_progress.tell(RecoveryProgress { phase, bytes, total });
        }
    };
    let replayed = core.replay(&tables, tell).await?;
    // A checkpoint that began during the replay is of no single moment, too.
    checkpoints.idle().await;
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

/// Returns the tables of a store whose changes can be repeated; `None` for those that are dropped.
///
/// # Errors
/// `InvalidArgument` if no page holds a record of a table.
fn replayed_tables(core: &Arc<StoreInner>, store: &StoreFormat) -> Result<ReplayedTables> {
    let geometry = Geometry::of(&core.config)?;
    let replayed = |table: &TableFormat| -> Result<TableInner> {
        let (layout, limits) = (table.layout(), limits_of(table, &geometry)?);
        let name = (table.number(), &*table.name);
        Ok(TableInner::new(Arc::clone(core), name, layout, limits))
    };
    let tables = store.tables.iter();
    let tables = tables.map(|table| {
        let replayed = (!table.dropped).then(|| replayed(table)).transpose()?;
        Ok((table.number(), replayed))
    });
    tables.collect()
}
